"""Laws of what a computation takes."""

from __future__ import annotations

import tracemalloc
from dataclasses import fields, replace
from typing import Any

import numpy as np

from arrayfab.expansions import Expansion
from arrayfab.fabrications import DualLPHM, Fabrication
from arrayfab.roles import Reconciliation, Role
from arrayfab.testing import layers
from arrayfab.testing.cases import Case
from arrayfab.testing.counting import CountedCase
from arrayfab.testing.laws.registry import law
from arrayfab.testing.setting import LawBroken
from arrayfab.testing.shapes import fits, most_columns
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


@law("fabrication", "expansion", namespaces=("numpy",), is_core=False, once=True)
def no_dense_allocation(subject: Any, case: Case) -> None:
    """A product and its pullback allocate far less than the ``n × D`` numbers of the matrix.

    Nothing is asked where the learned numbers are a sizeable part of the matrix themselves. Of an expansion
    it is the product with a Kronecker product along its factors, and the ``b × D`` numbers of ``κ(x)``;
    nothing is asked where it has no factors, or few features for each attribute.
    """
    found = _large_expanded(subject) if isinstance(subject, Expansion) else _large(subject)
    if found is None:
        return
    role, sizes, size = found
    arrays = [np.ones(shape, dtype=np.float32) for shape in role.shapes.values()]
    for _ in range(2):  # frozen draws, plans and programs are made at first and not counted
        _run(role, arrays)
    tracemalloc.start()
    _run(role, arrays)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    if peak > size:
        raise LawBroken(f"at {sizes}: expected far fewer than {size * 4} bytes, received {peak}")


_SIDES = (1024, 1080, 1155)  # between them, they have most small factors


def _large(fabrication):
    side = next((side for side in _SIDES if fits(fabrication, side, side)), None)
    if side is None or fabrication.num_parameters(side, side) > side * side // 16:
        return None
    return trials(fabrication, Case(n=side, D=side))["x @ W"], f"n = D = {side}", side * side


def _large_expanded(expansion):
    m = most_columns(expansion, 1 << 16)
    D = expansion.num_features(m)
    if expansion.outer_features(m) is None or 16 * m > D:
        return None
    role = Reconciliation(expansion=expansion, fabrication=DualLPHM(r=1), n=_ROWS // 4, m=m)
    return trials(role, Case(rows=_ROWS))["y"], f"b = {_ROWS}, D = {D}", _ROWS * D


_ROWS = 64


def _run(trial, arrays):
    y, pull = trial.vjp(*arrays)
    pull(y)
