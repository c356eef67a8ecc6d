"""tinybig's grids, and the patches that are laid on them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, fields, replace
from typing import Any

from arrayfab import interdependences
from arrayfab.tinybig._function import ParameterError, checked


class grid:
    """Places along height, width and depth, in several universes.

    Place ``(i, j, k)`` of universe ``u`` is attribute ``((u · h + i) · w + j) · d + k``.

    Examples
    --------
    >>> from arrayfab.tinybig.koala.geometry import grid
    >>> grid(h=4, w=3, universe_num=2).get_volume(across_universe=True)
    24
    """

    def __init__(self, h, w, d=1, universe_num=1, *args, name="cuboid_geometry", **kwargs):
        if min(h, w, d, universe_num) <= 0:
            raise ParameterError(
                f"grid: h, w, d and universe_num must be positive, got {(h, w, d, universe_num)}"
            )
        self.h, self.w, self.d, self.universe_num, self.name = h, w, d, universe_num, name

    def get_universe_num(self) -> int:
        return self.universe_num

    def get_grid_shape(self) -> tuple[int, int, int]:
        return self.h, self.w, self.d

    def get_grid_shape_after_packing(self, cd_h, cd_w, cd_d) -> tuple[int, ...]:
        """How many patches there are along each axis."""
        steps = zip(self.get_grid_shape(), (cd_h, cd_w, cd_d), strict=True)
        return tuple(len(range(0, size, step)) for size, step in steps)

    def get_patch_num(self, cd_h, cd_w, cd_d, across_universe=False) -> int:
        a, b, c = self.get_grid_shape_after_packing(cd_h, cd_w, cd_d)
        return a * b * c * (self.universe_num if across_universe else 1)

    def get_volume(self, across_universe=False) -> int:
        """How many places there are."""
        return self.h * self.w * self.d * (self.universe_num if across_universe else 1)

    get_grid_size = get_volume


@dataclass(eq=False)
class _Patch:
    @checked
    def __post_init__(self):
        for each in fields(self):
            if each.name.endswith("_prime") and getattr(self, each.name) is None:
                setattr(self, each.name, getattr(self, each.name.removesuffix("_prime")))
        self.get_volume()

    def get_volume(self) -> int:
        """How many places a patch has."""
        return len(on_grid(self, grid(1, 1)).cells)

    def packing_strategy_parameters(self, packing_strategy="complete_square", *args, **kwargs):
        """How far centres lie apart; one place each where there is no such strategy."""
        return packed(self, packing_strategy)


@dataclass(eq=False)
class cuboid(_Patch):
    """Places up to ``p_h``, ``p_w`` and ``p_d`` away downwards, and as the primed ones say upwards.

    Examples
    --------
    >>> from arrayfab.tinybig.koala.geometry import cuboid
    >>> patch = cuboid(p_h=1, p_w=2)
    >>> patch.get_volume(), patch.packing_strategy_parameters("complete_square")
    (15, (2, 4, 1))
    """

    p_h: int
    p_w: int
    p_d: int = 0
    p_h_prime: int | None = None
    p_w_prime: int | None = None
    p_d_prime: int | None = None


@dataclass(eq=False)
class cylinder(_Patch):
    """Places up to ``p_r`` away in the plane, ``p_d`` downwards and ``p_d_prime`` upwards."""

    p_r: int
    p_d: int = 0
    p_d_prime: int | None = None


@dataclass(eq=False)
class sphere(_Patch):
    """Places up to ``p_r`` away."""

    p_r: int


_PATCHES: dict[str, tuple[Any, Any]] = {
    "cuboid": (interdependences.CuboidInterdependence, cuboid),
    "cylinder": (interdependences.CylinderInterdependence, cylinder),
    "sphere": (interdependences.SphereInterdependence, sphere),
}


def on_grid(patch: Any, grid: Any, **more: Any) -> interdependences.GridInterdependence:
    """arrayfab's interdependence for a patch and a grid, which may be tinybig's own objects."""
    name = type(patch).__name__
    if name not in _PATCHES:
        raise ParameterError(f"patch must be one of {tuple(_PATCHES)}, got {patch!r}")
    made_of, like = _PATCHES[name]
    sides = {each.name: getattr(patch, each.name) for each in fields(like)}
    return made_of(height=grid.h, width=grid.w, depth=grid.d, may_exceed=True, **sides, **more)


def packed(patch: Any, packing_strategy: str | None) -> tuple[int, ...]:
    """How far the centres of a patch lie apart, one place each by default and by unknown strategies."""
    known = on_grid(patch, grid(1, 1))
    if packing_strategy in (None, *known.packings):
        return replace(known, packing=packing_strategy or "densest_packing").steps
    warnings.warn(f"no strategy {packing_strategy!r}: centres are one place apart", stacklevel=3)
    return 1, 1, 1


def made_from(config: Any, kind: str) -> Any:
    """The grid or the patch that a configuration tells of, by the last part of its class's name."""
    name = str(config.get(f"{kind}_class", "")).rpartition(".")[2]
    known: dict[str, Any] = (
        {"grid": grid} if kind == "grid" else {key: of for key, (_, of) in _PATCHES.items()}
    )
    if name not in known:
        raise ParameterError(f"{kind}_class must be one of {tuple(known)}, got {name!r}")
    return known[name](**config.get(f"{kind}_parameters", {}))
