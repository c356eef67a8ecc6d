"""The adapters of tinybig's functions of grids, over arrayfab's patches."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, ClassVar

from arrayfab import _arrays, expansions
from arrayfab.interdependences import Interdependent
from arrayfab.tinybig._dependence import Related
from arrayfab.tinybig._function import ParameterError, checked
from arrayfab.tinybig._transformation import transformation
from arrayfab.tinybig.koala import geometry

#: What a function of a grid says of it, and of the patches on it.
PLACES: dict[str, Any] = {"grid": None, "grid_configs": None, "h": None, "w": None}
PACKED: dict[str, Any] = {"cd_h": None, "cd_w": None, "cd_d": None}
#: The same for tinybig's expansions and compressions, in its order.
GRID: dict[str, Any] = {
    **{**PLACES, "d": None, "patch": None, "patch_configs": None},
    **{"packing_strategy": None, **PACKED},
}


class _OnGrid:
    """What has a patch of a shape of its own, where it has one."""

    _patch: ClassVar[Any] = None
    _sides: ClassVar[dict[str, str]] = {}  # the patch's parameters, and the attributes for them

    def _make_patch(self, given):
        if self._patch is None:
            return given
        return self._patch(**{key: getattr(self, attribute) for key, attribute in self._sides.items()})


class OnGrid(_OnGrid, Related):
    """Every place of a grid depends on the patch around it."""

    def _settle(self):
        if self.grid is None and self.grid_configs is not None:
            self.grid = geometry.made_from(self.grid_configs, "grid")
        elif self.grid is None:
            h, w, d = (self._need(name, getattr(self, name)) for name in "hwd")
            self.grid = geometry.grid(h=h, w=w, d=d, universe_num=self.channel_num)
        self.patch = self._make_patch(self.patch)
        if self.patch is None:
            configs = self._need("patch", self.patch_configs)
            self.patch = geometry.made_from(configs, "patch")
        if None in (self.cd_h, self.cd_w, self.cd_d):
            self.update_packing_strategy(self.packing_strategy)
        self._settle_size()
        super()._settle()

    def _settle_size(self):
        name, size = "b" if self._is_instance() else "m", self.get_grid_size(across_universe=True)
        if getattr(self, name) not in (None, 0, size):
            raise ParameterError(
                f"{self.name}: {name} must be {size}, as the grid, got {getattr(self, name)}"
            )
        setattr(self, name, size)

    def update_grid(self, new_grid):
        """Take another grid."""
        self.grid = new_grid
        setattr(self, "b" if self._is_instance() else "m", self.get_grid_size(across_universe=True))

    def update_patch(self, new_patch):
        """Take another patch, and the distances of its packing."""
        self.patch = new_patch
        self.update_packing_strategy(self.packing_strategy)

    def update_packing_strategy(self, new_packing_strategy):
        """Take the distances of another packing."""
        self.packing_strategy = new_packing_strategy
        self.update_packing_parameters(*geometry.packed(self.patch, new_packing_strategy))

    def update_packing_parameters(self, new_cd_h, new_cd_w, new_cd_d):
        """Take other distances between the centres of patches."""
        self.cd_h, self.cd_w, self.cd_d = new_cd_h, new_cd_w, new_cd_d

    def get_channel_num(self) -> int:
        return self.grid.get_universe_num()

    def get_patch_size(self) -> int:
        return len(self._core().cells)

    def get_patch_num(self, across_universe=False) -> int:
        return len(self._core().centres) * (self.get_channel_num() if across_universe else 1)

    def get_grid_size(self, across_universe=False) -> int:
        return self.grid.get_volume(across_universe=across_universe)

    def get_grid_shape(self) -> tuple[int, int, int]:
        return self.grid.get_grid_shape()

    def get_grid_shape_after_packing(self) -> tuple[int, ...]:
        return self.grid.get_grid_shape_after_packing(cd_h=self.cd_h, cd_w=self.cd_w, cd_d=self.cd_d)

    def calculate_b_prime(self, b=None, across_universe=True):
        return self._prime(across_universe) if self._is_instance() else b or self.b

    def calculate_m_prime(self, m=None, across_universe=True):
        return m or self.m if self._is_instance() else self._prime(across_universe)

    def _prime(self, across_universe):
        is_whole = self.interdependence_matrix_mode == "padding"
        return self.get_patch_num(across_universe) * (self.get_patch_size() if is_whole else 1)

    def _core(self, **more):
        usual = {
            "channels": self.grid.get_universe_num(),
            "mode": self.interdependence_matrix_mode,
            "strides": (self.cd_h, self.cd_w, self.cd_d),
            "normalization": self.normalization_mode if self.normalization else None,
        }
        return geometry.on_grid(self.patch, self.grid, **(usual | more))

    @checked
    def calculate_A(self, x=None, w=None, across_universe=False, device="cpu", *args, **kwargs):
        """The dense ``A``, of one universe unless ``across_universe``."""
        if across_universe:
            return super().calculate_A(x, w, device, **kwargs)
        row = self._row(x, kwargs.get("xp"), kwargs.get("dtype"))[:, : self.get_grid_size()]
        return self.post_process(x=self._core(channels=1).matrix(row), device=device)

    def _by_matrix(self, data, x, w, device="cpu"):
        A = self.calculate_A(data, across_universe=True, device=device)
        return A.T @ data if self._is_instance() else data @ A


class Patches(_OnGrid, transformation):
    """All cells of all patches of a grid, universe by universe, cell by cell, patch by patch.

    What lies outside of the grid is zero.
    """

    _order_of_cells: ClassVar = ("channel", "cell", "patch")
    _interdependence: ClassVar[Any]  # tinybig's geometric_interdependence

    def _settle(self):
        super(transformation, self)._settle()
        more = {key: getattr(self, key) for key in GRID}
        more |= {"d": 1 if self.d is None else self.d, "patch": self._make_patch(self.patch)}
        self.interdependence = self._interdependence(name=self.name, **more)

    def get_grid_shape(self) -> tuple[int, int, int]:
        return self.interdependence.get_grid_shape()

    def get_grid_shape_after_packing(self) -> tuple[int, ...]:
        return self.interdependence.get_grid_shape_after_packing()

    def get_grid_size(self, across_universe=False) -> int:
        return self.interdependence.get_grid_size(across_universe)

    def get_patch_size(self) -> int:
        return self.interdependence.get_patch_size()

    def get_patch_num(self, across_universe=False) -> int:
        return self.interdependence.get_patch_num(across_universe)

    def _patches(self):
        return Interdependent(interdependence=self.interdependence._core(order=self._order_of_cells))

    def _core(self):
        return self._patches()


class Pooled(Patches):
    """One number of every patch of a grid, universe by universe, by ``metric``.

    That is a function of the cells of all patches as rows, and of ``dim=1``. What lies outside of the grid is
    zero.
    """

    _order_of_cells = ("channel", "patch", "cell")

    def _core(self):
        if self._made_of is None:
            raise NotImplementedError(f"{self.name}: vjp has no rule for a metric that is handed in")
        pooled = self._made_of(groups=self.get_patch_num(across_universe=True))
        return expansions.Nested(expansions=(self._patches(), pooled))

    @checked
    def calculate_D(self, m):
        self._patches().num_features(m)
        return self.get_patch_num(across_universe=True)

    def _expanded(self, x, device, **more):
        if self._made_of is not None:
            return super()._expanded(x, device)
        xp, D = _arrays.backend_of(self.name, "x", x).xp, self.calculate_D(x.shape[1])
        rows = xp.reshape(self._patches()(x), (-1, self.get_patch_size()))
        return xp.reshape(self._need("metric", self.metric)(rows, dim=1), (x.shape[0], D))


def shaped(key: str, radius: str = "p_r") -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters of a shape of patches, its radius by whatever name, and what a class needs for it."""
    patch = getattr(geometry, key)
    names = {each.name: radius if each.name == "p_r" else each.name for each in fields(patch)}
    parameters = {name: None if key.endswith("_prime") else ... for key, name in names.items()}
    return parameters, {"_patch": patch, "_sides": names}


def settled(value: Any) -> property:
    """An attribute of all objects of a class, whatever is handed in for it."""
    return property(lambda self: value, lambda self, given: None)


def metric_of(made_of: Any) -> property:
    """The metric of a pooling, a function of rows."""

    def metric(rows, dim=1):
        return made_of()(rows)[:, 0]

    return settled(metric)
