"""Tensor files that are read and written a run of rows at a time."""

from __future__ import annotations

import json
import math
import mmap
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from arrayfab.io.configuration import short
from arrayfab.io.reading import open_regular, spelled
from arrayfab.io.tensors import import_safetensors

#: safetensors' names of dtypes, and NumPy's or those of ml_dtypes.
_DTYPES = {
    **{
        f"{kind}{8 * size}": f"{name}{8 * size}"
        for kind, name in (("I", "int"), ("U", "uint"))
        for size in (1, 2, 4, 8)
    },
    **{"F16": "float16", "F32": "float32", "F64": "float64", "BOOL": "bool"},
    **{"BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"},
}
_SPELLED = {name: spelling for spelling, name in _DTYPES.items()}


def dtype_of(name: str) -> np.dtype:
    """The dtype of such a name, such as ``"float32"`` or ``"bfloat16"``.

    ValueError where there is none; ImportError where ml_dtypes has it and is missing.
    """
    if name not in _SPELLED:
        raise ValueError(f"unknown dtype {short(name)!r}, expected one of {sorted(_SPELLED)}")
    if not name.startswith(("bfloat", "float8")):
        return np.dtype(name)
    try:
        import ml_dtypes
    except ImportError:
        raise ImportError(
            f"ml_dtypes is not installed; {name} tensors need: pip install 'arrayfab[io]'"
        ) from None
    return np.dtype(getattr(ml_dtypes, name))


def is_floating(dtype: np.dtype) -> bool:
    """Whether a dtype holds real floating numbers, those of ml_dtypes included."""
    return dtype.kind == "f" or dtype.name.startswith(("bfloat", "float8"))


def as_numpy_has_it(array: np.ndarray) -> np.ndarray:
    """Numbers in a dtype of NumPy itself: those of ml_dtypes as float32, which holds them exactly."""
    return array.astype(np.float32) if array.dtype.isbuiltin != 1 else array


@dataclass(frozen=True)
class Tensor:
    """A tensor in a file: what it is, and where."""

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    file: Path
    offset: int

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def read(self) -> np.ndarray:
        """All of it, in memory."""
        return np.array(self.rows(0, self.shape[0]) if self.shape else self._mapped(self.offset, ()))

    def runs(self, size: int) -> Iterator[np.ndarray]:
        """Runs of rows, of about so many numbers each."""
        if not self.shape:
            yield self.read()
            return
        step = max(1, size // max(1, math.prod(self.shape[1:])))
        for start in range(0, self.shape[0], step):
            yield self.rows(start, min(start + step, self.shape[0]))

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Some entries along the first axis, as they lie in the file: nothing is read before it is used."""
        size = self.dtype.itemsize * math.prod(self.shape[1:])
        return self._mapped(self.offset + start * size, (stop - start, *self.shape[1:]))

    def _mapped(self, offset, shape):
        if not math.prod(shape):
            return np.empty(shape, self.dtype)
        with open_regular(self.file) as file:
            first = offset - offset % mmap.ALLOCATIONGRANULARITY
            length = offset - first + math.prod(shape) * self.dtype.itemsize
            mapped = mmap.mmap(file.fileno(), length, access=mmap.ACCESS_READ, offset=first)
        return np.ndarray(shape, self.dtype, mapped, offset - first)


class TensorFile(Mapping[str, Tensor]):
    """The tensors of a safetensors file by name, none of which is read yet.

    Raises
    ------
    ValueError
        If it is no safetensors file, or has a tensor of a dtype that is not known.
    """

    def __init__(self, path: str | bytes | os.PathLike):
        safetensors = import_safetensors("safetensors")
        self.path = Path(os.fsdecode(path))
        try:
            # What safetensors opens, it has checked: every tensor lies within the file, and none on another.
            with open_regular(self.path) as file, safetensors.safe_open(self.path, framework="np"):
                (length,) = struct.unpack("<Q", file.read(8))
                header = json.loads(file.read(length))
        except safetensors.SafetensorError as error:
            raise ValueError(f"{spelled(self.path)} is no safetensors file: {short(error)}") from error
        self.metadata: dict[str, str] = header.pop("__metadata__", None) or {}
        self._tensors = {name: self._tensor(name, 8 + length, **entry) for name, entry in header.items()}

    def _tensor(self, name, start, dtype, shape, data_offsets):
        if dtype not in _DTYPES:
            raise ValueError(
                f"{spelled(self.path)}: tensor {short(name)} has the unknown dtype {short(dtype)}"
            )
        kind = dtype_of(_DTYPES[dtype])
        try:
            np.broadcast_to(np.empty((), kind), shape)
        except (OverflowError, ValueError) as error:  # a shape that NumPy cannot have
            raise ValueError(
                f"{spelled(self.path)}: tensor {short(name)} has a shape that cannot be read: {short(error)}"
            ) from error
        return Tensor(name, kind, tuple(shape), self.path, start + data_offsets[0])

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


@dataclass(frozen=True)
class Content:
    """A tensor to be written: what it will be, and what gives its numbers, run of rows by run of rows."""

    dtype: np.dtype
    shape: tuple[int, ...]
    runs: Callable[[], Iterable[np.ndarray]]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    @staticmethod
    def of(array: np.ndarray) -> Content:
        return Content(array.dtype, array.shape, lambda: (array,))


def write_tensors(
    file: BinaryIO, contents: Mapping[str, Content], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file, with no more than a run of rows in memory."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, content in contents.items():
        start, end = end, end + content.nbytes
        spelling = _SPELLED[content.dtype.name]
        header[name] = {"dtype": spelling, "shape": list(content.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that numbers begin at a multiple of their size
    file.write(struct.pack("<Q", len(text)) + text)
    for content in contents.values():
        for run in content.runs():
            file.write(np.ascontiguousarray(run, content.dtype).reshape(-1).view(np.uint8).data)
