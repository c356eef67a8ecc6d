"""Statistics of pairs of attributes, or of instances."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from arrayfab._elementwise import SQUARE
from arrayfab.interdependences.base import Interdependence
from arrayfab.interdependences.functions import AboveZero, Decay, GaussianInformation, check_flags
from arrayfab.interdependences.kernels import gram
from arrayfab.structures import (
    Constant,
    Identity,
    LogSoftmax,
    Map,
    Structure,
    UnitRows,
    add,
    centred,
    chain,
    hadamard,
    let,
)


def standardized(V: Structure) -> Structure:
    """Rows without their means, of length one; those of equal numbers become zero exactly."""
    # The first number of a row is taken off before the mean: what is constant is zero then, not rounding.
    features = V.shape[1]
    first = chain(V, Identity((features, 1), -1.0), Constant((1, features), 1.0))
    return UnitRows(centred(add(V, first)))


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

    That is what two normal variables tell of each other, in nats. ``1 − ρ²`` counts as ``1e-6`` where it is
    less.
    """

    def relation(self, V):
        return _off_diagonal(Map(GaussianInformation(1e-6), gram(standardized(V))))


@dataclass(frozen=True, kw_only=True)
class KLDivergence(Interdependence):
    """``Aᵢⱼ = Σₖ pᵢₖ log(pᵢₖ / pⱼₖ)`` for ``pᵢ = softmax(vᵢ)``, in nats. The product forms no matrix."""

    def relation(self, V):
        # With l = log p and the mean r of all lᵢ, Aᵢⱼ = Σₖ pᵢₖ (lᵢₖ − rₖ) − Σₖ pᵢₖ (lⱼₖ − rₖ): taking r off
        # changes nothing but the size of what cancels where all distributions are close.
        columns = Constant((V.shape[1], V.shape[0]), 1.0)

        def divergence(p, off):
            return add(chain(hadamard(p, off), columns), -1.0 * chain(p, off.T))

        def of_logarithms(logs):
            return let(
                "p", Map(Decay(-1.0), logs), lambda p: let("off", centred(logs.T).T, partial(divergence, p))
            )

        return let("log p", LogSoftmax(V), of_logarithms)


def _off_diagonal(A: Structure) -> Structure:
    mask = add(Constant(A.shape, 1.0), Identity(A.shape, -1.0))
    return hadamard(A, mask)
