"""A subject on a case, and what it means there that numbers agree."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab.testing.cases import Case
from arrayfab.testing.magnitudes import Recorded, largest
from arrayfab.testing.trials import Trial, is_exact, trials, whole


class LawBroken(AssertionError):
    """A law does not hold. The message says which, for what, and how to see it again."""


#: Up to here whole numbers, and halves and quarters of them, have no rounding.
_WITHOUT_ROUNDING = {"float16": 2.0**7, "float32": 2.0**20, "float64": 2.0**49}


class Setting:
    """A subject on a case, with whole numbers for all that is frozen where that makes arithmetic exact.

    Parameters
    ----------
    subject, case
        A case on which the dtype would overflow gets the next larger one that its namespace has.
    data, learned, cotangent : float
        How many times larger than the case's data a law makes the arrays in which a product is linear, the
        others, and cotangents.
    """

    def __init__(
        self, subject: Any, case: Case, *, data: float = 1, learned: float = 1, cotangent: float = 1
    ):
        self.subject, self.case = subject, case
        self.host = replace(case, namespace="numpy", dtype="float64")
        self.is_exact = is_exact(subject, case)
        self._times = data, learned, cotangent
        self.bounds = {name: self._bound(trial) for name, trial in self.trials(self.host).items()}
        bound = max(self.bounds.values())
        for dtype in ("float32", "float64"):
            if dtype in case.home.dtypes and not bound < float(np.finfo(self.case.dtype).max) / 4:
                self.case = replace(case, dtype=dtype)
        if not bound < _WITHOUT_ROUNDING.get(self.case.dtype, 0.0):
            self.is_exact = False

    def trials(self, case: Case | None = None) -> dict[str, Trial]:
        """What is under test, on the case or on another one with the same sizes."""
        case = self.case if case is None else case
        return trials(whole(self.subject, case) if self.is_exact else self.subject, case)

    def pairs(self):
        """Every trial with its name and its counterpart in float64 on the host."""
        on_host = self.trials(self.host)
        return [(name, trial, on_host[name]) for name, trial in self.trials().items()]

    def _bound(self, trial):
        data, learned, cotangent = self._times
        arrays = [
            np.full(shape, trial.largest(name, self.case, data if name in trial.linear else learned))
            for name, shape in trial.shapes.items()
        ]
        try:
            bound = largest(trial.vjp, arrays, cotangent * float(self.case.largest))
        except np.linalg.LinAlgError:  # for any signs, a matrix may have no inverse
            bound = 0.0
        if self.case.is_whole:
            return bound
        # Signs matter to what is no polynomial: a difference that is divided by may be small.
        size = data * cotangent * float(self.case.largest)
        return max(bound, largest(trial.vjp, trial.numbers(self.case), size, Recorded))

    def rounding(self, name: str) -> float:
        """How far apart two results may be that differ by rounding alone."""
        ulps = 16 if self.case.dtype == "float16" else 64
        return 0.0 if self.is_exact else ulps * float(np.finfo(self.case.dtype).eps) * self.bounds[name]

    def same(
        self, what: str, name: str, expected: np.ndarray, received: Any, slack: float = 0.0, apart: Any = 0.0
    ) -> None:
        """LawBroken unless the numbers agree: exactly, or within rounding and ``slack`` of the bound.

        ``apart`` is how far each entry may lie off besides, where the function has no single slope.
        """
        got = _arrays.to_host(received)
        if expected.shape != got.shape:
            raise LawBroken(f"{what}: expected shape {expected.shape}, received {got.shape}")
        tolerance = 0.0 if self.is_exact else self.rounding(name) + slack * self.bounds[name] + apart
        wrong = ~(np.abs(expected - got.astype(np.float64)) <= tolerance)
        if np.any(wrong):
            at = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise LawBroken(
                f"{what}: {int(wrong.sum())} of {wrong.size} entries differ, the first at {at}\n"
                f"expected {short(expected)}\nreceived {short(got)}"
            )

    def same_gradient(self, name, trial, array, expected, gradient, slack, apart=0.0):
        """`same`, block by block for the vector of learned numbers, so that the message names the block."""
        runs = trial.blocks if array == "w" and trial.blocks else {"": slice(None)}
        apart = np.broadcast_to(apart, expected.shape)
        for block, run in runs.items():
            what = f"gradient of {name} in {array}" + (f", block {block}" if block else "")
            part = (..., run) if block else ...
            self.same(what, name, expected[part], gradient[part], slack, apart[part])


def short(array: np.ndarray) -> str:
    """An array on the lines of a message."""
    return np.array2string(array, threshold=24, precision=8, separator=", ").replace("\n", "\n         ")
