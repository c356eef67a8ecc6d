"""The classes that a checkpoint may name: built in, installed, or handed in for one call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import is_dataclass
from typing import TYPE_CHECKING

from arrayfab import (
    composition,
    expansions,
    fabrications,
    fusions,
    head,
    interdependences,
    plain,
    remainders,
    roles,
    rowwise,
)
from arrayfab.fabrications import Fabrication

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

#: The entry-point group in which installed packages register their classes.
GROUP = "arrayfab.fabrications"


class CheckpointError(ValueError):
    """The content of a file is not a checkpoint that can be trusted to give the same matrices."""


_BUILT_IN = {
    cls.__name__: cls
    for cls in (
        *(getattr(fabrications, name) for name in fabrications.__all__),
        *(getattr(expansions, name) for name in expansions.__all__),
        *(getattr(interdependences, name) for name in interdependences.__all__),
        roles.Reconciliation,
        roles.ParameterizedInterdependence,
        roles.BilinearInterdependence,
        roles.Attention,
        roles.ConcatenationFusion,
        roles.Concatenation,
        composition.Sequential,
        composition.Parallel,
        plain.Pointwise,
        plain.Reshape,
        rowwise.Softmax,
        fusions.Fusion,
        fusions.WeightedFusion,
        head.Head,
        remainders.ConstantRemainder,
    )
    if cls
    not in (
        Fabrication,
        expansions.Expansion,
        expansions.Functions,
        interdependences.Interdependence,
        interdependences.GridInterdependence,
    )
}


class Registry:
    """Names for classes, and classes for names.

    Parameters
    ----------
    known : iterable of type
        Frozen dataclasses that count beside the built-in and the installed ones, under their own names.

    Raises
    ------
    TypeError
        If one of them is no dataclass.
    ValueError
        If two different classes would have one name.
    """

    def __init__(self, known: Iterable[type] = ()):
        self._classes = dict(_BUILT_IN)
        for cls in known:
            if not (isinstance(cls, type) and is_dataclass(cls)):
                raise TypeError(f"known: expected dataclasses, got {cls!r}")
            if self._classes.setdefault(cls.__name__, cls) is not cls:
                raise ValueError(
                    f"known: two classes are called {cls.__name__!r}: {self._classes[cls.__name__]} and {cls}"
                )

    def class_of(self, name: str) -> type:
        """The class of that name; CheckpointError where there is none, or more than one."""
        if name not in self._classes:
            points = [point for point in _installed() if point.name == name]
            found = {_load(point) for point in points}
            if not found:
                raise CheckpointError(
                    f"unknown class {name[:80]!r}: it is neither built in, nor registered by an installed "
                    f"package in the entry-point group {GROUP!r}, nor among those handed in by known=[…]"
                )
            if len(found) > 1:
                values = sorted(point.value for point in points)
                raise CheckpointError(f"two installed classes are registered as {name!r}: {values}")
            self._classes[name] = found.pop()
        return self._classes[name]

    def name_of(self, cls: type) -> str:
        """The name under which a class will be found again; ValueError where it would not be."""
        for name, known in self._classes.items():
            if known is cls:
                return name
        package = cls.__module__.partition(".")[0]
        for point in _installed():
            if point.module.partition(".")[0] == package and _load(point) is cls:
                if self.class_of(point.name) is not cls:
                    raise ValueError(f"{cls} is registered as {point.name!r}, which is another class's name")
                return point.name
        raise ValueError(
            f"{cls} is neither built in nor registered; register it in the entry-point group "
            f"{GROUP!r} of its package, or hand it in by known=[{cls.__name__}], here and in load"
        )


def _installed() -> list[EntryPoint]:
    from importlib.metadata import entry_points

    return list(entry_points(group=GROUP))


def _load(point: EntryPoint) -> type:
    try:
        cls = point.load()
    except Exception as error:
        raise CheckpointError(
            f"the installed class {point.name!r} cannot be imported from {point.value!r}: {error}"
        ) from error
    if not (isinstance(cls, type) and is_dataclass(cls)):
        raise CheckpointError(f"what is installed as {point.name!r}, {point.value!r}, is no dataclass")
    return cls
