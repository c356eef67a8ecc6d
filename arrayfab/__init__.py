"""Large structured matrices from few learned numbers, on any array namespace."""

import importlib
from typing import TYPE_CHECKING

from arrayfab import models, remainders
from arrayfab.composition import Parallel, Sequential
from arrayfab.expansions import Expansion, Taylor
from arrayfab.fabrications import (
    CP,
    IA3,
    LPHM,
    Base,
    BlockDiagonal,
    Butterfly,
    Cayley,
    Circulant,
    Constant,
    DoRA,
    DualLPHM,
    DuplicatedDiagonalPadding,
    DuplicatedPadding,
    Eye,
    Fabrication,
    FourierFT,
    Full,
    Householder,
    Hypercomplex,
    Hypernet,
    LoHa,
    LowRank,
    Masked,
    MirroredLPHM,
    Monarch,
    Neumann,
    RandLoRA,
    RandomMatrixAdaption,
    RandomMatrixHypernet,
    Seeded,
    Shared,
    TensorTrain,
    Toeplitz,
    VBLoRA,
)
from arrayfab.fusions import Fusion, WeightedFusion
from arrayfab.head import Head
from arrayfab.matrix import StructuredMatrix
from arrayfab.plain import Pointwise, Reshape
from arrayfab.roles import (
    Attention,
    BilinearInterdependence,
    Concatenation,
    ConcatenationFusion,
    ParameterizedInterdependence,
    Reconciliation,
)
from arrayfab.rowwise import Softmax

if TYPE_CHECKING:
    from arrayfab.io import load, save
    from arrayfab.planner import plan

    __version__: str

__all__ = [
    "CP",
    "IA3",
    "LPHM",
    "Attention",
    "Base",
    "BilinearInterdependence",
    "BlockDiagonal",
    "Butterfly",
    "Cayley",
    "Circulant",
    "Concatenation",
    "ConcatenationFusion",
    "Constant",
    "DoRA",
    "DualLPHM",
    "DuplicatedDiagonalPadding",
    "DuplicatedPadding",
    "Expansion",
    "Eye",
    "Fabrication",
    "FourierFT",
    "Full",
    "Fusion",
    "Head",
    "Householder",
    "Hypercomplex",
    "Hypernet",
    "LoHa",
    "LowRank",
    "Masked",
    "MirroredLPHM",
    "Monarch",
    "Neumann",
    "Parallel",
    "ParameterizedInterdependence",
    "Pointwise",
    "RandLoRA",
    "RandomMatrixAdaption",
    "RandomMatrixHypernet",
    "Reconciliation",
    "Reshape",
    "Seeded",
    "Sequential",
    "Shared",
    "Softmax",
    "StructuredMatrix",
    "Taylor",
    "TensorTrain",
    "Toeplitz",
    "VBLoRA",
    "WeightedFusion",
    "load",
    "models",
    "plan",
    "remainders",
    "save",
]


# Importing arrayfab does not read what only some use.
_LATER = {"load": "arrayfab.io", "save": "arrayfab.io", "plan": "arrayfab.planner"}


def __getattr__(name: str):
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("arrayfab")
        except PackageNotFoundError:  # a checkout that is on the path, not installed
            return "0+unknown"
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
