"""What is under test for a subject: functions of named arrays, their derivatives and dense references."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab.expansions import Expansion
from arrayfab.fabrications import Fabrication, Hypercomplex, LowRank
from arrayfab.fabrications.blueprint import blueprint
from arrayfab.frozen import Frozen
from arrayfab.roles import ParameterizedInterdependence, Reconciliation, Role, formula_of
from arrayfab.structures import Constant, Cotangents, Dense, Identity, Map, Numbers, Operator, Structure
from arrayfab.structures.numbers import prime
from arrayfab.testing import layers
from arrayfab.testing.cases import Case


class Trial:
    """A function of named arrays under test: its call, its two derivatives, and its dense reference.

    ``call(*arrays) → y``, ``vjp(*arrays) → (y, pullback)`` with ``pullback(u) →`` a tuple of gradients, and
    ``jvp(arrays, directions) → (y, dy)`` take arrays in the order of ``shapes``. ``vjp_in_holes`` is the vjp
    that leaves out the gradient of the last array, ``x``. The arrays of ``data`` lie in ``domain``.
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, ...]],
        call: Callable,
        vjp: Callable,
        jvp: Callable,
        reference: Callable | None = None,
        degree: int | None = None,
        blocks: Mapping[str, slice] | None = None,
        linear: tuple[str, ...] = (),
        vjp_in_holes: Callable | None = None,
        data: tuple[str, ...] = (),
        domain: tuple[float, float] = Expansion.domain,
    ):
        self.shapes, self.call, self.vjp, self.jvp = dict(shapes), call, vjp, jvp
        self.reference, self.degree, self.blocks, self.linear = reference, degree, blocks or {}, linear
        self.vjp_in_holes, self._data, self._domain = vjp_in_holes, data, domain

    def numbers(self, case: Case, salt: str = "") -> list[np.ndarray]:
        """Numbers for every array; those with a salt are no data of their own, but what data differ by."""
        every = {name: case.numbers(salt + name, shape) for name, shape in self.shapes.items()}
        return [
            within(self._domain, numbers, case) if name in self._data and not salt else numbers
            for name, numbers in every.items()
        ]

    def largest(self, name: str, case: Case, times: float) -> float:
        """The largest absolute value of an array in which numbers are so many times those of the case."""
        size = times * float(case.largest)
        ends = within(self._domain, np.asarray([size, -size]), case) if name in self._data else size
        return float(np.max(np.abs(ends)))

    def arrays(self, case: Case, salt: str = "") -> list[Array]:
        """The same as arrays of the case's namespace."""
        return [case.asarray(numbers) for numbers in self.numbers(case, salt)]

    def pulled(self, case: Case, arrays: list[Array]) -> tuple[Array, np.ndarray, tuple[Array, ...]]:
        """The result, a cotangent for it on the host, and the gradients that the pullback makes of it."""
        y, pull = self.vjp(*arrays)
        u = case.numbers("u", tuple(y.shape))
        return y, u, pull(case.asarray(u))


def within(domain: tuple[float, float], numbers: np.ndarray, case: Case) -> np.ndarray:
    """A case's numbers, moved to where they lie well inside a domain."""
    (low, high), size = domain, case.largest + 1.0
    if math.isinf(low) and math.isinf(high):
        return numbers
    if math.isinf(high):
        return low + 0.25 + np.abs(numbers)
    if math.isinf(low):
        return high - 0.25 - np.abs(numbers)
    return (low + high) / 2 + (high - low) / 2 * numbers / size


def trials(subject: Any, case: Case) -> dict[str, Trial]:
    """What is under test for a subject, by name."""
    subject = at_home(subject, case)
    if isinstance(subject, Fabrication):
        roles = {
            "x @ W": ParameterizedInterdependence(fabrication=subject, m=case.n, m_prime=case.D),
            "x @ W.T": Reconciliation(fabrication=subject, n=case.n, D=case.D),
        }
        made = {name: _of_layer(role, case) for name, role in roles.items()}
        return {"W": _of_fabrication(subject, case), **made}
    if isinstance(subject, Structure):
        return _of_structure(subject, case)
    if isinstance(subject, Expansion):
        return _of_expansion(subject, case)
    return {"y": _of_layer(subject, case)}


def whole(subject: Any, case: Case) -> Any:
    """The subject with whole numbers in place of all that is frozen, so that arithmetic is exact."""
    return _refrozen(subject, case, lambda name, held: case.numbers(name, held.shape))


