"""The tensors of an adapter's file, taken one by one, each checked when it is."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from arrayfab.adapters.updates import Update
from arrayfab.io.configuration import short
from arrayfab.io.files import Content, TensorFile, is_floating, write_tensors
from arrayfab.io.reading import spelled
from arrayfab.io.replacing import replacing
from arrayfab.io.tensors import check_finite, rounded

#: What makes the error of a module, of why it cannot be read or written.
Refusal = Callable[[str], ValueError]


class SeveralAdapters(ValueError):
    """A file holds several adapters of these names, and none was asked for."""

    def __init__(self, owner: str, names: list[str]):
        super().__init__(f"{owner}: the file holds several adapters, say which by name: {short(repr(names))}")
        self.names = names


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
        tensor = self._taken(name)
        check_tensor(f"{self.owner}: tensor {name}", tensor, *shape)
        return tensor

    def take_matrix(self, name: str, rows: int | None = None, columns: int | None = None) -> np.ndarray:
        """A matrix, or a convolution's kernel unfolded to one: all axes but the first are its columns."""
        tensor = self._taken(name)
        if tensor.ndim > 2:
            tensor = tensor.reshape(tensor.shape[0], math.prod(tensor.shape[1:]))
        check_tensor(f"{self.owner}: tensor {name}", tensor, rows, columns)
        return tensor

    def take_vector(self, name: str, length: int | None = None) -> np.ndarray:
        """A vector, or what has one axis of a length other than one."""
        tensor = self._taken(name)
        if tensor.ndim > 1 and tensor.size == max(tensor.shape):
            tensor = tensor.reshape(-1)
        check_tensor(f"{self.owner}: tensor {name}", tensor, length)
        return tensor

    def take_butterfly(self, name: str) -> np.ndarray:
        """Square blocks in a number of steps, each of which mixes runs twice as long."""
        shape = self.shape(name)
        tensor = self.take(name, None, None, None, *shape[2:3])
        steps, count, side, _ = tensor.shape
        if steps > 1 and (side % 2 or count % (1 << (steps - 1))):
            raise ValueError(
                f"{self.owner}: tensor {name} of shape {shape} has more steps than its blocks allow"
            )
        return tensor

    def take_number(self, name: str) -> float | None:
        """A finite number, None where it is missing."""
        if name not in self:
            return None
        tensor = self._taken(name)
        if tensor.size != 1 or tensor.dtype.kind in "bc":
            raise ValueError(f"{self.owner}: tensor {name} must be one number, got shape {tensor.shape}")
        check_finite(f"{self.owner}: tensor {name}", tensor)
        return float(tensor.reshape(-1)[0])

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor, empty where it is missing."""
        return self._tensors[name].shape if name in self else ()

    def rows(self, name: str) -> int:
        """How many rows a tensor has; ValueError where it is missing."""
        self._check_held(name)
        return (*self.shape(name), 1)[0]

    def kernel(self, *names: str) -> tuple[int, ...]:
        """The shape of a convolution's kernel, that of the first of these tensors to have one."""
        return next((self.shape(name)[2:] for name in names if len(self.shape(name)) > 2), ())

    def refusal(self, why: str) -> ValueError:
        """The error of a module that cannot be read."""
        return ValueError(f"{self.owner}: {why}")

    def check_empty(self) -> None:
        """ValueError unless all tensors have been taken."""
        if self._tensors:
            raise ValueError(f"{self.owner}: tensors {sorted(self._tensors)} are one too many")

    def _taken(self, name):
        self._check_held(name)
        return self._tensors.pop(name)

    def _check_held(self, name):
        if name not in self:
            raise ValueError(f"{self.owner}: tensor {name} is missing, got {sorted(self._tensors)}")


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


def loha_factors(parts: Parts, r: int) -> dict[str, np.ndarray]:
    """The factors of a Hadamard product of two products, as PEFT and LyCORIS name them."""
    tensors: dict[str, np.ndarray] = {}
    for i in (1, 2):
        tensors |= _factors(parts, i, r, *(f"hada_{name}" for name in (f"w{i}_a", f"w{i}_b", f"t{i}")))
    first, second = ((tensors[f"A{i}"].shape[0], tensors[f"B{i}"].shape[1]) for i in (1, 2))
    if first != second:
        raise ValueError(f"{parts.owner}: its factors are of matrices of two shapes, {first} and {second}")
    return tensors


def lokr_factors(parts: Parts, r: int) -> dict[str, np.ndarray]:
    """The factors of a Kronecker product, each full or a product, as PEFT and LyCORIS name them."""
    tensors: dict[str, np.ndarray] = {}
    for i in (1, 2):
        whole, *names = (f"lokr_{name}" for name in (f"w{i}", f"w{i}_a", f"w{i}_b", f"t{i}"))
        if whole not in parts:
            tensors |= _factors(parts, i, r, *names)
        else:  # the second one has a convolution's kernel
            tensors[f"C{i}"] = parts.take(whole, None, None) if i == 1 else parts.take_matrix(whole)
    return tensors


