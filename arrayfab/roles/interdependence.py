"""Interdependences: rows of the data that depend on rows, or columns on columns."""

from __future__ import annotations

from dataclasses import dataclass

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab.expansions.base import Expansion
from arrayfab.fabrications.base import Fabrication
from arrayfab.fabrications.blueprint import settle_sizes
from arrayfab.roles.base import Role
from arrayfab.structures import Structure

INSTANCE = ("row", "left", "instance", "instance_interdependence")
ATTRIBUTE = ("column", "right", "attribute", "attribute_interdependence")


@dataclass(frozen=True, kw_only=True)
class _Interdependence(Role):
    fabrication: Fabrication
    b: int | None = None
    m: int | None = None
    interdependence_type: str = "attribute"
    expansion: Expansion | None = None

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

    @property
    def needs_data(self) -> bool:
        """Whether ``A`` follows from the data."""
        return True

    @property
    def coupled(self) -> Coupled:
        """The layer of ``[x, z]`` that acts on ``z`` by the dependences of ``x``."""
        return Coupled(self)

    def formula(self, xs, W):
        (x,) = xs
        return self.applied(x, x, W)

    def applied(self, x: Structure, z: Structure, W: Structure) -> Structure:
        """``A(x)ᵀ z`` among instances, ``z A(x)`` among attributes, for the fabricated matrix."""
        A = self._dependences(x, W)
        return A.T @ z if self.is_instance else z @ A

    def _dependences(self, x: Structure, W: Structure) -> Structure:
        """``A(x)``."""
        raise NotImplementedError(f"{type(self).__name__}._dependences")

    def _required(self, name):
        size = getattr(self, name)
        if size is None:
            raise ValueError(f"{self}: {name} is needed for the type {self.interdependence_type!r}")
        return size

    @property
    def attributes(self):
        # Attributes depend on one another as rows of xᵀ, of b numbers each.
        return self._required("m" if self.is_instance else "b")

    def _vectors(self, x):
        """The rows that depend on one another, expanded: instances, or attributes."""
        return self.expanded(x if self.is_instance else x.T)

    def _check_inputs(self, shapes):
        (shape,) = shapes
        if len(shape) < (1 if self.is_rowwise else 2):
            raise ValueError(f"{self}: x must have shape (..., b, m), got {shape}")
        for name, axis in (("b", -2), ("m", -1)):
            size = getattr(self, name)
            # Where the role acts on every row alike, any number of rows will do.
            if size is not None and not (name == "b" and self.is_rowwise) and shape[axis] != size:
                raise ValueError(f"{self}: x must have {name}={size} along axis {axis}, got shape {shape}")


