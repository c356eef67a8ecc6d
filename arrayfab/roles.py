"""The roles in which a fabricated matrix serves: reconciliation, interdependence and fusion.

A role is a formula too, over holes for the data and the fabricated matrix. Product, pullback and
directional derivative follow from the formula, as they do for a fabrication.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array, Backend
from arrayfab.fabrications.base import Fabrication
from arrayfab.fabrications.blueprint import Blueprint, Plans, as_size, blueprint, settle_sizes
from arrayfab.layer import Parameterless
from arrayfab.structures import Constant, Cost, Cotangents, Dense, Numbers, Structure, side_by_side
from arrayfab.structures.base import prime, remembered
from arrayfab.structures.tracing import Interpreted, Program, traced

INSTANCE = ("row", "left", "instance", "instance_interdependence")
ATTRIBUTE = ("column", "right", "attribute", "attribute_interdependence")


class Role:
    """What all roles share. A role is a frozen dataclass of a fabrication and sizes.

    Throughout, ``x`` has shape ``(..., rows, columns)`` and ``w`` shape ``(..., l)``; leading axes
    broadcast, so that a ``w`` of shape ``(k, l)`` applies ``k`` matrices at once.
    """

    fabrication: Fabrication

    #: Whether the role acts on every row of ``x`` alike, so that ``x`` may be a single row.
    _rowwise = True

    def __post_init__(self):
        if not isinstance(self.fabrication, Fabrication):
            raise TypeError(
                f"{type(self).__name__}: fabrication must be a Fabrication, such as LowRank(r=2), "
                f"got {self.fabrication!r}"
            )

    @property
    def holds_arrays(self) -> bool:
        """Whether arrays were handed in to the fabrication."""
        return self.fabrication.holds_arrays

    def _matrix_shape(self) -> tuple[int, int]:
        """The shape of the matrix to fabricate."""
        raise NotImplementedError

    def _check_inputs(self, shapes: tuple[tuple[int, ...], ...]) -> None:
        """ValueError unless the role takes arrays of these shapes."""
        raise NotImplementedError

    def _formula(self, xs: tuple[Dense, ...], W: Structure) -> Structure:
        """The result, given holes for the data and the fabricated matrix."""
        raise NotImplementedError

    def _parts(self) -> tuple[dict, dict, Structure]:
        return self.fabrication._parts(*self._matrix_shape(), "w.")

    def _arrays_of(self, x) -> tuple[Array, ...]:
        return (x,)

    def _like_input(self, arrays: list[Array]):
        return arrays[0]

    def num_parameters(self) -> int:
        """The length ``l`` of ``w``."""
        return blueprint(self.fabrication, *self._matrix_shape()).size

    def cost(self, *shapes: tuple[int, ...]) -> Cost:
        """What a call takes for data of these shapes, one shape for every input."""
        call = prepared(self, tuple(map(tuple, shapes)), False)
        one = call.blueprint.structure.dense_cost
        times = 1 if call.is_flat else math.prod(call.lead[:-1])
        return Cost(times * one.multiplies, times * one.moved)

    def init(self, **options) -> Array:
        """Random learned numbers to start from; the options are those of `Fabrication.init`.

        The variance left out is the one with which the product keeps the scale of ``x``.
        """
        shape, variance = self._matrix_shape(), self._variance()
        if options.get("variance") is None and blueprint(self.fabrication, *shape).reaches(variance):
            options["variance"] = variance
        return self.fabrication.init(*shape, **options)

    def _variance(self) -> float:
        return 1.0 / self._matrix_shape()[0]

    def __call__(self, x, w: Array) -> Array:
        """The result of the role for data ``x`` and learned numbers ``w``."""
        call, backend, arrays = self._bind(x, w)
        return call.program(backend, w).value(*arrays)

    def vjp(self, x, w: Array):
        """The result ``y`` and its pullback, ``pullback(grad_y) → (grad_x, grad_w)``.

        A pullback may be called more than once; each gradient has the shape of its own input.
        """
        call, backend, arrays = self._bind(x, w)
        program = call.program(backend, w)
        y, kept = program.linearize(*arrays)
        shape = tuple(y.shape)  # y itself is not held on to

        def role_pullback(grad_y):
            _arrays.check_alike(call.owner, "y", w, "grad_y", grad_y)
            _arrays.check_shape(call.owner, "grad_y", grad_y, shape)
            grad_w, *grads = program.pullback(*kept, grad_y)
            return self._like_input(grads), grad_w

        return y, role_pullback

    def jvp(self, x, w: Array, dx, dw: Array) -> tuple[Array, Array]:
        """The result ``y``, and its derivative in the direction ``(dx, dw)``."""
        call, backend, arrays = self._bind(x, w)
        xs, dxs = self._arrays_of(x), self._arrays_of(dx)
        if len(xs) != len(dxs):
            raise ValueError(f"{call.owner}: dx must hold {len(xs)} arrays, got {len(dxs)}")
        for i, (array, d) in enumerate(zip(xs, dxs, strict=True)):
            _arrays.check_alike(call.owner, f"x[{i}]", array, f"dx[{i}]", d)
            _arrays.check_shape(call.owner, f"dx[{i}]", d, tuple(array.shape))
        numbers = call.numbers(backend, *arrays)
        numbers = numbers.with_arrays(call.blueprint.moving(dw, w, numbers))
        numbers = numbers.with_arrays({prime(name): d for name, d in call.fill(dxs, numbers).items()})
        structure = call.blueprint.structure
        y, dy = structure.dense(numbers)[0], call.derivative.dense(numbers)[0]
        return call.outer(y, numbers), call.outer(dy, numbers)

    def _bind(self, x, w: Array) -> tuple[Call, Backend, tuple[Array, ...]]:
        """The call for arrays of these shapes; and ``w``, the data and the frozen matrices."""
        xs = self._arrays_of(x)
        for i, array in enumerate(xs):
            _arrays.check_alike(type(self).__name__, "w", w, f"x[{i}]" if len(xs) > 1 else "x", array)
        call = prepared(self, tuple([tuple(array.shape) for array in xs]), len(w.shape) > 1)
        if len(w.shape) > 1:
            _check_lead(call, tuple(xs[0].shape), tuple(w.shape))
        backend = call.blueprint.checked(w)
        frozen = call.blueprint.frozen_arrays(w, backend) if call.blueprint.frozen else ()
        return call, backend, (w, *xs, *frozen)


class Call:
    """A role for data of certain shapes: its formula, and how data go in and results come out."""

    def __init__(self, role: Role, shapes: tuple[tuple[int, ...], ...], batched: bool):
        self.owner = str(role)
        if any(size != size for shape in shapes for size in shape):  # NaN is how Dask spells unknown
            raise ValueError(
                f"{role}: the sizes of x must be known, got {shapes}; call x.compute_chunk_sizes() on arrays "
                "of Dask"
            )
        role._check_inputs(shapes)
        self._given = shapes
        lead = shapes[0][:-1]
        self.is_flat = role._rowwise and not batched and len(lead) != 1
        self.is_row = role._rowwise and batched and not lead
        self.shapes: list[tuple[int, ...]]
        if self.is_flat:  # rows of rows are rows of one array
            self.shapes = [(math.prod(lead), shape[-1]) for shape in shapes]
        elif self.is_row:
            self.shapes = [(1, *shape) for shape in shapes]
        else:
            self.shapes = list(shapes)
        self.names = [f"x{i}" for i in range(len(shapes))]
        holes = zip(self.names, self.shapes, strict=True)
        learned, frozen, W = role._parts()
        structure = role._formula(tuple(Dense(name, (shape[-2], shape[-1])) for name, shape in holes), W)
        self.blueprint = Blueprint(self.owner, learned, frozen, structure)
        self.lead = lead
        self.columns = structure.shape[1]
        self._programs: dict[Any, Program | None] = {}

    def program(self, backend: Backend, w: Array) -> Program | Interpreted:
        """The result and its gradients as functions of ``w``, the data and the frozen matrices.

        Written down once for each shape, dtype and device of ``w``, but where arrays are no plain numbers
        or a frozen matrix is drawn on the way.
        """
        found = None
        if backend.is_eager and not self.blueprint.streamed:
            key = (backend, w.shape, w.dtype, str(_arrays.device_of(w)))  # CuPy's devices have no hash
            found = remembered(self._programs, key, lambda: self._traced(backend, w))
        return found or Interpreted(self._vjp, backend)

    def _traced(self, backend: Backend, w: Array) -> Program | None:
        frozen = self.blueprint.frozen.values()
        return traced(self._vjp, backend, w, [w.shape, *self._given, *(held.shape for held in frozen)])

    def _vjp(self, backend: Backend, w: Array, *arrays: Array):
        numbers = self.numbers(backend, w, *arrays)
        y, pull = self.blueprint.structure.dense(numbers)

        def formula_pullback(grad_y):
            cotangents = Cotangents(numbers)
            pull(self.inner(grad_y, numbers), cotangents)
            holes = zip(self.names, self.shapes, self._given, strict=True)
            grads = [numbers.reshape(cotangents.take(name, hole), given) for name, hole, given in holes]
            return self.blueprint.join(cotangents, numbers, w), *grads

        return self.outer(y, numbers), formula_pullback

    def numbers(self, backend: Backend, w: Array, *arrays: Array) -> Numbers:
        """The holes filled: by the blocks of ``w``, the data and the frozen matrices."""
        xs, frozen = arrays[: len(self.names)], arrays[len(self.names) :]
        held = dict(zip(self.blueprint.frozen, frozen, strict=True))
        blocks = self.blueprint.split(w, backend)
        return Numbers(backend, {**blocks, **held, **self.fill(xs, backend)}, w)

    @cached_property
    def derivative(self) -> Structure:
        """The formula's derivative in the direction of the primed holes."""
        return self.blueprint.structure.derivative

    def fill(self, xs, numbers: Numbers | Backend) -> dict[str, Array]:
        """The data in their holes."""
        if not (self.is_flat or self.is_row):
            return dict(zip(self.names, xs, strict=True))
        holes = zip(self.names, xs, self.shapes, strict=True)
        return {name: numbers.reshape(x, shape) for name, x, shape in holes}

    def outer(self, y: Array, numbers: Numbers) -> Array:
        """A result in the shape that the caller expects."""
        y = numbers.over_batch(y)
        if self.is_flat:
            return numbers.reshape(y, (*self.lead, self.columns))
        return numbers.reshape(y, (*y.shape[:-2], self.columns)) if self.is_row else y

    def inner(self, gy: Array, numbers: Numbers) -> Array:
        """A cotangent of the result in the shape that the formula has."""
        if self.is_flat:
            return numbers.reshape(gy, (math.prod(self.lead), self.columns))
        return numbers.reshape(gy, (*gy.shape[:-1], 1, self.columns)) if self.is_row else gy


