"""Laws of what is done to the arrays that go in and come out."""

from __future__ import annotations

from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab.testing.cases import Case
from arrayfab.testing.laws.registry import law
from arrayfab.testing.setting import LawBroken, Setting, short
from arrayfab.testing.trials import trials


@law()
def namespace_dtype_and_device_kept(subject: Any, case: Case) -> None:
    """Results and gradients live where the data live, in their dtype."""
    for name, trial in trials(subject, case).items():
        arrays = trial.arrays(case)
        y, _, gradients = trial.pulled(case, arrays)
        steps = [case.asarray(d) for d in trial.numbers(case, "direction ")]
        results = {f"{name}": y, f"derivative of {name}": trial.jvp(arrays, steps)[1]}
        results |= {f"gradient of {name} in {a}": g for a, g in zip(trial.shapes, gradients, strict=True)}
        for what, result in results.items():
            if not case.home.owns(result):
                raise LawBroken(
                    f"{what}: expected an array of {case.namespace} on its device, got {type(result)}"
                )
            if result.dtype != getattr(case.home.xp, case.dtype):
                raise LawBroken(f"{what}: expected dtype {case.dtype}, received {result.dtype}")


@law()
def inputs_unchanged(subject: Any, case: Case) -> None:
    """Neither a call nor a pullback writes into what it is given."""
    for name, trial in trials(subject, case).items():
        numbers = trial.numbers(case)
        arrays = list(map(case.asarray, numbers))
        y, pull = trial.vjp(*arrays)
        u = case.numbers("u", tuple(y.shape))
        given = case.asarray(u)
        pull(given)
        for array, held, after in zip((*trial.shapes, "u"), (*numbers, u), (*arrays, given), strict=True):
            before, received = _arrays.to_host(case.asarray(held)), _arrays.to_host(after)
            if not np.array_equal(before, received):
                raise LawBroken(
                    f"{name} changed {array}: expected {short(before)}, received {short(received)}"
                )


@law(namespaces=("numpy", "strict", "strict-device1", "torch", "cupy"))
def nan_is_kept(subject: Any, case: Case) -> None:
    """A result that depends on a number is NaN where the number is, and a gradient on its cotangent."""
    setting = Setting(subject, case)
    case, rng = setting.case, np.random.default_rng(case.seed)
    for name, trial in setting.trials().items():
        numbers = trial.numbers(case)
        if places := [i for i, a in enumerate(numbers) if a.size]:
            i = int(rng.choice(places))
            array = list(trial.shapes)[i]

            def result(held, i=i, numbers=numbers, trial=trial):
                return [trial.call(*map(case.asarray, [*numbers[:i], held, *numbers[i + 1 :]]))]

            _check_nan(f"{name} with a NaN in {array}", name, result, numbers[i], setting, rng)
        y, pull = trial.vjp(*map(case.asarray, numbers))
        u = case.numbers("u", tuple(y.shape))
        if u.size:
            _check_nan(
                f"a gradient of {name} with a NaN in its cotangent",
                name, lambda held, pull=pull: pull(case.asarray(held)), u, setting, rng,
            )  # fmt: skip


def _check_nan(what, name, function, numbers, setting, rng):
    moved, unknown = numbers.copy(), numbers.copy()
    at = np.unravel_index(rng.integers(numbers.size), numbers.shape)
    moved[at], unknown[at] = numbers[at] + 1, np.nan
    three = ([_arrays.to_host(a) for a in function(held)] for held in (numbers, moved, unknown))
    for before, after, received in zip(*three, strict=True):
        depends = np.abs(after - before) > setting.rounding(name)
        if np.any(depends & ~np.isnan(received)):
            raise LawBroken(f"{what}: expected NaN in all that depends on it, received {short(received)}")
