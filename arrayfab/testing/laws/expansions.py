"""Laws of expanded data: rows by themselves, products by rules, digits, and factors of the features."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np

from arrayfab import _arrays
from arrayfab.structures import Dense, hadamard, khatri_rao, kron
from arrayfab.structures.rewriting import HADAMARDS, PRODUCTS
from arrayfab.testing.cases import Case
from arrayfab.testing.laws.registry import law
from arrayfab.testing.setting import LawBroken, Setting, short
from arrayfab.testing.shapes import most_columns
from arrayfab.testing.trials import trials, within


@law("expansion")
def rows_are_expanded_one_by_one(subject: Any, case: Case) -> None:
    """A row of ``κ(x)`` follows from its own row of ``x``, which may also come alone."""
    setting = Setting(subject, case)
    case, trial = setting.case, setting.trials()["κ(x)"]
    (x,) = trial.numbers(case)
    received = trial.call(case.asarray(x))
    expected = np.zeros((*x.shape[:-1], subject.num_features(case.m)))
    for index in np.ndindex(x.shape[:-1]):
        alone = _arrays.to_host(trial.call(case.asarray(x[index])))
        if alone.shape != expected.shape[-1:]:
            raise LawBroken(
                f"κ(x) of a single row: expected shape {expected.shape[-1:]}, received {alone.shape}"
            )
        expected[index] = alone
    setting.same("κ(x), row by row", "κ(x)", expected, received)


@law("expansion", namespaces=("numpy",))
def rewriting_changes_nothing(subject: Any, case: Case) -> None:
    """What a rule gives for a product with ``κ(x)`` is that product, its gradients included."""
    for name, make in _PRODUCTS.items():
        rewritten = make(subject, case)
        with mock.patch.object(PRODUCTS, "of", _no_rule), mock.patch.object(HADAMARDS, "of", _no_rule):
            plain = make(subject, case)
        if rewritten is None or rewritten == plain:
            continue
        setting = Setting(plain, case)
        setting.bounds[name], case = setting.bounds["M"], setting.case
        (one, y, grads), (_, z, received) = (
            _pulled(each, case, subject.domain) for each in (plain, rewritten)
        )
        setting.same(name, name, _arrays.to_host(y).astype(np.float64), z)
        for array, g in grads.items():
            expected = _arrays.to_host(g).astype(np.float64)
            setting.same_gradient(name, one, array, expected, received[array], 0.0)


def _pulled(structure, case, domain):
    trial = trials(structure, case)["M"]
    arrays = [
        case.asarray(within(domain, numbers, case) if name in ("z", "other") else numbers)
        for name, numbers in zip(trial.shapes, trial.numbers(case), strict=True)
    ]
    y, _, gradients = trial.pulled(case, arrays)
    return trial, y, dict(zip(trial.shapes, gradients, strict=True))


def _no_rule(left, right):
    return None


def _features(subject, case, name="z"):
    """The formula of ``κ(z)``."""
    return subject.formula(Dense(name, (case.rows, case.m)))


def _along(product):
    """A product of ``κ(z)`` and a matrix along its factors, None where it has none."""

    def made(subject, case):
        K, q = _features(subject, case), subject.outer_features(case.m)
        return None if q is None or K.shape[1] % q else product(K, q, K.shape[1] // q)

    return made


def _hole(name, n, D):
    return Dense(name, (n, D))


def _times_another(subject, case):
    other = _features(subject, replace(case, rows=case.rows + 1), "other")
    return _features(subject, case) @ other.T


_PRODUCTS = {
    "κ(z) @ kron(A, B)": _along(lambda K, q, t: K @ kron(_hole("A", q, 2), _hole("B", t, 3))),
    "kron(A, B) @ κ(z).T": _along(lambda K, q, t: kron(_hole("A", 2, q), _hole("B", 3, t)) @ K.T),
    "κ(z) @ (kron(A, B) + kron(C, D))": _along(
        lambda K, q, t: (
            K @ (kron(_hole("A", q, 2), _hole("B", t, 3)) + kron(_hole("C", q, 2), _hole("D", t, 3)))
        )
    ),
    "κ(z) @ khatri_rao(A, B)": _along(lambda K, q, t: K @ khatri_rao(_hole("A", q, 2), _hole("B", t, 2))),
    "κ(z) @ A": lambda subject, case: _features(subject, case) @ _hole("A", subject.num_features(case.m), 2),
    "κ(z) @ κ(other).T": _times_another,
    "κ(z) * κ(z)": lambda subject, case: hadamard(*[_features(subject, case)] * 2),
}


@law("expansion", namespaces=("numpy",))
def keeps_digits_far_from_zero(subject: Any, case: Case) -> None:
    """In float32, features of data far from zero are as right as the rounding of the data lets them be.

    So are products with them. What divides by a variance from ``E x² − (E x)²`` is not.
    """
    case = replace(case, lead=(), batch=(), dtype="float32", order="C")
    products = trials(subject, replace(case, spread=1))
    x, M = products["κ(z) @ x"].numbers(replace(case, spread=1))
    low, high = subject.domain
    x = x + (_FAR if math.isinf(high) else -_FAR if math.isinf(low) else 0.0)
    x = x.astype(np.float32).astype(np.float64)
    exact = _arrays.to_host(subject(x))
    # How far features move when every number of the data moves by its own size.
    steps = [np.where(np.arange(case.m) == j, x, 0.0) for j in range(case.m)]
    moves = np.abs(exact) + sum(np.abs(subject.jvp(x, None, step, None)[1]) for step in steps)
    held = [x.astype(np.float32), M.astype(np.float32)]
    for name, arrays, expected, room in (
        ("κ(x)", held[:1], exact, moves),
        ("κ(z) @ x", held, exact @ M, moves @ np.abs(M)),
    ):
        received = products[name].call(*arrays).astype(np.float64)
        known = np.abs(expected) + room < _MOST
        lost = known & ~(np.abs(received - expected) <= 64 * float(np.finfo(np.float32).eps) * room)
        if np.any(lost):
            raise LawBroken(
                f"{name} in float32, of x = {short(x)}\nexpected {short(expected)}\n"
                f"received {short(received)}"
            )


_FAR = 4096.0
_MOST = 1e30  # beyond, single precision overflows


@law("expansion", namespaces=("numpy",), once=True)
def cheapest_along_its_factors(subject: Any, case: Case) -> None:
    """A Kronecker product along ``outer_features`` costs no more than one along other factors."""
    m = most_columns(subject, 1 << 13)
    q = subject.outer_features(m)
    if q is None:
        return
    D = subject.num_features(m)
    if D % q:
        raise LawBroken(f"outer_features for m={m}: expected a divisor of {D}, received {q}")
    K = _features(subject, replace(case, rows=_ROWS, m=m))
    costs = {
        p: (K @ kron(Dense("A", (p, 1)), Dense("B", (D // p, 1)))).dense_cost.multiplies
        for p in range(1, D + 1)
        if D % p == 0
    }
    cheapest = min(costs, key=lambda p: costs[p])
    if costs[q] > costs[cheapest]:
        raise LawBroken(
            f"outer_features for m={m}: expected {cheapest}, which takes {costs[cheapest]:,} multiplies "
            f"for {_ROWS} rows, received {q}, which takes {costs[q]:,}"
        )


_ROWS = 64
