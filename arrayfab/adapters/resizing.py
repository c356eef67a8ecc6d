"""Adapters of other families and ranks than they had."""

from __future__ import annotations

import fnmatch
import math
import os
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

from arrayfab.adapters.adapter import Adapter, matched
from arrayfab.adapters.changes import Updated
from arrayfab.adapters.factors import Cut, Finder
from arrayfab.adapters.made import Made, Nearness
from arrayfab.adapters.updates import Added, Difference, Update
from arrayfab.adapters.weights import Weights
from arrayfab.io.configuration import short
from arrayfab.io.files import dtype_of
from arrayfab.io.tensors import rounded


def to_lora(
    adapter: Adapter,
    *,
    rank: int | None = None,
    energy: float | None = None,
    base: str | bytes | os.PathLike | None = None,
    exact: bool = False,
    seed: int = 0,
    only: str = "*",
    dtype: str | None = None,
    xp: ModuleType | None = None,
    device: Any = None,
    on_module: Callable[[int, int], None] = lambda done, total: None,
) -> Made:
    """The same adapter with low-rank updates, each the nearest to what was there.

    Matrices are not formed where factors tell: those of LoRA and VeRA, of LoHa with all products of their
    columns, and of LoKr by the singular values of both. Elsewhere products with the matrix serve, or it is
    formed where it is small.

    Parameters
    ----------
    adapter : Adapter
    rank, energy, exact, seed
        As for `arrayfab.adapters.extract`. Without rank and energy each update keeps the rank that it has,
        and is no other but for rounding.
    base : str, bytes or path, optional
        The weights that the adapter is for, whose values lengths, scales and rotations multiply.
    only : str
        A pattern, such as ``"*.attn.*"``, of the names of modules; all others stay as they are.
    dtype : str, optional
        Of the new factors, that of each update if left out; they are rounded to it once.
    xp, device
        Where to compute: NumPy if left out.
    on_module : callable
        Is told how many modules are done, and of how many.

    Raises
    ------
    ValueError
        If rank or energy is out of range, no module is converted, or a module's update cannot be told without
        a base or does not fit it.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab.adapters import Adapter, LoKr, to_lora
    >>> update = LoKr(tensors={"C1": np.diag([4.0, 1.0]), "C2": np.diag([2.0, 1.0])})
    >>> made = to_lora(Adapter(layout="peft", updates={"layer": update}), rank=2)
    >>> made.adapter.updates["layer"]["B"].shape
    (4, 2)
    >>> round(made.lines[0].error ** 2, 6)  # of singular values 8, 4, 2 and 1
    0.058824
    """
    finder = Finder(
        cut=Cut(rank=rank, energy=energy),
        exact=exact,
        seed=seed,
        dtype=None if dtype is None else dtype_of(dtype),
        xp=xp,
        device=device,
    )
    if not any(fnmatch.fnmatchcase(name, only) for name in adapter.updates):
        raise ValueError(f"no module of the adapter is named like {short(repr(only))}")
    deltas = _Deltas(adapter, None if base is None else Weights(base))
    updates, lines = dict(adapter.updates), []
    for i, (name, update) in enumerate(adapter.updates.items()):
        if fnmatch.fnmatchcase(name, only):
            (added, (n, D)), owner = deltas(name, update), f"module {short(repr(name))}"
            # What was made with the base is in the base's dtype, or a wider one.
            kind = finder.dtype or np.result_type(*update.arrays())
            near, error = replace(finder, dtype=kind).nearest(owner, added, n, D)
            updates[name] = near
            lines.append(Nearness(name, (n, D), near.family, near["A"].shape[0], error))
        else:
            lines.append(Nearness(name, update.shape, update.family))
        on_module(i + 1, len(adapter.updates))
    lines += [Nearness(name, kept.shape, "replaced") for name, kept in adapter.replaced.items()]
    biases = {
        name: bias if updates.get(name) is adapter.updates.get(name) else _of_scale_one(name, bias)
        for name, bias in adapter.biases.items()
    }
    return Made(replace(adapter, updates=updates, biases=biases), lines)


def resize(adapter: Adapter, *, rank: int | None = None, energy: float | None = None, **options) -> Made:
    """`arrayfab.adapters.to_lora` to a lower rank, or a share of energy: one of both must be given.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab.adapters import Adapter, LoRA, resize
    >>> update = LoRA(tensors={"B": np.diag([3.0, 4.0]), "A": np.eye(2)})
    >>> made = resize(Adapter(layout="peft", updates={"layer": update}), rank=1)
    >>> round(made.lines[0].error, 6)
    0.6
    """
    if rank is None and energy is None:
        raise ValueError("resize: a rank or a share of energy must be given")
    return to_lora(adapter, rank=rank, energy=energy, **options)


def _of_scale_one(name: str, bias: Update) -> Update:
    """What is added to a bias in the scale that the new factors have."""
    if not isinstance(bias, Difference) or bias.scale == 1:
        return bias
    owner = f"module {short(repr(name))}: bias"
    delta = bias.scale * bias["delta"].astype(np.float64)
    return Difference(tensors={"delta": rounded(owner, delta, bias["delta"].dtype)})


class _Deltas:
    """What updates add, and the shapes of their matrices."""

    def __init__(self, adapter: Adapter, base: Weights | None):
        self._base, self._names = base, {}
        if base is not None:
            changes, _ = matched(adapter, base)
            # A bias may share the update of its weight, which comes first.
            self._names = {
                id(change.update): name
                for name, change in reversed(changes.items())
                if isinstance(change, Updated)
            }
        self._may_be_transposed = adapter.may_be_transposed

    def __call__(self, name: str, update: Update) -> tuple[Added, tuple[int, int]]:
        n, D = update.shape
        if isinstance(update, Added) and n is not None and D is not None:
            return update, (n, D)
        tensor = self._base and self._base.get(self._names.get(id(update), ""))
        if not tensor:
            raise ValueError(
                f"module {short(repr(name))}: what {update.family} adds is told by the base's weights alone, "
                + ("which it matches none of" if self._base is not None else "give them with base=")
            )
        shape = tensor.shape[0], math.prod(tensor.shape[1:])
        if self._may_be_transposed:
            raise ValueError(
                f"module {short(repr(name))}: {update.family} for weights that may be transposed cannot be "
                "converted; merge it, and extract the difference"
            )
        if any(want not in (None, have) for want, have in zip(update.shape, shape, strict=True)):
            raise ValueError(
                f"module {short(repr(name))}: {short(tensor.name)} has shape {tensor.shape}, and the adapter "
                f"is for a matrix of {update.shape}"
            )
        if isinstance(update, Added):
            return update, shape
        W0 = tensor.read().reshape(shape)
        W0 = W0.astype(np.float64 if W0.dtype == np.float64 else np.float32)
        return Difference(tensors={"delta": update.placed(W0).changed(W0) - W0}), shape
