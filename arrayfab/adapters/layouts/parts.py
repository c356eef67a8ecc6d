"""The tensors of an adapter's file, taken one by one, each checked when it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from arrayfab.adapters.files import is_floating
from arrayfab.io.configuration import short
from arrayfab.io.tensors import check_finite


class Parts:
    """The tensors of one module by their names in the layout.

    What is taken is checked, and what is left over at the end is an error.
    """

    def __init__(self, owner: str, name: str, tensors: Mapping[str, np.ndarray]):
        self.owner, self.name, self._tensors = owner, name, dict(tensors)

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def take(self, name: str, *shape: int | None) -> np.ndarray:
        """A tensor of that shape, in which None stands for any length."""
        if name not in self._tensors:
            raise ValueError(f"{self.owner}: tensor {name} is missing, got {sorted(self._tensors)}")
        tensor = self._tensors.pop(name)
        check_tensor(f"{self.owner}: tensor {name}", tensor, *shape)
        return tensor

    def take_matrix(self, name: str, rows: int | None = None, columns: int | None = None) -> np.ndarray:
        """A matrix, or a convolution's kernel unfolded to one: all axes but the first are its columns."""
        if name not in self._tensors:
            raise ValueError(f"{self.owner}: tensor {name} is missing, got {sorted(self._tensors)}")
        tensor = self._tensors.pop(name)
        if tensor.ndim > 2:
            tensor = tensor.reshape(tensor.shape[0], -1)
        check_tensor(f"{self.owner}: tensor {name}", tensor, rows, columns)
        return tensor

    def kernel(self, name: str) -> tuple[int, ...]:
        """The shape of a convolution's kernel, empty for a matrix."""
        return tuple(self._tensors[name].shape[2:]) if name in self._tensors else ()

    def check_empty(self) -> None:
        if self._tensors:
            raise ValueError(f"{self.owner}: tensors {sorted(self._tensors)} are one too many")


def check_tensor(owner: str, tensor: np.ndarray, *shape: int | None) -> None:
    """ValueError unless a tensor is of that shape, of real floating numbers, and finite."""
    fits = len(shape) == tensor.ndim and all(
        have > 0 and want in (None, have) for want, have in zip(shape, tensor.shape, strict=True)
    )
    if not fits:
        spelled = ", ".join("any" if length is None else str(length) for length in shape)
        raise ValueError(f"{owner} must have shape ({spelled}), got {tensor.shape}")
    if not is_floating(tensor.dtype):
        raise ValueError(f"{owner} must hold real floating numbers, got {tensor.dtype}")
    check_finite(owner, tensor)


def by_module(
    owner: str, tensors: Mapping[str, np.ndarray], split: Callable[[str], tuple[str, str] | None]
) -> tuple[dict[str, Parts], dict[str, np.ndarray]]:
    """The tensors of each module, and those that ``split`` finds to be of none."""
    found: dict[str, dict[str, np.ndarray]] = {}
    others = {}
    for key, tensor in tensors.items():
        place = split(key)
        if place is None:
            others[key] = tensor
            continue
        module, name = place
        if found.setdefault(module, {}).setdefault(name, tensor) is not tensor:
            raise ValueError(f"{owner}: tensor {short(key)} is there twice, under two spellings")
    modules = {
        module: Parts(f"{owner}: module {short(repr(module))}", module, held)
        for module, held in found.items()
    }
    return modules, others


def wide(array: np.ndarray) -> np.ndarray:
    """Numbers of a file in float64, to be multiplied out."""
    return array.astype(np.float64)


def mixed(core: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """``Σ_b core[a, b, k] columns[b, j]`` as a matrix of ``a`` by ``(j, k)``.

    Of factors ``rows`` and ``columns`` that meet in a convolution's kernel (L. Tucker, 1966), it is what the
    rows are multiplied with.
    """
    r, s = core.shape[:2]
    inner = np.tensordot(wide(core).reshape(r, s, -1), wide(columns), axes=(1, 0))  # (a, k, j)
    return np.moveaxis(inner, 1, 2).reshape(r, -1)
