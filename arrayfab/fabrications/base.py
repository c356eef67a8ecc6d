"""A fabrication: a formula that turns a short vector into a large structured matrix."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from numbers import Real
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab._builders import Builders
from arrayfab._shown import Shown
from arrayfab.fabrications.blueprint import blueprint, settle_sizes
from arrayfab.matrix import StructuredMatrix
from arrayfab.structures import Cost, Cotangents, Dense, Structure
from arrayfab.structures.numbers import prime

# A field annotated so is a size: positive, or left out. Annotations may be postponed or not.
_SIZES = ("int", "int | None", int, int | None)


#: What is built of fabrications. It lives in a module that stands on this one, which enters it here.
_BUILDERS = Builders()
builds = _BUILDERS.enter


@dataclass(frozen=True, kw_only=True)
class Fabrication(Shown):
    """``ψ``: a vector ``w ∈ R^l`` of learned numbers in, a matrix ``W ∈ R^{n×D}`` out.

    A variant is a frozen dataclass of hyper-parameters that says which `blocks` are learned and what the
    `matrix` is. Everything else follows. One with frozen blocks derives from `Seeded`.
    """

    def blocks(self, n: int, D: int) -> dict[str, tuple[int, ...]]:
        """The learned blocks and their shapes, in the order in which ``w`` holds them, row-major.

        A block of shape ``(n,)`` reaches `matrix` as a row, of shape ``(1, n)``.
        """
        return {}

    def matrix(self, n: int, D: int, **holes: Dense) -> Structure:
        """The formula, given a hole for every block."""
        raise NotImplementedError(f"{type(self).__name__}.matrix")

    def along(self, p: int | None, q: int | None) -> Fabrication:
        """The same with sizes that were left out as those of the rows' and columns' own outer factors.

        Where rows or columns are the products of ``p`` or ``q`` and others, as those of expanded data are,
        a Kronecker product of such factors acts on each by itself. None stands for what has no factors.
        """
        return self

    #: Whether the matrix is always square, with as many rows as columns.
    is_square: ClassVar[bool] = False
    #: Whether arrays were handed in to it: plans for it are then freed with it.
    holds_arrays: ClassVar[bool] = False

    def __post_init__(self):
        settle_sizes(self, *(f.name for f in fields(self) if f.type in _SIZES and f.name != "seed"))

    def num_parameters(self, n: int, D: int) -> int:
        """The length ``l`` of the vector that fabricates an ``n × D`` matrix."""
        return blueprint(self, n, D).size

    def cost(self, n: int, D: int, rows: int = 1) -> Cost:
        """What ``x @ W`` takes for an ``x`` of that many rows."""
        return blueprint(self, n, D).structure.rows_cost(rows)

    def fabricate(self, w: Array, n: int, D: int) -> StructuredMatrix:
        """The matrix ``W = ψ(w)``, not formed.

        Parameters
        ----------
        w : array, shape ``(..., l)``
            Learned numbers. Leading axes fabricate as many matrices at once.
        n, D : int
            Rows and columns of the matrix.

        Raises
        ------
        ValueError
            If the last axis of ``w`` is not ``num_parameters(n, D)`` long, or the hyper-parameters
            do not fit the shape.
        TypeError
            If ``w`` is no array of real floating numbers.

        Examples
        --------
        >>> import numpy as np
        >>> from arrayfab import LowRank
        >>> W = LowRank(r=1).fabricate(np.asarray([1.0, 2.0, 3.0, 4.0, 5.0]), 2, 3)
        >>> W.to_dense()
        array([[ 3.,  4.,  5.],
               [ 6.,  8., 10.]])
        >>> np.asarray([1.0, 1.0]) @ W
        array([ 9., 12., 15.])
        """
        return StructuredMatrix(self, n, D, w).checked()

    def vjp(self, w: Array, n: int, D: int) -> tuple[Array, Callable[[Array], Array]]:
        """The dense ``W`` and its pullback, ``pullback(grad_W) → grad_w``.

        Parameters are those of `fabricate`. A pullback may be called more than once.
        """
        plan, backend, arrays = self._arguments(w, n, D)
        program = plan.program("vjp", partial(_vjp, plan), backend, arrays, has_pullback=True)
        (W,), kept = program.linearize(*arrays)
        shape = tuple(W.shape)

        def fabrication_pullback(grad_W):
            grad_W = _arrays.native(grad_W)
            _arrays.check_alike(plan.owner, "w", arrays[0], "grad_W", grad_W)
            _arrays.check_shape(plan.owner, "grad_W", grad_W, shape)
            return program.pullback(*kept, grad_W)[0]

        return plan.handed_out(W, backend), fabrication_pullback

    def jvp(self, w: Array, n: int, D: int, dw: Array) -> tuple[Array, Array]:
        """The dense ``W``, and its derivative in the direction ``dw``."""
        plan, backend, arrays = self._arguments(w, n, D)
        dw = _arrays.native(dw)
        _arrays.check_alike(plan.owner, "w", arrays[0], "dw", dw)
        _arrays.check_shape(plan.owner, "dw", dw, tuple(arrays[0].shape))
        arrays.append(dw)
        W, dW = plan.program("jvp", partial(_jvp, plan), backend, arrays).value(*arrays)
        return plan.handed_out(W, backend), dW

    def _arguments(self, w, n, D):
        """The formula at one shape, and ``w`` and the frozen matrices, checked."""
        plan, w = blueprint(self, n, D), _arrays.native(w)
        backend = plan.checked(w)
        return plan, backend, [w, *plan.frozen_arrays(w, backend)]

    def init(
        self,
        n: int,
        D: int,
        *,
        rng: int | np.random.Generator | None = None,
        variance: float | None = None,
        zero: bool = False,
        xp: ModuleType | None = None,
        dtype: Any = None,
        device: Any = None,
    ) -> Array:
        """Random learned numbers ``w`` of shape ``(l,)`` to start training from.

        All numbers are normal with one standard deviation, chosen such that the entries of ``W`` have
        the mean square ``variance`` in expectation, whatever the structure.

        Parameters
        ----------
        n, D : int
            Rows and columns of the matrix.
        rng : int or numpy.random.Generator, optional
            Seed or generator. Numbers are drawn on the host and moved once.
        variance : float, optional
            The mean square that the entries of ``W`` shall have. ``1 / D`` keeps the scale of
            ``x Wᵀ``, ``1 / n`` that of ``x W``. Left out, it is ``1 / max(n, D)``, or, where no scale
            of ``w`` gives that, the numbers in ``w`` have the variance ``1 / l``.
        zero : bool
            Start from where nothing has been learned yet, see `at_rest`; the other blocks stay random, so
            that training can start.
        xp, dtype, device
            Where the numbers shall live: NumPy, its default dtype and device if left out.

        Raises
        ------
        ValueError
            If no scale of ``w`` gives that variance, or there is no such start.
        """
        plan = blueprint(self, n, D)
        if variance is None and not plan.reaches(1.0 / max(n, D)):
            scale = 1.0 / math.sqrt(max(plan.size, 1))
        else:
            scale = plan.scale(1.0 / max(n, D) if variance is None else variance)
        xp = _arrays.namespace(xp)
        w = scale * np.random.default_rng(rng).standard_normal(plan.size)
        if zero:
            w = self.at_rest(n, D, w)
        dtype = xp.zeros((), device=device).dtype if dtype is None else dtype
        if not xp.isdtype(xp.zeros((), dtype=dtype).dtype, "real floating"):
            raise TypeError(f"{self}: dtype must be a real floating one, got {dtype}")
        return _arrays.from_host(w, xp, dtype, device)

    def at_rest(self, n: int, D: int, w: np.ndarray) -> np.ndarray:
        """Learned numbers on the host, changed so that ``W`` is as if nothing had been learned.

        That is zero, or the identity for a variant that something else is multiplied by, or what a frozen
        matrix gives without the rest. A variant that is not at rest where one block is zero overrides it.
        """
        w = w.copy()
        w[blueprint(self, n, D).zeroing()] = 0.0
        return w

    def with_frozen(self, **arrays: Array) -> Fabrication:
        """The same formula with frozen blocks handed in as arrays, in place of the seed's.

        The blocks of a sum's terms are called ``"0.A"``, ``"1.A"`` and so on. A name that the formula does
        not have, or an array of another shape, is a ValueError in the first call. `init` reckons with the
        mean square of the numbers that the seed would have given.
        """
        return _BUILDERS["with frozen"](self, arrays)

    # NumPy then leaves ``array * fabrication`` to this class, which refuses it.
    __array_ufunc__ = None

    def __add__(self, other: Fabrication) -> Fabrication:
        if not isinstance(other, Fabrication):
            return NotImplemented
        return _BUILDERS["sum"](self, other)

    def __radd__(self, zero: int) -> Fabrication:
        # `sum` starts from zero.
        return self if type(zero) is int and zero == 0 else NotImplemented

    def __neg__(self) -> Fabrication:
        return -1.0 * self

    def __sub__(self, other: Fabrication) -> Fabrication:
        return self + -other if isinstance(other, Fabrication) else NotImplemented

    def __matmul__(self, other: Fabrication) -> Fabrication:
        return _BUILDERS["product"](self, other) if isinstance(other, Fabrication) else NotImplemented

    def __mul__(self, scale: float) -> Fabrication:
        return _BUILDERS["multiple"](self, float(scale)) if isinstance(scale, Real) else NotImplemented

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> Fabrication:
        if not isinstance(divisor, Real):
            return NotImplemented
        if not divisor:
            raise ZeroDivisionError(f"{self}: cannot be divided by zero")
        return self * (1.0 / float(divisor))

    def parts(self, n: int, D: int, prefix: str) -> tuple[dict, dict, Structure]:
        """Learned shapes, frozen matrices and the formula at one shape, with names prefixed.

        What composes fabrications overrides it; a variant gives `blocks` and `matrix`.
        """
        if self.is_square and n != D:
            raise ValueError(f"{self}: the matrix must be square, got n={n} and D={D}")
        learned = {name: self._as_matrix(name, shape) for name, shape in self.blocks(n, D).items()}
        frozen, holes = self._frozen_parts(n, D, prefix)
        if both := learned.keys() & holes.keys():
            raise ValueError(f"{self}: blocks {sorted(both)} are learned and frozen at once")
        holes |= {name: Dense(prefix + name, shape) for name, shape in learned.items()}
        structure = self.matrix(n, D, **holes)
        if structure.shape != (n, D):
            raise ValueError(f"{self}: the formula has shape {structure.shape}, expected {(n, D)}")
        return {prefix + name: shape for name, shape in learned.items()}, frozen, structure

    def _as_matrix(self, name: str, shape: tuple[int, ...]) -> tuple[int, int]:
        """The shape of a block's hole: a vector is a row."""
        if len(shape) not in (1, 2):
            raise ValueError(f"{self}: block {name!r} must be a vector or a matrix, got shape {shape}")
        return (1, shape[0]) if len(shape) == 1 else (shape[0], shape[1])

    def _frozen_parts(self, n: int, D: int, prefix: str) -> tuple[dict, dict]:
        """Frozen matrices, with names prefixed, and their holes."""
        if hasattr(self, "frozen"):
            raise TypeError(f"{self}: a fabrication with frozen blocks must derive from Seeded")
        return {}, {}


class OfAnother(Fabrication):
    """What fabrications made of one other, ``inner``, share."""

    inner: Fabrication

    @property
    def holds_arrays(self):  # type: ignore[override]
        return self.inner.holds_arrays

    @property
    def is_square(self):  # type: ignore[override]
        return self.inner.is_square

    def at_rest(self, n, D, w):
        return self.inner.at_rest(n, D, w)


def _vjp(plan, backend, w, *frozen):
    numbers, _ = plan.filled(backend, w, *frozen)
    W, pull = plan.structure.dense(numbers)

    def dense_pullback(grad_W):
        cotangents = Cotangents(numbers)
        pull(grad_W, cotangents)
        return (plan.join(cotangents, numbers, w),)

    return (numbers.over_batch(W),), dense_pullback


def _jvp(plan, backend, w, *arrays):
    numbers, (dw,) = plan.filled(backend, w, *arrays)
    numbers = numbers.with_arrays({prime(name): block for name, block in plan.split(dw, backend).items()})
    W = numbers.over_batch(plan.structure.dense(numbers)[0])
    tangent = plan.structure.tangent
    return W, numbers.full(tuple(W.shape), 0.0) if tangent is None else tangent.dense(numbers)[0]
