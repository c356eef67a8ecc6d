"""The roles in which a fabricated matrix serves: reconciliation, interdependence and fusion.

A role is a formula too, over holes for the data and the fabricated matrix. Product, pullback and
directional derivative follow from the formula, as they do for a fabrication.
"""

from arrayfab.roles.attention import Attention
from arrayfab.roles.base import Role, formula_of
from arrayfab.roles.fusion import Concatenation, ConcatenationFusion
from arrayfab.roles.interdependence import BilinearInterdependence, ParameterizedInterdependence
from arrayfab.roles.reconciliation import Reconciliation

__all__ = [
    "Attention",
    "BilinearInterdependence",
    "Concatenation",
    "ConcatenationFusion",
    "ParameterizedInterdependence",
    "Reconciliation",
    "Role",
    "formula_of",
]
