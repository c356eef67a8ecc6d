"""Laws of what a computation takes."""

from __future__ import annotations

import tracemalloc
from dataclasses import fields, replace
from typing import Any

import numpy as np

from arrayfab.fabrications import Fabrication
from arrayfab.roles import Role
from arrayfab.testing import layers
from arrayfab.testing.cases import Case
from arrayfab.testing.counting import CountedCase
from arrayfab.testing.laws.registry import law
from arrayfab.testing.setting import LawBroken
from arrayfab.testing.shapes import fits
from arrayfab.testing.trials import structure_of, trials, whole


@law(namespaces=("numpy",), is_core=False)
def costs_count_multiplications(subject: Any, case: Case) -> None:
    """A cost has the multiplies of all products of matrices, and at most twice those that are made."""
    case = replace(case, lead=(), batch=(), dtype="float64")
    if isinstance(subject, Role):
        shapes = layers.data_shapes(subject, case)
        _check_counts(subject, case, {"y": subject.cost(*shapes)})
        return
    structure = structure_of(subject, case)
    if structure is None:
        return
    rows = case.rows
    if isinstance(subject, Fabrication):
        told, known = subject.cost(case.n, case.D, rows), structure.rows_cost(rows)
        if told != known:
            raise LawBroken(f"cost of x @ W: expected that of the formula, {known}, received {told}")
    costs = {
        "x @ M": structure.rows_cost(rows),
        "M @ x": structure.cols_cost(rows),
        "x @ M.T": structure.T.rows_cost(rows),
        "M": structure.dense_cost,
    }
    _check_counts(structure, case, costs)


def _check_counts(subject, case, costs):
    for name, cost in costs.items():
        counted = CountedCase(**{field.name: getattr(case, field.name) for field in fields(case)})
        trial = trials(whole(subject, counted), counted).get(name)
        if trial is None:
            continue
        trial.call(*trial.arrays(counted))
        least, more = counted.count.in_products, counted.count.by_entry
        most = 2 * (least + more)  # those of constants with constants are not counted
        if not least <= cost.multiplies <= most:
            raise LawBroken(f"multiplies of {name}: expected {least} to {most}, received {cost.multiplies}")


@law("fabrication", namespaces=("numpy",), is_core=False, once=True)
def no_dense_allocation(subject: Any, case: Case) -> None:
    """A product and its pullback allocate far less than the ``n × D`` numbers of the matrix.

    Nothing is asked where the learned numbers are a sizeable part of the matrix themselves.
    """
    side = next((side for side in _SIDES if fits(subject, side, side)), None)
    if side is None or subject.num_parameters(side, side) > side * side // 16:
        return
    role = trials(subject, Case(n=side, D=side))["x @ W"]
    arrays = [np.ones(shape, dtype=np.float32) for shape in role.shapes.values()]
    _run(role, arrays)  # frozen draws and plans are made once and not counted
    tracemalloc.start()
    _run(role, arrays)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    if peak > side * side:
        raise LawBroken(
            f"at n = D = {side}: expected far fewer than {side * side * 4} bytes, received {peak}"
        )


_SIDES = (1024, 1080, 1155)  # between them, they have most small factors


def _run(trial, arrays):
    y, pull = trial.vjp(*arrays)
    pull(y)
