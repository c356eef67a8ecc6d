"""Structured matrices: formulas that are never formed, with products and hand-written rules.

A formula is spelled with ``A @ B``, ``A + B``, ``2.0 * A``, ``A.T``, `kron`, `Diagonal`, `Identity`,
`Constant`, `hadamard`, `reshaped` and `Sigmoid`.
"""

from arrayfab.structures.base import Cost, Multilinear, Structure
from arrayfab.structures.chain import Chain, chain
from arrayfab.structures.formed import Hadamard, Reshaped, Sigmoid, ThroughDense, hadamard, reshaped
from arrayfab.structures.kronecker import Kronecker, kron
from arrayfab.structures.leaves import Constant, Dense, Diagonal, Identity
from arrayfab.structures.numbers import Cotangents, Numbers
from arrayfab.structures.streamed import Span, Streamed, StreamedHadamard
from arrayfab.structures.sums import EveryRow, SideBySide, Sum, add, side_by_side

__all__ = [
    "Chain",
    "Constant",
    "Cost",
    "Cotangents",
    "Dense",
    "Diagonal",
    "EveryRow",
    "Hadamard",
    "Identity",
    "Kronecker",
    "Multilinear",
    "Numbers",
    "Reshaped",
    "SideBySide",
    "Sigmoid",
    "Span",
    "Streamed",
    "StreamedHadamard",
    "Structure",
    "Sum",
    "ThroughDense",
    "add",
    "chain",
    "hadamard",
    "kron",
    "reshaped",
    "side_by_side",
]
