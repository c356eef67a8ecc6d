"""Interdependences without learned numbers: attributes on attributes, or instances on instances."""

from arrayfab.interdependences.base import Interdependence
from arrayfab.interdependences.basic import (
    ConstantInterdependence,
    IdentityInterdependence,
    OneInterdependence,
    ZeroInterdependence,
)
from arrayfab.interdependences.distances import (
    CanberraDistance,
    ChebyshevDistance,
    EuclideanDistance,
    LaplacianKernel,
    ManhattanDistance,
    MinkowskiDistance,
)
from arrayfab.interdependences.hybrid import HybridInterdependence
from arrayfab.interdependences.kernels import (
    AnisotropicKernel,
    CosineSimilarity,
    ExponentialKernel,
    GaussianKernel,
    LinearKernel,
    PolynomialKernel,
    TanhKernel,
)
from arrayfab.interdependences.statistics import (
    KLDivergence,
    MutualInformation,
    PearsonCorrelation,
    RVCoefficient,
)

__all__ = [
    "AnisotropicKernel",
    "CanberraDistance",
    "ChebyshevDistance",
    "ConstantInterdependence",
    "CosineSimilarity",
    "EuclideanDistance",
    "ExponentialKernel",
    "GaussianKernel",
    "HybridInterdependence",
    "IdentityInterdependence",
    "Interdependence",
    "KLDivergence",
    "LaplacianKernel",
    "LinearKernel",
    "ManhattanDistance",
    "MinkowskiDistance",
    "MutualInformation",
    "OneInterdependence",
    "PearsonCorrelation",
    "PolynomialKernel",
    "RVCoefficient",
    "TanhKernel",
    "ZeroInterdependence",
]
