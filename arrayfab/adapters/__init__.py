"""Adapters of models, such as LoRA, in the files of PEFT and others, without PyTorch."""

from arrayfab.adapters.adapter import Adapter
from arrayfab.adapters.layouts import LAYOUTS, read_adapter, write_adapter
from arrayfab.adapters.merging import Line, Merge, merge, unmerge
from arrayfab.adapters.updates import Update

__all__ = [
    "LAYOUTS",
    "Adapter",
    "Line",
    "Merge",
    "Update",
    "merge",
    "read_adapter",
    "unmerge",
    "write_adapter",
]