@Plans
def prepared(role: Role, shapes: tuple[tuple[int, ...], ...], batched: bool) -> Call:
    """The call of a role for data of these shapes; built once."""
    return Call(role, shapes, batched)


def _check_lead(call, x_shape, w_shape):
    try:
        np.broadcast_shapes(x_shape[:-2], w_shape[:-1])
    except ValueError:
        raise ValueError(
            f"{call.owner}: the leading axes of x and w must broadcast, got x of shape {x_shape} and "
            f"w of shape {w_shape}"
        ) from None


def _check_columns(role, name, shape, columns):
    if not shape or shape[-1] != columns:
        raise ValueError(f"{role}: {name} must have {columns} columns, got shape {shape}")


@dataclass(frozen=True, kw_only=True)
class Reconciliation(Role):
    """``y = x ψ(w)ᵀ``: from ``D`` columns to ``n``, with a learned bias on request.

    Parameters
    ----------
    fabrication : Fabrication
        ``ψ``.
    n, D : int
        Columns of ``y`` and of ``x``.
    bias : bool
        Whether ``w`` ends in ``n`` more numbers that are added to every row of ``y``.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab import LowRank, Reconciliation
    >>> role = Reconciliation(fabrication=LowRank(r=2), n=10, D=64)
    >>> w = role.init(rng=0)
    >>> role(np.ones((5, 64)), w).shape, role.num_parameters()
    ((5, 10), 148)
    """

    fabrication: Fabrication
    n: int
    D: int
    bias: bool = False

    def __post_init__(self):
        super().__post_init__()
        settle_sizes(self, "n", "D")

    def _matrix_shape(self):
        return self.n, self.D

    def _variance(self):
        return 1.0 / self.D

    def num_parameters(self) -> int:
        """The length ``l`` of ``w``, the bias included."""
        return super().num_parameters() + (self.n if self.bias else 0)

    def init(self, **options):
        w = super().init(**options)
        if not self.bias:
            return w
        xp = _arrays.backend_of(str(self), "w", w).xp
        zeros = xp.zeros((self.n,), dtype=w.dtype, device=options.get("device"))
        return xp.concat([w, zeros], axis=-1)

    def _check_inputs(self, shapes):
        (shape,) = shapes
        _check_columns(self, "x", shape, self.D)

    def _parts(self):
        learned, frozen, W = super()._parts()
        return learned | ({"bias": (1, self.n)} if self.bias else {}), frozen, W

    def _formula(self, xs, W):
        y = xs[0] @ W.T
        return y + Constant((y.shape[0], 1), 1.0) @ Dense("bias", (1, self.n)) if self.bias else y

    def matrix(self, w: Array) -> Array:
        """The dense ``ψ(w)``, of shape ``(..., n, D)``."""
        w = w[..., : -self.n] if self.bias else w
        return self.fabrication.fabricate(w, self.n, self.D).to_dense()


