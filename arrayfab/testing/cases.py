"""A case: all that a law is tried on, in one line that can be pasted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab._cached import cached_property
from arrayfab.composition import Sequential
from arrayfab.fabrications import Fabrication
from arrayfab.fabrications.blueprint import blueprint
from arrayfab.frozen import Frozen
from arrayfab.layer import Layer
from arrayfab.roles import ParameterizedInterdependence, Reconciliation, Role, formula_of
from arrayfab.structures import Constant, Cotangents, Identity, Numbers, Structure
from arrayfab.structures.numbers import prime
from arrayfab.testing import namespaces


@dataclass(frozen=True, kw_only=True)
class Case:
    """Sizes, data and namespace of one trial.

    Parameters
    ----------
    n, D : int
        Shape of the matrix; a role or a structure brings its own.
    rows : int
        Rows, or columns, of the data, where the subject leaves them open.
    lead, batch : tuple of int
        Leading axes of the data, and of the learned numbers.
    seed, spread : int
        The data are whole numbers from ``-spread`` to ``spread`` that follow from the seed.
    namespace, dtype : str
        One of ``arrayfab.testing.namespaces.NAMES``, and the name of a dtype.
    """

    n: int = 1
    D: int = 1
    rows: int = 1
    lead: tuple[int, ...] = ()
    batch: tuple[int, ...] = ()
    seed: int = 0
    spread: int = 1
    namespace: str = "numpy"
    dtype: str = "float64"

    def __repr__(self) -> str:
        given = [field for field in fields(self) if getattr(self, field.name) != field.default]
        return f"Case({', '.join(f'{field.name}={getattr(self, field.name)!r}' for field in given)})"

    @cached_property
    def home(self) -> namespaces.Namespace:
        """The namespace itself."""
        return namespaces.get(self.namespace)

    def integers(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Whole numbers in float64 for what is called ``name``."""
        rng = np.random.default_rng([self.seed, *name.encode()])
        return rng.integers(-self.spread, self.spread + 1, size=shape).astype(np.float64)

    def asarray(self, numbers: np.ndarray) -> Array:
        """Host numbers as an array of the case's namespace and dtype."""
        return self.home.asarray(numbers, self.dtype)


class Trial:
    """A function of named arrays under test: its call, its two derivatives, and its dense reference.

    ``call(*arrays) → y``, ``vjp(*arrays) → (y, pullback)`` with ``pullback(u) →`` a tuple of gradients, and
    ``jvp(arrays, directions) → (y, dy)`` take arrays in the order of ``shapes``.
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
    ):
        self.shapes, self.call, self.vjp, self.jvp = dict(shapes), call, vjp, jvp
        self.reference, self.degree, self.blocks, self.linear = reference, degree, blocks or {}, linear

    def numbers(self, case: Case, salt: str = "") -> list[np.ndarray]:
        """Whole numbers for every array."""
        return [case.integers(salt + name, shape) for name, shape in self.shapes.items()]

    def arrays(self, case: Case, salt: str = "") -> list[Array]:
        """The same as arrays of the case's namespace."""
        return [case.asarray(numbers) for numbers in self.numbers(case, salt)]

    def pulled(self, case: Case, arrays: list[Array]) -> tuple[Array, np.ndarray, tuple[Array, ...]]:
        """The result, a cotangent for it on the host, and the gradients that the pullback makes of it."""
        y, pull = self.vjp(*arrays)
        u = case.integers("u", tuple(y.shape))
        return y, u, pull(case.asarray(u))


def trials(subject: Any, case: Case) -> dict[str, Trial]:
    """What is under test for a subject, by name."""
    if isinstance(subject, Fabrication):
        roles = {
            "x @ W": ParameterizedInterdependence(fabrication=subject, m=case.n, m_prime=case.D),
            "x @ W.T": Reconciliation(fabrication=subject, n=case.n, D=case.D),
        }
        made = {name: _of_role(role, case) for name, role in roles.items()}
        return {"W": _of_fabrication(subject, case), **made}
    if isinstance(subject, Structure):
        return _of_structure(subject, case)
    return {"y": _of_role(subject, case)}


def fits(fabrication: Fabrication, n: int, D: int) -> bool:
    """Whether a fabrication's hyper-parameters allow an ``n × D`` matrix."""
    try:
        fabrication.num_parameters(n, D)
    except ValueError:
        return False
    return True


def whole(subject: Any, case: Case) -> Any:
    """The subject with whole numbers in place of its frozen Gaussian ones, so that arithmetic is exact."""
    if isinstance(subject, Fabrication):
        frozen = blueprint(subject, case.n, case.D).frozen
        arrays = {
            name: case.asarray(case.integers(name, matrix.shape))
            for name, matrix in frozen.items()
            if isinstance(matrix, Frozen)
        }
        return subject.with_frozen(**arrays) if arrays else subject
    if isinstance(subject, Role):
        n, D = subject.matrix_shape
        return replace(subject, fabrication=whole(subject.fabrication, replace(case, n=n, D=D)))  # type: ignore[type-var]
    return subject


