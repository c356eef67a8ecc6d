"""Fabrications with frozen blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from arrayfab.fabrications.base import Fabrication
from arrayfab.frozen import Frozen, Law, checked_seed
from arrayfab.structures import Dense, Streamed, Structure, streamed

#: Frozen blocks that have more numbers than this, all together, are streamed where nothing else is said.
CACHED_AT_MOST = 1 << 28


@dataclass(frozen=True, kw_only=True)
class Seeded(Fabrication):
    """A fabrication with frozen blocks, which are drawn from its seed and never learned.

    Parameters
    ----------
    seed : int
        From 0 to ``2**64 - 1``. The same seed gives the same numbers everywhere.
    storage : str, optional
        ``"cached"`` keeps the frozen blocks in memory, in ``arrayfab.frozen.cache``. ``"streamed"`` draws
        those of more than ``arrayfab.structures.streamed.TILE`` numbers anew, a tile at a time, in every
        product, pullback and ``to_dense``, and holds one tile. Left out, blocks are cached as long as all
        of them together have at most ``CACHED_AT_MOST`` numbers.
    """

    seed: int = 0
    storage: str | None = field(default=None, repr=False)

    def frozen(self, n: int, D: int) -> dict[str, Law]:
        """The frozen blocks, and the law of their entries."""
        raise NotImplementedError(f"{type(self).__name__}.frozen")

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "seed", checked_seed(str(self), self.seed))
        if self.storage not in (None, "cached", "streamed"):
            raise ValueError(f"{self}: storage must be 'cached', 'streamed' or None, got {self.storage!r}")

    def _frozen_parts(self, n, D, prefix):
        laws = self.frozen(n, D)
        if not isinstance(laws, Mapping):
            raise TypeError(f"{self}: frozen must return a dict of laws by block, got {laws!r}")
        frozen = {name: Frozen(self.seed, name, self._as_law(name, law)) for name, law in laws.items()}
        is_large = sum(matrix.size for matrix in frozen.values()) > CACHED_AT_MOST
        streams = self.storage == "streamed" or (self.storage is None and is_large)
        holes: dict[str, Structure] = {}
        for name, matrix in frozen.items():
            moment = matrix.law.moment
            if streams and matrix.size > streamed.TILE:
                holes[name] = Streamed(prefix + name, matrix.shape, moment)
            else:
                holes[name] = Dense(prefix + name, matrix.shape, is_learned=False, moment=moment)
        return {prefix + name: matrix for name, matrix in frozen.items()}, holes

    def _as_law(self, name: str, law: Any) -> Law:
        """The law of a block, TypeError where it is none."""
        parts = ("n", "D", "moment", "from_words")
        if isinstance(law, type) or not all(hasattr(law, part) for part in parts):
            raise TypeError(
                f"{self}: frozen block {name!r} must be a law, such as Gaussian(n, D), got {law!r}"
            )
        return law
