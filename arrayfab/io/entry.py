"""An entry of a checkpoint: a configuration, its learned numbers, and their checksums."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab.fabrications import Fabrication
from arrayfab.fabrications.blueprint import as_size
from arrayfab.frozen import Frozen
from arrayfab.io.configuration import LARGEST, decode, encode, short
from arrayfab.io.matrices import first_tile, matrices
from arrayfab.io.registry import Registry
from arrayfab.layer import Layer

#: The dtypes that a file holds, with the names that safetensors gives them.
DTYPES = {"float16": "F16", "float32": "F32", "float64": "F64", "bool": "BOOL"}


@dataclass(frozen=True)
class Entry:
    """A name with its configuration and arrays, and what the file says of their checksums.

    ``shape`` is None but for a fabrication that was given one. ``damaged`` names the arrays whose checksums
    are wrong, ``expected`` holds the checksums of the frozen blocks.
    """

    name: str
    value: Fabrication | Layer
    shape: tuple[int, ...] | None
    w: Array
    damaged: tuple[str, ...] = ()
    expected: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self):
        needed = self.num_parameters()
        if not self.w.shape or needed not in (None, self.w.shape[-1]):
            raise ValueError(
                f"w must hold {'some' if needed is None else needed} numbers along its last axis, "
                f"got shape {tuple(self.w.shape)}"
            )

    @staticmethod
    def of(name: str, given: tuple) -> Entry:
        """An entry as it is handed to `save`; ValueError or TypeError where it is none."""
        owner = f"entry {name!r}"
        if not isinstance(name, str) or name in ("", "__metadata__") or re.search("[\ud800-\udfff]", name):
            raise ValueError(f"{owner}: a name must be some text that UTF-8 has, not '__metadata__'")
        if not (isinstance(given, tuple | list) and len(given) in (2, 4)):
            raise TypeError(f"{owner}: expected (role, w), (fabrication, w) or (fabrication, w, n, D)")
        value, w, *sizes = given
        if not isinstance(value, Fabrication) and (sizes or not isinstance(value, Layer)):
            allowed = "a fabrication where n and D are given" if sizes else "a layer or a fabrication"
            raise TypeError(f"{owner}: expected {allowed}, got {value!r}")
        _arrays.check_real_floating(owner, "w", w)
        shape = tuple(as_size(owner, n, size) for n, size in zip("nD", sizes, strict=False)) or None
        if shape and max(shape) > LARGEST:
            raise ValueError(f"{owner}: n and D must be at most {LARGEST}, got {shape}")
        try:
            return Entry(name, value, shape, w)
        except ValueError as error:
            raise ValueError(f"{owner}: {error}") from error

    @property
    def given(self) -> tuple:
        """The entry as it was handed to `save`."""
        return (self.value, self.w, *(self.shape or ()))

    def num_parameters(self) -> int | None:
        """The numbers that are needed, None where that depends on a shape that is not told."""
        if not isinstance(self.value, Fabrication):
            return self.value.num_parameters()
        return None if self.shape is None else self.value.num_parameters(*self.shape)

    def configuration(self, registry: Registry) -> tuple[Any, dict[str, np.ndarray]]:
        """The configuration for JSON, and all arrays by their names in the file, on the host."""
        handed_in: dict[str, Array] = {}
        try:
            made = encode(self.value, registry, handed_in, self.name)
            again = decode(made, registry, handed_in.__getitem__, self.name)
        except ValueError as error:
            raise ValueError(f"{self} could not be loaded again: {error}") from error
        if again != self.value:
            raise ValueError(f"{self} could not be loaded again: {self.value!r} would come back as {again!r}")
        arrays = {self.name: self.w, **handed_in}
        return made, {name: _on_host(str(self), name, array) for name, array in arrays.items()}

    def frozen(self) -> dict[str, Frozen]:
        """The frozen blocks whose shapes are known, by their paths."""
        found = matrices(self.value, self.shape)
        return {name: block for matrix in found for name, block in matrix.frozen().items()}

    def faults(self, xp: ModuleType, device: Any) -> list[str]:
        """What is not as it was saved: arrays, and frozen blocks as they come out here."""
        received = tile_digests(self.frozen(), xp, device)
        names = sorted(received.keys() | self.expected.keys())
        differing = [name for name in names if received.get(name) != self.expected.get(name)]
        return [f"array {short(repr(name))}" for name in self.damaged] + [
            f"frozen block {short(repr(name))}" for name in differing
        ]

    def __str__(self) -> str:
        return f"entry {short(repr(self.name))}"


def _on_host(owner: str, name: str, array: Array) -> np.ndarray:
    """An array as the file holds it; TypeError where it holds no such dtype."""
    _arrays.backend_of(owner, name, array)
    dtype = _arrays.dtype_name(array.dtype)
    if dtype not in DTYPES:
        raise TypeError(
            f"{owner}: {name} has dtype {array.dtype}, a checkpoint holds {', '.join(DTYPES)}; convert it "
            f"first, for example with xp.astype({name}, xp.float32)"
        )
    host = np.asarray(_arrays.to_host(array))
    return np.asarray(host, dtype=host.dtype.newbyteorder("<"), order="C")


def sha256(content: Any) -> str:
    """The SHA-256 of bytes or of an array's bytes, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def tile_digests(blocks: Mapping[str, Frozen], xp: ModuleType, device: Any) -> dict[str, str]:
    """The checksum of every block's first tile; equal blocks are drawn once."""
    digests = {
        block: sha256(np.ascontiguousarray(first_tile(block, xp, device), dtype="<f8"))
        for block in dict.fromkeys(blocks.values())
    }
    return {name: digests[block] for name, block in blocks.items()}