def structure_of(subject: Any, case: Case) -> Structure | None:
    """The formula of a subject, None where it has none of its own."""
    if isinstance(subject, Structure):
        return subject
    if isinstance(subject, Fabrication):
        return blueprint(subject, case.n, case.D).structure
    if isinstance(subject, Role):
        return _formula_of(subject, case).structure
    return None


def is_exact(subject: Any, case: Case) -> bool:
    """Whether whole numbers in give exact results: a polynomial with short binary coefficients."""
    structure = structure_of(subject, case)
    return structure is not None and structure.degree is not None and _is_short(structure)


def _is_short(structure):
    values = [getattr(structure, name) for name in ("scale", "value") if hasattr(structure, name)]
    if isinstance(structure, Identity | Constant) and not all(float(v * 16).is_integer() for v in values):
        return False
    return all(_is_short(child) for child in structure.children)


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


def _data_shapes(role, case):
    if isinstance(role, Sequential):
        return _data_shapes(role.layers[0], case)
    rows = (*case.lead, case.rows)
    if hasattr(role, "dims"):
        return tuple((*rows, columns) for columns in role.dims)
    if isinstance(role, Reconciliation):
        return ((*rows, role.D),)
    b, m = (getattr(role, name, None) or case.rows for name in ("b", "m"))
    return ((*case.lead, b, m),)


def _formula_of(role, case):
    return formula_of(role, tuple(shape[-2:] for shape in _data_shapes(role, case)))


def _of_role(role: Layer, case: Case) -> Trial:
    shapes = _data_shapes(role, case)
    is_list = len(shapes) > 1
    names = [f"x{i}" for i in range(len(shapes))] if is_list else ["x"]

    def packed(arrays):
        return (list(arrays[:-1]) if is_list else arrays[0]), arrays[-1]

    def vjp(*arrays):
        y, pull = role.vjp(*packed(arrays))

        def unpacked_pullback(u):
            grad_x, grad_w = pull(u)
            return (*(grad_x if is_list else (grad_x,)), grad_w)

        return y, unpacked_pullback

    def jvp(arrays, directions):
        return role.jvp(*packed(arrays), *packed(directions))

    def reference(*arrays):
        return _dense_result(role, *packed(arrays))

    structure = structure_of(role, case)
    return Trial(
        {**dict(zip(names, shapes, strict=True)), "w": (*case.batch, role.num_parameters())},
        lambda *arrays: role(*packed(arrays)),
        vjp,
        jvp,
        reference if isinstance(role, Role) else None,
        structure.degree if structure else None,
        _blocks(role, case),
        tuple(names) if isinstance(role, Role) and not hasattr(role, "_coupling") else (),
    )


def _blocks(role, case):
    if not isinstance(role, Role):
        return {}
    made = _formula_of(role, case).blocks
    return {name.removeprefix("w."): run for name, run, _ in made}


def _dense_result(role, x, w):
    """The result by plain products with the role's own dense matrix, in NumPy."""
    data = isinstance(x, list)
    w = np.asarray(w)
    host = [np.asarray(part) for part in x] if data else np.asarray(x)
    matrix = role.matrix(host, w) if hasattr(role, "_coupling") else role.matrix(w)
    joined = np.concatenate(host, axis=-1) if data else host
    if getattr(role, "is_instance", False):
        return np.swapaxes(matrix, -1, -2) @ joined
    if data or isinstance(role, Reconciliation):
        matrix = np.swapaxes(matrix, -1, -2)
    y = joined @ matrix
    if getattr(role, "bias", False):
        y = y + w[..., None, -role.n :]
    return y


def _of_structure(structure, case):
    n, D = structure.shape
    holes = _holes(structure)
    learned = {hole.name: _held(hole, case.batch) for hole in holes if hole.learned}
    frozen = {hole.name: _held(hole, ()) for hole in holes if not hole.learned}
    names = list(learned)

    def filled(arrays, directions=()):
        backend = _arrays.backend_of("check_matrix", "x", arrays[-1])
        moving = {prime(name): d for name, d in zip(names, directions, strict=False)}
        constants = {name: case.asarray(case.integers(name, shape)) for name, shape in frozen.items()}
        return Numbers(backend, dict(zip(names, arrays, strict=False)) | moving | constants, arrays[-1])

    def trial(shapes, product):
        def vjp(*arrays):
            numbers = filled(arrays)
            y, pull = product(structure, arrays[-1])(numbers)

            def pullback(u):
                cotangents = Cotangents(numbers)
                gx = pull(u, cotangents)
                grads = tuple(cotangents.take(name, tuple(learned[name])) for name in names)
                if "x" not in shapes:
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
        return Trial(shapes, lambda *a: vjp(*a)[0], vjp, jvp, reference, degree, linear=linear)

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


def _holes(structure):
    """The holes of a formula, each once."""
    return list({leaf.name: leaf for leaf in structure.leaves if hasattr(leaf, "name")}.values())


def _held(hole, batch):
    shape = hole.shape[::-1] if getattr(hole, "is_transposed", False) else hole.shape
    return (*batch, *shape)