@dataclass(frozen=True, kw_only=True)
class _Interdependence(Role):
    fabrication: Fabrication
    b: int | None = None
    m: int | None = None
    interdependence_type: str = "attribute"

    def __post_init__(self):
        if self.interdependence_type not in INSTANCE + ATTRIBUTE:
            raise ValueError(
                f"{type(self).__name__}: interdependence_type must be one of {INSTANCE + ATTRIBUTE}, "
                f"got {self.interdependence_type!r}"
            )
        super().__post_init__()
        settle_sizes(self, "b", "m")

    @property
    def is_instance(self) -> bool:
        """Whether rows depend on rows, rather than columns on columns."""
        return self.interdependence_type in INSTANCE

    def _required(self, name):
        size = getattr(self, name)
        if size is None:
            raise ValueError(f"{self}: {name} is needed for the type {self.interdependence_type!r}")
        return size

    def _check_inputs(self, shapes):
        (shape,) = shapes
        if len(shape) < (1 if self._rowwise else 2):
            raise ValueError(f"{self}: x must have shape (..., b, m), got {shape}")
        for name, axis in (("b", -2), ("m", -1)):
            size = getattr(self, name)
            # Where the role acts on every row alike, any number of rows will do.
            if size is not None and not (name == "b" and self._rowwise) and shape[axis] != size:
                raise ValueError(f"{self}: x must have {name}={size} along axis {axis}, got shape {shape}")


