"""The layout of LyCORIS and of kohya's scripts: a safetensors file whose keys have underscores for dots.

The two are one, as kohya's LoRA is that of LyCORIS: ``lora_unet_down_blocks_0_….lora_up.weight`` and ``….alpha``.
The formulas are those of LyCORIS 4.1, with ``alpha / r`` once; where it multiplies a LoHa's numbers, or merges a
LoKr's, it does so twice, unlike in its own bypass mode and unlike all others that read such files.
"""

from arrayfab.adapters.layouts.lycoris.reading import NAME, is_here, read
from arrayfab.adapters.layouts.lycoris.writing import write

__all__ = ["NAME", "is_here", "read", "write"]
