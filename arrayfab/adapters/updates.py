"""What an adapter does to one matrix of weights, as a formula of that matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab.fabrications import LPHM, Base, DualLPHM, Fabrication, Hypercomplex, LowRank, RandomMatrixAdaption

Formula = tuple[Fabrication, Sequence[Array]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Update:
    """A change of a matrix ``W₀ ∈ R^{n×D}``; a convolution's is that of its unfolded one.

    Parameters
    ----------
    tensors : mapping from str to array
        The learned numbers, by the family's own names.
    """

    tensors: Mapping[str, Array]

    #: The family's name.
    family: ClassVar[str] = ""
    #: Of how many rows a run must consist, or be a multiple.
    step: ClassVar[int] = 1

    def __getitem__(self, name: str) -> Array:
        return self.tensors[name]

    @property
    def shape(self) -> tuple[int, int]:
        """``(n, D)``."""
        raise NotImplementedError(f"{type(self).__name__}.shape")

    def formula(self, W0: Array, rows: slice, strength: float) -> Formula:
        """The fabrication of some changed rows, given those of ``W₀``, and the blocks of its ``w``."""
        raise NotImplementedError(f"{type(self).__name__}.formula")

    def changed(self, W0: Array, start: int = 0, strength: float = 1.0) -> Array:
        """The changed rows, given those of ``W₀`` from ``start`` on."""
        rows = slice(start, start + W0.shape[0])
        fabrication, blocks = self.formula(W0, rows, strength)
        backend = _arrays.backend_of(self.family, "W0", W0)
        w = backend.xp.concat([backend.reshape(block, (-1,)) for block in blocks])
        return fabrication.fabricate(w, *W0.shape).to_dense()

    def placed(self, like: Array) -> Update:
        """The same with its numbers in the namespace and dtype and on the device of an array."""
        xp, device = _arrays.backend_of(self.family, "W0", like).xp, _arrays.device_of(like)
        tensors = {k: _arrays.from_host(v, xp, like.dtype, device) for k, v in self.tensors.items()}
        return replace(self, tensors=tensors)


@dataclass(frozen=True, eq=False, kw_only=True)
class Added(Update):
    """``W₀ + scale · ψ(w)``."""

    scale: float = 1.0

    def delta(self, rows: slice) -> Formula:
        """The fabrication of some rows of what is added, without the scale."""
        raise NotImplementedError(f"{type(self).__name__}.delta")

    def formula(self, W0, rows, strength):
        fabrication, blocks = self.delta(rows)
        return Base(W0) + (strength * self.scale) * fabrication, blocks


@dataclass(frozen=True, eq=False, kw_only=True)
class LoRA(Added):
    """``W₀ + scale · B A`` (E. Hu et al., 2021), with ``A ∈ R^{r×D}`` and ``B ∈ R^{n×r}``."""

    family: ClassVar[str] = "LoRA"

    @property
    def shape(self):
        return self["B"].shape[0], self["A"].shape[1]

    def delta(self, rows):
        A, B = self["A"], self["B"]
        return LowRank(r=A.shape[0]), (B[rows, :], A)
