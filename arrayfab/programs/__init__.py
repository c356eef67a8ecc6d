"""Formulas as straight-line programs: written down once by stand-ins, compiled, and run on arrays."""

from arrayfab.programs.program import Interpreted, Program, programmed, traced
from arrayfab.programs.symbol import Symbol, broadcast, regime, regime_number
from arrayfab.programs.tape import ELEMENTWISE, Tape

__all__ = [
    "ELEMENTWISE",
    "Interpreted",
    "Program",
    "Symbol",
    "Tape",
    "broadcast",
    "programmed",
    "regime",
    "regime_number",
    "traced",
]