def at_home(subject: Any, case: Case) -> Any:
    """The subject with what was handed in to it as arrays of the case's namespace and dtype."""
    if not getattr(subject, "holds_arrays", False):
        return subject
    return _refrozen(
        subject, case, lambda _, held: None if isinstance(held, Frozen) else _arrays.to_host(held)
    )


def _refrozen(subject, case, numbers_of):
    """The subject with other numbers in frozen blocks, where there are some for them."""
    if isinstance(subject, Fabrication):
        frozen = blueprint(subject, case.n, case.D).frozen
        made = {name: numbers_of(name, held) for name, held in frozen.items()}
        arrays = {name: case.asarray(numbers) for name, numbers in made.items() if numbers is not None}
        return subject.with_frozen(**arrays) if arrays else subject
    if isinstance(subject, Role):
        n, D = subject.matrix_shape
        inner = _refrozen(subject.fabrication, replace(case, n=n, D=D), numbers_of)
        return replace(subject, fabrication=inner)  # type: ignore[type-var]
    return subject


def structure_of(subject: Any, case: Case) -> Structure | None:
    """The formula of a subject, None where it has none of its own."""
    if isinstance(subject, Structure):
        return subject
    if isinstance(subject, Fabrication):
        return blueprint(subject, case.n, case.D).structure
    if isinstance(subject, Role):
        return _formula_of(subject, case).structure
    if isinstance(subject, Expansion):
        return subject.formula(Dense("z", (case.rows, case.m)))
    return None


def is_polynomial(subject: Any, case: Case) -> bool:
    """Whether the subject has a formula, which is a polynomial in its learned numbers."""
    structure = structure_of(subject, case)
    return structure is not None and structure.degree is not None


def is_exact(subject: Any, case: Case) -> bool:
    """Whether whole numbers in give exact results: a polynomial with short binary coefficients."""
    structure = structure_of(subject, case)
    return case.is_whole and structure is not None and structure.degree is not None and _is_short(structure)


def _is_short(structure):
    values = [getattr(structure, name) for name in ("scale", "value") if hasattr(structure, name)]
    if isinstance(structure, Identity | Constant) and not all(float(v * 16).is_integer() for v in values):
        return False
    if isinstance(structure, Operator) and not getattr(structure.action, "has_short_coefficients", True):
        return False
    if isinstance(structure, Map) and not getattr(structure.basis, "has_short_coefficients", False):
        return False
    return all(_is_short(child) for child in structure.children)


def holes_of(structure: Structure) -> list[Any]:
    """The holes of a formula, each once."""
    return list({leaf.name: leaf for leaf in structure.leaves if hasattr(leaf, "name")}.values())


def held_shape(hole: Any, batch: tuple[int, ...] = ()) -> tuple[int, ...]:
    """The shape of the array that fills a hole."""
    shape = hole.shape[::-1] if getattr(hole, "is_transposed", False) else hole.shape
    return (*batch, *shape)


def _of_fabrication(fabrication, case):
    n, D, plan = case.n, case.D, blueprint(fabrication, case.n, case.D)

    def vjp(w):
        W, pull = fabrication.vjp(w, n, D)
        return W, lambda u: (pull(u),)

    return Trial(
        {"w": (*case.batch, fabrication.num_parameters(n, D))},
        lambda w: fabrication.fabricate(w, n, D).to_dense(),
        vjp,
        lambda arrays, directions: fabrication.jvp(arrays[0], n, D, directions[0]),
        degree=plan.structure.degree,
        blocks={name: run for name, run, _ in plan.blocks},
    )


def _formula_of(role, case):
    return formula_of(role, tuple(shape[-2:] for shape in layers.data_shapes(role, case)))


def _of_layer(layer, case):
    packed = layers.Packed(layer, case)
    structure = structure_of(layer, case)
    return Trial(
        packed.shapes,
        packed.call,
        packed.vjp,
        packed.jvp,
        packed.dense_result if isinstance(layer, Role) else None,
        structure.degree if structure else None,
        _blocks(layer, case),
        packed.names if isinstance(layer, Role) and layers.is_linear(layer) else (),
        data=packed.names,
        domain=layers.domain(layer),
    )


def _blocks(role, case):
    if not isinstance(role, Role):
        return {}
    made = _formula_of(role, case).blocks
    return {name.removeprefix("w."): run for name, run, _ in made}


