"""Expanded rows with mean zero and variance one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real

from arrayfab.expansions.base import Expansion
from arrayfab.structures import normalized


@dataclass(frozen=True, kw_only=True)
class RowNormalized(Expansion):
    """``(κ(x) − μ) / √(v + eps)`` with the mean ``μ`` and the variance ``v`` of each row of ``κ(x)``.

    This is layer normalisation without learned numbers (J. L. Ba, J. R. Kiros and G. E. Hinton, 2016). For
    products of attributes both moments have closed forms, so that ``κ(x)`` need not be formed for them.

    Parameters
    ----------
    expansion : Expansion
        ``κ``.
    eps : float
        Positive, so that rows of one value all over become zero.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab.expansions import RowNormalized, Taylor
    >>> y = RowNormalized(expansion=Taylor(d=2))(np.asarray([[1.0, 2.0, 4.0]]))
    >>> bool(abs(y.mean()) < 1e-15), round(float(y.var()), 4)
    (True, 1.0)
    """

    expansion: Expansion
    eps: float = 1e-5

    def __post_init__(self):
        super().__post_init__()
        if not isinstance(self.expansion, Expansion):
            raise TypeError(f"RowNormalized: expansion must be an Expansion, got {self.expansion!r}")
        if not (isinstance(self.eps, Real) and math.isfinite(self.eps) and self.eps > 0):
            raise ValueError(f"{self}: eps must be positive, got {self.eps!r}")
        object.__setattr__(self, "eps", float(self.eps))

    def num_features(self, m):
        return self.expansion.num_features(m)

    def expand(self, X):
        return normalized(self.expansion.formula(X), self.eps)

    def mean_square(self, m):
        return 1.0

    def outer_features(self, m):
        return self.expansion.outer_features(m)
