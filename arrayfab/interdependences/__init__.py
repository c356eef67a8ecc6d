"""Interdependences without learned numbers: attributes on attributes, or instances on instances."""

from arrayfab.interdependences.base import Interdependence
from arrayfab.interdependences.basic import (
    ConstantInterdependence,
    IdentityInterdependence,
    OneInterdependence,
    ZeroInterdependence,
)
from arrayfab.interdependences.chains import (
    ChainInterdependence,
    ExponentialChain,
    InverseChain,
    MultihopChain,
)
from arrayfab.interdependences.distances import (
    CanberraDistance,
    ChebyshevDistance,
    EuclideanDistance,
    LaplacianKernel,
    ManhattanDistance,
    MinkowskiDistance,
)
from arrayfab.interdependences.expansion import Interdependent
from arrayfab.interdependences.graphs import GraphInterdependence, MultihopGraph, PageRankGraph
from arrayfab.interdependences.grids import (
    CuboidInterdependence,
    CylinderInterdependence,
    GridInterdependence,
    SphereInterdependence,
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
from arrayfab.links import Graph

__all__ = [
    "AnisotropicKernel",
    "CanberraDistance",
    "ChainInterdependence",
    "ChebyshevDistance",
    "ConstantInterdependence",
    "CosineSimilarity",
    "CuboidInterdependence",
    "CylinderInterdependence",
    "EuclideanDistance",
    "ExponentialChain",
    "ExponentialKernel",
    "GaussianKernel",
    "Graph",
    "GraphInterdependence",
    "GridInterdependence",
    "HybridInterdependence",
    "IdentityInterdependence",
    "Interdependence",
    "Interdependent",
    "InverseChain",
    "KLDivergence",
    "LaplacianKernel",
    "LinearKernel",
    "ManhattanDistance",
    "MinkowskiDistance",
    "MultihopChain",
    "MultihopGraph",
    "MutualInformation",
    "OneInterdependence",
    "PageRankGraph",
    "PearsonCorrelation",
    "PolynomialKernel",
    "RVCoefficient",
    "SphereInterdependence",
    "TanhKernel",
    "ZeroInterdependence",
]
