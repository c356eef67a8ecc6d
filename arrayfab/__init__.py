"""Large structured matrices from few learned numbers, on any array namespace."""

from arrayfab.composition import Parallel, Pointwise, Reshape, Sequential
from arrayfab.fabrications import (
    LPHM,
    Constant,
    DualLPHM,
    DuplicatedDiagonalPadding,
    DuplicatedPadding,
    Eye,
    Fabrication,
    Full,
    Hypercomplex,
    Hypernet,
    LowRank,
    Masked,
    RandomMatrixAdaption,
    RandomMatrixHypernet,
)
from arrayfab.io import load, save
from arrayfab.matrix import StructuredMatrix
from arrayfab.roles import (
    BilinearInterdependence,
    Concatenation,
    ConcatenationFusion,
    ParameterizedInterdependence,
    Reconciliation,
)

__version__ = "0.1.0"

__all__ = [
    "LPHM",
    "BilinearInterdependence",
    "Concatenation",
    "ConcatenationFusion",
    "Constant",
    "DualLPHM",
    "DuplicatedDiagonalPadding",
    "DuplicatedPadding",
    "Eye",
    "Fabrication",
    "Full",
    "Hypercomplex",
    "Hypernet",
    "LowRank",
    "Masked",
    "Parallel",
    "ParameterizedInterdependence",
    "Pointwise",
    "RandomMatrixAdaption",
    "RandomMatrixHypernet",
    "Reconciliation",
    "Reshape",
    "Sequential",
    "StructuredMatrix",
    "load",
    "save",
]
