"""Wrong calls: each must be refused by a TypeError or ValueError that names the object."""

from __future__ import annotations

import random
import re

import numpy as np
from differential_cases import Setting, drawn, flat, mapped, mapped_shapes
from differential_draws import SIZES, fabrication, layer
from differential_expected import Expected, Wrong, subject_of

import arrayfab as af
from arrayfab.gradients import mean_squared_error, softmax_cross_entropy, value_and_grad

#: How the messages of array libraries begin where they, and not arrayfab, refuse.
FOREIGN = re.compile(
    r"operands could not|could not be broadcast|cannot reshape|matmul: |shapes \(.*not aligned|strict=|"
    r"zip\(\)|"
    r"not supported for|object has no attribute|unsupported operand|ufunc '|takes \d+ positional|"
    r"input operand|"
    r"must match exactly|not enough values|too many values|cannot unpack|not iterable|not subscriptable|"
    r"mat1 and mat2|Expected all|shape mismatch|dimension mismatch|size of tensor|invalid for input of size|"
    r"inhomogeneous|unhashable"
)

NO_ARRAYS = [None, 3.0, 1, "x", [1.0, 2.0], {}, object(), np.float64, [[1.0]], (), []]
NO_SIZES = [0, -1, 2.5, "3", True, None, float("nan"), np.ones(1), 1 + 0j]
NO_DTYPES = ["int64", "bool", "complex128", "U3", "O", "M8[s]", "float32", "float16", "longdouble", "i2"]


def refused(call, names):
    """What is wrong with how a call is refused, None where nothing is."""
    try:
        given = call()
    except (TypeError, ValueError) as error:
        message = str(error)
        if type(error) not in (TypeError, ValueError) and not isinstance(error, ValueError):
            return f"{type(error).__name__}: {message[:300]}"
        if FOREIGN.search(message):
            return f"a foreign message, {type(error).__name__}: {message[:300]}"
        if not any(name in message for name in names):
            return f"names none of {sorted(names)[:6]}, {type(error).__name__}: {message[:300]}"
        return None
    except Exception as error:  # the very thing that is looked for
        return f"{type(error).__name__}: {str(error)[:300]}"
    return f"not refused, gives {type(given).__name__}"


def names_of(layer):
    """The names by which a message may call a layer, or a part of it."""
    found = {type(layer).__name__}
    for part in getattr(layer, "layers", ()):
        found |= names_of(part)
    for field in ("fabrication", "inner", *getattr(layer, "terms", ())):
        part = field if not isinstance(field, str) else getattr(layer, field, None)
        if part is not None:
            found |= names_of(part)
    return found


def replaced(rng, tree, change):
    """The tree with one of its arrays changed."""
    if not isinstance(tree, list):
        return change(tree)
    i = rng.randrange(len(tree))
    return [replaced(rng, part, change) if i == j else part for j, part in enumerate(tree)]


