"""Fabrications: formulas that turn a vector of learned numbers into a matrix."""

from arrayfab.fabrications.algebra import Base, ProductOf, Scaled, SumOf, WithFrozen
from arrayfab.fabrications.base import Fabrication
from arrayfab.fabrications.blockwise import IA3, BlockDiagonal, DoRA, Monarch
from arrayfab.fabrications.dense import (
    Constant,
    DuplicatedDiagonalPadding,
    DuplicatedPadding,
    Eye,
    Full,
    Masked,
)
from arrayfab.fabrications.hypernet import Hypernet, RandomMatrixHypernet
from arrayfab.fabrications.kronecker import LPHM, DualLPHM, Hypercomplex, MirroredLPHM, Shared
from arrayfab.fabrications.lowrank import CP, LoHa, LowRank, RandLoRA, RandomMatrixAdaption, VBLoRA
from arrayfab.fabrications.orthogonal import Butterfly, Cayley, Householder, Neumann
from arrayfab.fabrications.seeded import Seeded
from arrayfab.fabrications.tensortrain import TensorTrain
from arrayfab.fabrications.transforms import Circulant, FourierFT, Toeplitz

__all__ = [
    "CP",
    "IA3",
    "LPHM",
    "Base",
    "BlockDiagonal",
    "Butterfly",
    "Cayley",
    "Circulant",
    "Constant",
    "DoRA",
    "DualLPHM",
    "DuplicatedDiagonalPadding",
    "DuplicatedPadding",
    "Eye",
    "Fabrication",
    "FourierFT",
    "Full",
    "Householder",
    "Hypercomplex",
    "Hypernet",
    "LoHa",
    "LowRank",
    "Masked",
    "MirroredLPHM",
    "Monarch",
    "Neumann",
    "ProductOf",
    "RandLoRA",
    "RandomMatrixAdaption",
    "RandomMatrixHypernet",
    "Scaled",
    "Seeded",
    "Shared",
    "SumOf",
    "TensorTrain",
    "Toeplitz",
    "VBLoRA",
    "WithFrozen",
]
