"""Structured matrices: formulas that are never formed, with products and hand-written rules.

A formula is spelled with ``A @ B``, ``A + B``, ``2.0 * A``, ``A.T``, `kron`, `Diagonal`, `Identity`,
`Constant`, `Hadamard`, `Reshaped` and `Sigmoid`.
"""

from arrayfab.structures.base import Cost, Cotangents, Multilinear, Numbers, Structure
from arrayfab.structures.chain import Chain, chain
from arrayfab.structures.formed import Hadamard, Reshaped, Sigmoid, ThroughDense
from arrayfab.structures.kronecker import Kronecker, kron
from arrayfab.structures.leaves import Constant, Dense, Diagonal, Identity
from arrayfab.structures.sums import SideBySide, Sum, add, side_by_side

__all__ = [
    "Chain",
    "Constant",
    "Cost",
    "Cotangents",
    "Dense",
    "Diagonal",
    "Hadamard",
    "Identity",
    "Kronecker",
    "Multilinear",
    "Numbers",
    "Reshaped",
    "SideBySide",
    "Sigmoid",
    "Structure",
    "Sum",
    "ThroughDense",
    "add",
    "chain",
    "kron",
    "side_by_side",
]
