"""Grids: every place depends on the patch around it, by selections of columns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import is_integer
from arrayfab._cached import cached_property
from arrayfab.fabrications.blueprint import as_size, settle_sizes
from arrayfab.interdependences.base import Interdependence
from arrayfab.interdependences.functions import check_flags
from arrayfab.interdependences.normalization import check_normalization, scales
from arrayfab.structures import Constant, Gather, Identity, Operator, Structure, chain, kron

MODES = ("padding", "aggregation")
ORDER = ("patch", "channel", "cell")

#: How far the centres of patches lie apart by the name of a packing, in half sizes or radii along height,
#: width and depth, rounded down, and one at least.
_CUBOIDS = {"sparse_square": (3, 3, 3), "complete_square": (2, 2, 2), "dense_square": (1, 1, 1)}
_CYLINDERS = {
    "sparse_square": (2, 2, 2),
    "complete_square": (math.sqrt(2), math.sqrt(2), 2),
    "sparse_hexagonal": (math.sqrt(3), 2, 2),
    "complete_hexagonal": (1.5, math.sqrt(3), 2),
    "dense_hexagonal": (0.5 * math.sqrt(6), math.sqrt(2), 1),
    "denser_hexagonal": (0.5 * math.sqrt(3), 1, 1),
}
_TWO_THIRDS = 0.6667  # as tinybig has it, so that whole numbers come out alike
_SPHERES = {
    "sparse_simple_cubic": (2, 2, 2),
    "complete_simple_cubic": (_TWO_THIRDS * math.sqrt(3),) * 3,
    "dense_simple_cubic": (1, 1, 1),
    "sparse_face_centered_cubic": (2, math.sqrt(3), _TWO_THIRDS * math.sqrt(6)),
    "complete_face_centered_cubic": (math.sqrt(2), _TWO_THIRDS * math.sqrt(6), 1.3333),
    "dense_face_centered_cubic": (1, 1, 1),
    "sparse_hexagonal": (2, 2, math.sqrt(6)),
    "complete_hexagonal": (_TWO_THIRDS * math.sqrt(3), _TWO_THIRDS * math.sqrt(3), 1),
    "dense_hexagonal": (1, 1, 1),
}


@dataclass(frozen=True, kw_only=True)
class GridInterdependence(Interdependence):
    """Patches of a grid, one beside the other or each added up. What lies outside of the grid is zero.

    Place ``(i, j, k)`` of channel ``u`` is number ``((u · height + i) · width + j) · depth + k``. Patches
    come in the order of their centres; each holds its cells of the first channel in their order, then those
    of the second, and so on, unless ``order`` says otherwise.

    Parameters
    ----------
    height, width, depth, channels : int
        Their product is the number of columns of ``x``, or of rows among instances.
    mode : str
        ``"padding"`` puts all cells of all patches beside each other, ``"aggregation"`` adds up each patch.
    packing : str
        By what name of tinybig's the centres lie apart. ``"densest_packing"`` has a centre at every place.
    strides : tuple of int, optional
        How far the centres lie apart along height, width and depth, whatever the packing.
    normalization : str, optional
        As for `ChainInterdependence`, of the matrix of patches. With ``"column"`` patches are averaged over
        the cells inside the grid.
    order : tuple of str
        ``"patch"``, ``"channel"`` and ``"cell"``, outermost first: what stands beside what.
    may_exceed : bool
        Whether a patch may be larger than the grid. Else that is a ValueError.
    """

    height: int
    width: int
    depth: int = 1
    channels: int = 1
    mode: str = "padding"
    packing: str = "densest_packing"
    strides: tuple[int, ...] | None = None
    normalization: str | None = None
    order: tuple[str, ...] = ORDER
    may_exceed: bool = False

    needs_data: ClassVar[bool] = False
    _packings: ClassVar[dict[str, tuple[float, ...]]] = {}

    def __post_init__(self):
        super().__post_init__()
        settle_sizes(self, "height", "width", "depth", "channels")
        check_normalization(self)
        if self.mode not in MODES:
            raise ValueError(f"{type(self).__name__}: mode must be one of {MODES}, got {self.mode!r}")
        if self.packing not in self.packings:
            raise ValueError(
                f"{type(self).__name__}: packing must be one of {self.packings}, got {self.packing!r}"
            )
        if self.strides is not None:
            strides = tuple(as_size(type(self).__name__, "every stride", each) for each in self.strides)
            if len(strides) != 3:
                raise ValueError(f"{type(self).__name__}: expected three strides, got {strides}")
            object.__setattr__(self, "strides", strides)
        object.__setattr__(self, "order", tuple(self.order))
        if sorted(self.order) != sorted(ORDER):
            raise ValueError(f"{type(self).__name__}: order must hold each of {ORDER}, got {self.order}")
        check_flags(self, "may_exceed")
        reaches = zip(*self._reaches, strict=True)
        for name, size, reach in zip(("height", "width", "depth"), self._grid, reaches, strict=True):
            if sum(reach) + 1 > size and not self.may_exceed:
                raise ValueError(
                    f"{type(self).__name__}: a patch is {sum(reach) + 1} places long along the {name}, and "
                    f"the grid {size}"
                )

    @property
    def _grid(self):
        return self.height, self.width, self.depth

    @property
    def _reaches(self) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """How far a patch reaches along each axis, downwards and upwards."""
        raise NotImplementedError(f"{type(self).__name__}._reaches")

    def _is_inside(self, i: int, j: int, k: int) -> bool:
        """Whether a cell in the reach of a patch is of the patch."""
        return True

    @cached_property
    def cells(self) -> tuple[tuple[int, ...], ...]:
        """The cells of a patch, as seen from its centre."""
        down, up = self._reaches
        ranges = [range(-low, high + 1) for low, high in zip(down, up, strict=True)]
        return tuple(cell for cell in product(*ranges) if self._is_inside(*cell))

    @property
    def packings(self) -> tuple[str, ...]:
        """The names of all packings."""
        return ("densest_packing", *self._packings)

    @property
    def steps(self) -> tuple[int, ...]:
        """How far the centres lie apart along height, width and depth."""
        if self.strides is not None:
            return self.strides
        factors = self._packings.get(self.packing, (0, 0, 0))
        return tuple(max(int(f * side), 1) for f, side in zip(factors, self._reaches[0], strict=True))

    @cached_property
    def centres(self) -> tuple[tuple[int, ...], ...]:
        """The places of the centres of patches."""
        ranges = [range(0, size, step) for size, step in zip(self._grid, self.steps, strict=True)]
        return tuple(product(*ranges))

    @cached_property
    def _index(self) -> np.ndarray:
        """The place of every cell of every patch in every channel; those outside count as one more place.

        Axes are in the order that is asked for, with cells last where they are added up.
        """
        grid = np.asarray(self._grid)
        at = np.asarray(self.centres)[:, None, :] + np.asarray(self.cells)[None, :, :]
        is_outside = ((at < 0) | (at >= grid)).any(axis=-1)
        places = (at[..., 0] * grid[1] + at[..., 1]) * grid[2] + at[..., 2]
        size = int(grid.prod())
        index = places[:, None, :] + size * np.arange(self.channels)[None, :, None]
        index = np.where(is_outside[:, None, :], size * self.channels, index)
        return index.transpose([ORDER.index(name) for name in self._axes])

    @property
    def _axes(self):
        return self.order if self.mode == "padding" else sorted(self.order, key="cell".__eq__)

    @cached_property
    def _scales(self):
        """The factors of rows and columns that normalise the matrix."""
        m, index = self._size, self._index
        columns = np.arange(index.size).reshape(index.shape)
        if self.mode == "aggregation":
            columns = np.broadcast_to((columns[..., :1] // index.shape[-1]), index.shape)
        is_kept = index < m
        rows, columns = index[is_kept], columns[is_kept]
        row_sums = np.bincount(rows, minlength=m).astype(np.float64)
        count = index.size // (index.shape[-1] if self.mode == "aggregation" else 1)

        def column_sums(r):
            return np.bincount(columns, r[rows], minlength=count)

        r, c = scales(self.normalization, row_sums, column_sums)
        return Rescaling(r), Rescaling(c)

    @property
    def _size(self):
        return math.prod(self._grid) * self.channels

    def relation(self, V: Structure) -> Structure:
        m = self._size
        if V.shape[0] != m:
            raise ValueError(f"{self}: the grid has {m} places, and {V.shape[0]} depend on one another")
        index = tuple(self._index.reshape(-1).tolist())
        factors: list[Structure] = [Gather(index, m)]
        if self.mode == "aggregation":
            cells = len(self.cells)
            count = len(index) // cells
            factors.append(kron(Identity((count, count)), Constant((cells, 1), 1.0)))
        if self.normalization is not None:
            before, after = map(Operator, self._scales)
            factors = [before, *factors, after]
        return chain(*factors)


@dataclass(frozen=True, eq=False)
class Rescaling:
    """A diagonal matrix with numbers of the host. It equals itself alone."""

    factors: np.ndarray

    @property
    def sizes(self):
        return (len(self.factors), len(self.factors))

    @property
    def T(self):
        return self

    @property
    def times(self):
        return 2 * len(self.factors)

    def along(self, x, axis):
        xp = _arrays.backend_of("a grid", "x", x).xp
        factors = _arrays.from_host(self.factors, xp, x.dtype, _arrays.device_of(x))
        return x * (factors if axis == -1 else factors[:, None])


def _settle_reach(owner: Any, *names: str) -> None:
    """Make plain ints of some fields, none negative; a primed one that is None is as the other."""
    for name in names:
        value = getattr(owner, name)
        if value is None and name.endswith("_prime"):
            value = getattr(owner, name.removesuffix("_prime"))
        if not (is_integer(value) and value >= 0):
            raise ValueError(
                f"{type(owner).__name__}: {name} must be a whole number from 0 on, got {value!r}"
            )
        object.__setattr__(owner, name, int(value))


@dataclass(frozen=True, kw_only=True)
class CuboidInterdependence(GridInterdependence):
    """`GridInterdependence` with cuboids for patches.

    Parameters
    ----------
    p_h, p_w, p_d, p_h_prime, p_w_prime, p_d_prime : int
        How far a patch reaches from its centre along height, width and depth, downwards and, as the primed
        ones say, upwards; equally far where these are left out.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab.interdependences import CuboidInterdependence
    >>> patches = CuboidInterdependence(height=2, width=3, p_h=0, p_w=1, mode="aggregation")
    >>> patches(np.asarray([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
    array([ 3.,  6.,  5.,  9., 15., 11.])
    """

    p_h: int
    p_w: int
    p_d: int = 0
    p_h_prime: int | None = None
    p_w_prime: int | None = None
    p_d_prime: int | None = None

    _packings: ClassVar[dict] = _CUBOIDS

    def __post_init__(self):
        _settle_reach(self, "p_h", "p_w", "p_d", "p_h_prime", "p_w_prime", "p_d_prime")
        super().__post_init__()

    @property
    def _reaches(self):
        return (self.p_h, self.p_w, self.p_d), (self.p_h_prime, self.p_w_prime, self.p_d_prime)


@dataclass(frozen=True, kw_only=True)
class CylinderInterdependence(GridInterdependence):
    """`GridInterdependence` with cylinders for patches, which stand along the depth.

    Parameters
    ----------
    p_r : int
        The radius; a cell belongs to a patch where ``i² + j² ≤ p_r²``.
    p_d, p_d_prime : int
        How far a patch reaches along the depth, downwards and upwards.
    """

    p_r: int
    p_d: int = 0
    p_d_prime: int | None = None

    _packings: ClassVar[dict] = _CYLINDERS

    def __post_init__(self):
        _settle_reach(self, "p_r", "p_d", "p_d_prime")
        super().__post_init__()

    @property
    def _reaches(self):
        return (self.p_r, self.p_r, self.p_d), (self.p_r, self.p_r, self.p_d_prime)

    def _is_inside(self, i, j, k):
        return i * i + j * j <= self.p_r**2


@dataclass(frozen=True, kw_only=True)
class SphereInterdependence(GridInterdependence):
    """`GridInterdependence` with spheres for patches.

    Parameters
    ----------
    p_r : int
        The radius; a cell belongs to a patch where ``i² + j² + k² ≤ p_r²``.
    """

    p_r: int

    _packings: ClassVar[dict] = _SPHERES

    def __post_init__(self):
        _settle_reach(self, "p_r")
        super().__post_init__()

    @property
    def _reaches(self):
        return (self.p_r,) * 3, (self.p_r,) * 3

    def _is_inside(self, i, j, k):
        return i * i + j * j + k * k <= self.p_r**2
