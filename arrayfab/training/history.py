"""What came of every epoch, and how it is shown."""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab.losses import wide


class Epoch(NamedTuple):
    """What came of an epoch; NaN where nothing was asked for."""

    loss: float  # the mean over all rows, each at the time of its mini-batch
    rate: float
    validation_loss: float = math.nan
    metric: float = math.nan  # on the validation set
    seconds: float = math.nan


@dataclass
class History:
    """The epochs so far."""

    epochs: list[Epoch] = field(default_factory=list)

    def column(self, name: str) -> list[float]:
        """One number of every epoch, by its name in `Epoch`."""
        if name not in Epoch._fields:
            raise ValueError(f"History: a column must be one of {Epoch._fields}, got {name!r}")
        return [getattr(epoch, name) for epoch in self.epochs]

    def numbers(self) -> np.ndarray:
        """All numbers, an epoch in every row."""
        return np.asarray(self.epochs, dtype=np.float64).reshape(len(self.epochs), len(Epoch._fields))


class Losses:
    """The losses of an epoch's steps, which stay where they are until they are asked for, all at once."""

    _FEW = 64  # scalars are joined to a vector

    def __init__(self, known: list[float]):
        self._known = list(known)  # on the host
        self._scalars: list[Array] = []
        self._vectors: list[Array] = []

    def append(self, loss: Array) -> None:
        self._scalars.append(loss)
        if len(self._scalars) == self._FEW:
            self._join()

    def _join(self):
        xp = _arrays.backend_of("Training", "loss", self._scalars[0]).xp
        self._vectors.append(xp.stack(self._scalars))
        self._scalars.clear()

    def on_host(self) -> list[float]:
        """All of them; what is not yet here comes in one transfer."""
        if self._scalars:
            self._join()
        if self._vectors:
            self._known += numbers_of(self._vectors)
            self._vectors.clear()
        return self._known


def numbers_of(vectors: list[Array]) -> list[float]:
    """Vectors of one namespace as one list of floats, in one transfer."""
    xp = _arrays.backend_of("Training", "loss", vectors[0]).xp
    joined = xp.concat(vectors) if len(vectors) > 1 else vectors[0]
    return _arrays.to_host(wide(xp, joined.dtype, joined)).astype(np.float64).tolist()


@contextmanager
def progress_bar(wanted: bool, done: int, total: int) -> Iterator[Callable[[int, str], None]]:
    """A bar on the terminal: ``show(steps done, text)``; nothing where there is no terminal, or no rich."""
    if not (wanted and sys.stderr.isatty() and importlib.util.find_spec("rich")):
        yield lambda done, text: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}")
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=total, completed=done)
        yield lambda done, text: progress.update(task, completed=done, description=text)


def accuracy(logits: Array, labels: Array) -> Array:
    """The share of rows whose largest logit is that of their class number: a metric.

    Examples
    --------
    >>> import numpy as np
    >>> float(accuracy(np.asarray([[0.0, 1.0], [0.0, 1.0]]), np.asarray([1, 0])))
    0.5
    """
    xp = _arrays.check_real_floating("accuracy", "logits", logits).xp
    hits = xp.argmax(logits, axis=-1) == xp.astype(labels, xp.argmax(logits, axis=-1).dtype, copy=False)
    return xp.mean(xp.astype(hits, logits.dtype))
