"""An expansion by an interdependence: attributes that depend on one another in a fixed way."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from arrayfab.expansions.base import Expansion, check
from arrayfab.interdependences.base import Interdependence
from arrayfab.structures import Dense


@lru_cache(maxsize=256)
def _columns(interdependence: Interdependence, m: int) -> int:
    return int(interdependence.formula(Dense("x", (1, m))).shape[1])


@dataclass(frozen=True, kw_only=True)
class Interdependent(Expansion):
    """``κ(x) = x A`` for an interdependence of attributes whose ``A`` does not follow from the data.

    With the patches of a grid a role takes what a convolution takes, and a compression what pooling does.

    Parameters
    ----------
    interdependence : Interdependence
        Of the type ``"attribute"``.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab.expansions import GroupMax, Nested
    >>> from arrayfab.interdependences import CuboidInterdependence, Interdependent
    >>> grid = CuboidInterdependence(height=2, width=2, p_h=0, p_w=0, p_w_prime=1)
    >>> patches = Interdependent(interdependence=grid)
    >>> patches(np.asarray([1.0, 2.0, 3.0, 4.0]))
    array([1., 2., 2., 0., 3., 4., 4., 0.])
    >>> Nested(expansions=[patches, GroupMax(groups=4)])(np.asarray([1.0, 2.0, 3.0, 4.0]))
    array([2., 2., 4., 4.])
    """

    interdependence: Interdependence

    def __post_init__(self):
        super().__post_init__()
        is_one = isinstance(self.interdependence, Interdependence) and self.interdependence.is_rowwise
        check(self, is_one, "interdependence must be one of attributes that needs no data")

    @property
    def holds_arrays(self):  # type: ignore[override]
        return self.interdependence.holds_arrays

    def num_features(self, m):
        return _columns(self.interdependence, m)

    def expand(self, X):
        return self.interdependence.formula(X)
