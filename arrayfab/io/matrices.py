"""The matrices inside a configuration: which fabrication, at which shape, under which path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from arrayfab import _arrays
from arrayfab.fabrications import Fabrication
from arrayfab.fabrications.blueprint import blueprint
from arrayfab.frozen import Frozen
from arrayfab.io.configuration import path
from arrayfab.roles import Role

#: As many entries of a frozen block, its first ones, are what its checksum is made of.
TILE = 1 << 16


class Matrix(NamedTuple):
    """A fabrication in a configuration; its shape is None where the configuration does not tell."""

    path: str
    fabrication: Fabrication
    shape: tuple[int, ...] | None

    def frozen(self) -> dict[str, Frozen]:
        """The blocks that are drawn from a seed, by their paths."""
        if self.shape is None:
            return {}
        blocks = blueprint(self.fabrication, *self.shape).frozen.items()
        return {path(self.path, name): block for name, block in blocks if isinstance(block, Frozen)}


def matrices(value: Any, shape: tuple[int, ...] | None = None, at: str = "") -> Iterator[Matrix]:
    """Every matrix of a fabrication with its shape, of a role, or of a layer made of layers."""
    if isinstance(value, Fabrication):
        yield Matrix(at, value, shape)
    elif isinstance(value, Role):
        yield Matrix(path(at, "fabrication"), value.fabrication, value.matrix_shape)
    elif isinstance(value, tuple):
        for i, item in enumerate(value):
            yield from matrices(item, None, path(at, i))
    elif is_dataclass(value):
        for field in fields(value):
            yield from matrices(getattr(value, field.name), None, path(at, field.name))


def first_tile(frozen: Frozen, xp: ModuleType, device: Any) -> np.ndarray:
    """The first entries of a frozen block on the host, as they come out for a namespace and a device."""
    stop = min(frozen.size, TILE)
    if _arrays.is_cupy(xp):  # elsewhere numbers are drawn on the host, whatever the namespace
        return _arrays.to_host(frozen.array(0, stop, xp, np.float64, device))
    return frozen.entries(0, stop)
