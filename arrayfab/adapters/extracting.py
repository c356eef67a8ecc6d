"""Adapters from the difference of two models."""

from __future__ import annotations

import fnmatch
import math
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from arrayfab import fabrications as fab
from arrayfab.adapters.adapter import Adapter
from arrayfab.adapters.factors import Cut, Finder
from arrayfab.adapters.files import Tensor, dtype_of, is_floating
from arrayfab.adapters.made import Made, Nearness
from arrayfab.adapters.merging import rounded
from arrayfab.adapters.updates import Added, Difference, LoKr
from arrayfab.adapters.weights import Weights
from arrayfab.fitting import fit
from arrayfab.io.configuration import short
from arrayfab.io.tensors import check_finite

#: So many numbers are compared at a time.
_RUN = 1 << 22
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
    updates, replaced, kernels, lines = {}, {}, {}, []
    for i, name in enumerate(names):
        difference = _difference(before[name], after[name])
        if isinstance(difference, Difference):
            module = name.removesuffix(".weight")
            updates[module], line = _of_family(family, module, difference, finder)
            lines.append(line)
            if len(before[name].shape) > 2:
                kernels[module] = before[name].shape[2:]
        elif difference is not None:
            replaced[name] = difference
            lines.append(Nearness(name, difference.shape, "replaced"))
        on_tensor(i + 1, len(names))
    if not lines:
        raise ValueError(
            "extract: no tensor differs between the two" + (f" among {only}" if only != "*" else "")
        )
    unmatched = [name for name in sorted(before.keys() ^ after.keys()) if fnmatch.fnmatchcase(name, only)]
    adapter = Adapter(layout="peft", updates=updates, replaced=replaced, kernels=kernels)
    return Made(adapter, lines, unmatched)


def _difference(before: Tensor, after: Tensor) -> Difference | np.ndarray | None:
    """A matrix to be added, a tensor that takes the place of another, or None where they are equal."""
    is_matrix = len(before.shape) > 1 and is_floating(before.dtype) and is_floating(after.dtype)
    if before.shape != after.shape or not is_matrix:
        kept = after.read()
        return None if before.shape == after.shape and np.array_equal(before.read(), kept) else kept
    wide = np.float64 if np.float64 in (before.dtype, after.dtype) else np.float32
    delta = np.empty((before.shape[0], math.prod(before.shape[1:])), wide)
    start = 0
    for old, new in zip(before.runs(_RUN), after.runs(_RUN), strict=True):
        rows = delta[start : start + len(old)]
        np.subtract(new.astype(wide).reshape(rows.shape), old.astype(wide).reshape(rows.shape), out=rows)
        start += len(old)
    check_finite(f"extract: the difference of {short(before.name)}", delta)
    return Difference(tensors={"delta": delta}) if delta.any() else None


def _of_family(family: str, module: str, difference: Difference, finder: Finder) -> tuple[Added, Nearness]:
    n, D = difference.shape
    if family == "lora":
        near, error = finder.nearest(difference, n, D)
        return near, Nearness(module, (n, D), near.family, near["A"].shape[0], error)
    if family == "full":
        tensors = {"delta": difference["delta"]}
    else:
        fabrication = fab.Hypercomplex()
        shapes = fabrication.blocks(n, D).values()
        parts = np.split(fit(fabrication, difference["delta"]).w, [math.prod(next(iter(shapes)))])
        tensors = {f"C{i}": part.reshape(shape) for i, part, shape in zip((1, 2), parts, shapes, strict=True)}
    kind = Difference if family == "full" else LoKr
    held = kind(tensors={name: rounded(numbers, finder.dtype) for name, numbers in tensors.items()})
    return held, Nearness(module, (n, D), held.family, None, finder.error(difference, held, n, D))
