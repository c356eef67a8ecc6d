"""The laws. Each is a function of a subject and a ``Case``, raises ``LawBroken``, and can be called alone.

A subject is a fabrication, a role (or any ``Layer``), or a structured matrix with holes. Where it is a
polynomial in its numbers, the data are whole numbers so small that float arithmetic is exact, and laws are
checked with ``==``; elsewhere with a tolerance that grows with the dtype's resolution and the largest number
that occurs.
"""

from __future__ import annotations

import functools
import importlib.util
import math
import pickle
import tempfile
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab.fabrications import Fabrication, Seeded
from arrayfab.fabrications.blueprint import blueprint
from arrayfab.frozen import cache
from arrayfab.io import load, save
from arrayfab.layer import Layer
from arrayfab.roles import formula_of
from arrayfab.ruled import programs_of
from arrayfab.structures import Chain, Dense, Structure
from arrayfab.testing.cases import Case, fits, structure_of, trials
from arrayfab.testing.setting import LawBroken, Setting, short


@dataclass(frozen=True)
class Law:
    """A named law, the kinds of subject that it is for, and the namespaces on which it can be tried."""

    name: str
    check: Callable[[Any, Case], None]
    kinds: tuple[str, ...]
    namespaces: tuple[str, ...] | None
    is_core: bool
    needs: str | None = None

    def suits(self, subject: Any, namespace: str) -> bool:
        """Whether the law is for such a subject, and can be tried on that namespace."""
        return kind_of(subject) in self.kinds and (self.namespaces is None or namespace in self.namespaces)

    def why_not(self) -> str | None:
        """Why the law cannot be tried here, None where it can."""
        if self.needs is None or importlib.util.find_spec(self.needs):
            return None
        return f"{self.needs} is not installed"


#: Every law by name, in the order in which they are tried.
LAWS: dict[str, Law] = {}

KINDS = ("fabrication", "role", "matrix")


def kind_of(subject: Any) -> str:
    """One of ``KINDS``; TypeError for what is none of them."""
    if isinstance(subject, type) or not isinstance(subject, Fabrication | Structure | Layer):
        raise TypeError(f"a fabrication, a layer or a structure has laws, got {subject!r}")
    if isinstance(subject, Fabrication):
        return "fabrication"
    return "matrix" if isinstance(subject, Structure) else "role"


def _law(
    *kinds: str, namespaces: tuple[str, ...] | None = None, is_core: bool = True, needs: str | None = None
):
    def register(check):
        @functools.wraps(check)
        def law(subject: Any, case: Case) -> None:
            try:
                check(subject, case)
            except LawBroken as broken:
                raise LawBroken(_report(check.__name__, subject, case, str(broken))) from None
            except Exception as error:
                reason = f"it raised {type(error).__name__}: {error}"
                raise LawBroken(_report(check.__name__, subject, case, reason)) from error

        LAWS[check.__name__] = Law(check.__name__, law, kinds or KINDS, namespaces, is_core, needs)
        return law

    return register


def _report(law, subject, case, what):
    indented = "".join(f"  {line}\n" for line in what.splitlines())
    return f"{law} is broken by {subject}\n{indented}  again: laws.{law}({subject!r}, {case!r})"


@_law("fabrication", "role")
def shape_and_length(subject: Any, case: Case) -> None:
    """``num_parameters`` numbers are consumed: the result has its shape, and other lengths are refused."""
    for name, trial in trials(subject, case).items():
        arrays = trial.arrays(case)
        received = tuple(trial.call(*arrays).shape)
        expected = _shape(subject, name, case, trial)
        if expected not in (None, received):
            raise LawBroken(f"shape of {name}: expected {expected}, received {received}")
        length = trial.shapes["w"][-1]
        for wrong in (length + 1, length - 1):
            if wrong >= 0:
                _refuses(
                    name, trial.call, [*arrays[:-1], case.asarray(np.zeros((*case.batch, wrong)))], length
                )


def _shape(subject, name, case, trial):
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


@_law()
def dense_equals_matrix_free(subject: Any, case: Case) -> None:
    """A product without the matrix is the product with the matrix, from either side."""
    setting = Setting(subject, case)
    for name, trial, on_host in setting.pairs():
        if trial.reference is not None:
            numbers = trial.numbers(case)
            received = trial.call(*map(case.asarray, numbers))
            setting.same(name, name, on_host.reference(*numbers), received)