@dataclass(frozen=True, kw_only=True)
class ParameterizedInterdependence(_Interdependence):
    """``A = ψ(w)``, independent of the data; ``y = x A`` among attributes, ``y = Aᵀ x`` among instances.

    Parameters
    ----------
    fabrication : Fabrication
        ``ψ``.
    b, m : int, optional
        Rows and columns of ``x``. The attribute type needs ``m``, the instance type ``b``.
    interdependence_type : str
        ``"attribute"`` (also ``"attribute_interdependence"``, ``"column"``, ``"right"``) or
        ``"instance"`` (also ``"instance_interdependence"``, ``"row"``, ``"left"``).
    b_prime, m_prime : int, optional
        Rows or columns of ``y``; as many as ``x`` has if left out.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab import DualLPHM, ParameterizedInterdependence
    >>> role = ParameterizedInterdependence(fabrication=DualLPHM(p=4, q=4, r=2), m=16, m_prime=32)
    >>> role(np.ones((3, 16)), role.init(rng=0)).shape
    (3, 32)
    """

    b_prime: int | None = None
    m_prime: int | None = None

    def __post_init__(self):
        super().__post_init__()
        settle_sizes(self, "b_prime", "m_prime")

    @property
    def _rowwise(self):  # type: ignore[override]
        return not self.is_instance

    def _matrix_shape(self):
        name = "b" if self.is_instance else "m"
        size = self._required(name)
        return size, getattr(self, name + "_prime") or size

    def _formula(self, xs, W):
        return W.T @ xs[0] if self.is_instance else xs[0] @ W

    def matrix(self, w: Array) -> Array:
        """The dense ``A``, of shape ``(..., m, m_prime)`` or ``(..., b, b_prime)``."""
        return self.fabrication.fabricate(w, *self._matrix_shape()).to_dense()


