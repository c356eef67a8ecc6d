"""Adapters of models, such as LoRA, in the files of PEFT and others, without PyTorch."""

from arrayfab.adapters.adapter import Adapter
from arrayfab.adapters.combining import combine
from arrayfab.adapters.extracting import extract
from arrayfab.adapters.layouts import LAYOUTS, read_adapter, write_adapter
from arrayfab.adapters.made import Made, Nearness
from arrayfab.adapters.merging import Line, Merge, merge, unmerge
from arrayfab.adapters.resizing import resize, to_lora
from arrayfab.adapters.roles import roles
from arrayfab.adapters.updates import BOFT, IA3, OFT, Difference, DoRA, LoHa, LoKr, LoRA, Update, VeRA

__all__ = [
    "BOFT",
    "IA3",
    "LAYOUTS",
    "OFT",
    "Adapter",
    "Difference",
    "DoRA",
    "Line",
    "LoHa",
    "LoKr",
    "LoRA",
    "Made",
    "Merge",
    "Nearness",
    "Update",
    "VeRA",
    "combine",
    "extract",
    "merge",
    "read_adapter",
    "resize",
    "roles",
    "to_lora",
    "unmerge",
    "write_adapter",
]
