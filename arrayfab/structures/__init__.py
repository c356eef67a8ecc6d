"""Structured matrices: formulas that are never formed, with products and hand-written rules.

A formula is spelled with ``A @ B``, ``A + B``, ``2.0 * A``, ``A.T``, `kron`, `Diagonal`, `Identity`,
`Constant`, `hadamard`, `reshaped`, `Sigmoid`, `face`, `khatri_rao`, `side_by_side`, `Map`, `Gather` and
`Groupwise`.
"""

from arrayfab.structures.attention import LinkedSoftmax, Softmax
from arrayfab.structures.base import Cost, Multilinear, Structure
from arrayfab.structures.beside import SideBySide, side_by_side
from arrayfab.structures.blocks import (
    BlockDiagonal,
    BlockProduct,
    Inverses,
    blocks_transposed,
    identities,
)
from arrayfab.structures.chain import Chain, chain
from arrayfab.structures.circulant import Circulant
from arrayfab.structures.correlation import Correlated
from arrayfab.structures.elementwise import Basis, Map, Sigmoid
from arrayfab.structures.entrywise import LowRankHadamard
from arrayfab.structures.expanded_stream import ExpandedStream
from arrayfab.structures.facesplitting import FaceSplitting, face, khatri_rao
from arrayfab.structures.formed import Hadamard, Reshaped, ThroughDense, hadamard, reshaped
from arrayfab.structures.gather import Gather
from arrayfab.structures.groupwise import Groupwise, Reduction, sums_of_groups
from arrayfab.structures.kronecker import Kronecker, kron
from arrayfab.structures.leaves import Constant, Dense, Diagonal, Identity
from arrayfab.structures.let import Let, let
from arrayfab.structures.normalization import Centred, centred, normalized, row_mean, row_variance
from arrayfab.structures.numbers import Cotangents, Numbers
from arrayfab.structures.operators import Operator, SquareAction
from arrayfab.structures.pairwise import Pairwise
from arrayfab.structures.softmax import LogSoftmax
from arrayfab.structures.streamed import Span, Streamed, StreamedHadamard
from arrayfab.structures.sums import EveryRow, Sum, add
from arrayfab.structures.toeplitz import Toeplitz
from arrayfab.structures.unit import UnitRows

__all__ = [
    "Basis",
    "BlockDiagonal",
    "BlockProduct",
    "Centred",
    "Chain",
    "Circulant",
    "Constant",
    "Correlated",
    "Cost",
    "Cotangents",
    "Dense",
    "Diagonal",
    "EveryRow",
    "ExpandedStream",
    "FaceSplitting",
    "Gather",
    "Groupwise",
    "Hadamard",
    "Identity",
    "Inverses",
    "Kronecker",
    "Let",
    "LinkedSoftmax",
    "LogSoftmax",
    "LowRankHadamard",
    "Map",
    "Multilinear",
    "Numbers",
    "Operator",
    "Pairwise",
    "Reduction",
    "Reshaped",
    "SideBySide",
    "Sigmoid",
    "Softmax",
    "Span",
    "SquareAction",
    "Streamed",
    "StreamedHadamard",
    "Structure",
    "Sum",
    "ThroughDense",
    "Toeplitz",
    "UnitRows",
    "add",
    "blocks_transposed",
    "centred",
    "chain",
    "face",
    "hadamard",
    "identities",
    "khatri_rao",
    "kron",
    "let",
    "normalized",
    "reshaped",
    "row_mean",
    "row_variance",
    "side_by_side",
    "sums_of_groups",
]