@dataclass(frozen=True, kw_only=True)
class BilinearInterdependence(_Interdependence):
    """``A = xᵀ W x`` with ``W = ψ(w) ∈ R^{b×b}`` and ``y = x A`` among attributes.

    Among instances the same on the transpose: ``A = x W xᵀ`` with ``W ∈ R^{m×m}``, and ``y = Aᵀ x``.
    The product is associated by cost: for a ``W`` of low rank neither ``A`` nor ``W`` is formed.

    Parameters
    ----------
    fabrication : Fabrication
        ``ψ``.
    b, m : int, optional
        Rows and columns of ``x``. The attribute type needs ``b``, the instance type ``m``.
    interdependence_type : str
        As for `ParameterizedInterdependence`.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab import BilinearInterdependence, RandomMatrixAdaption
    >>> role = BilinearInterdependence(fabrication=RandomMatrixAdaption(r=2), b=8)
    >>> role(np.ones((8, 100)), role.init(rng=0)).shape, role.num_parameters()
    ((8, 100), 10)
    """

    _rowwise = False

    def _matrix_shape(self):
        size = self._required("m" if self.is_instance else "b")
        return size, size

    def _coupling(self, x, W):
        return x @ W @ x.T if self.is_instance else x.T @ W @ x

    def _formula(self, xs, W):
        (x,) = xs
        A = self._coupling(x, W)
        return A.T @ x if self.is_instance else x @ A

    def matrix(self, x: Array, w: Array) -> Array:
        """The dense ``A``, of shape ``(..., m, m)`` or ``(..., b, b)``."""
        call, backend, arrays = self._bind(x, w)
        numbers = call.numbers(backend, *arrays)
        A = self._coupling(Dense("x0", (x.shape[-2], x.shape[-1])), self._parts()[2])
        return numbers.over_batch(A.dense(numbers)[0])


