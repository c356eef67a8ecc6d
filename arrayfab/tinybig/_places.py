"""The adapters of tinybig's heads of chains and of grids."""

from __future__ import annotations

from typing import ClassVar

from arrayfab.composition import Parallel, Sequential
from arrayfab.fusions import Fusion
from arrayfab.interdependences import CuboidInterdependence
from arrayfab.plain import Reshape
from arrayfab.roles import Reconciliation
from arrayfab.tinybig._head import head, layer_of
from arrayfab.tinybig.koala import geometry
from arrayfab.wiring import Bias


class Chained(head):
    """A head of rows that hold ``chain_length`` members of ``m`` numbers each, and give ``n`` of each."""

    def _layers(self):
        L = self.chain_length
        return [Reshape((L * self.m,), (L, self.m)), self._head(), Reshape((L, self.n), (L * self.n,))]

    def _stepwise(self, x, device):
        raise NotImplementedError(f"{self.name}: functions that are handed in have no place in a chain")


class _OnGrid(head):
    """A head of a grid, whose keyword ``w`` is the width, and ``channel_num`` how many channels it has."""

    _channels: ClassVar[str] = ""

    def _settle(self):
        self._said = {key: getattr(self, key) for key in ("w", self._channels)}
        h, w, d, channels = self.h, self.w, self.d, getattr(self, self._channels)
        self.grid, self.w, self.channel_num = geometry.grid(h=h, w=w, d=d, universe_num=channels), None, 1
        super()._settle()

    def to_config(self):
        config = super().to_config()
        config["head_parameters"] |= self._said
        return config

    def _patches(self):
        raise NotImplementedError(f"{type(self).__name__}._patches")

    def get_patch_size(self) -> int:
        """Cells of a patch."""
        return self._patches().get_patch_size()

    def get_input_grid_shape(self) -> tuple[int, int, int]:
        """The height, the width and the depth of the data."""
        return self._patches().get_grid_shape()

    def get_output_grid_shape(self) -> tuple[int, ...]:
        """Those of the result."""
        return self._patches().get_grid_shape_after_packing()


class Pooling(_OnGrid):
    """One number of every patch in every channel."""

    _channels = "channel_num"

    def _patches(self):
        return self.data_transformation

    def _settle_sizes(self):
        self.m = self._patches().get_grid_size(across_universe=True)
        self.n = self._patches().get_patch_num(across_universe=True)


class Convolution(_OnGrid):
    """``out_channel`` numbers of every patch, whose cells in all channels meet one matrix."""

    _channels = "in_channel"

    def _patches(self):
        return self.attribute_interdependence

    def _settle_sizes(self):
        self.m = self._patches().get_grid_size(across_universe=True)
        self.n = self._patches().get_patch_num() * self.out_channel

    def _matrix_shape(self):
        return self.out_channel, self.in_channel * self.get_patch_size()

    def _layers(self):
        P, (n, D) = self._patches().get_patch_num(), self._matrix_shape()
        # A patch's results stand beside each other, then a channel's: places of one cell, in another order.
        turned = CuboidInterdependence(
            height=n, width=1, channels=P, p_h=0, p_w=0, order=("patch", "channel", "cell")
        )
        branch = [
            layer_of(self._patches()),
            Reshape((P * D,), (P, D)),
            Reconciliation(fabrication=self.parameter_fabrication.whole(), n=n, D=D),
            Reshape((P, n), (P * n,)),
            turned,
        ]
        if "b" in self._shapes():
            branch.append(Bias(self.n))
        if self._adds_nothing():
            return branch
        return [Parallel([Sequential(branch), self.remainder.whole(self.m, self.n)]), Fusion("sum", 2)]

    def _stepwise(self, x, device):
        raise NotImplementedError(f"{self.name}: functions that are handed in have no place on a grid")
