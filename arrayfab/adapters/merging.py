"""Adapters merged into the weights of a model and taken out again, run of rows by run of rows."""

from __future__ import annotations

import fnmatch
import json
import math
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab.adapters.adapter import Adapter, matched
from arrayfab.adapters.changes import Change, Replaced
from arrayfab.adapters.weights import Weights
from arrayfab.io.configuration import short
from arrayfab.io.files import Content, Tensor, dtype_of, is_floating, write_tensors
from arrayfab.io.replacing import replacing
from arrayfab.io.tensors import rounded

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
        Of what is written, such as ``"bfloat16"``. Left out, each tensor keeps its own. Numbers are computed
        in float32, or float64 where the base is, and rounded once, to nearest and even.
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
    rewriting = _Rewriting(
        changes, None if dtype is None else dtype_of(dtype), take_back, _arrays.namespace(xp), device
    )
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

    def said(self, tensor: Tensor) -> str:
        """What is done to a tensor; ValueError where it does not fit."""
        changes = self.changes[tensor.name]
        if any(isinstance(change, Replaced) for change, _ in changes) and (
            self.take_back or len(changes) > 1
        ):
            raise ValueError(f"merge: {short(tensor.name)} is replaced: nothing else can be done to it")
        return ", ".join(
            change.checked(tensor) + (f" × {strength:g}" if strength != 1.0 else "")
            for change, strength in changes
        )

    def content(self, tensor: Tensor) -> Content:
        dtype = self.dtype if self.dtype is not None and is_floating(tensor.dtype) else tensor.dtype
        changes, owner = self.changes.get(tensor.name, []), f"merge: {short(tensor.name)}"
        if changes and isinstance(changes[0][0], Replaced):
            return Content.of(rounded(owner, changes[0][0].tensor, dtype))
        runs = partial(self._changed, tensor, changes) if changes else partial(tensor.runs, _RUN)
        return Content(dtype, tensor.shape, lambda: (rounded(owner, run, dtype) for run in runs()))

    def _changed(self, tensor, changes):
        wide = np.float64 if tensor.dtype == np.float64 else np.float32
        like = self._placed(np.zeros(0, wide))
        n, D = tensor.shape[0], math.prod(tensor.shape[1:])
        step = math.lcm(*(change.step(tensor) for change, _ in changes))
        size = min(n, step * max(1, _RUN // (step * D)))
        changes = [(change.placed(like), strength) for change, strength in changes]
        for start in range(0, n, size):
            W = self._placed(tensor.rows(start, min(start + size, n)).reshape(-1, D).astype(wide))
            for change, strength in changes:
                W = change.applied(tensor, W, start, strength, self.take_back)
            yield _arrays.to_host(W).reshape(-1, *tensor.shape[1:])

    def _placed(self, numbers):
        return _arrays.from_host(numbers, self.xp, None, self.device)


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
