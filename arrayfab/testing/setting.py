"""A subject on a case, and what it means there that numbers agree."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab.testing.cases import Case, Trial, is_exact, trials, whole
from arrayfab.testing.magnitudes import largest


class LawBroken(AssertionError):
    """A law does not hold. The message says which, for what, and how to see it again."""


class Setting:
    """A subject on a case, with whole numbers for all that is frozen where that makes arithmetic exact."""

    def __init__(self, subject: Any, case: Case):
        self.subject, self.case = subject, case
        self.host = replace(case, namespace="numpy", dtype="float64")
        self.is_exact = is_exact(subject, case)
        self.bounds = {name: self._bound(trial) for name, trial in self.trials(self.host).items()}
        # Up to here whole numbers, and halves and quarters of them, have no rounding.
        if max(self.bounds.values()) >= {"float32": 2.0**20, "float64": 2.0**49}.get(case.dtype, 0.0):
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
        spread = float(self.case.spread)
        arrays = [np.full(shape, spread) for shape in trial.shapes.values()]
        return largest(trial.vjp, arrays, spread)

    def same(self, what: str, name: str, expected: np.ndarray, received: Any, slack: float = 0.0) -> None:
        """LawBroken unless the numbers agree: exactly, or within rounding and ``slack`` of the bound."""
        got = _arrays.to_host(received)
        if expected.shape != got.shape:
            raise LawBroken(f"{what}: expected shape {expected.shape}, received {got.shape}")
        tolerance = 0.0
        if not self.is_exact:
            tolerance = (64 * float(np.finfo(self.case.dtype).eps) + slack) * self.bounds[name]
        wrong = ~(np.abs(expected - got.astype(np.float64)) <= tolerance)
        if np.any(wrong):
            at = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise LawBroken(
                f"{what}: {int(wrong.sum())} of {wrong.size} entries differ, the first at {at}\n"
                f"expected {short(expected)}\nreceived {short(got)}"
            )

    def same_gradient(self, name, trial, array, expected, gradient, slack):
        """`same`, block by block for the vector of learned numbers, so that the message names the block."""
        runs = trial.blocks if array == "w" and trial.blocks else {"": slice(None)}
        for block, run in runs.items():
            what = f"gradient of {name} in {array}" + (f", block {block}" if block else "")
            part = gradient[..., run] if block else gradient
            self.same(what, name, expected[..., run] if block else expected, part, slack)


def short(array: np.ndarray) -> str:
    """An array on the lines of a message."""
    return np.array2string(array, threshold=24, precision=8, separator=", ").replace("\n", "\n         ")
