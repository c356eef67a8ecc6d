"""Laws of what a call gives."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab.expansions import Expansion
from arrayfab.fabrications import Fabrication
from arrayfab.structures import Dense, Structure
from arrayfab.testing import layers
from arrayfab.testing.cases import Case
from arrayfab.testing.laws.registry import law
from arrayfab.testing.setting import LawBroken, Setting
from arrayfab.testing.trials import structure_of, trials


@law("fabrication", "expansion", "role")
def shape_and_length(subject: Any, case: Case) -> None:
    """``num_parameters`` numbers are consumed: the result has its shape, and other lengths are refused."""
    for name, trial in trials(subject, case).items():
        arrays = trial.arrays(case)
        received = tuple(trial.call(*arrays).shape)
        expected = _shape(subject, name, case, trial)
        if expected not in (None, received):
            raise LawBroken(f"shape of {name}: expected {expected}, received {received}")
        if "w" not in trial.shapes:
            continue
        length = trial.shapes["w"][-1]
        for wrong in (length + 1, length - 1):
            if wrong >= 0:
                w = case.asarray(np.zeros((*case.batch, wrong)))
                _refuses(name, trial.call, [*arrays[:-1], w], length)


def _shape(subject, name, case, trial):
    if isinstance(subject, Expansion) and name == "κ(x)":
        return (*case.lead, case.rows, subject.num_features(case.m))
    if not isinstance(subject, Fabrication):
        return None if trial.reference is None else trial.reference(*trial.numbers(case)).shape
    n, D = case.n, case.D
    if name == "W":
        return (*case.batch, n, D)
    lead = np.broadcast_shapes(case.lead, case.batch)
    return (*lead, case.rows, D if name == "x @ W" else n)


def _refuses(name, call, arrays, length):
    try:
        call(*arrays)
    except ValueError:
        return
    raise LawBroken(f"{name}: expected a ValueError for {arrays[-1].shape[-1]} numbers in place of {length}")


@law()
def dense_equals_matrix_free(subject: Any, case: Case) -> None:
    """A product without the matrix is the product with the matrix, from either side."""
    setting = Setting(subject, case)
    for name, trial, on_host in setting.pairs():
        if trial.reference is not None:
            numbers = trial.numbers(case)
            received = trial.call(*map(setting.case.asarray, numbers))
            setting.same(name, name, on_host.reference(*numbers), received)


@law()
def linear_in_x(subject: Any, case: Case) -> None:
    """A product is linear in the data: ``f(2 x + x') = 2 f(x) + f(x')``."""
    setting = Setting(subject, case, data=3)
    case = setting.case
    for name, trial in setting.trials().items():
        if not trial.linear:
            continue
        one, two = trial.numbers(case), trial.numbers(case, "other ")
        for i, array in enumerate(trial.shapes):
            two[i] = two[i] if array in trial.linear else one[i]
        mixed = [
            2 * a + b if array in trial.linear else a
            for array, a, b in zip(trial.shapes, one, two, strict=True)
        ]
        y, z, received = (trial.call(*map(case.asarray, numbers)) for numbers in (one, two, mixed))
        zero = trial.call(
            *(
                case.asarray(0 * a if array in trial.linear else a)
                for array, a in zip(trial.shapes, one, strict=True)
            )
        )
        y, z, zero = (_arrays.to_host(a).astype(np.float64) for a in (y, z, zero))
        # What does not depend on the data, a bias, is left out on both sides.
        setting.same(name, name, 2 * (y - zero) + (z - zero) + zero, received, 1e-12)


@law("fabrication")
def linear_in_each_block(subject: Any, case: Case) -> None:
    """A block that enters the formula once enters it linearly, whatever the other blocks are."""
    setting = Setting(subject, case, learned=3)
    case = setting.case
    structure, trial = structure_of(subject, case), setting.trials()["W"]
    (start,), (other,) = trial.numbers(case), trial.numbers(case, "other ")

    def matrix(run, part):
        w = start.copy()
        w[..., run] = part
        return _arrays.to_host(trial.call(case.asarray(w))).astype(np.float64)

    for block, run in trial.blocks.items():
        if structure is None or _alone(structure, block).degree != 1:
            continue
        a, b = start[..., run], other[..., run]
        zero = matrix(run, 0 * a)  # what does not depend on the block is left out on both sides
        expected = 2 * (matrix(run, a) - zero) + (matrix(run, b) - zero) + zero
        setting.same(f"W, block {block}", "W", expected, matrix(run, 2 * a + b), 1e-12)


def _alone(part, block):
    """A formula in which only one block is learned."""
    if isinstance(part, tuple):
        return tuple(_alone(each, block) for each in part)
    if isinstance(part, Dense):
        return replace(part, is_learned=part.is_learned and part.name == block)
    if not isinstance(part, Structure):
        return part
    return replace(part, **{f.name: _alone(getattr(part, f.name), block) for f in fields(part) if f.init})


@law()
def batch_equals_loop(subject: Any, case: Case) -> None:
    """Leading axes of the learned numbers give what a loop over them gives, gradients included."""
    if not layers.takes_batch(subject):
        return
    case = replace(case, batch=case.batch or (2,), lead=())
    setting = Setting(subject, case)
    case = setting.case
    ones = replace(case, batch=())
    singles = setting.trials(ones)
    for name, trial in setting.trials().items():
        batched = [len(trial.shapes[a]) > len(singles[name].shapes[a]) for a in trial.shapes]
        if not any(batched):
            continue
        numbers = trial.numbers(case)
        y, u, gradients = trial.pulled(case, list(map(case.asarray, numbers)))
        values, totals = [], [np.zeros(shape) for shape in trial.shapes.values()]
        for index in np.ndindex(case.batch):
            one = [case.asarray(a[index] if b else a) for a, b in zip(numbers, batched, strict=True)]
            z, pull_one = singles[name].vjp(*one)
            values.append(_arrays.to_host(z))
            for total, g, b in zip(totals, pull_one(case.asarray(u[index])), batched, strict=True):
                total[index if b else ...] += _arrays.to_host(g)
        stacked = np.reshape(np.stack(values), (*case.batch, *values[0].shape)).astype(np.float64)
        setting.same(name, name, stacked, y)
        for array, expected, gradient in zip(trial.shapes, totals, gradients, strict=True):
            setting.same_gradient(name, trial, array, expected, gradient, 1e-12)
