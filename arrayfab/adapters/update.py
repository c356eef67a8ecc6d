"""An update of a matrix of weights: a fabrication, given that matrix and numbers of a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from arrayfab import _arrays
from arrayfab import fabrications as fab
from arrayfab._arrays import Array
from arrayfab.fabrications import Fabrication
from arrayfab.io.tensors import rounded

#: A fabrication, and the blocks of its ``w``.
Fabricated = tuple[Fabrication, Sequence[Array]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Update:
    """A change of a matrix ``W₀ ∈ R^{n×D}``. A convolution's is the matrix of its unfolded kernel.

    Parameters
    ----------
    tensors : mapping from str to array
        The learned numbers, by the names that the formula of the family has for them.
    """

    tensors: Mapping[str, Array]

    family: ClassVar[str] = ""

    def __getitem__(self, name: str) -> Array:
        return self.tensors[name]

    @property
    def shape(self) -> tuple[int | None, int | None]:
        """``(n, D)``, None where the numbers do not tell."""
        raise NotImplementedError(f"{type(self).__name__}.shape")

    @property
    def step(self) -> int:
        """Runs of so many rows, or of a multiple, change by themselves."""
        return 1

    def fabricated(self, W0: Array, rows: slice, strength: float) -> Fabricated:
        """The fabrication of some changed rows, given those of ``W₀``."""
        raise NotImplementedError(f"{type(self).__name__}.fabricated")

    def changed(self, W0: Array, start: int = 0, strength: float = 1.0) -> Array:
        """The changed rows, given those of ``W₀`` from ``start`` on.

        ``strength`` multiplies what is added; ValueError where a family adds nothing and it is not one.
        """
        rows = slice(start, start + W0.shape[0])
        return dense(*self.fabricated(W0, rows, strength), *W0.shape)

    def restored(self, W: Array, start: int = 0, strength: float = 1.0) -> Array:
        """The rows of ``W₀``, given the changed ones; ValueError where they cannot be found again."""
        raise ValueError(
            f"{self.family} cannot be taken back: the changed weights do not tell what was there"
        )

    def arrays(self) -> Iterator[Array]:
        """All arrays that it holds."""
        yield from self.tensors.values()

    def placed(self, like: Array) -> Update:
        """The same with its numbers in the namespace and dtype and on the device of an array."""
        xp, device = _arrays.backend_of(self.family, "W0", like).xp, _arrays.device_of(like)
        dtype = np.dtype(_arrays.dtype_name(like.dtype))

        def place(numbers):
            return _arrays.from_host(rounded(self.family, numbers, dtype), xp, None, device)

        return replace(self, tensors={name: place(numbers) for name, numbers in self.tensors.items()})


@dataclass(frozen=True, eq=False, kw_only=True)
class Added(Update):
    """``W₀ + scale · ψ(w)``."""

    scale: float = 1.0

    def part(self, rows: slice, D: int) -> Fabricated:
        """The fabrication of some rows of ``ψ(w)``, which has ``D`` columns."""
        raise NotImplementedError(f"{type(self).__name__}.part")

    def delta(self, n: int, D: int) -> Array:
        """``scale · ψ(w)``, formed."""
        fabrication, blocks = self.part(slice(0, n), D)
        return dense(self.scale * fabrication, blocks, n, D)

    def fabricated(self, W0, rows, strength):
        fabrication, blocks = self.part(rows, W0.shape[1])
        return fab.Base(W0) + (strength * self.scale) * fabrication, blocks

    def restored(self, W, start=0, strength=1.0):
        return self.changed(W, start, -strength)


def dense(fabrication: Fabrication, blocks: Sequence[Array], n: int, D: int) -> Array:
    """The matrix of a fabrication, given the blocks of its ``w``."""
    backend = _arrays.backend_of("an adapter", "its numbers", blocks[0])
    w = backend.xp.concat([backend.reshape(block, (-1,)) for block in blocks])
    return fabrication.fabricate(w, n, D).to_dense()


def check_strength(update: Update, strength: float) -> None:
    """ValueError unless a family that adds nothing is taken as it is."""
    if strength != 1.0:
        raise ValueError(f"{update.family} adds nothing to be multiplied: strength must be 1, got {strength}")
