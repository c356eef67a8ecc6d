"""The layout of PEFT: a folder with ``adapter_config.json`` and ``adapter_model.safetensors``.

The formulas are those of PEFT 0.21.
"""

from arrayfab.adapters.layouts.peft.reading import NAME, is_here, read
from arrayfab.adapters.layouts.peft.writing import write

__all__ = ["NAME", "is_here", "read", "write"]
