"""Adapters from the difference of two models."""

from __future__ import annotations

import fnmatch
import math
import os
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from arrayfab import fabrications as fab
from arrayfab.adapters.adapter import Adapter
from arrayfab.adapters.factors import Cut, Finder
from arrayfab.adapters.made import Made, Nearness
from arrayfab.adapters.updates import Added, Difference, LoKr
from arrayfab.adapters.weights import Weights
from arrayfab.fitting import fit
from arrayfab.io.configuration import short
from arrayfab.io.files import Tensor, dtype_of, is_floating
from arrayfab.io.tensors import check_finite, rounded

#: So many numbers are compared at a time.
_RUN = 1 << 22
#: Names of embeddings, after which nothing comes.
_EMBEDDINGS = re.compile(r"(^|\.)(wte|wpe|shared|embed_tokens|embed_positions|(\w+_)?embeddings?)$")
_FAMILIES = ("lora", "lokr", "full")


def extract(
    base: str | bytes | os.PathLike,
    tuned: str | bytes | os.PathLike,
    *,
    rank: int | None = None,
    energy: float | None = None,
    family: str = "lora",
    exact: bool = False,
    seed: int = 0,
    only: str = "*",
    embeddings: str | None = None,
    dtype: str | None = None,
    xp: ModuleType | None = None,
    device: Any = None,
    on_tensor: Callable[[int, int], None] = lambda done, total: None,
) -> Made:
    """An adapter that makes a model of another, up to what is said of each matrix.

    A matrix of the difference is brought to low rank by its largest singular values (C. Eckart, G. Young,
    1936). The kernel of a convolution is unfolded to one. What differs and is no matrix, such as a bias or
    the scale of a norm, or has another shape, is kept as it is in the tuned model, and takes the place of the
    base's.

    No more is in memory than the adapter, and one difference in float32 with a few columns and rows; some
    times as much with ``exact`` and for LoKr.

    Parameters
    ----------
    base, tuned : str, bytes or path
        Each a safetensors file, an index of several, or a folder with one of them.
    rank : int, optional
        Of each matrix, at most.
    energy : float, optional
        The share of the squared length of each matrix that is kept at least, with as low a rank as serves.
        With ``rank`` too, that is the limit.
    family : str
        ``"lora"``; ``"lokr"``, the nearest Kronecker product, in factors as square as can be (C. Van Loan,
        N. Pitsianis, 1993), which takes no rank; or ``"full"``, the differences themselves.
    exact : bool
        Whether every difference is decomposed as a whole, rather than by products with random columns.
    seed : int
        Of those columns: the same numbers come out for the same seed.
    only : str
        A pattern, such as ``"*.attn.*"``, of the names of tensors that are compared.
    embeddings : str, optional
        A pattern of the names of modules that are embeddings, which files of weights do not tell and those of
        adapters do. Left out, those named as most models do: ``"embed_tokens"``, ``"wte"``,
        ``"word_embeddings"`` and such.
    dtype : str, optional
        Of the adapter's numbers, ``"float32"`` if left out; tensors that are kept stay as they are.
    xp, device
        Where to compute: NumPy if left out.
    on_tensor : callable
        Is told how many tensors are done, and of how many.

    Raises
    ------
    ValueError
        If no tensor differs, a number is not finite, or rank and energy do not suit the family.
    OSError
        If a file cannot be read.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from safetensors.numpy import save_file
    >>> from arrayfab.adapters import extract
    >>> folder = tempfile.mkdtemp()
    >>> base, tuned = (os.path.join(folder, name) for name in ("base.safetensors", "tuned.safetensors"))
    >>> save_file({"layer.weight": np.zeros((4, 4), np.float32)}, base)
    >>> save_file({"layer.weight": np.diag([4, 2, 0, 0]).astype(np.float32)}, tuned)
    >>> made = extract(base, tuned, rank=1)
    >>> made.adapter
    Adapter(layout='peft', 1 modules, LoRA)
    >>> round(made.lines[0].error ** 2, 6)  # the square that is left out, of 16 + 4
    0.2
    """
    if family not in _FAMILIES:
        raise ValueError(f"extract: family must be one of {list(_FAMILIES)}, got {short(repr(family))}")
    if (family == "lora") != (rank is not None or energy is not None):
        wanted = "a rank, or energy" if family == "lora" else "no rank and no energy"
        raise ValueError(f"extract: {family} takes {wanted}, got rank={rank!r}, energy={energy!r}")
    finder = Finder(
        cut=Cut(rank=rank, energy=energy),
        exact=exact,
        seed=seed,
        dtype=dtype_of("float32" if dtype is None else dtype),
        xp=xp,
        device=device,
    )
    before, after = Weights(base), Weights(tuned)
    names = [name for name in before if name in after and fnmatch.fnmatchcase(name, only)]
    pattern = _EMBEDDINGS if embeddings is None else re.compile(fnmatch.translate(embeddings))
    making = _Making(finder, family, pattern)
    making.unmatched += (
        name for name in sorted(before.keys() ^ after.keys()) if fnmatch.fnmatchcase(name, only)
    )
    for i, name in enumerate(names):
        making.compare(before[name], after[name])
        on_tensor(i + 1, len(names))
    if not making.lines:
        among = "" if only == "*" else f" among {short(only)}"
        raise ValueError(f"extract: no tensor differs between the two{among}")
    return making.made()


