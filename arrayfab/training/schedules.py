"""Learning rates that change from epoch to epoch, and when to stop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from arrayfab._arrays import is_integer
from arrayfab.training.optimizers import check_number


@dataclass(frozen=True)
class Exponential:
    """``rate · γᵗ`` after ``t`` epochs.

    Examples
    --------
    >>> Exponential(0.5, gamma=0.1)(1)
    0.05
    """

    rate: float
    gamma: float = 0.9

    def __post_init__(self):
        check_number("Exponential", "rate", self.rate)
        check_number("Exponential", "gamma", self.gamma, above=0)

    def __call__(self, epoch: float) -> float:
        return self.rate * self.gamma**epoch


@dataclass(frozen=True)
class Cosine:
    """Half a wave from ``rate`` down to ``least`` within so many epochs, and ``least`` from then on.

    That is SGDR without restarts (I. Loshchilov, F. Hutter, arXiv:1608.03983). With ``warmup`` the rate first
    grows from 0 within so many epochs, which the wave's are counted without.

    Examples
    --------
    >>> [round(Cosine(0.5, epochs=4)(t), 3) for t in range(6)]
    [0.5, 0.427, 0.25, 0.073, 0.0, 0.0]
    """

    rate: float
    epochs: float
    least: float = 0.0
    warmup: float = 0.0

    def __post_init__(self):
        check_number("Cosine", "rate", self.rate)
        check_number("Cosine", "epochs", self.epochs, above=0)
        check_number("Cosine", "least", self.least)
        check_number("Cosine", "warmup", self.warmup)

    def __call__(self, epoch: float) -> float:
        if epoch < self.warmup:
            return self.rate * epoch / self.warmup
        way = min((epoch - self.warmup) / self.epochs, 1.0)
        return self.least + (self.rate - self.least) * (1 + math.cos(math.pi * way)) / 2


@dataclass(frozen=True)
class Step:
    """``rate``, times ``γ`` after every so many epochs.

    Examples
    --------
    >>> [Step(1.0, every=2, gamma=0.5)(t) for t in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    rate: float
    every: int
    gamma: float = 0.1

    def __post_init__(self):
        check_number("Step", "rate", self.rate)
        check_number("Step", "gamma", self.gamma, above=0)
        if not (is_integer(self.every) and self.every > 0):
            raise ValueError(f"Step: every must be a whole number of epochs above 0, got {self.every!r}")

    def __call__(self, epoch: float) -> float:
        return self.rate * self.gamma ** (epoch // self.every)


@dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    """Stop when the loss on the validation set has not become less for so many epochs.

    Parameters
    ----------
    patience : int
        After how many epochs without a better one.
    min_delta : float
        By how much a loss must be less to be better.

    Examples
    --------
    >>> stopping = EarlyStopping(patience=2)
    >>> stopping.best([3.0, 1.0, 2.0]), stopping.stops([3.0, 1.0, 2.0]), stopping.stops([3.0, 1.0, 2.0, 1.5])
    (1, False, True)
    """

    patience: int = 5
    min_delta: float = 0.0

    def __post_init__(self):
        if not (is_integer(self.patience) and self.patience > 0):
            raise ValueError(f"EarlyStopping: patience must be a whole number above 0, got {self.patience!r}")
        check_number("EarlyStopping", "min_delta", self.min_delta)

    def best(self, losses: Sequence[float]) -> int:
        """Which of the losses, one for every epoch, is the last to have been better; NaN is not."""
        best, least = 0, math.inf
        for epoch, loss in enumerate(losses):
            if loss < least - self.min_delta:
                best, least = epoch, loss
        return best

    def stops(self, losses: Sequence[float]) -> bool:
        """Whether to stop after these losses."""
        return len(losses) - 1 - self.best(losses) >= self.patience