@_law()
def linear_in_x(subject: Any, case: Case) -> None:
    """A product is linear in the data: ``f(2 x + x') = 2 f(x) + f(x')``."""
    setting = Setting(subject, replace(case, spread=1))
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


@_law("fabrication")
def linear_in_each_block(subject: Any, case: Case) -> None:
    """A block that enters the formula once enters it linearly, whatever the other blocks are."""
    setting = Setting(subject, replace(case, spread=1))
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


@_law("fabrication", "matrix")
def polynomial_of_its_degree(subject: Any, case: Case) -> None:
    """A polynomial of degree ``d`` in the learned numbers has no difference of order ``d + 1``."""
    case = replace(case, spread=1, dtype="float64") if "float64" in case.home.dtypes else case
    setting = Setting(subject, case)
    structure = structure_of(subject, case)
    if structure is None or structure.degree is None or not setting.is_exact:
        return
    for name, trial in setting.trials().items():
        if name not in ("W", "M"):
            continue
        order = structure.degree + 1
        start, step = trial.numbers(case), trial.numbers(case, "step ")
        total = np.zeros(())
        for k in range(order + 1):
            value = trial.call(*(case.asarray(a + k * d) for a, d in zip(start, step, strict=True)))
            total = total + (-1) ** k * math.comb(order, k) * _arrays.to_host(value)
        setting.same(f"difference of order {order} of {name}", name, np.zeros(total.shape), total)


@_law()
def associativity(subject: Any, case: Case) -> None:
    """Every product of several factors in the formula is the same however it is bracketed."""
    structure = structure_of(subject, case)
    for chain in _chains(structure) if structure is not None else ():
        setting = Setting(chain, case)
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


@_law()
def vjp_matches_differences(subject: Any, case: Case) -> None:
    """The pullback gives the gradients that differences of the function's values give."""
    setting = Setting(subject, case)
    for name, trial, on_host in setting.pairs():
        numbers = trial.numbers(case)
        _, u, gradients = trial.pulled(case, list(map(case.asarray, numbers)))
        for i, (array, gradient) in enumerate(zip(trial.shapes, gradients, strict=True)):
            expected = np.zeros(trial.shapes[array])
            for index in np.ndindex(expected.shape):
                steps = [np.zeros(a.shape) for a in numbers]
                steps[i][index] = 1.0
                expected[index] = np.sum(u * _difference(on_host, numbers, steps, setting))
            setting.same_gradient(name, trial, array, expected, gradient, 1e-7)


@_law()
def jvp_matches_differences(subject: Any, case: Case) -> None:
    """The directional derivative is the one that differences of the function's values give."""
    setting = Setting(subject, case)
    for name, trial, on_host in setting.pairs():
        numbers, steps = trial.numbers(case), trial.numbers(case, "direction ")
        y, dy = trial.jvp(list(map(case.asarray, numbers)), list(map(case.asarray, steps)))
        setting.same(f"value of {name}", name, on_host.call(*numbers), y)
        setting.same(f"derivative of {name}", name, _difference(on_host, numbers, steps, setting), dy, 1e-7)


def _difference(trial, numbers, steps, setting):
    """The derivative along ``steps`` from values of the function, without rounding where it is exact."""
    if setting.is_exact:
        weights, step = _stencil(trial.degree), 1.0
    else:
        weights, step = {1: Fraction(1, 2), -1: Fraction(-1, 2)}, 2.0**-17
    # With whole weights nothing is rounded before the one division at the end.
    common = math.lcm(*(weight.denominator for weight in weights.values()))
    total = np.zeros(())
    for k, weight in weights.items():
        moved = [a + k * step * d for a, d in zip(numbers, steps, strict=True)]
        total = total + int(weight * common) * trial.call(*moved)
    return total / (common * step)


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


@_law()
def pairing(subject: Any, case: Case) -> None:
    """``⟨u, J v⟩ = ⟨Jᵀ u, v⟩``: the two derivatives are each other's transpose."""
    setting = Setting(subject, case)
    for name, trial in setting.trials().items():
        arrays, steps = trial.arrays(case), trial.numbers(case, "direction ")
        _, u, gradients = trial.pulled(case, arrays)
        _, dy = trial.jvp(arrays, list(map(case.asarray, steps)))
        on_host = [_arrays.to_host(g).astype(np.float64) for g in gradients]
        backward = sum(np.sum(g * d) for g, d in zip(on_host, steps, strict=True))
        forward = np.sum(u * _arrays.to_host(dy))
        setting.same(f"pairing of {name}", name, np.asarray(forward), np.asarray(backward), 1e-12)


