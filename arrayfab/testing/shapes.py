"""The shapes on which a fabrication can be tried."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from itertools import islice

from arrayfab.expansions import Expansion
from arrayfab.fabrications import Fabrication, Seeded

#: Sizes that are tried: large enough for all of a formula's sizes to differ, and two beyond a run of eight.
SIZES = (1, 2, 3, 4, 5, 6, 9, 12)
#: Where no shape of these fits, larger ones are sought up to here.
_LARGEST = 64


class CannotBeTried(ValueError):
    """No shape fits a fabrication's hyper-parameters, so that it obeys and breaks no law."""


def fits(fabrication: Fabrication, n: int, D: int) -> bool:
    """Whether a fabrication's hyper-parameters allow an ``n × D`` matrix."""
    return _why_not(fabrication, n, D) is None


def fitting(fabrication: Fabrication, sizes: Iterable[int] = SIZES) -> list[tuple[int, int]]:
    """The shapes that fit, or else the smallest of the larger ones.

    Raises
    ------
    CannotBeTried
        If none up to 64 × 64 fits.
    ValueError
        If the blocks are said to have some shape for which there is no formula then.
    """
    every = [(n, D) for n in sizes for D in sizes]
    found = [shape for shape in every if fits(fabrication, *shape)]
    if found:
        return found
    for shape in every:
        if _has_blocks(fabrication, *shape):
            raise ValueError(f"at n, D = {shape}: {_why_not(fabrication, *shape)}")
    larger = (
        (n, D)
        for side in range(2, _LARGEST + 1)
        for n, D in [*((k, side) for k in range(1, side)), *((side, k) for k in range(1, side + 1))]
    )
    found = list(islice((shape for shape in larger if fits(fabrication, *shape)), 4))
    if not found:
        reason = _why_not(fabrication, _LARGEST, _LARGEST)
        raise CannotBeTried(
            f"{fabrication} cannot be tried: no shape up to {_LARGEST} × {_LARGEST} fits, "
            f"the last one: {reason}"
        )
    return found


#: Columns of data that are tried for expansions, whose rows soon grow long.
COLUMNS = (1, 2, 3, 5)


def columns_that_fit(expansion: Expansion, sizes: Iterable[int] = COLUMNS) -> list[int]:
    """How many columns data may have, of these, or else the smallest of more.

    Raises
    ------
    CannotBeTried
        If no number up to 64 fits.
    """
    found = [m for m in sizes if takes(expansion, m)]
    found = found or list(islice((m for m in range(1, _LARGEST + 1) if takes(expansion, m)), 4))
    if not found:
        raise CannotBeTried(
            f"{expansion} cannot be tried: it takes data of no number of columns up to {_LARGEST}"
        )
    return found


def takes(expansion: Expansion, m: int) -> bool:
    """Whether an expansion takes data of so many columns."""
    try:
        return expansion.num_features(m) > 0
    except ValueError:
        return False


def most_columns(expansion: Expansion, features: int) -> int:
    """The largest of some numbers of columns, up to 64, for which a row has no more features than so many."""
    halves = [_LARGEST >> k for k in range(7)]
    found = [m for m in halves if takes(expansion, m) and expansion.num_features(m) <= features]
    return found[0] if found else columns_that_fit(expansion)[0]


def _why_not(fabrication, n, D):
    try:
        fabrication.num_parameters(n, D)
    except ValueError as error:
        return error
    return None


def _has_blocks(fabrication, n, D):
    """Whether all that a fabrication is made of names blocks for that shape."""
    held = [getattr(fabrication, field.name) for field in fields(fabrication)]
    parts = [part for value in held for part in (value if isinstance(value, tuple) else (value,))]
    inner = [part for part in parts if isinstance(part, Fabrication)]
    if inner:
        return all(_has_blocks(part, n, D) for part in inner)
    try:
        fabrication.blocks(n, D)
        if isinstance(fabrication, Seeded):
            fabrication.frozen(n, D)
    except ValueError:
        return False
    return True
