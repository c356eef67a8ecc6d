"""An adapter: what it does to which matrices, however its file spells them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from arrayfab.adapters.changes import Change, Replaced, Shifted, Updated
from arrayfab.adapters.updates import Update
from arrayfab.io.configuration import short


@dataclass(frozen=True, eq=False, kw_only=True)
class Adapter:
    """Updates by the names of modules, and tensors that take the place of others.

    Parameters
    ----------
    layout : str
        Whose files it was read from: a name of `arrayfab.adapters.LAYOUTS`.
    updates : mapping from str to `arrayfab.adapters.Update`
        What is done to the weights of each module.
    biases : mapping from str to array
        What is added to the bias of a module.
    replaced : mapping from str to array
        Tensors, such as those of a new last layer, by the names of the base's.
    kernels : mapping from str to tuple of int
        Shapes of the convolutions' kernels, by module.
    is_flattened : bool
        Whether the dots in names of modules are underscores.
    may_be_transposed : bool
        Whether weights of the base may lie as ``D × n``: PEFT's ``fan_in_fan_out``.
    config : mapping
        What else the file or its configuration says, as it stands there.
    """

    layout: str
    updates: Mapping[str, Update]
    biases: Mapping[str, np.ndarray] = field(default_factory=dict)
    replaced: Mapping[str, np.ndarray] = field(default_factory=dict)
    kernels: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    is_flattened: bool = False
    may_be_transposed: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self):
        families = sorted({update.family for update in self.updates.values()})
        return f"Adapter(layout={self.layout!r}, {len(self.updates)} modules, {', '.join(families)})"

    def num_parameters(self) -> int:
        """How many numbers it holds."""
        updates = sum(array.size for update in self.updates.values() for array in update.arrays())
        return updates + sum(array.size for held in (self.biases, self.replaced) for array in held.values())


def matched(
    adapter: Adapter, names: Mapping[str, Any], is_wanted: Callable[[str], bool] = lambda name: True
) -> tuple[dict[str, Change], list[str]]:
    """Changes by the names of the base's tensors, and the names of the adapter that match none.

    A name matches the base's that is the same, or else the one that is the same behind a prefix of either.

    Raises
    ------
    ValueError
        If a name matches several tensors, or two match the same one.
    """
    find = _Finder(names, adapter.is_flattened)
    changes: dict[str, Change] = {}
    unmatched = []
    for name, suffix, change in _changes(adapter):
        found = find(name, suffix)
        if not found:
            unmatched.append(name + suffix)
        wanted = [each for each in found if is_wanted(each)]
        if len(wanted) > 1:
            raise ValueError(f"adapter: {short(name)} may be any of {', '.join(map(short, wanted[:4]))}")
        for each in wanted:
            if each in changes:
                raise ValueError(
                    f"adapter: two of its names match {short(each)}, the second is {short(name)}"
                )
            changes[each] = change
    return changes, unmatched


def _changes(adapter) -> Iterator[tuple[str, str, Change]]:
    for name, update in adapter.updates.items():
        yield name, ".weight", Updated(update, adapter.may_be_transposed)
    for name, bias in adapter.biases.items():
        yield name, ".bias", Shifted(bias)
    for name, replacement in adapter.replaced.items():
        yield name, "", Replaced(replacement)


class _Finder:
    """The tensors of the base that a name of an adapter may mean."""

    def __init__(self, names, is_flattened):
        self._spelled = (lambda name: name.replace(".", "_")) if is_flattened else str
        self._names: dict[str, list[str]] = {}
        for name in names:
            self._names.setdefault(self._spelled(name), []).append(name)

    def __call__(self, name: str, suffix: str) -> list[str]:
        # A module whose weight is a tensor of its own name has no suffix.
        for spelled in (self._spelled(name + suffix), self._spelled(name)):
            found = self._names.get(spelled) or self._behind_a_prefix(spelled)
            if found:
                return found
        return []

    def _behind_a_prefix(self, spelled):
        mark = "_" if self._spelled(".") == "_" else "."
        return [
            name
            for known, names in self._names.items()
            if known.endswith(mark + spelled) or spelled.endswith(mark + known)
            for name in names
        ]