def of_layer(rng, layer, x, w, y):
    """Wrong calls of a layer, by what is wrong; ``y`` is the result of the right one."""
    l = layer.num_parameters()  # noqa: E741

    def pulled(u):
        return layer.vjp(x, w)[1](u)

    def wider(a):
        return np.zeros((*a.shape[:-1], a.shape[-1] + 1), dtype=a.dtype)

    def typed(a):
        with_other = [
            d for d in NO_DTYPES if np.dtype(d).newbyteorder("=") != np.dtype(a.dtype).newbyteorder("=")
        ]
        return np.zeros(a.shape, dtype=rng.choice(with_other))

    odd = rng.choice(NO_ARRAYS)
    calls = {
        "w too long": lambda: layer(x, np.zeros((*w.shape[:-1], l + 1), w.dtype)),
        "w without an axis": lambda: layer(x, np.zeros((), w.dtype)),
        "w of another dtype": lambda: layer(x, typed(w)),
        "x of another dtype": lambda: layer(replaced(rng, x, typed), w),
        "x that is no array": lambda: layer(replaced(rng, x, lambda a: odd), w),
        "x that is something else": lambda: layer(odd, w),
        "x in a list": lambda: layer([x], w),
        "x in a tree": lambda: layer([[x], x], w),
        "grad_y that is no array": lambda: pulled(replaced(rng, y, lambda a: odd)),
        "grad_y that is something else": lambda: pulled(odd),
        "grad_y in a list": lambda: pulled([y]),
        "grad_y of another shape": lambda: pulled(replaced(rng, y, wider)),
        "grad_y of another dtype": lambda: pulled(replaced(rng, y, typed)),
        "grad_y of more axes": lambda: pulled(replaced(rng, y, lambda a: a[None])),
        "dx of another shape": lambda: layer.jvp(x, w, replaced(rng, x, wider), w),
        "dx of another dtype": lambda: layer.jvp(x, w, replaced(rng, x, typed), w),
        "dx that is no array": lambda: layer.jvp(x, w, replaced(rng, x, lambda a: odd), w),
        "dw too long": lambda: layer.jvp(x, w, x, np.zeros(l + 1, w.dtype)),
        "dw that is no array": lambda: layer.jvp(x, w, x, "dw"),
        "wrt": lambda: layer.vjp(x, w, wrt=rng.choice(["", "wx", None, 3, "y", ["x"]])),
        "w that is no array": lambda: layer(x, rng.choice([3.0, "w", [1.0] * max(l, 1), {}, object()])),
        "w of three rows": lambda: layer(replaced(rng, x, lambda a: np.zeros((2, 5, *a.shape), a.dtype)),
                                         np.zeros((3, 2, l), w.dtype)),
    }  # fmt: skip
    if l:
        calls["w too short"] = lambda: layer(x, w[..., :-1])
        calls["w left out"] = lambda: layer(x)
        calls["dw left out"] = lambda: layer.jvp(x, w, x)
        calls["w None in vjp"] = lambda: layer.vjp(x, None)
    if isinstance(x, list):
        calls["one more input"] = lambda: layer([*x, x[0]], w)
        calls["inputs of other rows"] = lambda: layer([*x[:-1], np.concatenate([x[-1]] * 2)], w)
        calls["inputs of other axes"] = lambda: layer([*x[:-1], x[-1][None]], w)
        if len(x) == 1:
            del calls["inputs of other rows"], calls["inputs of other axes"]
    if isinstance(y, list):
        calls["one cotangent too few"] = lambda: pulled(y[:-1])
    if not isinstance(y, list) and l:
        mse, entropy = value_and_grad(layer, mean_squared_error), value_and_grad(layer, softmax_cross_entropy)
        calls |= {
            "target of another shape": lambda: mse(w, x, wider(y)),
            "target of another dtype": lambda: mse(w, x, typed(y)),
            "target that is no array": lambda: mse(w, x, rng.choice(NO_ARRAYS)),
            "labels of another shape": lambda: entropy(w, x, np.zeros((*y.shape[:-1], 1), int)),
            "labels that are floats": lambda: entropy(w, x, np.zeros(y.shape[:-1])),
            "labels that are no array": lambda: entropy(w, x, rng.choice(NO_ARRAYS)),
            "x and w the other way round": lambda: mse(x, w, y),
        }
    if not isinstance(x, list):
        calls["x left as a number"] = lambda: layer(np.zeros((), x.dtype), w)
    return calls


def of_matrix(rng, f, n, D, w):
    """Wrong calls of a fabrication."""
    W, l = f.fabricate(w, n, D), w.shape[-1]  # noqa: E741
    odd, size = rng.choice(NO_ARRAYS), rng.choice(NO_SIZES)
    number = np.dtype(w.dtype).newbyteorder("=")
    return {
        "n": lambda: f.fabricate(w, size, D),
        "D": lambda: f.num_parameters(n, size),
        "init n": lambda: f.init(size, D),
        "w too long": lambda: f.fabricate(np.zeros(l + 1, number), n, D),
        "w too long in vjp": lambda: f.vjp(np.zeros(l + 1, number), n, D),
        "w that is no array": lambda: f.fabricate(odd, n, D),
        "x that is no array": lambda: W @ odd,
        "x that is no array on the left": lambda: W.__rmatmul__(odd),
        "x without axes": lambda: W @ np.zeros((), number),
        "x without axes on the left": lambda: np.zeros((), number) @ W,
        "x too long": lambda: np.zeros((2, n + 1), number) @ W,
        "x too long on the right": lambda: W @ np.zeros((D + 1, 2), number),
        "x too long a vector": lambda: W @ np.zeros(D + 1, number),
        "x of integers": lambda: W @ np.zeros(D, int),
        "x that is a matrix too": lambda: W @ W,
        "grad_W": lambda: f.vjp(w, n, D)[1](
            rng.choice([np.zeros((n, D + 1), number), np.zeros((n, D), int), odd])
        ),
        "dw": lambda: f.jvp(w, n, D, rng.choice([np.zeros(l + 1, number), np.zeros(l, int), odd])),
        "frozen name": lambda: f.with_frozen(nothing=np.zeros((n, D))).fabricate(w, n, D),
        "frozen array": lambda: f.with_frozen(b1=odd).fabricate(w, n, D),
        "scale": lambda: rng.choice([float("nan"), float("inf")]) * f,
        "sum": lambda: af.fabrications.SumOf(terms=rng.choice([(), None, [f, 3], 3])),
        "role": lambda: af.Reconciliation(fabrication=rng.choice([None, 3, af.LowRank, w]), n=n, D=D),
        "bias": lambda: af.Reconciliation(fabrication=f, n=n, D=D, bias=rng.choice([1, None, "no"])),
        "role size": lambda: af.Reconciliation(
            fabrication=f, n=rng.choice([0, -1, 2.5, "3", True, np.ones(1)]), D=D
        ),
    }


