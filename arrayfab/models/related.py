"""Models of places, steps and nodes that depend on one another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from arrayfab.composition import Sequential
from arrayfab.expansions import GroupMax, Nested
from arrayfab.fabrications import Fabrication, Full, LowRank, Shared
from arrayfab.fabrications.blueprint import as_size
from arrayfab.interdependences import (
    ChainInterdependence,
    CuboidInterdependence,
    Graph,
    GraphInterdependence,
    Interdependence,
    Interdependent,
)
from arrayfab.layer import Layer
from arrayfab.models.joining import deep, head_of, pairs, shortcut
from arrayfab.models.rowwise import mlp
from arrayfab.plain import Pointwise
from arrayfab.roles import Attention

_SCORES = LowRank(r=3)
_STEPS = ChainInterdependence(interdependence_type="instance")


def cnn(
    grid: Sequence[int],
    channels: Sequence[int],
    dims: Sequence[int],
    *,
    reach: int = 1,
    pool: int = 2,
    activation: str = "relu",
    width: int = 1,
    **parts: Any,
) -> Sequential:
    """A convolutional network: heads of patches with one matrix for all of them, each pooled, and an `mlp`.

    Data are rows of ``channels[0] · height · width`` numbers, channel by channel. A convolution's head has a
    bias for every place, where one is asked for.

    Parameters
    ----------
    grid : sequence of int
        Height and width of the data, and depth where there is one.
    channels : sequence of int
        Of the data, and of the result of each convolution.
    dims : sequence of int
        Columns of what follows the convolutions; the last ones are those of the result.
    reach : int
        How far a patch reaches from its centre, to all sides.
    pool : int
        Of so many places along height and width, and depth, the largest number is kept. What lies outside
        counts as zero.
    activation : str
        What stands behind each convolution, and between the heads of the `mlp`.
    width : int
        Heads side by side in each layer.
    **parts
        Fields of every `arrayfab.Head`; the fabrication of a convolution's is that of the matrix of a patch.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab import models
    >>> model = models.cnn((28, 28), (1, 8, 16), (10,))
    >>> model(np.ones((5, 784)), model.init(rng=0)).shape, model.num_parameters()
    ((5, 10), 9074)
    """
    sides = tuple(as_size("cnn", "every entry of grid", side) for side in grid)
    if len(sides) not in (2, 3):
        raise ValueError(f"cnn: grid must hold height and width, or depth too, got {grid!r}")
    layers: list[Layer] = []
    for given, made in pairs("cnn: channels", channels):
        places = math.prod(sides)
        head = {
            "expansion": _patches(sides, given, reach, reach, 1, order=("channel", "cell", "patch")),
            "bias": False,
            **parts,
            "fabrication": Shared(inner=parts.get("fabrication", Full()), places=places),
        }
        largest = tuple(-(-side // pool) for side in sides)
        cells = _patches(sides, made, 0, pool - 1, pool, order=("channel", "patch", "cell"))
        pooling = Nested(expansions=(cells, GroupMax(groups=made * math.prod(largest))))
        layers += [head_of(given * places, made * places, width, head), Pointwise(activation), pooling]
        sides = largest
    last = mlp((made * math.prod(sides), *dims), activation=activation, width=width, **parts)
    return Sequential([*layers, *last.layers])


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
    return deep(
        [head_of(m, n, width, {"instance": links, **parts}) for m, n in pairs("gcn", dims)], activation
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

    return deep(
        [head_of(m, n, width, {"instance": attention(m), **parts}) for m, n in pairs("gat", dims)], activation
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
        heads.append(head_of(m, n, width, {"instance": attention, "remainder": shortcut(m, n), **parts}))
        heads.append(head_of(n, n, width, {"remainder": shortcut(n, n), **parts}))
    return deep([*heads, head_of(dims[-2], dims[-1], width, parts)], activation)


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
        heads.append(head_of(m, n, width, parts))
        heads.append(head_of(n, n, width, {"instance": chain, **parts}))
    return deep([*heads, head_of(dims[-2], dims[-1], width, parts)], activation)


def _patches(sides, channels, before, behind, stride, **options):
    """Patches of a grid, which reach so far from their centres along each side."""
    reaches: dict[str, Any] = {}
    for name, side in zip(("height", "width", "depth"), sides, strict=False):
        reaches |= {name: side, f"p_{name[0]}": before, f"p_{name[0]}_prime": behind}
    strides = (stride,) * len(sides) + (1,) * (3 - len(sides))
    grid = CuboidInterdependence(**reaches, channels=channels, strides=strides, may_exceed=True, **options)
    return Interdependent(interdependence=grid)


def _blocks(name, dims):
    """The sizes of all but the last head, of which there is one block each at least."""
    return list(pairs(name, dims, 3))[:-1]
