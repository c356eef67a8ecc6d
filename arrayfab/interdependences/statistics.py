"""Statistics of pairs of attributes, or of instances."""

from __future__ import annotations

from dataclasses import dataclass

from arrayfab._elementwise import SQUARE
from arrayfab.interdependences.base import Interdependence
from arrayfab.interdependences.functions import AboveZero, GaussianInformation, check_flags
from arrayfab.interdependences.kernels import gram, of_unit_length
from arrayfab.structures import Constant, Identity, Map, Softmax, Structure, add, centred, chain, hadamard


def standardized(V: Structure) -> Structure:
    """Rows without their means, of length one; those of equal numbers become zero exactly."""
    # The first number of a row is taken off before the mean: what is constant is zero then, not rounding.
    features = V.shape[1]
    first = chain(V, Identity((features, 1), -1.0), Constant((1, features), 1.0))
    return of_unit_length(centred(add(V, first)))


@dataclass(frozen=True, kw_only=True)
class PearsonCorrelation(Interdependence):
    """``Aᵢⱼ``: the correlation of ``vᵢ`` and ``vⱼ``, zero for constant vectors. No matrix is formed."""

    def relation(self, V):
        return gram(standardized(V))


@dataclass(frozen=True, kw_only=True)
class RVCoefficient(Interdependence):
    """``Aᵢⱼ = max(ρᵢⱼ, 0)`` off the diagonal and zero on it, for the correlations ``ρ``, as in tinybig.

    Parameters
    ----------
    is_squared : bool
        Whether ``Aᵢⱼ = ρᵢⱼ²`` for all ``i`` and ``j`` instead, which is the RV coefficient of two single
        variables (P. Robert and Y. Escoufier, 1976).
    """

    is_squared: bool = False

    def __post_init__(self):
        super().__post_init__()
        check_flags(self, "is_squared")

    def relation(self, V):
        correlations = gram(standardized(V))
        return Map(SQUARE, correlations) if self.is_squared else _off_diagonal(Map(AboveZero(), correlations))


@dataclass(frozen=True, kw_only=True)
class MutualInformation(Interdependence):
    """``Aᵢⱼ = −½ log(1 − ρᵢⱼ²)`` off the diagonal and zero on it, for the correlations ``ρ``.

    That is what two normal variables tell of each other, in nats. ``1 − ρ²`` counts as ``1e-10`` where it is
    less.
    """

    def relation(self, V):
        return _off_diagonal(Map(GaussianInformation(1e-10), gram(standardized(V))))


@dataclass(frozen=True, kw_only=True)
class KLDivergence(Interdependence):
    """``Aᵢⱼ = Σₖ pᵢₖ log(pᵢₖ / pⱼₖ)`` for ``pᵢ = softmax(vᵢ)``, in nats. The product forms no matrix."""

    def relation(self, V):
        # With l = log p and the mean r of all lᵢ, Aᵢⱼ = Σₖ pᵢₖ (lᵢₖ − rₖ) − Σₖ pᵢₖ (lⱼₖ − rₖ): taking r off
        # changes nothing but the size of what cancels where all distributions are close.
        count, features = V.shape
        p, off = Softmax(V), centred(Softmax(V, is_log=True).T).T
        own = chain(hadamard(p, off), Constant((features, count), 1.0))
        return add(own, -1.0 * chain(p, off.T))


def _off_diagonal(A: Structure) -> Structure:
    mask = add(Constant(A.shape, 1.0), Identity(A.shape, -1.0))
    return hadamard(A, mask)
