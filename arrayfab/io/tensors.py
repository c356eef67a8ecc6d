"""Arrays in safetensors files, whoever wrote them."""

from __future__ import annotations

import importlib
import os
from types import ModuleType
from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab.io.configuration import short
from arrayfab.io.reading import open_regular, spelled

_DTYPES = {f"{kind}{8 * size}": f"<{kind.lower()}{size}" for kind in "IUF" for size in (1, 2, 4, 8)}
del _DTYPES["F8"]


def import_safetensors(name: str) -> ModuleType:
    """safetensors or a module of it; ImportError that says how to get it."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ImportError("safetensors is not installed; files need: pip install 'arrayfab[io]'") from None


def read_tensors(path: str | bytes | os.PathLike) -> dict[str, np.ndarray]:
    """The tensors of a safetensors file on the host, bfloat16 as float32."""
    safetensors = import_safetensors("safetensors")
    try:
        # Opened by safetensors first, which looks at no more of a large file than its header.
        with open_regular(path) as file, safetensors.safe_open(os.fsdecode(path), framework="np"):
            entries = safetensors.deserialize(file.read())
    except safetensors.SafetensorError as error:
        raise ValueError(f"{spelled(path)} is no safetensors file: {short(error)}") from error
    return {name: _decoded(f"{spelled(path)}: tensor {short(name)}", **entry) for name, entry in entries}


def check_finite(owner: str, numbers: np.ndarray) -> None:
    """ValueError unless all numbers are finite: one that is not spoils every product."""
    if not np.isfinite(numbers).all():
        raise ValueError(f"{owner} must hold finite numbers, got some that are infinite or NaN")


def place_on(
    widest: np.dtype, xp: ModuleType, dtype: Any, device: Any, owner: str, numbers: np.ndarray
) -> Array:
    """Finite host numbers as an array of ``xp``, in the dtype asked for or the widest of those read together.

    They are cast once. ValueError where they are too large for that dtype.
    """
    with np.errstate(over="ignore"):  # it is looked for below
        numbers = numbers if dtype is not None else numbers.astype(widest, copy=False)
        placed = _arrays.from_host(numbers, xp, dtype, device)
    xp = _arrays.backend_of(owner, "what was read", placed).xp
    if not bool(xp.all(xp.isfinite(placed))):
        raise ValueError(f"{owner}: numbers are too large for {placed.dtype}, ask for a wider dtype")
    return placed


def _decoded(owner: str, dtype: str, shape: list[int], data: bytearray) -> np.ndarray:
    kind = "<u2" if dtype == "BF16" else _DTYPES.get(dtype)
    if kind is None:
        raise ValueError(f"{owner} must have a dtype of {[*_DTYPES, 'BF16']}, got {dtype}")
    try:
        numbers = np.ndarray(shape, kind, data)
    except (OverflowError, ValueError) as error:  # a shape that NumPy cannot have
        raise ValueError(f"{owner} has a shape that cannot be read: {short(error)}") from error
    if dtype == "BF16":  # the upper half of a float32
        return (numbers.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return numbers