def check_misuse(seed: int, chosen) -> None:
    """Wrong calls are refused by a message of arrayfab's that names the object."""
    case = drawn(seed, chosen)
    where, rng = case.where, case.where.rng
    if not where.is_numpy:
        return
    x, w = case.data((rng.choice([1, 2, 3]),)), case.numbers()
    y = case.layer(x, w)
    calls = of_layer(rng, case.layer, x, w, y)
    names = {*names_of(case.layer), "mean_squared_error", "softmax_cross_entropy"}
    for name in rng.sample(sorted(calls), 6):
        if wrong := refused(calls[name], names):
            if wrong.startswith("not refused") and is_fine(case, name):
                continue
            raise Wrong(f"{name}: {wrong}")


def is_fine(case, name):
    """Whether plain layers alone have nothing to refuse."""
    plain = not any(hasattr(each, "fabrication") for each in flat(case.layer))
    swapped = name == "x and w the other way round" and case.shape[-1] == case.layer.num_parameters()
    return swapped or (name in ("x left as a number", "w of three rows") and plain)


def check_misfits(seed: int, chosen) -> None:
    """Layers that were not made for one another, and data not for them, are refused where formulas are."""
    rng = random.Random(seed)
    where = Setting(rng, np.random.default_rng(seed), "numpy", "float64")
    layers, shapes = [], []
    for _ in range(rng.randint(1, 4)):
        size = lambda: rng.choice([1, 2, 3, 4, 6])  # noqa: E731
        shape = rng.choice([(size(),), (size(),), (size(), size()), [(size(),), (size(),)]])
        layers.append(layer(rng, shape, rng.choice([0, 0, 1]), None)[0])
        shapes.append(shape)
    if rng.random() < 0.5:
        shapes[0] = rng.choice([shapes[-1], (3,), (2, 3), [(3,), (2,)], [[(2,)], (3,)], (2, 1, 3)])
    try:
        model = rng.choice([af.Sequential, af.Sequential, af.Parallel])(layers)
    except ValueError as error:
        if FOREIGN.search(str(error)):
            raise
        return
    lead = rng.choice([(), (1,), (2,), (5,), (2, 3)])
    x = mapped_shapes(lambda shape: where.numbers.standard_normal((*lead, *shape)), shapes[0])
    w = where.numbers.standard_normal(model.num_parameters())
    zero = mapped(lambda a: np.zeros(a.shape), x)
    try:
        expected = Expected(where, subject_of(model), x, w, zero, np.zeros(w.shape))
    except Exception:
        names = names_of(model)
        calls = {
            "call": lambda: model(x, w),
            "vjp": lambda: model.vjp(x, w),
            "jvp": lambda: model.jvp(x, w, x, w),
        }
        for name, call in calls.items():
            if wrong := refused(call, names):
                raise Wrong(f"misfit, {name}: {wrong}") from None
        return
    try:
        y = model(x, w)
    except (TypeError, ValueError) as error:
        if FOREIGN.search(str(error)):
            raise
        return
    expected.check_values("misfit", y)
    y, pull = model.vjp(x, w)
    expected.check_values("misfit, vjp", y)
    pull(y)


def check_matrix_misuse(seed: int, chosen) -> None:
    rng = random.Random(seed)
    n, D = rng.choice(SIZES), rng.choice(SIZES)
    f = fabrication(rng, n, D, 2)
    w = np.random.default_rng(seed).standard_normal(f.num_parameters(n, D))
    calls = of_matrix(rng, f, n, D, w)
    names = {*names_of(f), "StructuredMatrix", "SumOf", "Reconciliation"}
    for name in rng.sample(sorted(calls), 6):
        if wrong := refused(calls[name], names):
            raise Wrong(f"{name}: {wrong}")
