"""Laws of the formula of a subject, and of what a structure tells of itself."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab.expansions import Expansion
from arrayfab.structures import Chain, Dense, Numbers
from arrayfab.testing.cases import Case
from arrayfab.testing.laws.registry import law
from arrayfab.testing.setting import LawBroken, Setting, short
from arrayfab.testing.shapes import most_columns
from arrayfab.testing.trials import held_shape, holes_of, structure_of, trials


@law("fabrication", "expansion", "matrix")
def polynomial_of_its_degree(subject: Any, case: Case) -> None:
    """A polynomial of degree ``d`` in its numbers has no difference of order ``d + 1``."""
    case = replace(case, spread=1, dtype="float64") if "float64" in case.home.dtypes else case
    structure = structure_of(subject, case)
    if structure is None or structure.degree is None:
        return
    far = structure.degree + 2
    setting = Setting(subject, case, data=far, learned=far)
    for name, trial in setting.trials().items():
        if name not in ("W", "M", "κ(x)"):
            continue
        order = structure.degree + 1
        start, step = trial.numbers(case), trial.numbers(case, "step ")
        total = np.zeros(())
        for k in range(order + 1):
            value = trial.call(*(case.asarray(a + k * d) for a, d in zip(start, step, strict=True)))
            total = total + (-1) ** k * math.comb(order, k) * _arrays.to_host(value)
        rounding = 2.0**order * setting.rounding(name)
        setting.same(
            f"difference of order {order} of {name}", name, np.zeros(total.shape), total, apart=rounding
        )


@law()
def associativity(subject: Any, case: Case) -> None:
    """Every product of several factors in the formula is the same however it is bracketed."""
    structure = structure_of(subject, case)
    for chain in _chains(structure) if structure is not None else ():
        setting = Setting(chain, replace(case, rows=1))
        case = setting.case
        numbers = setting.trials()["x @ M"].numbers(case)
        held = dict(zip(setting.trials()["x @ M"].shapes, numbers, strict=True))
        factors = [_dense(factor, held, setting.host) for factor in chain.factors]
        received = _dense(chain, held, case)
        for bracketed, spelled in _bracketings(factors, [str(i + 1) for i in range(len(factors))]):
            setting.same(f"factors bracketed {spelled}", "x @ M", bracketed, received)


def _bracketings(factors, names):
    """The product of the factors in every bracketing, with how it is spelled."""
    if len(factors) == 1:
        return [(factors[0], names[0])]
    return [
        (left @ right, f"({left_name} {right_name})")
        for k in range(1, len(factors))
        for left, left_name in _bracketings(factors[:k], names[:k])
        for right, right_name in _bracketings(factors[k:], names[k:])
    ]


def _chains(structure):
    found = [structure] if isinstance(structure, Chain) else []
    return found + [chain for child in structure.children for chain in _chains(child)]


def _dense(structure, held, case):
    """A structure's matrix as its product with the identity."""
    n = structure.shape[0]
    case = replace(case, rows=n, lead=())
    trial = trials(structure, case)["x @ M"]
    arrays = [np.eye(n) if name == "x" else held[name] for name in trial.shapes]
    return _arrays.to_host(trial.call(*map(case.asarray, arrays))).astype(np.float64)


@law("fabrication", "matrix", namespaces=("numpy",))
def zeroing_makes_it_zero(subject: Any, case: Case) -> None:
    """The matrix is zero where the holes that ``zeroing`` names are, whatever the others hold."""
    structure = structure_of(subject, case)
    if structure is None or structure.zeroing is None:
        return
    trial = trials(structure, case)["M"]
    if unknown := sorted(structure.zeroing - trial.shapes.keys()):
        raise LawBroken(f"zeroing: expected names of {sorted(trial.shapes)}, received {unknown}")
    named = zip(trial.shapes, trial.numbers(case), strict=True)
    zeroed = [0 * a if name in structure.zeroing else a for name, a in named]
    W = _arrays.to_host(trial.call(*map(case.asarray, zeroed)))
    if np.any(W != 0):
        holes = ", ".join(sorted(structure.zeroing))
        raise LawBroken(f"W with zeros in {holes}: expected zeros\nreceived {short(W)}")


@law("fabrication", "expansion", "matrix", namespaces=("numpy",))
def mean_square_is_that_of_draws(subject: Any, case: Case) -> None:
    """What learned numbers add to the mean square of the entries is what ``mean_square`` says, roughly.

    Nothing is asked of a formula that is no polynomial, or in which a hole occurs twice: theirs are rough.
    That of an expansion is one for normal numbers, and right within a factor of three.
    """
    if isinstance(subject, Expansion):
        _check_of_features(subject, case)
        return
    structure = structure_of(subject, case)
    if structure is None or not structure.degree or _has_twice(structure):
        return
    variance = 2.0 ** (case.seed % 3 - 1)
    expected = [_mean_square_of_draws(structure, v, case) for v in (0.0, variance)]
    received = [structure.mean_square(v) for v in (0.0, variance)]
    gains = expected[1] - expected[0], received[1] - received[0]
    if not abs(gains[0] - gains[1]) <= 0.35 * max(expected[1], received[1]):
        raise LawBroken(
            f"mean square for learned numbers of variance {variance:g}, beyond that for zeros: "
            f"expected about {gains[0]:.3g}, received {gains[1]:.3g}"
        )


def _check_of_features(subject, case):
    m = most_columns(subject, 1 << 12)
    rows = max(64, (1 << 16) // subject.num_features(m))
    y = _arrays.to_host(subject(np.random.default_rng(case.seed).standard_normal((rows, m))))
    squares = np.ma.masked_invalid(y * y)
    expected, received = float(np.ma.filled(squares.mean(), np.nan)), subject.mean_square(m)
    parts = [part.mean() for part in np.array_split(squares, 8)]
    # Where draws differ that much, they tell nothing.
    if max(parts) <= 3 * min(parts) and not expected / 3 <= received <= 3 * expected:
        raise LawBroken(f"mean square for m={m}: expected about {expected:.3g}, received {received:.3g}")


def _has_twice(structure):
    names = [leaf.name for leaf in structure.leaves if hasattr(leaf, "name")]
    return len(set(names)) < len(names)


def _mean_square_of_draws(structure, variance, case):
    # Numbers of one size and any sign: their products vary less than those of normal numbers.
    rng = np.random.default_rng(case.seed)
    holes = holes_of(structure)
    count = max(1, min(1024, 2**20 // sum(math.prod(hole.shape) for hole in holes)))
    arrays = {}
    for hole in holes:
        # What is no plain hole holds frozen numbers, which have no leading axes.
        shape = held_shape(hole, (count,) if isinstance(hole, Dense) else ())
        size = math.sqrt(variance if hole.learned else hole.moment)
        arrays[hole.name] = size * rng.choice([-1.0, 1.0], size=shape)
    like = np.zeros((count, 0))
    W, _ = structure.dense(Numbers(_arrays.backend_of("W", "w", like), arrays, like))
    return float(np.mean(W * W))