@dataclass(frozen=True, kw_only=True)
class ConcatenationFusion(Role):
    """``y = (x₁ ⊔ … ⊔ x_k) ψ(w)ᵀ`` with ``ψ(w) ∈ R^{n × Σ dims}``, without building the concatenation.

    Parameters
    ----------
    fabrication : Fabrication
        ``ψ``.
    dims : tuple of int
        Columns of each input.
    n : int, optional
        Columns of ``y``. Left out, all inputs must have as many columns, and ``y`` then has as many too.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab import ConcatenationFusion, LowRank
    >>> role = ConcatenationFusion(fabrication=LowRank(r=2), dims=(3, 4), n=5)
    >>> y, pullback = role.vjp([np.ones((2, 3)), np.ones((2, 4))], role.init(rng=0))
    >>> grad_x, grad_w = pullback(np.ones((2, 5)))
    >>> y.shape, [g.shape for g in grad_x], grad_w.shape
    ((2, 5), [(2, 3), (2, 4)], (24,))
    """

    fabrication: Fabrication
    dims: tuple[int, ...]
    n: int | None = None

    def __post_init__(self):
        object.__setattr__(self, "dims", _checked_dims(self, self.dims))
        if self.n is None:
            if len(set(self.dims)) > 1:
                raise ValueError(f"{self}: n is needed where dims differ")
            object.__setattr__(self, "n", self.dims[0])
        super().__post_init__()
        settle_sizes(self, "n")

    def _matrix_shape(self):
        return self.n, sum(self.dims)

    def _variance(self):
        return 1.0 / sum(self.dims)

    def _arrays_of(self, x):
        return _as_list(self, x)

    def _like_input(self, arrays):
        return arrays

    def _check_inputs(self, shapes):
        _check_fused(self, shapes, self.dims)

    def _formula(self, xs, W):
        return side_by_side(xs) @ W.T

    def matrix(self, w: Array) -> Array:
        """The dense ``ψ(w)``, of shape ``(..., n, Σ dims)``."""
        return self.fabrication.fabricate(w, *self._matrix_shape()).to_dense()


@dataclass(frozen=True, kw_only=True)
class Concatenation(Parameterless):
    """``y = x₁ ⊔ … ⊔ x_k``, the plain concatenation along the last axis; nothing is learned.

    Parameters
    ----------
    dims : tuple of int
        Columns of each input.
    """

    dims: tuple[int, ...]

    def __post_init__(self):
        object.__setattr__(self, "dims", _checked_dims(self, self.dims))

    def __call__(self, x: Sequence[Array], w: Any = None) -> Array:
        xs = _as_list(self, x)
        backend = _arrays.check_real_floating(str(self), "x[0]", xs[0])
        for i, array in enumerate(xs):
            _arrays.check_alike(str(self), "x[0]", xs[0], f"x[{i}]", array)
        _check_fused(self, tuple(tuple(array.shape) for array in xs), self.dims)
        return backend.xp.concat(xs, axis=-1)

    def vjp(self, x: Sequence[Array], w: Any = None):
        """The result ``y`` and its pullback, ``pullback(grad_y) → (grad_x, None)``."""
        y = self(x)

        def concatenation_pullback(grad_y):
            _arrays.check_alike(str(self), "y", y, "grad_y", grad_y)
            _arrays.check_shape(str(self), "grad_y", grad_y, tuple(y.shape))
            grads, start = [], 0
            for columns in self.dims:
                grads.append(grad_y[..., start : start + columns])
                start += columns
            return grads, None

        return y, concatenation_pullback

    def jvp(self, x: Sequence[Array], w: Any, dx: Sequence[Array], dw: Any = None) -> tuple[Array, Array]:
        """The result ``y``, and its derivative in the direction ``dx``."""
        return self(x), self(dx)


def _checked_dims(role, dims):
    if not isinstance(dims, list | tuple) or not dims:
        raise ValueError(f"{type(role).__name__}: dims must hold at least one size, got {dims!r}")
    return tuple(as_size(type(role).__name__, "every entry of dims", size) for size in dims)


def _as_list(role, x) -> tuple[Array, ...]:
    if not isinstance(x, list | tuple):
        raise TypeError(f"{role}: x must be a list of arrays, got {type(x).__name__}")
    if len(x) != len(role.dims):
        raise ValueError(f"{role}: x must hold {len(role.dims)} arrays, got {len(x)}")
    return tuple(x)


def _check_fused(role, shapes, dims):
    for i, (shape, columns) in enumerate(zip(shapes, dims, strict=True)):
        _check_columns(role, f"x[{i}]", shape, columns)
        if shape[:-1] != shapes[0][:-1]:
            raise ValueError(
                f"{role}: all inputs must have the same rows, x[0] has shape {shapes[0]} and x[{i}] {shape}"
            )
