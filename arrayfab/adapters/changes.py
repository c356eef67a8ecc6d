"""What an adapter makes of one tensor of the base."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from arrayfab._arrays import Array
from arrayfab.adapters.updates import Update
from arrayfab.io.configuration import short
from arrayfab.io.files import Tensor, is_floating


@dataclass(frozen=True, eq=False)
class Updated:
    """A matrix, a convolution's kernel, or a vector as a matrix of one column, as an update leaves it."""

    update: Update
    may_be_transposed: bool = False

    def checked(self, tensor: Tensor) -> str:
        """What it is called; ValueError where it does not fit a tensor."""
        _check_floating(tensor)
        self._lies_transposed(tensor)
        return self.update.family

    def _lies_transposed(self, tensor):
        """Whether a tensor lies as ``D × n``."""
        n, D = tensor.shape[0] if tensor.shape else 0, math.prod(tensor.shape[1:])
        fits = self._fits(n, D)
        if self.may_be_transposed and len(tensor.shape) == 2 and self._fits(D, n):
            return not fits or n == D
        if not fits or not tensor.shape:
            expected = " × ".join("any" if size is None else str(size) for size in self.update.shape)
            raise ValueError(
                f"merge: {short(tensor.name)} has shape {tensor.shape}, and the adapter is for a matrix of "
                f"{expected}"
            )
        return False

    def _fits(self, n, D):
        return all(want in (None, have) for want, have in zip(self.update.shape, (n, D), strict=True))

    def step(self, tensor: Tensor) -> int:
        """Runs of so many rows of a tensor, or of a multiple, change by themselves."""
        return tensor.shape[0] if self._lies_transposed(tensor) else self.update.step

    def placed(self, like: Array) -> Updated:
        return replace(self, update=self.update.placed(like))

    def applied(self, tensor: Tensor, W: Array, start: int, strength: float, take_back: bool) -> Array:
        """The changed rows of a tensor, or those before, from ``start`` on."""
        apply = self.update.restored if take_back else self.update.changed
        return apply(W.T, start, strength).T if self._lies_transposed(tensor) else apply(W, start, strength)


@dataclass(frozen=True, eq=False)
class Replaced:
    """A tensor in place of another one, perhaps of another shape."""

    tensor: np.ndarray

    def checked(self, tensor: Tensor) -> str:
        return "replaced"


Change = Updated | Replaced


def _check_floating(tensor):
    if not is_floating(tensor.dtype):
        raise ValueError(f"merge: {short(tensor.name)} holds {tensor.dtype}, no real floating numbers")