@dataclass(frozen=True, kw_only=True)
class ParameterizedInterdependence(_Interdependence):
    """``y = x A`` among attributes, ``y = Aᵀ x`` among instances, with ``A = ψ(w)``, independent of the data.

    With an expansion ``A`` follows from the data: ``A = κ(xᵀ) ψ(w)ᵀ`` among attributes, and
    ``A = κ(x) ψ(w)ᵀ`` among instances.

    Parameters
    ----------
    fabrication : Fabrication
        ``ψ``.
    b, m : int, optional
        Rows and columns of ``x``. The attribute type needs ``m``, the instance type ``b``, and either type
        both with an expansion.
    interdependence_type : str
        ``"attribute"`` (also ``"attribute_interdependence"``, ``"column"``, ``"right"``) or
        ``"instance"`` (also ``"instance_interdependence"``, ``"row"``, ``"left"``).
    expansion : Expansion, optional
        ``κ``.
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
    def is_rowwise(self):  # type: ignore[override]
        return not self.is_instance and self.expansion is None

    @property
    def _sizes(self):
        """How many depend on one another, and on how many."""
        name = "b" if self.is_instance else "m"
        size = self._required(name)
        return size, getattr(self, name + "_prime") or size

    @property
    def matrix_shape(self):
        size, prime = self._sizes
        return (size, prime) if self.expansion is None else (prime, self._features(self.attributes))

    def _outer_factors(self):
        return (None, None) if self.expansion is None else super()._outer_factors()

    def _variance(self):
        size, D = self._sizes[0], 1
        if self.expansion is not None:
            D = self.matrix_shape[1]
            size *= self._mean_square(self.attributes)
        return 1.0 / (size * D)

    @property
    def needs_data(self):
        return self.expansion is not None

    def _dependences(self, x, W):
        return W if self.expansion is None else self._vectors(x) @ W.T

    def matrix(self, w: Array, x: Array | None = None) -> Array:
        """The dense ``A``, of shape ``(..., m, m_prime)`` or ``(..., b, b_prime)``, of ``x`` if expanded."""
        W = self.aligned.fabricate(w, *self.matrix_shape)
        if self.expansion is None:
            return W.to_dense()
        transposed = _arrays.backend_of(str(self), "x", x).mT
        return self.expansion(x if self.is_instance else transposed(x)) @ W.T


@dataclass(frozen=True, kw_only=True)
class BilinearInterdependence(_Interdependence):
    """``A = xᵀ W x`` with ``W = ψ(w) ∈ R^{b×b}`` and ``y = x A`` among attributes.

    Among instances the same on the transpose: ``A = x W xᵀ`` with ``W ∈ R^{m×m}``, and ``y = Aᵀ x``.
    The product is associated by cost: for a ``W`` of low rank neither ``A`` nor ``W`` is formed.
    With an expansion, ``κ(xᵀ)`` and ``κ(x)`` stand in place of ``xᵀ`` and ``x``, and ``W ∈ R^{D×D}``.

    Parameters
    ----------
    fabrication : Fabrication
        ``ψ``.
    b, m : int, optional
        Rows and columns of ``x``. The attribute type needs ``b``, the instance type ``m``.
    interdependence_type : str
        As for `ParameterizedInterdependence`.
    expansion : Expansion, optional
        ``κ``.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab import BilinearInterdependence, RandomMatrixAdaption
    >>> role = BilinearInterdependence(fabrication=RandomMatrixAdaption(r=2), b=8)
    >>> role(np.ones((8, 100)), role.init(rng=0)).shape, role.num_parameters()
    ((8, 100), 10)
    """

    is_rowwise = False

    @property
    def matrix_shape(self):
        size = self._features(self.attributes)
        return size, size

    def _outer_factors(self):
        outer = self._outer_features(self.attributes)
        return outer, outer

    def _dependences(self, x, W):
        vectors = self._vectors(x)
        return vectors @ W @ vectors.T

    def matrix(self, x: Array, w: Array) -> Array:
        """The dense ``A``, of shape ``(..., m, m)`` or ``(..., b, b)``."""
        W = self.aligned.fabricate(w, *self.matrix_shape)
        transposed = _arrays.backend_of(str(self), "x", x).mT
        vectors = x if self.is_instance else transposed(x)
        if self.expansion is not None:
            vectors = self.expansion(vectors)
        return vectors @ (W @ transposed(vectors))


@dataclass(frozen=True)
class Coupled(Role):
    """``[x, z] → A(x)ᵀ z`` among instances, ``z A(x)`` among attributes: dependences of ``x`` act on ``z``.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab import BilinearInterdependence, Eye
    >>> role = BilinearInterdependence(fabrication=Eye(), m=2, interdependence_type="instance")
    >>> role.coupled([np.ones((3, 2)), np.ones((3, 1))])
    array([[6.],
           [6.],
           [6.]])
    """

    interdependence: _Interdependence

    is_rowwise = False

    @property
    def fabrication(self):  # type: ignore[override]
        return self.interdependence.fabrication

    @property
    def expansion(self):  # type: ignore[override]
        return self.interdependence.expansion

    @property
    def inputs(self):
        return [None, None]

    @property
    def matrix_shape(self):
        return self.interdependence.matrix_shape

    @property
    def attributes(self):
        return self.interdependence.attributes

    def _outer_factors(self):
        return self.interdependence._outer_factors()

    def _variance(self):
        return self.interdependence._variance()

    def formula(self, xs, W):
        return self.interdependence.applied(*xs, W)

    def _check_inputs(self, shapes):
        x, z = shapes
        self.interdependence._check_inputs([x])
        axis, name = (-2, "rows") if self.interdependence.is_instance else (-1, "columns")
        if len(z) < 2 or z[axis] != x[axis]:
            raise ValueError(f"{self}: z must have as many {name} as x, which has shape {x}, got shape {z}")
