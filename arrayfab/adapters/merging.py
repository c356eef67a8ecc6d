"""Adapters merged into the weights of a model and taken out again, run of rows by run of rows."""

from __future__ import annotations

import fnmatch
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab.adapters.adapter import Adapter, Change, matched
from arrayfab.adapters.files import Content, Tensor, dtype_of, is_floating, write_tensors
from arrayfab.adapters.weights import Weights
from arrayfab.io.configuration import short
from arrayfab.io.replacing import replacing

#: So many numbers are changed at a time.
_RUN = 1 << 19


@dataclass(frozen=True)
class Line:
    """What becomes of a tensor of the base."""

    tensor: str
    shape: tuple[int, ...]
    what: str


@dataclass(frozen=True)
class Merge:
    """What was merged, or would be: a line for every tensor that changes, and names that match none."""

    lines: list[Line]
    unmatched: list[str]


def merge(
    base: str | bytes | os.PathLike,
    adapters: Adapter | Sequence[Adapter],
    out: str | bytes | os.PathLike | None,
    *,
    strengths: Sequence[float] | None = None,
    dtype: str | None = None,
    only: str = "*",
    take_back: bool = False,
    xp: ModuleType | None = None,
    device: Any = None,
    on_tensor: Callable[[int, int], None] = lambda done, total: None,
) -> Merge:
    """Write the weights of a model with adapters merged into them.

    Nothing is formed that is larger than a run of rows, unless a family mixes all of them. All files are
    written before the first of them takes the place of another.

    Parameters
    ----------
    base : str, bytes or path
        A safetensors file, an index of several, or a folder with one of them.
    adapters : Adapter or sequence of them
        Merged one after the other.
    out : str, bytes or path, optional
        A file where the base is one, a folder where it is several. Left out, nothing is written.
    strengths : sequence of float, optional
        What each adapter adds is multiplied by. ValueError where it adds nothing and is not one.
    dtype : str, optional
        Of what is written, such as ``"bfloat16"``. Left out, each tensor keeps its own. Numbers are computed in
        float32, or float64 where the base is, and rounded once, to nearest and even.
    only : str
        A pattern, such as ``"*.attn.*"``, of the names of tensors that change; all others stay.
    take_back : bool
        The other way round: the base has the adapters merged, the last one last, and what is written are the
        weights before. What was rounded stays so. ValueError for families that do not tell what was there.
    xp, device
        Where to compute: NumPy if left out.
    on_tensor : callable
        Is told how many tensors are done, and of how many.

    Raises
    ------
    ValueError
        If an adapter does not fit the base.
    OSError
        If a file cannot be read or written.
    """
    adapters = [adapters] if isinstance(adapters, Adapter) else list(adapters)
    strengths = [1.0] * len(adapters) if strengths is None else list(strengths)
    if len(strengths) != len(adapters):
        raise ValueError(f"merge: expected {len(adapters)} strengths, one for each adapter, got {strengths}")
    weights = Weights(base)
    changes: dict[str, list[tuple[Change, float]]] = {}
    unmatched = []
    for adapter, strength in zip(adapters, strengths, strict=True):
        found, missed = matched(adapter, weights, lambda name: fnmatch.fnmatchcase(name, only))
        unmatched += missed
        for name, change in found.items():
            changes.setdefault(name, []).append((change, float(strength)))
    if take_back:
        changes = {name: each[::-1] for name, each in changes.items()}
    rewriting = _Rewriting(changes, dtype and dtype_of(dtype), take_back, _arrays.namespace(xp), device)
    lines = [Line(name, weights[name].shape, rewriting.said(weights[name])) for name in sorted(changes)]
    if out is not None:
        _write(weights, Path(os.fsdecode(out)), rewriting, on_tensor)
    return Merge(lines, unmatched)


def unmerge(base, adapters, out, **options) -> Merge:
    """`merge` with ``take_back``: what it was before."""
    return merge(base, adapters, out, take_back=True, **options)


