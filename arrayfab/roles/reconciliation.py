"""The reconciliation of expanded data with learned numbers."""

from __future__ import annotations

from dataclasses import dataclass

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab.fabrications.base import Fabrication
from arrayfab.fabrications.blueprint import settle_sizes
from arrayfab.roles.base import Role, check_columns
from arrayfab.structures import Dense, EveryRow


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

    @property
    def matrix_shape(self):
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
        check_columns(self, "x", shape, self.D)

    def parts(self):
        learned, frozen, W = super().parts()
        return learned | ({"bias": (1, self.n)} if self.bias else {}), frozen, W

    def formula(self, xs, W):
        y = xs[0] @ W.T
        return y + EveryRow(Dense("bias", (1, self.n)), y.shape[0]) if self.bias else y

    def matrix(self, w: Array) -> Array:
        """The dense ``ψ(w)``, of shape ``(..., n, D)``."""
        if w is not None and self.bias:
            w = w[..., : -self.n]
        return self.fabrication.fabricate(w, self.n, self.D).to_dense()