class _Making:
    """The adapter as far as tensors were compared."""

    def __init__(self, finder: Finder, family: str, embeddings: re.Pattern):
        self._finder, self._family, self._embeddings = finder, family, embeddings
        self._updates: dict[str, Added] = {}
        self._replaced: dict[str, np.ndarray] = {}
        self._kernels: dict[str, tuple[int, ...]] = {}
        self.lines: list[Nearness] = []
        self.unmatched: list[str] = []

    def made(self) -> Made:
        matrices = self._updates.keys() - self._kernels.keys()
        adapter = Adapter(
            layout="peft",
            updates=self._updates,
            replaced=self._replaced,
            kernels=self._kernels,
            embeddings=frozenset(filter(self._embeddings.search, matrices)),
        )
        return Made(adapter, self.lines, self.unmatched)

    def compare(self, old: Tensor, new: Tensor) -> None:
        if (
            len(old.shape) > 1
            and old.shape == new.shape
            and is_floating(old.dtype)
            and is_floating(new.dtype)
        ):
            self._add(old.name.removesuffix(".weight"), _difference(old, new), old.shape[2:])
        elif old.shape != new.shape or not np.array_equal(old.read(), new.read()):
            if not is_floating(new.dtype):
                self.unmatched.append(old.name)
            else:
                self._replaced[old.name] = new.read()
                self.lines.append(Nearness(old.name, new.shape, "replaced"))

    def _add(self, module, difference, kernel):
        if not difference["delta"].any():
            return
        (n, D), rank, owner = difference.shape, None, f"extract: module {short(repr(module))}"
        if self._family == "lora":
            held, error = self._finder.nearest(owner, difference, n, D)
            rank = held["A"].shape[0]
        else:
            held = _HELD[self._family](owner, difference["delta"], self._finder.dtype)
            error = self._finder.error(difference, held, n, D)
        self._updates[module] = held
        self.lines.append(Nearness(module, (n, D), held.family, rank, error))
        if kernel:
            self._kernels[module] = kernel


def _difference(before: Tensor, after: Tensor) -> Difference:
    """Of two tensors of one shape, as a matrix."""
    wide = np.float64 if np.float64 in (before.dtype, after.dtype) else np.float32
    delta = np.empty((before.shape[0], math.prod(before.shape[1:])), wide)
    start = 0
    for old, new in zip(before.runs(_RUN), after.runs(_RUN), strict=True):
        rows = delta[start : start + len(old)]
        np.subtract(new.astype(wide).reshape(rows.shape), old.astype(wide).reshape(rows.shape), out=rows)
        start += len(old)
    check_finite(f"extract: the difference of {short(before.name)}", delta)
    return Difference(tensors={"delta": delta})


def _whole(owner: str, delta: np.ndarray, dtype: np.dtype) -> Added:
    return Difference(tensors={"delta": rounded(owner, delta, dtype)})


def _kronecker(owner: str, delta: np.ndarray, dtype: np.dtype) -> Added:
    fabrication = fab.Hypercomplex()
    first, second = fabrication.blocks(*delta.shape).values()
    w = rounded(owner, fit(fabrication, delta).w, dtype)
    size = math.prod(first)
    return LoKr(tensors={"C1": w[:size].reshape(first), "C2": w[size:].reshape(second)})


_HELD = {"full": _whole, "lokr": _kronecker}