def loha_tensors(update: Update) -> dict[str, np.ndarray]:
    """The tensors of `loha_factors`, none of them mixed."""
    names = {"A1": "w1_a", "B1": "w1_b", "A2": "w2_a", "B2": "w2_b"}
    return {f"hada_{spelling}": update[name] for name, spelling in names.items()}


def lokr_tensors(update: Update, kernel: tuple[int, ...]) -> dict[str, np.ndarray]:
    """The tensors of `lokr_factors`, none of them mixed."""
    names = {"C1": "w1", "A1": "w1_a", "B1": "w1_b", "C2": "w2", "A2": "w2_a", "B2": "w2_b"}
    tensors = {f"lokr_{names[name]}": array for name, array in update.tensors.items()}
    if kernel and "lokr_w2" in tensors:
        tensors["lokr_w2"] = folded(tensors["lokr_w2"], kernel)
    return tensors


def _factors(parts, i, r, rows, columns, core):
    if core in parts:
        kernel = parts.take(core, r, r, *parts.kernel(core))
        A, B = parts.take(rows, r, None).T, mixed(parts.refusal, kernel, parts.take(columns, r, None))
    else:
        A, B = parts.take(rows, None, r), parts.take(columns, r, None)
    return {f"A{i}": A, f"B{i}": B}


def wide(array: np.ndarray) -> np.ndarray:
    """Numbers of a file in float64, to be multiplied out."""
    return array.astype(np.float64)


def narrowed(refusal: Refusal, array: np.ndarray, *sources: np.ndarray) -> np.ndarray:
    """Numbers that were computed of a file's: as float32, unless all of those are wider."""
    if all(source.dtype == np.float64 for source in sources):
        return array
    with np.errstate(over="ignore"):  # it is looked for below
        narrow = array.astype(np.float32)
    if np.isinf(narrow).any():
        raise refusal("its numbers, multiplied out, are too large for float32")
    return narrow


def mixed(refusal: Refusal, core: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """``Σ_b core[a, b, k] columns[b, j]`` as a matrix of ``a`` by ``(j, k)``.

    Of factors ``rows`` and ``columns`` that meet in a convolution's kernel (L. Tucker, 1966), it is what the
    rows are multiplied with.
    """
    r, s = core.shape[:2]
    inner = np.tensordot(wide(core).reshape(r, s, -1), wide(columns), axes=(1, 0))  # (a, k, j)
    return narrowed(refusal, np.moveaxis(inner, 1, 2).reshape(r, -1), core, columns)


def folded(matrix: np.ndarray, kernel: tuple[int, ...]) -> np.ndarray:
    """A matrix as the kernel of a convolution, the inverse of `Parts.take_matrix`."""
    return matrix.reshape(matrix.shape[0], -1, *kernel)


def read_all(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """All tensors of a file, and its metadata."""
    file = TensorFile(path)
    return {name: tensor.read() for name, tensor in file.items()}, file.metadata


def read_alone(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The same of a file that tells all that there is to know; ValueError where it is one of PEFT's."""
    tensors, metadata = read_all(path)
    if any(key.startswith("base_model.model.") for key in tensors):
        raise ValueError(
            f"{spelled(path)} is the file of a PEFT adapter, whose scale is in the adapter_config.json "
            "beside it: read the folder of both"
        )
    return tensors, metadata


def write_files(
    path: Path,
    tensors: Mapping[str, np.ndarray],
    dtype: np.dtype | None,
    metadata: Mapping[str, str] | None = None,
    others: Mapping[Path, bytes] | None = None,
) -> None:
    """Write tensors, in a dtype where one is given, and other files, of which all or none take their places.

    Single numbers, such as ``alpha``, keep their dtype.
    """
    contents = {}
    for name, tensor in tensors.items():
        owner = f"{spelled(path)}: tensor {short(name)}"
        contents[name] = Content.of(rounded(owner, tensor, dtype or tensor.dtype) if tensor.ndim else tensor)
    with ExitStack() as stack:
        write_tensors(stack.enter_context(replacing(path)), contents, metadata)
        for place, content in (others or {}).items():
            stack.enter_context(replacing(place)).write(content)


def as_number(value: float) -> np.ndarray:
    """A number as a tensor: of float32 where it is one, or else float64."""
    with np.errstate(over="ignore"):
        return np.asarray(value, np.float32 if float(np.float32(value)) == value else np.float64)


def inexpressible(path: str | os.PathLike, name: str, family: str, why: str) -> ValueError:
    """The error of a layout that cannot hold what is done to a module."""
    return ValueError(f"{spelled(path)}: module {short(repr(name))}: {family} cannot be written: {why}")


def scaled_by(refusal: Refusal, scale: float, array: np.ndarray) -> np.ndarray:
    """An array times a number, itself where that is one."""
    return array if scale == 1.0 else narrowed(refusal, scale * wide(array), array)


def rank_of(tensors: Mapping[str, np.ndarray]) -> int:
    """The rank of factors, one where there are none."""
    return next((tensors[name].shape[0] for name in ("A", "B1", "B2") if name in tensors), 1)
