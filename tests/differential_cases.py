"""Random arrays: their shapes, dtypes, namespaces and layouts in memory, for a layer; from one generator."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from differential_draws import SIZES, fabrication, layer
from differential_theirs import Foreign

import arrayfab as af
from arrayfab.testing import namespaces

# How often each is met: what JAX compiles and Dask plans takes long.
SHARES = {"numpy": 400, "torch": 25, "strict": 25, "dask": 1, "jax": 1}


class LeftOut(Exception):
    """A case in a namespace that is not installed, or not wanted."""


ROWS = [0, 1, 1, 2, 3, 4, 5, 7, 8, 11, 12, 16, 17, 23, 32, 45, 46, 63, 64, 91, 128, 181, 182, 300]
MANY_ROWS = [1000, 1447, 1449, 2047, 2999, 3000]
# With many rows these are large enough for products in runs of rows.
LARGE = [24, 36, 40]


class Subclass(np.ndarray):
    """A plain array by another name."""


def layout(rng, array: np.ndarray) -> np.ndarray:
    """The same numbers, lying in memory in some other way; a broadcast array repeats its first entry."""
    shape = array.shape
    match rng.randrange(11):
        case 10:
            return array.view(Subclass)
        case 0:
            return np.asfortranarray(array)
        case 1:
            return np.flip(np.flip(array).copy())
        case 2 if array.ndim:
            axis = rng.randrange(array.ndim)
            return np.broadcast_to(np.take(array, [0], axis) if shape[axis] else array, shape)
        case 3:
            larger = np.full([2 * size + 1 for size in shape], np.nan, dtype=array.dtype)
            place = tuple(slice(1, None, 2) for _ in shape)
            larger[place] = array
            return larger[place]
        case 4:
            copied = array.copy()
            copied.flags.writeable = False
            return copied
        case 5:
            buffer = np.zeros(array.nbytes + 1, dtype=np.uint8)[1:]
            moved = np.frombuffer(buffer, dtype=array.dtype).reshape(shape)
            moved[...] = array
            return moved
        case 6 if array.ndim > 1:
            return np.moveaxis(np.moveaxis(array, -1, 0).copy(), 0, -1)
        case _:
            return array.copy()


# Cases.


def leaves(tree):
    return [leaf for part in tree for leaf in leaves(part)] if isinstance(tree, list | tuple) else [tree]


def mapped(function, *trees):
    if isinstance(trees[0], list | tuple):
        return [mapped(function, *parts) for parts in zip(*trees, strict=True)]
    return function(*trees)


@dataclass
class Setting:
    """Where the arrays of a case live, and of what dtype they are."""

    rng: random.Random
    numbers: np.random.Generator
    namespace: str
    dtype: str  # NumPy's spelling, byte order included

    @property
    def is_numpy(self):
        return self.namespace == "numpy"

    @property
    def native(self):
        return np.dtype(self.dtype).newbyteorder("=")

    def array(self, *shape, scale=1.0):
        """Random numbers, as what a call takes."""
        kind = self.rng.randrange(4)
        host = self.numbers.standard_normal(shape) if kind else self.numbers.integers(-2, 3, shape)
        return self.moved(scale * host)

    def moved(self, host):
        host = np.asarray(host).astype(self.dtype)
        if self.is_numpy:
            return layout(self.rng, host)
        if self.namespace == "dask" and not host.size:
            raise LeftOut("Dask fails to make and to reshape some arrays without entries")
        return namespaces.get(self.namespace).asarray(host, self.native.name)

    def is_own(self, array):
        if self.is_numpy:
            return isinstance(array, np.ndarray | np.generic) and array.dtype == self.native
        return namespaces.get(self.namespace).owns(array) and self.native.name in str(array.dtype)


def setting(rng, chosen) -> Setting:
    """A namespace and a dtype; `LeftOut` where the namespace is not among those chosen."""
    numbers = np.random.default_rng(rng.randrange(1 << 32))
    (name,) = rng.choices(list(SHARES), SHARES.values())  # drawn alike, whatever is installed
    if name not in chosen or namespaces.why_not(name):
        raise LeftOut(name)
    if name != "numpy":
        if name == "jax":
            import jax

            jax.config.update("jax_enable_x64", True)
        return Setting(rng, numbers, name, rng.choice(["float64", "float32"]))
    dtypes = ["float64"] * 5 + ["float32"] * 3 + ["float16", ">f8", ">f4"]
    return Setting(rng, numbers, "numpy", rng.choice(dtypes))


@dataclass
class Case:
    """A layer, what its data end in, and where they live."""

    where: Setting
    layer: object
    shape: object
    seed: int
    is_large: bool = False

    @property
    def takes_w_lead(self):
        # Someone else's layer need not follow a batched w.
        return not (
            "Foreign" in repr(self.layer) or any(isinstance(each, af.Reshape) for each in flat(self.layer))
        )

    def data(self, lead):
        return mapped_shapes(lambda shape: self.where.array(*lead, *shape), self.shape)

    def numbers(self, lead=()):
        scale = self.where.rng.choice([0.5, 0.5, 0.5, 1.0, 1e-3, 8.0])
        return self.where.array(*lead, self.layer.num_parameters(), scale=scale)

    def leads(self, rng):
        """Leading axes of the data and of ``w``."""
        if self.is_large:
            return (rng.choice(MANY_ROWS),), ()
        first = self.shape[0] if isinstance(self.shape, list) else self.shape
        most = MANY_ROWS if rng.random() < 0.06 and self.where.native != np.float16 else ROWS
        rows = rng.choice(most if len(first) == 1 and rng.random() < 0.8 else ROWS[:12])
        x_lead = rng.choice([(rows,), (rows,), (rows,), (2, min(rows, 20)), (2, 1, min(rows, 9)), (0, 3)])
        if rng.random() < 0.1 or (len(first) > 1 and rng.random() < 0.3):
            x_lead = ()
        if not self.takes_w_lead or 0 in x_lead or rng.random() < 0.7:
            return x_lead, ()
        front = (*x_lead, *first)[:-2]
        if any(size > 3 for size in front):  # one w for every such entry, or one for all
            return x_lead, rng.choice([(1,), (2, *[1] * len(front))])
        return x_lead, rng.choice(
            [(2,), (1,), (3, 1)] if not front else [front, (1,), (2, *[1] * len(front))]
        )


def follows_w(layer):
    """Whether a result has the leading axes of ``w``, which plain layers do not look at."""
    match layer:
        case Foreign():
            return follows_w(layer.inner)
        case af.Sequential():
            return any(map(follows_w, layer.layers))
    return not isinstance(layer, af.Pointwise | af.Reshape | af.Concatenation)


def flat(layer):
    """The layers that a layer is composed of."""
    inner = [layer.inner] if isinstance(layer, Foreign) else getattr(layer, "layers", None)
    return [layer] if inner is None else [each for part in inner for each in flat(part)]


def mapped_shapes(function, shape):
    return [mapped_shapes(function, each) for each in shape] if isinstance(shape, list) else function(shape)


def drawn(seed: int, chosen=tuple(SHARES)) -> Case:
    """The case of a seed."""
    rng = random.Random(seed)
    where = setting(rng, chosen)

    def arrays(n, D):
        return where.array(n, D)

    kind = rng.randrange(6)
    shape = [(rng.choice(SIZES),), (rng.choice(SIZES),), (rng.choice(SIZES), rng.choice(SIZES))][kind % 3]
    if kind == 5:
        front = rng.choice([(), (), (3,)])
        shape = [(*front, rng.choice(SIZES)) for _ in range(rng.randint(1, 3))]
    if rng.random() < 0.04:
        n, D = rng.choice(LARGE), rng.choice(LARGE)
        made = af.Reconciliation(
            fabrication=fabrication(rng, n, D, 2, arrays), n=n, D=D, bias=rng.random() < 0.5
        )
        return Case(where, made, (D,), seed, is_large=where.native != np.float16)
    made, _ = layer(rng, shape, rng.choice([0, 0, 1, 2]), arrays)
    return Case(where, made, shape, seed)