@_law()
def pullback_is_linear_and_repeatable(subject: Any, case: Case) -> None:
    """A pullback may be called again, and is linear in its cotangent."""
    setting = Setting(subject, replace(case, spread=1))
    for name, trial in setting.trials().items():
        y, pull = trial.vjp(*trial.arrays(case))
        u, v = (case.integers(salt, tuple(y.shape)) for salt in ("u", "v"))
        first, other, both, again = (
            [_arrays.to_host(g).astype(np.float64) for g in pull(case.asarray(c))]
            for c in (u, v, 2 * u + v, u)
        )
        for array, a, b, c, d in zip(trial.shapes, first, other, both, again, strict=True):
            setting.same(f"gradient of {name} in {array}, linear", name, 2 * a + b, c, 1e-12)
            setting.same(f"gradient of {name} in {array}, second call", name, a, d)


@_law()
def batch_equals_loop(subject: Any, case: Case) -> None:
    """Leading axes of the learned numbers give what a loop over them gives, gradients included."""
    case = replace(case, batch=case.batch or (2,), lead=())
    setting = Setting(subject, case)
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


@_law()
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


@_law()
def inputs_unchanged(subject: Any, case: Case) -> None:
    """Neither a call nor a pullback writes into what it is given."""
    for name, trial in trials(subject, case).items():
        numbers = trial.numbers(case)
        arrays = list(map(case.asarray, numbers))
        y, pull = trial.vjp(*arrays)
        u = case.integers("u", tuple(y.shape))
        given = case.asarray(u)
        pull(given)
        for array, before, after in zip((*trial.shapes, "u"), (*numbers, u), (*arrays, given), strict=True):
            if not np.array_equal(before, _arrays.to_host(after)):
                raise LawBroken(f"{name} changed {array}: expected {short(before)}, received {short(after)}")


@_law("fabrication", "role")
def equal_configurations_agree(subject: Any, case: Case) -> None:
    """Configurations made alike are equal, hash alike, and give the same numbers every time."""
    made = {field.name: getattr(subject, field.name) for field in fields(subject) if field.init}
    _agree(subject, type(subject)(**made), case)


@_law("fabrication", "role", is_core=False)
def survives_pickling(subject: Any, case: Case) -> None:
    """A pickled copy is equal to its original and gives the same numbers."""
    _agree(subject, pickle.loads(pickle.dumps(subject)), case)


@_law("fabrication", "role", is_core=False, needs="safetensors")
def survives_saving(subject: Any, case: Case) -> None:
    """What is saved and loaded again is equal to its original, bit by bit, and gives the same numbers."""
    shape = (case.n, case.D) if isinstance(subject, Fabrication) else ()
    w = np.random.default_rng(case.seed).standard_normal((*case.batch, subject.num_parameters(*shape)))
    w, known = case.asarray(w), set(_classes(subject))
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "saved"
        save(path, {"subject": (subject, w, *shape)}, known=known)
        twin, again, *_ = load(path, xp=case.home.xp, device=case.home.device, known=known)["subject"]
    before, after = _arrays.to_host(w), _arrays.to_host(again)
    if (before.dtype, before.shape, before.tobytes()) != (after.dtype, after.shape, after.tobytes()):
        raise LawBroken(f"w: expected {short(before)} again\nreceived {short(after)}")
    _agree(subject, twin, case)


def _classes(value):
    """The classes of all dataclasses in a configuration."""
    if is_dataclass(value):
        yield type(value)
        value = tuple(getattr(value, field.name) for field in fields(value))
    for item in value if isinstance(value, tuple) else ():
        yield from _classes(item)


def _agree(subject, twin, case):
    if twin != subject or hash(twin) != hash(subject):
        raise LawBroken(f"expected an equal configuration with an equal hash, received {twin}")
    first, second = (_values_read_anew(each, case) for each in (subject, twin))
    for name in first:
        if not np.array_equal(first[name], second[name]):
            raise LawBroken(f"{name}\nexpected {short(first[name])} again\nreceived {short(second[name])}")


