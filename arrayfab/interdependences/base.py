"""An interdependence without learned numbers: what makes attributes or instances depend on each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab.fabrications.blueprint import settle_sizes
from arrayfab.formulated import Formulated
from arrayfab.roles.interdependence import ATTRIBUTE, INSTANCE
from arrayfab.structures import Constant, Structure


@dataclass(frozen=True, kw_only=True)
class Interdependence(Formulated):
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
    def is_rowwise(self) -> bool:  # type: ignore[override]
        """Whether every row of ``x`` is treated alike, so that ``x`` may be a single row."""
        return not self.is_instance and not self.needs_data

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

    def formula(self, X: Structure, Y: Structure | None = None) -> Structure:  # type: ignore[override]
        """``Y A``, or ``Aᵀ Y``, with the matrix that follows from ``X``; ``Y`` is ``X`` if left out."""
        A, Y = self.among(X), X if Y is None else Y
        return A.T @ Y if self.is_instance else Y @ A

    @property
    def coupled(self) -> CoupledInterdependence:
        """The layer of ``[x, z]`` that acts on ``z`` by the dependences of ``x``."""
        return CoupledInterdependence(self)

    def matrix(self, x: Array) -> Array:
        """The dense ``A`` for data ``x``."""
        x = _arrays.native(x)
        backend = _arrays.check_real_floating(str(self), "x", x)
        (X,), numbers, _ = self._filled(backend, x, x)
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


@dataclass(frozen=True)
class CoupledInterdependence(Formulated):
    """``[x, z] → A(x)ᵀ z`` among instances, ``z A(x)`` among attributes: dependences of ``x`` act on ``z``.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab.interdependences import LinearKernel
    >>> LinearKernel(interdependence_type="instance").coupled([np.ones((3, 2)), np.ones((3, 1))])
    array([[6.],
           [6.],
           [6.]])
    """

    interdependence: Interdependence

    is_rowwise = False

    @property
    def inputs(self):
        return [None, None]

    @property
    def holds_arrays(self):  # type: ignore[override]
        return self.interdependence.holds_arrays

    def formula(self, X, Z):  # type: ignore[override]
        return self.interdependence.formula(X, Z)

    def _check_inputs(self, shapes):
        x, z = shapes
        self.interdependence._check_inputs([x])
        axis, name = (-2, "rows") if self.interdependence.is_instance else (-1, "columns")
        if len(x) < 2 or len(z) < 2 or z[axis] != x[axis]:
            raise ValueError(f"{self}: z must have as many {name} as x, which has shape {x}, got shape {z}")
