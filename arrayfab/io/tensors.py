"""Arrays in safetensors files, whoever wrote them."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array

_DTYPES = {f"{kind}{8 * size}": f"<{kind.lower()}{size}" for kind in "IUF" for size in (1, 2, 4, 8)}
del _DTYPES["F8"]


def import_safetensors(name: str) -> ModuleType:
    """safetensors or a module of it; ImportError that says how to get it."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ImportError("safetensors is not installed; files need: pip install 'arrayfab[io]'") from None


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a safetensors file on the host, bfloat16 as float32."""
    safetensors = import_safetensors("safetensors")
    try:
        entries = safetensors.deserialize(path.read_bytes())
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file: {error}") from error
    return {name: _decoded(f"{path}: {name}", **entry) for name, entry in entries}


def place_on(widest: Any, xp: ModuleType, dtype: Any, device: Any, numbers: np.ndarray) -> Array:
    """Host numbers as an array of ``xp``, in the dtype asked for or the widest of those read together."""
    return _arrays.from_host(numbers.astype(widest, copy=False), xp, dtype, device)


def _decoded(owner: str, dtype: str, shape: list[int], data: bytearray) -> np.ndarray:
    if dtype == "BF16":  # the upper half of a float32
        upper = np.ndarray(shape, "<u2", data).astype(np.uint32)
        return (upper << np.uint32(16)).view(np.float32)
    if dtype not in _DTYPES:
        raise ValueError(f"{owner} must have a dtype of {[*_DTYPES, 'BF16']}, got {dtype}")
    return np.ndarray(shape, _DTYPES[dtype], data)
