"""Fabrications: formulas that turn a vector of learned numbers into a matrix."""

from arrayfab.fabrications.algebra import Scaled, SumOf, WithFrozen
from arrayfab.fabrications.base import Fabrication
from arrayfab.fabrications.dense import (
    Constant,
    DuplicatedDiagonalPadding,
    DuplicatedPadding,
    Eye,
    Full,
    Masked,
)
from arrayfab.fabrications.hypernet import Hypernet, RandomMatrixHypernet
from arrayfab.fabrications.kronecker import LPHM, DualLPHM, Hypercomplex
from arrayfab.fabrications.lowrank import LowRank, RandomMatrixAdaption
from arrayfab.fabrications.seeded import Seeded

__all__ = [
    "LPHM",
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
    "RandomMatrixAdaption",
    "RandomMatrixHypernet",
    "Scaled",
    "Seeded",
    "SumOf",
    "WithFrozen",
]
