"""The reconciliation of expanded data with learned numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab.expansions.base import Expansion
from arrayfab.fabrications.base import Fabrication
from arrayfab.fabrications.blueprint import settle_sizes
from arrayfab.roles.base import Role, check_columns
from arrayfab.structures import Dense, EveryRow


@dataclass(frozen=True, kw_only=True)
class Reconciliation(Role):
    """``y = κ(x) ψ(w)ᵀ``: from ``m`` columns to ``n``, with a learned bias on request.

    Parameters
    ----------
    fabrication : Fabrication
        ``ψ``.
    n : int
        Columns of ``y``.
    D : int, optional
        Columns of ``κ(x)``. Without an expansion they are those of ``x``; with one they follow from ``m``.
    bias : bool
        Whether ``w`` ends in ``n`` more numbers that are added to every row of ``y``.
    expansion : Expansion, optional
        ``κ``. Left out, ``κ(x) = x``.
    m : int, optional
        Columns of ``x``; needed with an expansion.

    Raises
    ------
    ValueError
        If a size is missing, or ``D`` and ``m`` do not fit each other.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab import LowRank, Reconciliation
    >>> role = Reconciliation(fabrication=LowRank(r=2), n=10, D=64)
    >>> w = role.init(rng=0)
    >>> role(np.ones((5, 64)), w).shape, role.num_parameters()
    ((5, 10), 148)

    Of 64 attributes and their 4,096 products, which are never formed:

    >>> from arrayfab import DualLPHM, Taylor
    >>> role = Reconciliation(expansion=Taylor(d=2), fabrication=DualLPHM(r=2), n=9, m=64)
    >>> role(np.ones((5, 64)), role.init(rng=0)).shape, role.D, role.num_parameters()
    ((5, 9), 4160, 270)
    """

    fabrication: Fabrication
    n: int
    D: int | None = None
    bias: bool = False
    expansion: Expansion | None = None
    m: int | None = None

    def __post_init__(self):
        super().__post_init__()
        settle_sizes(self, "n", "D", "m")
        missing = "D" if self.expansion is None else "m"
        if getattr(self, missing) is None and (self.expansion or self.m is None):
            raise ValueError(f"{self}: {missing} is needed")
        m = self.attributes
        features = self._features(m)
        if self.D not in (None, features):
            raise ValueError(f"{self}: D must be {features} for m={m}, got {self.D}")
        # Of two that are the same one stands for both.
        object.__setattr__(self, "m", None if self.expansion is None else m)
        object.__setattr__(self, "D", features)

    @property
    def attributes(self):
        return self.m or self.D

    @property
    def matrix_shape(self):
        return self.n, self._features(self.attributes)

    def _variance(self):
        return 1.0 / (self.D * self._mean_square(self.attributes))

    def num_parameters(self) -> int:
        """The length ``l`` of ``w``, the bias included."""
        return super().num_parameters() + (self.n if self.bias else 0)

    def init(self, **options: Any) -> Array:
        w = super().init(**options)
        if not self.bias:
            return w
        xp = _arrays.backend_of(str(self), "w", w).xp
        zeros = xp.zeros((self.n,), dtype=w.dtype, device=options.get("device"))
        return xp.concat([w, zeros], axis=-1)

    def _check_inputs(self, shapes):
        (shape,) = shapes
        check_columns(self, "x", shape, self.attributes)

    def parts(self):
        learned, frozen, W = super().parts()
        return learned | ({"bias": (1, self.n)} if self.bias else {}), frozen, W

    def formula(self, xs, W):
        y = self.expanded(xs[0]) @ W.T
        return y + EveryRow(Dense("bias", (1, self.n)), y.shape[0]) if self.bias else y

    def matrix(self, w: Array) -> Array:
        """The dense ``ψ(w)``, of shape ``(..., n, D)``."""
        if w is not None and self.bias:
            w = w[..., : -self.n]
        return self.aligned.fabricate(w, *self.matrix_shape).to_dense()
