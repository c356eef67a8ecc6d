"""Expansions: formulas that turn every row of the data into another one, most often a longer one."""

from arrayfab.expansions.base import Expansion, Functions
from arrayfab.expansions.basic import Identity, Linear, Reciprocal
from arrayfab.expansions.combinatorial import Choices, Combinatorial, CombinatorialNormal
from arrayfab.expansions.compositions import Extended, Nested
from arrayfab.expansions.compressions import (
    GroupMax,
    GroupMean,
    GroupMedian,
    GroupMin,
    GroupProduct,
    GroupSum,
)
from arrayfab.expansions.densities import (
    Cauchy,
    Chi2,
    Exponential,
    Gamma,
    HybridProbabilistic,
    Laplace,
    NaiveCauchy,
    NaiveChi2,
    NaiveExponential,
    NaiveGamma,
    NaiveLaplace,
    NaiveNormal,
    Normal,
)
from arrayfab.expansions.normalized import RowNormalized
from arrayfab.expansions.polynomials import (
    Bessel,
    Chebyshev,
    Fibonacci,
    Gegenbauer,
    Hermite,
    Jacobi,
    Laguerre,
    Legendre,
    Lucas,
    ReverseBessel,
)
from arrayfab.expansions.radial import GaussianRBF, InverseQuadraticRBF
from arrayfab.expansions.splines import BSpline
from arrayfab.expansions.taylor import Taylor
from arrayfab.expansions.trigonometric import (
    ArcHyperbolic,
    ArcTrigonometric,
    Fourier,
    Hyperbolic,
    Trigonometric,
)
from arrayfab.expansions.wavelets import BetaWavelet, DoG, Haar, Meyer, Ricker, Shannon

__all__ = [
    "ArcHyperbolic",
    "ArcTrigonometric",
    "BSpline",
    "Bessel",
    "BetaWavelet",
    "Cauchy",
    "Chebyshev",
    "Chi2",
    "Choices",
    "Combinatorial",
    "CombinatorialNormal",
    "DoG",
    "Expansion",
    "Exponential",
    "Extended",
    "Fibonacci",
    "Fourier",
    "Functions",
    "Gamma",
    "GaussianRBF",
    "Gegenbauer",
    "GroupMax",
    "GroupMean",
    "GroupMedian",
    "GroupMin",
    "GroupProduct",
    "GroupSum",
    "Haar",
    "Hermite",
    "HybridProbabilistic",
    "Hyperbolic",
    "Identity",
    "InverseQuadraticRBF",
    "Jacobi",
    "Laguerre",
    "Laplace",
    "Legendre",
    "Linear",
    "Lucas",
    "Meyer",
    "NaiveCauchy",
    "NaiveChi2",
    "NaiveExponential",
    "NaiveGamma",
    "NaiveLaplace",
    "NaiveNormal",
    "Nested",
    "Normal",
    "Reciprocal",
    "ReverseBessel",
    "Ricker",
    "RowNormalized",
    "Shannon",
    "Taylor",
    "Trigonometric",
]
