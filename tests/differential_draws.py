"""Random fabrications, formulas and models, from one generator."""

from __future__ import annotations

import math
import random

from differential_theirs import Foreign, Formula

import arrayfab as af

# More than layout.THIN on a side, so that thin products beside large ones are met.
SIZES = [1, 1, 2, 3, 4, 4, 5, 6, 6, 8, 9, 12, 12, 16, 24, 36, 40]


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
