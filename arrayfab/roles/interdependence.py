"""Interdependences: rows of the data that depend on rows, or columns on columns."""

from __future__ import annotations

from dataclasses import dataclass

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab.fabrications.base import Fabrication
from arrayfab.fabrications.blueprint import settle_sizes
from arrayfab.roles.base import Role

INSTANCE = ("row", "left", "instance", "instance_interdependence")
ATTRIBUTE = ("column", "right", "attribute", "attribute_interdependence")


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
        if len(shape) < (1 if self.is_rowwise else 2):
            raise ValueError(f"{self}: x must have shape (..., b, m), got {shape}")
        for name, axis in (("b", -2), ("m", -1)):
            size = getattr(self, name)
            # Where the role acts on every row alike, any number of rows will do.
            if size is not None and not (name == "b" and self.is_rowwise) and shape[axis] != size:
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
    def is_rowwise(self):  # type: ignore[override]
        return not self.is_instance

    @property
    def matrix_shape(self):
        name = "b" if self.is_instance else "m"
        size = self._required(name)
        return size, getattr(self, name + "_prime") or size

    def formula(self, xs, W):
        return W.T @ xs[0] if self.is_instance else xs[0] @ W

    def matrix(self, w: Array) -> Array:
        """The dense ``A``, of shape ``(..., m, m_prime)`` or ``(..., b, b_prime)``."""
        return self.fabrication.fabricate(w, *self.matrix_shape).to_dense()


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

    is_rowwise = False

    @property
    def matrix_shape(self):
        size = self._required("m" if self.is_instance else "b")
        return size, size

    def _coupling(self, x, W):
        return x @ W @ x.T if self.is_instance else x.T @ W @ x

    def formula(self, xs, W):
        (x,) = xs
        A = self._coupling(x, W)
        return A.T @ x if self.is_instance else x @ A

    def matrix(self, x: Array, w: Array) -> Array:
        """The dense ``A``, of shape ``(..., m, m)`` or ``(..., b, b)``."""
        W = self.fabrication.fabricate(w, *self.matrix_shape)
        transposed = _arrays.backend_of(str(self), "x", x).mT(x)
        return x @ (W @ transposed) if self.is_instance else transposed @ (W @ x)
