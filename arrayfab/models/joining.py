"""How heads are joined to models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from arrayfab import remainders
from arrayfab.composition import Parallel, Sequential
from arrayfab.fabrications import Full
from arrayfab.fusions import Fusion
from arrayfab.head import Head
from arrayfab.layer import Layer
from arrayfab.plain import Pointwise


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


def head_of(m: int, n: int, width: int, parts: dict[str, Any]) -> Layer:
    """So many heads side by side; a full matrix and a bias where the parts say nothing else."""
    return wide(Head(m=m, n=n, **{"fabrication": Full(), "bias": True, **parts}), width)


def deep(heads: Sequence[Layer], activation: str) -> Sequential:
    """Heads one after another, with an activation between them."""
    between = [layer for head in heads[:-1] for layer in (head, Pointwise(activation))]
    return Sequential([*between, heads[-1]])


def pairs(name: str, dims: Sequence[int], least: int = 2) -> Iterator[tuple[int, int]]:
    """Each size and the next; ValueError where there are too few."""
    if not isinstance(dims, list | tuple) or len(dims) < least:
        raise ValueError(f"{name}: dims must hold at least {least} sizes, got {dims!r}")
    return pairwise(dims)


def shortcut(m: int, n: int) -> Layer:
    """What adds the data to ``n`` columns: as they are where sizes agree, else by a learned linear map."""
    return remainders.identity() if m == n else remainders.linear(m, n)
