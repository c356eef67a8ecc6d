"""Numbers on their way between files and arrays."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array


def import_safetensors(name: str) -> ModuleType:
    """safetensors or a module of it; ImportError that says how to get it."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ImportError("safetensors is not installed; files need: pip install 'arrayfab[io]'") from None


def check_finite(owner: str, numbers: np.ndarray) -> None:
    """ValueError unless all numbers are finite: one that is not spoils every product."""
    if not np.isfinite(numbers).all():
        raise ValueError(f"{owner} must hold finite numbers, got some that are infinite or NaN")


def rounded(owner: str, numbers: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Numbers in a dtype, rounded to nearest and even; ValueError where they are too large for it."""
    if numbers.dtype == dtype:
        return numbers
    with np.errstate(over="ignore", invalid="ignore"):  # it is looked for below
        cast = numbers.astype(dtype)
        # Rounding keeps the order: where the ends come out finite, so do all.
        ends = np.asarray([numbers.min(initial=0), numbers.max(initial=0)]).astype(dtype)
    if not np.isfinite(ends).all() and (np.isfinite(numbers) & ~np.isfinite(cast)).any():
        raise ValueError(f"{owner}: numbers are too large for {dtype}, ask for a wider dtype")
    return cast


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
