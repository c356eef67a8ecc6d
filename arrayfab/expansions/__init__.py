"""Expansions: formulas that turn every row of the data into a longer one."""

from arrayfab.expansions.base import Expansion, Functions
from arrayfab.expansions.normalized import RowNormalized
from arrayfab.expansions.taylor import Taylor

__all__ = ["Expansion", "Functions", "RowNormalized", "Taylor"]
