"""The named models of the RPN papers, as functions that return compositions of heads.

Options of a model that it does not name are fields of `arrayfab.Head`, for all of its heads: a fabrication,
an expansion, channels and so on. Left out, matrices are full and rows get a bias. A ``width`` makes that many
heads side by side, whose mean is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from arrayfab import remainders
from arrayfab.composition import Parallel, Sequential
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
from arrayfab.fabrications import Fabrication, Full, LowRank
from arrayfab.fusions import Fusion
from arrayfab.head import Head
from arrayfab.interdependences import ChainInterdependence, Graph, GraphInterdependence, Interdependence
from arrayfab.layer import Layer
from arrayfab.plain import Pointwise
from arrayfab.roles import Attention

_DENSITIES = {
    "normal": NaiveNormal,
    "cauchy": NaiveCauchy,
    "laplace": NaiveLaplace,
    "gamma": NaiveGamma,
    "chi2": NaiveChi2,
    "exponential": NaiveExponential,
}
_SCORES = LowRank(r=3)
_STEPS = ChainInterdependence(interdependence_type="instance")
_KERNELS = {"gaussian": GaussianRBF, "inverse_quadratic": InverseQuadraticRBF}


def wide(head: Layer, width: int, fusion: str = "mean") -> Layer:
    """So many layers side by side, and one of the fusions that `arrayfab.Fusion` knows; each learns its own.

    Examples
    --------
    >>> from arrayfab import Full, Head
    >>> from arrayfab.models import wide
    >>> wide(Head(fabrication=Full(), n=2, m=3), 4).num_parameters()
    24
    """
    return head if width == 1 else Sequential([Parallel([head] * width), Fusion(fusion, width)])


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
    return _deep([_head(m, n, width, parts) for m, n in _pairs("mlp", dims)], activation)


def resnet(dims: Sequence[int], *, activation: str = "relu", width: int = 1, **parts: Any) -> Sequential:
    """An `mlp` whose heads add their data: as they are where sizes agree, else by a learned linear map."""
    heads = [_head(m, n, width, {"remainder": _shortcut(m, n), **parts}) for m, n in _pairs("resnet", dims)]
    return _deep(heads, activation)


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
        return _head(m, n, width, {"expansion": splines, "remainder": beside, "bias": False, **parts})

    return Sequential([head(m, n) for m, n in _pairs("kan", dims)])


def gcn(
    dims: Sequence[int],
    graph: Graph,
    *,
    is_directed: bool = False,
    normalization: str | None = "column",
    self_loops: float = 1.0,
    activation: str = "relu",
    width: int = 1,
    **parts: Any,
) -> Sequential:
    """A graph convolutional network: instances are nodes, and each head takes means over those linked to it.

    Parameters
    ----------
    dims : sequence of int
        Columns of the data, of what lies between, and of the result.
    graph, is_directed, normalization, self_loops
        Those of `arrayfab.interdependences.GraphInterdependence`.
    activation : str
        What stands between the heads.
    width : int
        Heads side by side in each layer.
    **parts
        Fields of every `arrayfab.Head`.
    """
    links = GraphInterdependence(
        graph=graph,
        is_directed=is_directed,
        normalization=normalization,
        self_loops=self_loops,
        interdependence_type="instance",
    )
    return _deep(
        [_head(m, n, width, {"instance": links, **parts}) for m, n in _pairs("gcn", dims)], activation
    )


def gat(
    dims: Sequence[int],
    graph: Graph,
    *,
    is_directed: bool = False,
    scores: Fabrication = _SCORES,
    activation: str = "relu",
    width: int = 1,
    **parts: Any,
) -> Sequential:
    """A graph attention network: a `gcn` whose means are weighted, by `arrayfab.Attention` to those linked.

    Parameters
    ----------
    dims : sequence of int
        Columns of the data, of what lies between, and of the result.
    graph, is_directed
        Those of `arrayfab.Attention`.
    scores : Fabrication
        That of the attention in each head.
    activation : str
        What stands between the heads.
    width : int
        Heads side by side in each layer.
    **parts
        Fields of every `arrayfab.Head`.
    """

    def attention(m):
        return Attention(
            fabrication=scores, m=m, interdependence_type="instance", graph=graph, is_directed=is_directed
        )

    return _deep(
        [_head(m, n, width, {"instance": attention(m), **parts}) for m, n in _pairs("gat", dims)], activation
    )


def transformer(
    dims: Sequence[int],
    *,
    scores: Fabrication = _SCORES,
    activation: str = "relu",
    width: int = 1,
    **parts: Any,
) -> Sequential:
    """Attention among the rows and a head for each row by itself, in turns; a last head gives the result.

    Data have shape ``(..., b, m)``, where ``b`` rows attend to each other. Between the first of ``dims`` and
    the last stand the columns of each pair. All heads but the last add their data, as those of a `resnet` do.

    Parameters
    ----------
    dims : sequence of int
        Columns of the data, of what lies between, and of the result.
    scores : Fabrication
        That of the `arrayfab.Attention` of each pair.
    activation : str
        What stands between the heads.
    width : int
        Heads side by side in each layer.
    **parts
        Fields of every `arrayfab.Head`.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab import models
    >>> model = models.transformer((8, 8, 2))
    >>> model(np.ones((5, 10, 8)), model.init(rng=0)).shape
    (5, 10, 2)
    """
    heads = []
    for m, n in _blocks("transformer", dims):
        attention = Attention(fabrication=scores, m=m, interdependence_type="instance")
        heads.append(_head(m, n, width, {"instance": attention, "remainder": _shortcut(m, n), **parts}))
        heads.append(_head(n, n, width, {"remainder": _shortcut(n, n), **parts}))
    return _deep([*heads, _head(dims[-2], dims[-1], width, parts)], activation)


def rnn(
    dims: Sequence[int],
    *,
    chain: Interdependence = _STEPS,
    activation: str = "tanh",
    width: int = 1,
    **parts: Any,
) -> Sequential:
    """A recurrent network: a head for each step by itself, and one whose steps take from those before.

    Data have shape ``(..., steps, m)``, and there is a result for every step. The two take turns between the
    first of ``dims`` and the last but one; a last head gives the result.

    Parameters
    ----------
    dims : sequence of int
        Columns of the data, of what lies between, and of the result.
    chain : Interdependence
        What steps take from others. Left out, each takes from the one before it and from itself; those of
        `arrayfab.interdependences.InverseChain` take from all before.
    activation : str
        What stands between the heads.
    width : int
        Heads side by side in each layer.
    **parts
        Fields of every `arrayfab.Head`.
    """
    heads = []
    for m, n in _blocks("rnn", dims):
        heads.append(_head(m, n, width, parts))
        heads.append(_head(n, n, width, {"instance": chain, **parts}))
    return _deep([*heads, _head(dims[-2], dims[-1], width, parts)], activation)


def naive_bayes(m: int, n: int, *, distribution: str = "normal", width: int = 1, **parts: Any) -> Layer:
    """Scores of ``n`` classes that are linear in the log density of each attribute by itself."""
    density = _chosen("naive_bayes: distribution", distribution, _DENSITIES)()
    return _head(m, n, width, {"expansion": density, **parts})


def kernel_svm(m: int, n: int, *, kernel: str = "gaussian", width: int = 1, **parts: Any) -> Layer:
    """Scores of ``n`` classes that are linear in bells at points along each attribute.

    For another expansion than the one that goes by the kernel's name, ``"gaussian"`` or
    ``"inverse_quadratic"``, give it as ``expansion``.
    """
    bells = _chosen("kernel_svm: kernel", kernel, _KERNELS)()
    return _head(m, n, width, {"expansion": bells, **parts})


def pgm(m: int, n: int, *, d: int = 2, width: int = 1, **parts: Any) -> Layer:
    """A probabilistic graphical model: scores that are linear in log densities of up to ``d`` attributes."""
    return _head(m, n, width, {"expansion": CombinatorialNormal(d=d), **parts})


def _head(m, n, width, parts):
    return wide(Head(m=m, n=n, **{"fabrication": Full(), "bias": True, **parts}), width)


def _shortcut(m, n):
    """What adds the data to ``n`` columns: as they are where sizes agree, else by a learned linear map."""
    return remainders.identity() if m == n else remainders.linear(m, n)


def _deep(heads, activation):
    """Heads one after another, with an activation between them."""
    between = [layer for head in heads[:-1] for layer in (head, Pointwise(activation))]
    return Sequential([*between, heads[-1]])


def _blocks(name, dims):
    """The sizes of all but the last head, of which there is one block each at least."""
    return list(_pairs(name, dims, 3))[:-1]


def _pairs(name, dims, least=2):
    if not isinstance(dims, list | tuple) or len(dims) < least:
        raise ValueError(f"{name}: dims must hold at least {least} sizes, got {dims!r}")
    return pairwise(dims)


def _chosen(name: str, value: str, known: Mapping[str, type[Expansion]]) -> type[Expansion]:
    if value not in known:
        raise ValueError(f"{name} must be one of {list(known)}, got {value!r}")
    return known[value]