#: Columns of what an expansion is multiplied with.
_COLUMNS = 4


def _of_expansion(expansion, case):
    # A product with κ(z) has z in a hole; in a role κ(x) is part of the formula.
    products = _of_structure(structure_of(expansion, case), replace(case, rows=_COLUMNS), expansion.domain)
    low_rank, kronecker = (
        Reconciliation(expansion=expansion, fabrication=fabrication, n=_COLUMNS, m=case.m)
        for fabrication in (LowRank(r=1), Hypercomplex())
    )
    itself = _of_layer(expansion, case)
    itself.reference = getattr(expansion, "reference", None)
    return {
        "κ(x)": itself,
        "κ(z) @ x": products["M @ x"],
        "x @ κ(z)": products["x @ M"],
        "κ(x) @ (A @ B).T": _of_layer(low_rank, case),
        "κ(x) @ kron(A, B).T": _of_layer(kronecker, case),
    }


def _of_structure(structure, case, domain=Expansion.domain):
    n, D = structure.shape
    holes = holes_of(structure)
    learned = {hole.name: held_shape(hole, case.batch) for hole in holes if hole.learned}
    frozen = {hole.name: held_shape(hole) for hole in holes if not hole.learned}
    names = list(learned)

    def filled(arrays, directions=()):
        backend = _arrays.backend_of("check_matrix", "x", arrays[-1])
        moving = {prime(name): d for name, d in zip(names, directions, strict=False)}
        constants = {name: case.asarray(case.numbers(name, shape)) for name, shape in frozen.items()}
        return Numbers(backend, dict(zip(names, arrays, strict=False)) | moving | constants, arrays[-1])

    def trial(shapes, product):
        def vjp(*arrays, need_x=True):
            numbers = filled(arrays)
            y, pull = product(structure, arrays[-1])(numbers)

            def pullback(u):
                cotangents = Cotangents(numbers)
                gx = pull(u, cotangents) if need_x else pull(u, cotangents, need_x=False)
                grads = tuple(cotangents.take(name, tuple(learned[name])) for name in names)
                if "x" not in shapes or not need_x:
                    return grads
                return (*grads, numbers.unbroadcast(gx, tuple(arrays[-1].shape)))

            return y, pullback

        def jvp(arrays, directions):
            # d (x M) = dx M + x dM
            numbers = filled(arrays, directions)
            y = product(structure, arrays[-1])(numbers)[0]
            dy = product(structure, directions[-1])(numbers)[0] if "x" in shapes else 0.0 * y
            tangent = structure.tangent
            return y, dy if tangent is None else dy + product(tangent, arrays[-1])(numbers)[0]

        def reference(*arrays):
            return _by_dense(product, structure, filled(arrays), arrays[-1])

        degree = None if structure.degree is None else structure.degree + ("x" in shapes)
        linear = ("x",) if "x" in shapes else ()
        in_holes = partial(vjp, need_x=False) if linear else None
        return Trial(
            shapes, lambda *a: vjp(*a)[0], vjp, jvp, reference, degree,
            linear=linear, vjp_in_holes=in_holes, data=("z",), domain=domain,
        )  # fmt: skip

    rows, cols = (*case.lead, case.rows, n), (*case.lead, D, case.rows)
    made = {
        "x @ M": trial({**learned, "x": rows}, _Product("rows")),
        "M @ x": trial({**learned, "x": cols}, _Product("cols")),
        "x @ M.T": trial({**learned, "x": (*case.lead, case.rows, D)}, _Product("rows", is_transposed=True)),
    }
    return made | ({"M": trial(learned, _Product("dense"))} if learned else {})


@dataclass(frozen=True)
class _Product:
    """One of a structure's three products, as a function of the numbers in its holes."""

    kind: str
    is_transposed: bool = False

    def __call__(self, structure, x):
        structure = structure.T if self.is_transposed else structure
        if self.kind == "dense":
            return structure.dense
        return lambda numbers: getattr(structure, self.kind)(x, numbers)


def _by_dense(product, structure, numbers, x):
    dense, x = _arrays.to_host(structure.dense(numbers)[0]), _arrays.to_host(x)
    if product.is_transposed:
        dense = np.swapaxes(dense, -1, -2)
    return {"dense": lambda: dense, "cols": lambda: dense @ x, "rows": lambda: x @ dense}[product.kind]()
