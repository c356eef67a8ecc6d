"""Fusions of several branches into one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise

from arrayfab._arrays import Array
from arrayfab.expansions.base import Expansion
from arrayfab.fabrications.base import Fabrication
from arrayfab.fabrications.blueprint import as_size, settle_sizes
from arrayfab.plain import Parameterless
from arrayfab.roles.base import Role, check_columns
from arrayfab.structures import side_by_side


@dataclass(frozen=True, kw_only=True)
class ConcatenationFusion(Role):
    """``y = κ(x₁ ⊔ … ⊔ x_k) ψ(w)ᵀ`` with ``ψ(w) ∈ R^{n × D}``, without building the concatenation.

    Parameters
    ----------
    fabrication : Fabrication
        ``ψ``.
    dims : tuple of int
        Columns of each input.
    n : int, optional
        Columns of ``y``. Left out, all inputs must have as many columns, and ``y`` then has as many too.
    expansion : Expansion, optional
        ``κ``, of the concatenation: from ``Σ dims`` numbers in a row to ``D``. Left out, ``κ(x) = x``.

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
    expansion: Expansion | None = None

    def __post_init__(self):
        object.__setattr__(self, "dims", _checked_dims(self, self.dims))
        if self.n is None:
            if len(set(self.dims)) > 1:
                raise ValueError(f"{self}: n is needed where dims differ")
            object.__setattr__(self, "n", self.dims[0])
        super().__post_init__()
        settle_sizes(self, "n")

    @property
    def matrix_shape(self):
        return self.n, self._features(sum(self.dims))

    @property
    def attributes(self):
        return sum(self.dims)

    def _variance(self):
        return 1.0 / (self.matrix_shape[1] * self._mean_square(sum(self.dims)))

    @property
    def inputs(self):
        return [None] * len(self.dims)

    def _check_inputs(self, shapes):
        _check_fused(self, shapes, self.dims)

    def formula(self, xs, W):
        return self.expanded(side_by_side(xs)) @ W.T

    def matrix(self, w: Array) -> Array:
        """The dense ``ψ(w)``, of shape ``(..., n, D)``."""
        return self.aligned.fabricate(w, *self.matrix_shape).to_dense()


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

    @property
    def inputs(self):
        return [None] * len(self.dims)

    def _check_inputs(self, shapes):
        _check_fused(self, shapes, self.dims)

    is_linear = True

    def _map(self, backend, x):
        def concatenation_pullback(grad_y):
            edges = pairwise(accumulate(self.dims, initial=0))
            return [grad_y[..., start:stop] for start, stop in edges]

        return backend.xp.concat(x, axis=-1), concatenation_pullback


def _checked_dims(role, dims):
    if not isinstance(dims, list | tuple) or not dims:
        raise ValueError(f"{type(role).__name__}: dims must hold at least one size, got {dims!r}")
    return tuple(as_size(type(role).__name__, "every entry of dims", size) for size in dims)


def _check_fused(role, shapes, dims):
    for i, (shape, columns) in enumerate(zip(shapes, dims, strict=True)):
        check_columns(role, f"x[{i}]", shape, columns)
        if shape[:-1] != shapes[0][:-1]:
            raise ValueError(
                f"{role}: all inputs must have the same rows, x[0] has shape {shapes[0]} and x[{i}] {shape}"
            )
