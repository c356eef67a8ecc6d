"""An adapter: what it does to which matrices, however its file spells them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from arrayfab.adapters.changes import Change, Replaced, Updated
from arrayfab.adapters.updates import Added, Update
from arrayfab.io.configuration import short


@dataclass(frozen=True, eq=False, kw_only=True)
class Adapter:
    """Updates by the names of modules, and tensors that take the place of others.

    Parameters
    ----------
    layout : str
        Whose files it was read from: a name of ``arrayfab.adapters.LAYOUTS``.
    updates : mapping from str to `arrayfab.adapters.Update`
        What is done to the weights of each module.
    biases : mapping from str to `arrayfab.adapters.Update`
        What is done to the biases of modules, which are matrices of one column.
    replaced : mapping from str to array
        Tensors, such as those of a new last layer, by the names of the base's.
    kernels : mapping from str to tuple of int
        Shapes of the convolutions' kernels, by module: ones where the file tells no more than their axes.
    embeddings : set of str
        Modules that are embeddings, whose weight has a row for each of their entries.
    is_flattened : bool
        Whether the dots in names of modules are underscores, but for one behind that of a pipeline's part.
    may_be_transposed : bool
        Whether weights of the base may lie as ``D × n``: PEFT's ``fan_in_fan_out``.
    config : mapping
        What else the file or its configuration says, as it stands there.
    """

    layout: str
    updates: Mapping[str, Update]
    biases: Mapping[str, Update] = field(default_factory=dict)
    replaced: Mapping[str, np.ndarray] = field(default_factory=dict)
    kernels: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    embeddings: Set[str] = frozenset()
    is_flattened: bool = False
    may_be_transposed: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self):
        families = sorted({update.family for update in self.updates.values()})
        return f"Adapter(layout={self.layout!r}, {len(self.updates)} modules, {', '.join(families)})"

    def num_parameters(self) -> int:
        """How many numbers it holds."""
        updates = (*self.updates.values(), *self.biases.values())
        arrays = [array for update in updates for array in update.arrays()] + list(self.replaced.values())
        return sum({id(array): array.size for array in arrays}.values())  # several may share one


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
        if not found and not (isinstance(change, Updated) and _may_be_missing(suffix, change.update)):
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
    for name, update in adapter.biases.items():
        yield name, ".bias", Updated(update)
    for name, replacement in adapter.replaced.items():
        yield name, "", Replaced(replacement)


def _may_be_missing(suffix: str, update: Update) -> bool:
    """A bias that is missing is zero, and stays so unless something is added."""
    return suffix == ".bias" and not isinstance(update, Added)


def renamed(adapter: Adapter, names: Iterable[str]) -> Adapter:
    """The same adapter by the names that its modules have in a base.

    Raises
    ------
    ValueError
        If one of them matches none of the base's tensors, or several.
    """
    find, weights, biases, replaced = _Finder(names, adapter.is_flattened), {}, {}, {}

    def found(name, suffix):
        matches = find(name, suffix)
        if len(matches) != 1:
            which = f"may be any of {', '.join(map(short, matches[:4]))}" if matches else "matches no tensor"
            raise ValueError(f"adapter: {short(name + suffix)} {which} of the base")
        return matches[0].removesuffix(suffix)

    for name in adapter.updates:
        weights[name] = found(name, ".weight")
    for name, update in adapter.biases.items():
        if not (_may_be_missing(".bias", update) and not find(name, ".bias")):
            biases[name] = found(name, ".bias")
    for name in adapter.replaced:
        replaced[name] = found(name, "")
    for place in (weights, biases, replaced):
        if len(set(place.values())) != len(place):
            raise ValueError("adapter: two of its names match the same tensor of the base")
    modules = weights | biases

    def under(place, held):
        return {place[name]: value for name, value in held.items() if name in place}

    return replace(
        adapter,
        updates=under(weights, adapter.updates),
        biases=under(biases, adapter.biases),
        replaced=under(replaced, adapter.replaced),
        kernels=under(modules, adapter.kernels),
        embeddings=frozenset(modules[name] for name in adapter.embeddings),
        is_flattened=False,
    )


class _Finder:
    """The tensors of the base that a name of an adapter may mean."""

    def __init__(self, names, is_flattened):
        self._is_flattened = is_flattened
        self._spelled = (lambda name: name.replace(".", "_")) if is_flattened else str
        self._names: dict[str, list[str]] = {}
        for name in names:
            self._names.setdefault(self._spelled(name), []).append(name)

    def __call__(self, name: str, suffix: str) -> list[str]:
        # A module whose weight is a tensor of its own name has no suffix.
        spellings = [name + suffix, name]
        if self._is_flattened and "." in name:  # the base may have another name for a pipeline's part
            spellings += [name.partition(".")[2] + suffix]
        for spelled in map(self._spelled, spellings):
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
