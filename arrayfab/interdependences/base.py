"""An interdependence without learned numbers: what makes attributes or instances depend on each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab.fabrications.blueprint import Plans, settle_sizes
from arrayfab.passage import Shaped
from arrayfab.plain import Parameterless
from arrayfab.programs import regime
from arrayfab.roles.interdependence import ATTRIBUTE, INSTANCE
from arrayfab.structures import Constant, Cotangents, Dense, Numbers, Structure
from arrayfab.structures.numbers import prime


@dataclass(frozen=True, kw_only=True)
class Interdependence(Parameterless):
    """``y = x A`` among attributes, ``y = Aᵀ x`` among instances; nothing is learned.

    A variant is a frozen dataclass that gives the formula of ``A`` for what depends on one another: the
    columns of ``x``, or its rows. It is a layer, and ``A`` is not formed where its product can do without.

    Parameters
    ----------
    b, m : int, optional
        Rows and columns of ``x``. Where they are given, data of other sizes are refused.
    interdependence_type : str
        ``"attribute"`` (also ``"attribute_interdependence"``, ``"column"``, ``"right"``) or
        ``"instance"`` (also ``"instance_interdependence"``, ``"row"``, ``"left"``).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab.interdependences import CosineSimilarity
    >>> similar = CosineSimilarity(interdependence_type="instance")
    >>> similar.matrix(np.asarray([[1.0, 0.0], [1.0, 1.0]])).round(3)
    array([[1.   , 0.707],
           [0.707, 1.   ]])
    """

    b: int | None = None
    m: int | None = None
    interdependence_type: str = "attribute"

    #: Whether ``A`` follows from the data.
    needs_data: ClassVar[bool] = True

    def relation(self, V: Structure) -> Structure:
        """The formula of ``A`` for the vectors that depend on one another, which are the rows of ``V``."""
        raise NotImplementedError(f"{type(self).__name__}.relation")

    def __post_init__(self):
        if self.interdependence_type not in INSTANCE + ATTRIBUTE:
            raise ValueError(
                f"{type(self).__name__}: interdependence_type must be one of {INSTANCE + ATTRIBUTE}, "
                f"got {self.interdependence_type!r}"
            )
        settle_sizes(self, "b", "m")

    @property
    def is_instance(self) -> bool:
        """Whether rows depend on rows, rather than columns on columns."""
        return self.interdependence_type in INSTANCE

    @property
    def is_rowwise(self) -> bool:
        """Whether every row of ``x`` is treated alike, so that ``x`` may be a single row."""
        return not self.is_instance and not self.needs_data

    @property
    def core(self) -> int:  # type: ignore[override]
        return 1 if self.is_rowwise else 2

    def among(self, X: Structure) -> Structure:
        """The formula of ``A`` for data ``X`` of shape ``(b, m)``, with its shape checked."""
        V = X if self.is_instance else X.T
        if self.needs_data and 0 in V.shape:  # there is nothing to depend on
            return Constant((V.shape[0], V.shape[0]), 0.0)
        A = self.relation(V)
        if A.shape[0] != V.shape[0]:
            raise ValueError(
                f"{self}: its matrix has {A.shape[0]} rows, and {V.shape[0]} "
                f"{'instances' if self.is_instance else 'attributes'} depend on one another"
            )
        return A

    def formula(self, X: Structure, Y: Structure | None = None) -> Structure:
        """``Y A``, or ``Aᵀ Y``, with the matrix that follows from ``X``; ``Y`` is ``X`` if left out."""
        A, Y = self.among(X), X if Y is None else Y
        return A.T @ Y if self.is_instance else Y @ A

    def matrix(self, x: Array) -> Array:
        """The dense ``A`` for data ``x``."""
        x = _arrays.native(x)
        backend = _arrays.check_real_floating(str(self), "x", x)
        X, numbers, _ = self._filled(backend, x, x)
        return self.among(X).dense(numbers)[0]

    def _check_inputs(self, shapes):
        (shape,) = shapes
        if len(shape) < self.core:
            expected = "(..., m)" if self.is_rowwise else "(..., b, m)"
            raise ValueError(f"{self}: x must have shape {expected}, got {shape}")
        for name, axis in (("b", -2), ("m", -1)):
            size = getattr(self, name)
            # Where every row is treated alike, any number of rows will do.
            if size is not None and not (name == "b" and self.is_rowwise) and shape[axis] != size:
                raise ValueError(f"{self}: x must have {name}={size} along axis {axis}, got shape {shape}")

    def _filled(self, backend, x, w):
        self._check_inputs([tuple(x.shape)])
        shaped = Shaped(backend, [tuple(x.shape)], self.is_rowwise, False)
        held = shaped.filled([x])
        (array,) = held.values()
        # Only the namespace, dtype and device of w are asked for.
        like = w[(0,) * (w.ndim - 1)] if w.ndim > 1 else w
        rows, columns = array.shape[-2:]
        X = Dense("x0", (regime(rows) if self.is_rowwise else int(rows), int(columns)))
        # A symbol stands for the rows of the formula, or else for leading axes of whatever length.
        return X, Numbers(backend, held, like, rows if self.is_rowwise else None), shaped

    def _rule(self, backend, x, w, frozen, wrt):
        X, numbers, shaped = self._filled(backend, x, w)
        y, pull = _formula_of(self, X).dense(numbers)

        def interdependence_pullback(grad_y):
            if "x" not in wrt:
                return None, None
            cotangents = Cotangents(numbers)
            pull(shaped.inward(grad_y), cotangents)
            grad_x = cotangents.take("x0", tuple(numbers.arrays["x0"].shape))
            return numbers.reshape(grad_x, tuple(x.shape)), None

        return shaped.outward(self._over_lead(y, numbers)), interdependence_pullback

    def _push(self, backend, x, w, dx, dw, frozen):
        X, numbers, shaped = self._filled(backend, x, w)
        (moving,) = shaped.filled([dx]).values()
        numbers = numbers.with_arrays({prime("x0"): moving})
        formula = _formula_of(self, X)
        y = self._over_lead(formula.dense(numbers)[0], numbers)
        tangent = formula.tangent
        dy = numbers.full(tuple(y.shape), 0.0) if tangent is None else tangent.dense(numbers)[0]
        return shaped.outward(y), shaped.outward(self._over_lead(dy, numbers))

    def _over_lead(self, y, numbers):
        """``y`` with the leading axes of the data, also where its numbers do not follow from them."""
        lead = tuple(numbers.arrays["x0"].shape[:-2])
        return y if tuple(y.shape[:-2]) == lead else numbers.xp.broadcast_to(y, (*lead, *y.shape[-2:]))


@Plans
def _formula_of(interdependence: Interdependence, X: Dense) -> Structure:
    return interdependence.formula(X)
