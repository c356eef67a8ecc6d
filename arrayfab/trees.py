"""Arrays, lists of them, and lists of lists: what a layer takes and gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

#: The shape of a tree: None for an array, or a list of what is again either.
Tree = list | None


def leaves(tree: Tree, arrays: Any) -> list:
    """The arrays of a tree, one after another; for None as many of them."""
    if tree is None:
        return [arrays]
    parts = [None] * len(tree) if arrays is None else arrays
    return [leaf for each, part in zip(tree, parts, strict=True) for leaf in leaves(each, part)]


def put_together(tree: Tree, arrays: Iterator) -> Any:
    """The tree of the next arrays."""
    return next(arrays) if tree is None else [put_together(each, arrays) for each in tree]


def taken(owner: Any, name: str, tree: Tree, given: Any) -> list:
    """The arrays of what was given; TypeError or ValueError unless it is such a tree."""
    if tree is None:
        return [given]
    if not isinstance(given, list | tuple):
        raise TypeError(f"{owner}: {name} must be a list of arrays, got {type(given).__name__}")
    if len(given) != len(tree):
        raise ValueError(f"{owner}: {name} must hold {len(tree)} arrays, got {len(given)}")
    pairs = enumerate(zip(tree, given, strict=True))
    return [leaf for i, (each, part) in pairs for leaf in taken(owner, f"{name}[{i}]", each, part)]


def described(tree: Tree) -> str:
    """What a tree is, for a message."""
    return "an array" if tree is None else f"a list of {len(tree)}"
