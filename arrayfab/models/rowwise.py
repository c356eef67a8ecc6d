"""Models of rows by themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from arrayfab import remainders
from arrayfab.composition import Sequential
from arrayfab.expansions import (
    BSpline,
    CombinatorialNormal,
    Expansion,
    GaussianRBF,
    InverseQuadraticRBF,
    NaiveCauchy,
    NaiveChi2,
    NaiveExponential,
    NaiveGamma,
    NaiveLaplace,
    NaiveNormal,
)
from arrayfab.layer import Layer
from arrayfab.models.joining import deep, head_of, pairs, shortcut

_DENSITIES = {
    "normal": NaiveNormal,
    "cauchy": NaiveCauchy,
    "laplace": NaiveLaplace,
    "gamma": NaiveGamma,
    "chi2": NaiveChi2,
    "exponential": NaiveExponential,
}
_KERNELS = {"gaussian": GaussianRBF, "inverse_quadratic": InverseQuadraticRBF}


def mlp(dims: Sequence[int], *, activation: str = "relu", width: int = 1, **parts: Any) -> Sequential:
    """A multi-layer perceptron: heads from each size to the next, and an activation between them.

    With an expansion, and with a fabrication other than the full one, it is what the papers call an RPN.

    Examples
    --------
    >>> from arrayfab import DualLPHM, Taylor, models
    >>> model = models.mlp(
    ...     (64, 32, 10), expansion=Taylor(d=2), fabrication=DualLPHM(r=2), bias=False, activation="tanh"
    ... )
    >>> print(model)
    Sequential: 426 learned numbers in place of 143,680; multiplies for data of shape 1 × 64
    layer  formula                       data  result  learned  compression  multiplies
    0      Head(Taylor(), DualLPHM())  1 × 64  1 × 32      282       472.1×         314
    1      Pointwise(function='tanh')  1 × 32  1 × 32        0            –           0
    2      Head(Taylor(), DualLPHM())  1 × 32  1 × 10      144        73.3×         154
           total                       1 × 64  1 × 10      426       337.3×         468
    """
    return deep([head_of(m, n, width, parts) for m, n in pairs("mlp", dims)], activation)


def resnet(dims: Sequence[int], *, activation: str = "relu", width: int = 1, **parts: Any) -> Sequential:
    """An `mlp` whose heads add their data: as they are where sizes agree, else by a learned linear map."""
    heads = [head_of(m, n, width, {"remainder": shortcut(m, n), **parts}) for m, n in pairs("resnet", dims)]
    return deep(heads, activation)


def kan(
    dims: Sequence[int],
    *,
    grid_range: tuple[float, float] = (-1.0, 1.0),
    t: int = 5,
    d: int = 3,
    width: int = 1,
    **parts: Any,
) -> Sequential:
    """A Kolmogorov-Arnold network: B-splines of every attribute, and ``silu(x Wᵀ)`` beside them.

    Parameters
    ----------
    dims : sequence of int
        Columns of the data, of what lies between, and of the result.
    grid_range, t, d
        Those of `arrayfab.expansions.BSpline`.
    width : int
        Heads side by side in each layer.
    **parts
        Fields of every `arrayfab.Head`.
    """
    splines = BSpline(grid_range=grid_range, t=t, d=d)

    def head(m, n):
        beside = remainders.linear(m, n, activation="silu")
        return head_of(m, n, width, {"expansion": splines, "remainder": beside, "bias": False, **parts})

    return Sequential([head(m, n) for m, n in pairs("kan", dims)])


def naive_bayes(m: int, n: int, *, distribution: str = "normal", width: int = 1, **parts: Any) -> Layer:
    """Scores of ``n`` classes that are linear in the log density of each attribute by itself."""
    density = _chosen("naive_bayes: distribution", distribution, _DENSITIES)()
    return head_of(m, n, width, {"expansion": density, **parts})


def kernel_svm(m: int, n: int, *, kernel: str = "gaussian", width: int = 1, **parts: Any) -> Layer:
    """Scores of ``n`` classes that are linear in bells at points along each attribute.

    For another expansion than the one that goes by the kernel's name, ``"gaussian"`` or
    ``"inverse_quadratic"``, give it as ``expansion``.
    """
    bells = _chosen("kernel_svm: kernel", kernel, _KERNELS)()
    return head_of(m, n, width, {"expansion": bells, **parts})


def pgm(m: int, n: int, *, d: int = 2, width: int = 1, **parts: Any) -> Layer:
    """A probabilistic graphical model: scores that are linear in log densities of up to ``d`` attributes."""
    return head_of(m, n, width, {"expansion": CombinatorialNormal(d=d), **parts})


def _chosen(name: str, value: str, known: Mapping[str, type[Expansion]]) -> type[Expansion]:
    if value not in known:
        raise ValueError(f"{name} must be one of {list(known)}, got {value!r}")
    return known[value]
