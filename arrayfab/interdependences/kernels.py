"""Kernels of the data: how alike two attributes, or two instances, are."""

from __future__ import annotations

from dataclasses import dataclass

from arrayfab.fabrications.blueprint import settle_sizes
from arrayfab.interdependences.base import Interdependence
from arrayfab.interdependences.functions import (
    Decay,
    Power,
    Tanh,
    as_real,
    settle_reals,
)
from arrayfab.structures import Constant, Map, Pairwise, Structure, UnitRows, add, chain, let
from arrayfab.structures.pairwise import SquaredEuclidean


def gram(V: Structure) -> Structure:
    """``V Vᵀ``."""
    return let("gram", V, lambda V: chain(V, V.T))


@dataclass(frozen=True, kw_only=True)
class LinearKernel(Interdependence):
    """``A = V Vᵀ``. The product is ``x (xᵀ x)``, or ``(x xᵀ) x`` where that is cheaper."""

    def relation(self, V):
        return gram(V)


@dataclass(frozen=True, kw_only=True)
class CosineSimilarity(Interdependence):
    """``Aᵢⱼ = ⟨vᵢ, vⱼ⟩ / (‖vᵢ‖ ‖vⱼ‖)``, zero for vectors of zeros. The product forms no matrix."""

    def relation(self, V):
        return gram(UnitRows(V))


@dataclass(frozen=True, kw_only=True)
class PolynomialKernel(Interdependence):
    """``Aᵢⱼ = (⟨vᵢ, vⱼ⟩ + c)^d``. For ``d = 1`` the product forms no matrix."""

    c: float = 0.0
    d: int = 1

    def __post_init__(self):
        super().__post_init__()
        settle_reals(self, "c")
        settle_sizes(self, "d")

    def relation(self, V):
        if self.d == 1:
            return add(gram(V), Constant((V.shape[0], V.shape[0]), self.c))
        return Map(Power(self.c, self.d), gram(V))


@dataclass(frozen=True, kw_only=True)
class TanhKernel(Interdependence):
    """``Aᵢⱼ = tanh(alpha ⟨vᵢ, vⱼ⟩ + c)``."""

    alpha: float = 1.0
    c: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        settle_reals(self, "alpha", "c")

    def relation(self, V):
        return Map(Tanh(self.alpha, self.c), gram(V))


@dataclass(frozen=True, kw_only=True)
class ExponentialKernel(Interdependence):
    """``Aᵢⱼ = exp(−gamma ‖vᵢ − vⱼ‖²)``, from differences."""

    gamma: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        settle_reals(self, "gamma")

    def relation(self, V):
        return Map(Decay(self.gamma), Pairwise(SquaredEuclidean(), V))


@dataclass(frozen=True, kw_only=True)
class GaussianKernel(Interdependence):
    """``Aᵢⱼ = exp(−‖vᵢ − vⱼ‖² / (2 sigma²))``, from differences."""

    sigma: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        settle_width(self)

    def relation(self, V):
        return Map(Decay(0.5 / self.sigma**2), Pairwise(SquaredEuclidean(), V))


@dataclass(frozen=True, kw_only=True)
class AnisotropicKernel(Interdependence):
    """``Aᵢⱼ = exp(−Σₖ aₖ (vᵢₖ − vⱼₖ)²)``, from differences.

    Parameters
    ----------
    a : float or tuple of float
        A weight for every entry of a vector, that is for every row of ``x`` among attributes, and for every
        column among instances; or one for all.
    """

    a: float | tuple[float, ...] = 1.0

    def __post_init__(self):
        super().__post_init__()
        a = self.a
        if hasattr(a, "tolist"):
            a = a.tolist()
        if isinstance(a, list | tuple):
            a = tuple(as_real(self, "every entry of a", each) for each in a)
        else:
            a = as_real(self, "a", a)
        object.__setattr__(self, "a", a)

    def relation(self, V):
        if not isinstance(self.a, tuple):
            return Map(Decay(self.a), Pairwise(SquaredEuclidean(), V))
        if len(self.a) != V.shape[1]:
            raise ValueError(
                f"{type(self).__name__}: a must hold {int(V.shape[1])} weights, one for every entry of a "
                f"vector, got {len(self.a)}"
            )
        return Map(Decay(), Pairwise(SquaredEuclidean(self.a), V))


def settle_width(kernel) -> None:
    """ValueError unless ``sigma`` is positive."""
    settle_reals(kernel, "sigma")
    if not (kernel.sigma > 0 and kernel.sigma**2 > 0):
        raise ValueError(f"{type(kernel).__name__}: sigma must be positive, got {kernel.sigma!r}")
