"""Matrices as tensor trains."""

from __future__ import annotations

import math
from dataclasses import dataclass

from arrayfab.fabrications.base import Fabrication
from arrayfab.fabrications.sizes import divisors
from arrayfab.structures import Identity, chain, kron


@dataclass(frozen=True, kw_only=True)
class TensorTrain(Fabrication):
    """``W`` as a train of arrays ``Gₖ`` of shape ``(r, nₖ, Dₖ, r)``, with 1 for ``r`` at both ends.

    With row numbers as ``(i₁, i₂, …)`` and column numbers as ``(j₁, j₂, …)``, ``n = n₁ n₂ …`` and
    ``D = D₁ D₂ …``, an entry is the product of matrices ``G₁[i₁, j₁] G₂[i₂, j₂] …``. ``w`` holds the cores,
    each row by row. With two of them it is a sum of ``r`` Kronecker products.

    Parameters
    ----------
    r : int
        The size between two cores.
    cores : int
        How many there are.
    rows, columns : tuple of int, optional
        ``nₖ`` and ``Dₖ``. Left out, they are as nearly alike as the divisors of ``n`` and ``D`` allow, the
        smaller ones first.
    """

    r: int = 2
    cores: int = 2
    rows: tuple[int, ...] | None = None
    columns: tuple[int, ...] | None = None

    def __post_init__(self):
        super().__post_init__()
        for name in ("rows", "columns"):
            sizes = getattr(self, name)
            if sizes is None:
                continue
            object.__setattr__(self, name, tuple(sizes))
            if len(sizes) != self.cores:
                raise ValueError(f"{self}: {name} must hold {self.cores} sizes, got {sizes!r}")

    def shapes(self, n: int, D: int) -> list[tuple[int, int, int, int]]:
        """The shapes of the cores."""
        ns, Ds = self._cut("rows", n, "n"), self._cut("columns", D, "D")
        ranks = [1, *[self.r] * (self.cores - 1), 1]
        return list(zip(ranks, ns, Ds, ranks[1:], strict=False))

    def _cut(self, name, size, size_name):
        sizes = getattr(self, name) or _alike(size, self.cores)
        if math.prod(sizes) != size:
            raise ValueError(f"{self}: the product of {name} must be {size_name}={size}, got {sizes}")
        return sizes

    def blocks(self, n, D):
        return {f"G{k}": (a * s, t * b) for k, (a, s, t, b) in enumerate(self.shapes(n, D))}

    def matrix(self, n, D, **G):
        # Core by core, runs (r, nₖ) of a row become runs (Dₖ, r), between what is done and what is left.
        done, left, factors = 1, n, []
        for core, (_, s, t, _) in zip(G.values(), self.shapes(n, D), strict=True):
            left //= s
            factors.append(kron(Identity((done, done)), kron(core, Identity((left, left)))))
            done *= t
        return chain(*factors)


def _alike(size: int, count: int) -> tuple[int, ...]:
    if count == 1:
        return (size,)
    first = max(divisor for divisor in divisors(size) if divisor**count <= size)
    return (first, *_alike(size // first, count - 1))
