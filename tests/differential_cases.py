"""Random fabrications, models, shapes, dtypes, namespaces and layouts in memory, each from one generator."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy as np
from differential_reference import Foreign, Formula

import arrayfab as af
from arrayfab.testing import namespaces

# How often each is met: what JAX compiles and Dask plans takes long.
SHARES = {"numpy": 400, "torch": 25, "strict": 25, "dask": 1, "jax": 1}


class LeftOut(Exception):
    """A case in a namespace that is not installed, or not wanted."""


# More than layout.THIN on a side, so that thin products beside large ones are met.
SIZES = [1, 1, 2, 3, 4, 4, 5, 6, 6, 8, 9, 12, 12, 16, 24, 36, 40]
ROWS = [0, 1, 1, 2, 3, 4, 5, 7, 8, 11, 12, 16, 17, 23, 32, 45, 46, 63, 64, 91, 128, 181, 182, 300]
MANY_ROWS = [1000, 1447, 1449, 2047, 2999, 3000]
# With many rows these are large enough for products in runs of rows.
LARGE = [24, 36, 40]


def divisor(rng, size):
    return rng.choice([k for k in range(1, size + 1) if size % k == 0])


def fabrication(rng: random.Random, n: int, D: int, depth: int = 2, arrays=None) -> af.Fabrication:
    """Any fabrication of an ``n × D`` matrix; ``arrays(n, D)`` makes what is handed in, None for nothing."""
    kind = rng.randrange(20 if depth else 14)
    seed, storage = rng.randrange(1 << 32), rng.choice([None, None, "cached", "streamed"])
    r = rng.choice([1, 2, 3])
    p, q = rng.choice([(None, None), (divisor(rng, n), divisor(rng, D))])
    match kind:
        case 0:
            return rng.choice([af.Constant(c=rng.choice([0.0, -1.5, 3.0, 0.1])), af.Eye()])
        case 1 | 2:
            return af.Full()
        case 3:
            found = af.Masked(p=rng.choice([0.0, 0.3, 0.5, 1.0]), seed=seed, storage=storage)
        case 4:
            return af.DuplicatedPadding(p=divisor(rng, n), q=divisor(rng, D))
        case 5:
            return af.DuplicatedDiagonalPadding(p=divisor(rng, math.gcd(n, D)))
        case 6 | 7:
            return af.LowRank(r=r)
        case 8:
            return af.Hypercomplex(p=p, q=q)
        case 9:
            return af.LPHM(p=p, q=q, r=r)
        case 10:
            return af.DualLPHM(p=p, q=q, r=r)
        case 11:
            found = af.RandomMatrixAdaption(r=r, seed=seed, storage=storage)
        case 12:
            sizes = {"l": rng.randint(1, 5), "hidden_dim": rng.randint(1, 6)}
            found = af.Hypernet(**sizes, seed=seed, storage=storage)
        case 13:
            sizes = {"l": rng.randint(1, 5), "hidden_dim": rng.randint(1, 6)}
            found = af.RandomMatrixHypernet(r=r, **sizes, seed=seed, storage=storage)
        case 14 | 15:
            return sum_of(rng, n, D, depth, arrays)
        case 16:
            inner = fabrication(rng, n, D, depth - 1, arrays)
            return rng.choice(
                [lambda f: -f, lambda f: 0.3 * f, lambda f: f / 3, lambda f: f * -2, lambda f: 0 * f]
            )(inner)
        case _:
            tree = formula(rng, n, D, rng.choice([1, 2, 3]), {}, [0])
            found = Formula(text=repr(tree), seed=seed, storage=storage)
    if arrays is not None and rng.random() < 0.3:
        laws = found.frozen(n, D)
        names = rng.sample(sorted(laws), rng.randint(0, len(laws)))
        if names:
            return found.with_frozen(**{name: arrays(laws[name].n, laws[name].D) for name in names})
    return found


def sum_of(rng, n, D, depth, arrays):
    first, second = (fabrication(rng, n, D, depth - 1, arrays) for _ in range(2))
    kind = rng.randrange(4)
    if kind == 0:
        return first - second
    if kind == 1:
        return sum([first, second, fabrication(rng, n, D, 0, arrays)])
    return first + second if kind == 2 else 0.5 * (first + 2.0 * second)


def formula(rng, n, D, depth, known, count):
    """A tree of nodes for an ``n × D`` matrix; ``known`` holds the blocks so far by their shapes."""
    if depth == 0:
        return leaf(rng, n, D, known, count)

    def part(n, D):
        return formula(rng, n, D, depth - 1, known, count)

    match rng.randrange(12):
        case 0 | 1:
            k = rng.choice([1, 2, 3, 5, 36])
            return ("chain", part(n, k), part(k, D))
        case 2:
            k, m = rng.choice([1, 2, 4]), rng.choice([1, 3])
            return ("chain", part(n, k), part(k, m), part(m, D))
        case 3 | 4:
            p, q = divisor(rng, n), divisor(rng, D)
            return ("kron", part(p, q), part(n // p, D // q))
        case 5:
            return ("hadamard", part(n, D), part(n, D))
        case 6:
            k = divisor(rng, n * D)
            return ("reshaped", part(k, n * D // k), n, D)
        case 7:
            k = rng.randint(1, 4)
            basis = leaf(rng, n * D, k, known, count, "frozen")
            return ("reshaped", ("chain", part(1, k), ("T", basis)), n, D)
        case 8:
            return ("sigmoid", part(n, D))
        case 9:
            return rng.choice(
                [("add", part(n, D), part(n, D)), ("scale", part(n, D), rng.choice([2.0, -0.7, 1]))]
            )
        case 10:
            return rng.choice([("T", part(D, n)), ("every_row", part(1, D), n)])
        case _:
            vector = leaf(rng, 1, n, known, count, rng.choice(["learned", "frozen"]))
            return ("chain", ("diagonal", vector), part(n, D))


def leaf(rng, n, D, known, count, kind=None):
    kind = kind or rng.choice(["learned", "learned", "learned", "frozen", "frozen", "constant", "identity"])
    if kind == "constant":
        return ("constant", n, D, rng.choice([1.0, 0.5, -2.0]))
    if kind == "identity":
        return ("identity", n, D)
    if (kind, n, D) in known and rng.random() < 0.3:
        return known[kind, n, D]
    count[0] += 1
    name = f"b{count[0]}"
    made = (kind, name, n, D)
    if kind == "frozen":
        made = (kind, name, rng.choice(["gaussian", "uniform", "rademacher"]), n, D)
    return known.setdefault((kind, n, D), made)


def layer(rng, shape, depth, arrays):
    """A layer for data that end in ``shape``, or for a list of such, and what its result ends in."""

    def ψ(n, D):
        return fabrication(rng, n, D, 2, arrays)

    if isinstance(shape, list):
        dims = tuple(each[-1] for each in shape)
        if rng.random() < 0.3:
            return af.Concatenation(dims=dims), (*shape[0][:-1], sum(dims))
        n = rng.choice(SIZES)
        return af.ConcatenationFusion(fabrication=ψ(n, sum(dims)), dims=dims, n=n), (*shape[0][:-1], n)
    *front, m = shape
    kind = rng.randrange(16 if depth else 10)
    if kind < 4:
        n = rng.choice(SIZES)
        return af.Reconciliation(fabrication=ψ(n, m), n=n, D=m, bias=rng.random() < 0.4), (*front, n)
    if kind < 6:
        n = rng.choice(SIZES)
        # Left out, it is as many as there were.
        other = {} if n == m else {"m_prime": n}
        return af.ParameterizedInterdependence(fabrication=ψ(m, n), m=m, **other), (*front, n)
    if kind < 8:
        if not front:
            return layer(rng, shape, 0, arrays)
        return on_instances(rng, ψ, tuple(front), m)
    if kind == 8:
        return af.Pointwise(rng.choice(["tanh", "sigmoid", "relu"])), shape
    if kind == 9:
        count = rng.randint(1, len(shape))
        before, size = shape[len(shape) - count :], math.prod(shape[len(shape) - count :])
        k = divisor(rng, size)
        after = rng.choice([(size,), (k, size // k)])
        return af.Reshape(before, after), (*shape[: len(shape) - count], *after)
    if kind < 13:
        return sequential(rng, shape, depth - 1, arrays)
    return parallel(rng, shape, depth - 1, arrays)


def on_instances(rng, ψ, front, m):
    *more, b = front
    kind = rng.randrange(3)
    if kind == 0:
        return af.BilinearInterdependence(fabrication=ψ(b, b), b=b), (*front, m)
    if kind == 1:
        return af.BilinearInterdependence(fabrication=ψ(m, m), m=m, interdependence_type="instance"), (
            *front,
            m,
        )
    n = rng.choice(SIZES)
    made = af.ParameterizedInterdependence(fabrication=ψ(b, n), b=b, b_prime=n, interdependence_type="left")
    return made, (*more, n, m)


def sequential(rng, shape, depth, arrays):
    layers = []
    for _ in range(rng.randint(1, 4)):
        made, shape = layer(rng, shape, depth, arrays)
        layers.append(Foreign(made) if rng.random() < 0.03 else made)
        if isinstance(shape, list) and (any(isinstance(each, list) for each in shape) or not alike(shape)):
            break
    return af.Sequential(layers), shape


def parallel(rng, shape, depth, arrays):
    pairs = [layer(rng, shape, depth, arrays) for _ in range(rng.randint(1, 3))]
    layers = [Foreign(made) if rng.random() < 0.03 else made for made, _ in pairs]
    return af.Parallel(layers), [given for _, given in pairs]


def alike(shapes):
    return all(each[:-1] == shapes[0][:-1] for each in shapes)


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
        return namespaces.get(self.namespace).asarray(host, self.native.name)

    def is_own(self, array):
        if self.is_numpy:
            return isinstance(array, np.ndarray | np.generic) and array.dtype == self.native
        return namespaces.get(self.namespace).owns(array) and self.native.name in str(array.dtype)


def setting(rng, chosen) -> Setting:
    """A namespace and a dtype; `LeftOut` where the namespace is not among those chosen."""
    numbers = np.random.default_rng(rng.randrange(1 << 32))
    (name,) = rng.choices(list(SHARES), SHARES.values())  # drawn alike, whatever is installed
    if name != "numpy":
        if namespaces.why_not(name) or name not in chosen:
            raise LeftOut(name)
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
        if self.where.namespace == "dask" and 0 in x_lead:  # which Dask itself fails to reshape
            x_lead = (2,)
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
