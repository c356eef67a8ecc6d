"""The layout of LyCORIS and of kohya's scripts: a safetensors file whose keys have underscores for dots.

The two are one, as kohya's LoRA is that of LyCORIS: ``lora_unet_down_blocks_0_….lora_up.weight`` and
``….alpha``. The formulas are those of LyCORIS 4.1, with ``alpha / r`` once, as in its bypass mode. Elsewhere
it has this factor twice in a LoHa, and in the merge of a LoKr.
"""

from arrayfab.adapters.layouts.lycoris.reading import NAME, is_here, read
from arrayfab.adapters.layouts.lycoris.writing import write

__all__ = ["NAME", "is_here", "read", "write"]