@dataclass(frozen=True, eq=False)
class _Rewriting:
    """What each tensor becomes."""

    changes: dict[str, list[tuple[Change, float]]]
    dtype: np.dtype | None
    take_back: bool
    xp: ModuleType
    device: Any

    def content(self, tensor: Tensor) -> Content:
        dtype = self.dtype if self.dtype is not None and is_floating(tensor.dtype) else tensor.dtype
        changes = self.changes.get(tensor.name, ())
        if any(change.replacement is not None for change, _ in changes):
            return self._replaced(tensor, dtype)
        runs = self._changed(tensor) if changes else tensor.runs(_RUN)
        return Content(dtype, tensor.shape, lambda: (rounded(run, dtype) for run in runs))

    def said(self, tensor: Tensor) -> str:
        """What is done to a tensor; ValueError where it does not fit."""
        parts = []
        for change, strength in self.changes[tensor.name]:
            if not is_floating(tensor.dtype):
                raise ValueError(
                    f"merge: {short(tensor.name)} holds {tensor.dtype}, no real floating numbers"
                )
            if change.update is not None:
                _lies(change, tensor)
                parts.append(change.update.family + (f" × {strength:g}" if strength != 1.0 else ""))
            elif change.bias is not None:
                _check_shape(tensor, change.bias.shape)
                parts.append("bias")
            else:
                parts.append("replaced")
        return ", ".join(parts)

    def _replaced(self, tensor, dtype):
        if self.take_back:
            raise ValueError(f"merge: {short(tensor.name)} was replaced, and cannot be taken back")
        replacement = next(
            change.replacement for change, _ in self.changes[tensor.name] if change.replacement is not None
        )
        return Content.of(rounded(replacement, dtype))

    def _changed(self, tensor: Tensor) -> Iterator[np.ndarray]:
        changes = self.changes[tensor.name]
        wide = np.float64 if tensor.dtype == np.float64 else np.float32
        like = self._placed(np.zeros(0, wide))
        if changes[0][0].bias is not None:
            total = sum(strength * change.bias.astype(np.float64) for change, strength in changes)
            return iter([tensor.read().astype(np.float64) + (-total if self.take_back else total)])
        updates = [
            (change.update.placed(like), _lies(change, tensor), strength) for change, strength in changes
        ]
        return self._runs(tensor, updates, wide)

    def _runs(self, tensor, updates, wide):
        n, D = tensor.shape[0], math.prod(tensor.shape[1:])
        step = math.lcm(*(n if is_transposed else update.step for update, is_transposed, _ in updates))
        size = min(n, step * max(1, _RUN // (step * D)))
        for start in range(0, n, size):
            W = self._placed(tensor.rows(start, min(start + size, n)).reshape(-1, D).astype(wide))
            for update, is_transposed, strength in updates:
                apply = update.restored if self.take_back else update.changed
                W = apply(W.T, start, strength).T if is_transposed else apply(W, start, strength)
            yield _arrays.to_host(W).reshape(-1, *tensor.shape[1:])

    def _placed(self, numbers):
        return _arrays.from_host(numbers, self.xp, numbers.dtype, self.device)


def rounded(numbers: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Numbers in a dtype, rounded to nearest and even; ValueError where they are too large for it."""
    if numbers.dtype == dtype:
        return numbers
    with np.errstate(over="ignore", invalid="ignore"):  # it is looked for below
        cast = numbers.astype(dtype)
    if dtype.name.startswith("float") and dtype.itemsize < 4:
        if (np.isfinite(numbers) & ~np.isfinite(cast.astype(np.float32))).any():
            raise ValueError(f"merge: numbers are too large for {dtype}, ask for a wider dtype")
    return cast


def _lies(change: Change, tensor: Tensor) -> bool:
    """Whether a tensor lies as ``D × n``; ValueError where the update is that of no such matrix."""
    n, D = tensor.shape[0] if tensor.shape else 0, math.prod(tensor.shape[1:])
    fits = _fits(change.update.shape, (n, D))
    if change.may_be_transposed and len(tensor.shape) == 2 and _fits(change.update.shape, (D, n)):
        return not fits or n == D
    if not fits or len(tensor.shape) < 2:
        expected = " × ".join("any" if size is None else str(size) for size in change.update.shape)
        raise ValueError(
            f"merge: {short(tensor.name)} has shape {tensor.shape}, and the adapter is for a matrix of {expected}"
        )
    return False


def _fits(expected, shape):
    return all(want in (None, have) for want, have in zip(expected, shape, strict=True))


def _check_shape(tensor, shape):
    if tensor.shape != shape:
        raise ValueError(f"merge: {short(tensor.name)} has shape {tensor.shape}, and the adapter {shape}")


def _write(weights, out, rewriting, on_tensor):
    total, done = len(weights), 0
    if weights.index is not None:
        out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        # Files take their places when all have been written.
        for name, held in weights.files.items():
            target = out if weights.index is None else out / name
            contents = {}
            for tensor in held.values():
                content = rewriting.content(tensor)

                def counted(content=content):
                    nonlocal done
                    yield from content.runs()
                    done += 1
                    on_tensor(done, total)

                contents[tensor.name] = Content(content.dtype, content.shape, counted)
            write_tensors(stack.enter_context(replacing(target)), contents, held.metadata)
        if weights.index is not None:
            size = sum(rewriting.content(tensor).nbytes for tensor in weights.values())
            index = {
                **weights.index,
                "metadata": {**(weights.index.get("metadata") or {}), "total_size": size},
            }
            file = stack.enter_context(replacing(out / weights.path.name))
            file.write(json.dumps(index, indent=2).encode())