def _values_read_anew(subject, case):
    """What the calls give, by nothing that an equal subject left behind."""
    for forget in (cache.clear, blueprint.forget, formula_of.forget, programs_of.forget):
        forget()
    tried = trials(subject, case).items()
    return {name: _arrays.to_host(trial.call(*trial.arrays(case))) for name, trial in tried}


@_law("fabrication")
def another_seed_gives_other_numbers(subject: Any, case: Case) -> None:
    """The seed matters: frozen blocks differ between two seeds, and so does the matrix."""
    if not isinstance(subject, Seeded):
        return
    case = replace(case, n=max(case.n, 4) * 8, D=max(case.D, 4) * 8, batch=())
    try:
        other = replace(subject, seed=subject.seed + 1)
        one, two = (trials(s, case)["W"] for s in (subject, other))
    except ValueError:  # the sizes do not fit
        return
    w = [case.asarray(np.ones(one.shapes["w"]))]
    if np.array_equal(_arrays.to_host(one.call(*w)), _arrays.to_host(two.call(*w))):
        raise LawBroken(f"seeds {subject.seed} and {other.seed}: expected different matrices, received one")


@_law("fabrication", namespaces=("numpy",), is_core=False)
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


@_law(namespaces=("jax",), is_core=False)
def works_under_jax_jit(subject: Any, case: Case) -> None:
    """A compiled call and a compiled pullback give what the plain ones give."""
    import jax

    cache.clear()  # what is drawn while JAX traces must serve outside as well
    setting = Setting(subject, case)
    for name, trial in setting.trials().items():
        arrays = trial.arrays(case)
        compiled = jax.jit(trial.call)(*arrays)
        y, u, plain = trial.pulled(case, arrays)
        setting.same(f"compiled {name}", name, np.asarray(y, np.float64), compiled)
        gradients = jax.jit(lambda u, *a, vjp=trial.vjp: vjp(*a)[1](u))(case.asarray(u), *arrays)
        for array, expected, gradient in zip(trial.shapes, plain, gradients, strict=True):
            what = f"compiled gradient of {name} in {array}"
            setting.same(what, name, np.asarray(expected, np.float64), gradient)


@_law(namespaces=("jax",), is_core=False)
def jax_differentiates_it_alike(subject: Any, case: Case) -> None:
    """JAX, differentiating the plain call, finds the gradients of the hand-written rules."""
    import jax

    setting = Setting(subject, case)
    for name, trial in setting.trials().items():
        arrays = trial.arrays(case)
        _, u, gradients = trial.pulled(case, arrays)
        expected = jax.vjp(trial.call, *arrays)[1](case.asarray(u))
        for array, wanted, gradient in zip(trial.shapes, expected, gradients, strict=True):
            setting.same_gradient(name, trial, array, np.asarray(wanted, np.float64), gradient, 0.0)


@_law(namespaces=("torch",), is_core=False)
def torch_differentiates_it_alike(subject: Any, case: Case) -> None:
    """PyTorch, differentiating the plain call, finds the gradients of the hand-written rules."""
    import torch

    setting = Setting(subject, case)
    for name, trial in setting.trials().items():
        arrays = trial.arrays(case)
        _, u, gradients = trial.pulled(case, arrays)
        leaves = [array.clone().requires_grad_() for array in arrays]
        result = trial.call(*leaves)
        expected: Sequence[Any] = [None] * len(leaves)
        if result.requires_grad:
            expected = torch.autograd.grad(result, leaves, case.asarray(u), allow_unused=True)
        for array, wanted, gradient in zip(trial.shapes, expected, gradients, strict=True):
            zero = np.zeros(trial.shapes[array])
            host = zero if wanted is None else _arrays.to_host(wanted).astype(np.float64)
            setting.same_gradient(name, trial, array, host, gradient, 0.0)


@_law(namespaces=("dask",), is_core=False)
def lazy_on_dask(subject: Any, case: Case) -> None:
    """On Dask nothing is computed before it is asked for."""
    import dask

    def refuse(*args, **kwargs):
        raise LawBroken("expected a lazy result, but something was computed")

    for trial in trials(subject, case).values():
        arrays = trial.arrays(case)
        with dask.config.set(scheduler=refuse):
            y, pull = trial.vjp(*arrays)
            pull(y)
