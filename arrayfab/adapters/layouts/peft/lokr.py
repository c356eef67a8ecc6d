"""The settings under which PEFT splits matrices as a LoKr's factors are split."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from arrayfab.adapters.adapter import Adapter
from arrayfab.adapters.updates import LoKr


def lokr_settings(
    adapter: Adapter, refusal: Callable[[str, str], ValueError]
) -> tuple[dict[str, int], dict[str, Any]]:
    """A rank for each module, and ``decompose_both`` and ``decompose_factor``, which all have in common.

    PEFT tells from them which sizes factors have, and which are full: those not larger than twice the rank.
    What was read of PEFT stays, as columns of a kernel do not tell how many are of one channel.
    """
    updates: Mapping[str, Any] = adapter.updates
    sizes = {name: _sizes(update, adapter.kernels.get(name, ())) for name, update in updates.items()}
    ranks = {name: _rank(update, sizes[name]) for name, update in updates.items()}
    if "decompose_factor" in adapter.config:
        return ranks, {name: adapter.config.get(name) for name in ("decompose_both", "decompose_factor")}
    wanted = sorted({length for size in sizes.values() for pair in size for length in pair})
    factor = next(
        (factor for factor in (-1, *wanted) if all(_is_split(size, factor) for size in sizes.values())), None
    )
    if factor is None:
        raise refusal(next(iter(updates)), "no decompose_factor of PEFT gives the sizes of all factors")
    decomposed = any("A1" in update.tensors for update in updates.values())
    for name, update in updates.items():
        (n1, D1), (n2, D2) = sizes[name]
        is_first_full = not (decomposed and 2 * ranks[name] < max(n1, D1))
        is_second_full = 2 * ranks[name] >= max(n2, D2)
        if is_first_full != ("C1" in update.tensors) or is_second_full != ("C2" in update.tensors):
            raise refusal(name, f"PEFT has other factors of rank {ranks[name]}")
    return ranks, {"decompose_both": decomposed, "decompose_factor": factor}


def _rank(update, sizes):
    ranks = [update[name].shape[0] for name in ("B1", "B2") if name in update.tensors]
    return (
        ranks[0] if ranks else max(*sizes[0], *sizes[1])
    )  # with both full it is only what alpha is divided by


def _sizes(update: LoKr, kernel: tuple[int, ...]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Those of both factors, with channels for columns where they are known."""
    first, second = (
        (factor[0].shape[0], factor[-1].shape[1]) for factor in (update.factor(1), update.factor(2))
    )
    return first, (second[0], second[1] // math.prod(kernel))


def _is_split(sizes, factor):
    (n1, D1), (n2, D2) = sizes
    return _split(n1 * n2, factor) == (n1, n2) and _split(D1 * D2, factor) == (D1, D2)


def _split(size: int, factor: int) -> tuple[int, int]:
    """Two factors of a size: the first is the one given, or the largest up to it that is the smaller."""
    if factor > 0 and size % factor == 0:
        return factor, size // factor
    limit = math.isqrt(size) if factor < 0 else min(factor, math.isqrt(size))
    small = next(length for length in range(limit, 0, -1) if size % length == 0)
    return small, size // small
