"""Laws of pullbacks and of directional derivatives."""

from __future__ import annotations

import functools
import math
from fractions import Fraction
from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab.expansions import Expansion
from arrayfab.testing.cases import Case
from arrayfab.testing.laws.registry import law
from arrayfab.testing.setting import LawBroken, Setting
from arrayfab.testing.trials import structure_of


@law()
def vjp_matches_differences(subject: Any, case: Case) -> None:
    """The pullback gives the gradients that differences of the function's values give."""
    setting = Setting(subject, case)
    case = setting.case
    rng = np.random.default_rng(case.seed)
    for name, trial, on_host in setting.pairs():
        numbers = trial.numbers(case)
        y, u, gradients = trial.pulled(case, list(map(case.asarray, numbers)))
        start = on_host.call(*numbers)
        setting.same(f"value of {name} that vjp returns", name, start, y)
        for i, (array, gradient) in enumerate(zip(trial.shapes, gradients, strict=True)):
            _check_shape(name, array, trial, gradient)
            # Of many entries, so many as are quickly tried; the others are compared with themselves.
            expected = _arrays.to_host(gradient).astype(np.float64)
            kink = np.zeros(expected.shape)
            for place in rng.permutation(expected.size)[:_MOST]:
                index = np.unravel_index(place, expected.shape)
                steps = [np.zeros(a.shape) for a in numbers]
                steps[i][index] = 1.0
                slope, jump = _difference(on_host, numbers, steps, setting, start)
                expected[index], kink[index] = np.sum(u * slope), np.sum(np.abs(u) * jump)
            setting.same_gradient(name, trial, array, expected, gradient, 1e-7, kink)


_MOST = 12


def _check_shape(name, array, trial, gradient):
    expected, received = trial.shapes[array], tuple(gradient.shape)
    if expected != received:
        raise LawBroken(f"gradient of {name} in {array}: expected shape {expected}, received {received}")


@law()
def jvp_matches_differences(subject: Any, case: Case) -> None:
    """The directional derivative is the one that differences of the function's values give."""
    setting = Setting(subject, case)
    case = setting.case
    for name, trial, on_host in setting.pairs():
        numbers, steps = trial.numbers(case), trial.numbers(case, "direction ")
        y, dy = trial.jvp(list(map(case.asarray, numbers)), list(map(case.asarray, steps)))
        start = on_host.call(*numbers)
        setting.same(f"value of {name} that jvp returns", name, start, y)
        slope, jump = _difference(on_host, numbers, steps, setting, start)
        setting.same(f"derivative of {name}", name, slope, dy, 1e-7, jump)


def _difference(trial, numbers, steps, setting, start):
    """The derivative along ``steps`` from values of the function, and how far from it a right one may lie.

    Without rounding where the function is exact. At a kink every slope between those to either side is right.
    """
    if setting.is_exact:
        weights, step = _stencil(trial.degree), 1.0
    else:
        weights, step = {1: Fraction(1, 2), -1: Fraction(-1, 2)}, 2.0**-17
    # With whole weights nothing is rounded before the one division at the end.
    common = math.lcm(*(weight.denominator for weight in weights.values()))
    values = {
        k: trial.call(*(a + k * step * d for a, d in zip(numbers, steps, strict=True))) for k in weights
    }
    total = sum((int(weight * common) * values[k] for k, weight in weights.items()), np.zeros(()))
    slope = total / (common * step)
    return slope, 0.0 if setting.is_exact else np.abs((values[1] - start) / step - slope)


@functools.lru_cache
def _stencil(degree: int) -> dict[int, Fraction]:
    """Weights of a difference with step one that is exact for polynomials of that degree."""
    reach = max((degree + 1) // 2, 1)
    nodes = [k for k in range(-reach, reach + 1) if k]
    weights = {}
    for k in nodes:  # the derivative at zero of the Lagrange polynomial of node k
        others = [Fraction(-j, k - j) for j in nodes if j != k]
        weights[k] = math.prod(others, start=Fraction(1, k))
    return weights


@law()
def pairing(subject: Any, case: Case) -> None:
    """``⟨u, J v⟩ = ⟨Jᵀ u, v⟩``: the two derivatives are each other's transpose."""
    setting = Setting(subject, case)
    case = setting.case
    for name, trial in setting.trials().items():
        arrays, steps = trial.arrays(case), trial.numbers(case, "direction ")
        _, u, gradients = trial.pulled(case, arrays)
        _, dy = trial.jvp(arrays, list(map(case.asarray, steps)))
        on_host = [_arrays.to_host(g).astype(np.float64) for g in gradients]
        # Whole numbers may have products and sums that float64 cannot tell apart.
        times = _exact_product if setting.is_exact else _product
        forward = times(u, _arrays.to_host(dy).astype(np.float64))
        backward = sum(times(g, d) for g, d in zip(on_host, steps, strict=True))
        # Every entry of a gradient or derivative is rounded, and then multiplied.
        size = np.sum(np.abs(u)) + sum(np.sum(np.abs(d)) for d in steps)
        rounding = size * setting.rounding(name)
        expected, received = (np.asarray(side, dtype=np.float64) for side in (forward, backward))
        setting.same(f"pairing of {name}", name, expected, received, 1e-12, rounding)


@law()
def pullback_is_linear_and_repeatable(subject: Any, case: Case) -> None:
    """A pullback may be called again, and is linear in its cotangent."""
    setting = Setting(subject, case, cotangent=3)
    case = setting.case
    for name, trial in setting.trials().items():
        y, pull = trial.vjp(*trial.arrays(case))
        u, v = (case.numbers(salt, tuple(y.shape)) for salt in ("u", "v"))
        first, other, both, again = (
            [_arrays.to_host(g).astype(np.float64) for g in pull(case.asarray(c))]
            for c in (u, v, 2 * u + v, u)
        )
        for array, a, b, c, d in zip(trial.shapes, first, other, both, again, strict=True):
            setting.same(f"gradient of {name} in {array}, linear", name, 2 * a + b, c, 1e-12)
            setting.same(f"gradient of {name} in {array}, second call", name, a, d)


@law("fabrication", "expansion", "matrix", namespaces=("numpy",))
def gradients_without_that_of_x(subject: Any, case: Case) -> None:
    """A structure's pullback sends the same into its holes where the gradient of ``x`` is not needed."""
    # An expansion's own products know in what domain its data lie.
    setting = Setting(subject if isinstance(subject, Expansion) else structure_of(subject, case), case)
    case = setting.case
    for name, trial in setting.trials().items():
        if trial.vjp_in_holes is None:
            continue
        arrays = trial.arrays(case)
        _, u, gradients = trial.pulled(case, arrays)
        bare = trial.vjp_in_holes(*arrays)[1](case.asarray(u))
        for array, expected, received in zip(trial.shapes, gradients, bare, strict=False):
            setting.same(f"gradient of {name} in {array}, need_x=False", name, expected, received)


def _product(a: np.ndarray, b: np.ndarray) -> Any:
    """``⟨a, b⟩``."""
    return np.sum(a * b)


def _exact_product(a: np.ndarray, b: np.ndarray) -> Any:
    """`_product` without rounding, where all numbers are finite."""
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return _product(a, b)
    pairs = zip(a.reshape(-1).tolist(), b.reshape(-1).tolist(), strict=True)
    return sum(Fraction(one) * Fraction(other) for one, other in pairs)
