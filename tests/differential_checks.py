"""What each kind of case is held to."""

from __future__ import annotations

import copy
import pickle
import random
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from differential_cases import (
    MANY_ROWS,
    ROWS,
    drawn,
    follows_w,
    leaves,
    mapped,
    setting,
)
from differential_draws import SIZES, fabrication
from differential_expected import (
    Expected,
    Wrong,
    check_same,
    check_shapes,
    check_value,
    checksum,
    host,
    overflows,
    overwrite,
    subject_of,
    tiny,
)
from differential_reference import Taker, matrix_of, to_host
from differential_theirs import Formula

import arrayfab as af
from arrayfab.gradients import mean_squared_error, softmax_cross_entropy, value_and_grad
from arrayfab.testing import namespaces


def check_layer(seed: int, chosen) -> None:
    """The value, both gradients and the directional derivative for one choice of shapes."""
    case = drawn(seed, chosen)
    where, layer = case.where, case.layer
    x_lead, w_lead = case.leads(where.rng)
    x, w, dx, dw = case.data(x_lead), case.numbers(w_lead), case.data(x_lead), case.numbers(w_lead)
    before = checksum([x, w, dx, dw])
    zero_x, zero_w = mapped(lambda a: np.zeros(a.shape), x), np.zeros(w.shape)
    subject = subject_of(layer)
    leads = follows_w(layer)
    in_x = Expected(where, subject, x, w, dx, zero_w, leads)
    in_w = Expected(where, subject, x, w, zero_x, dw, leads)
    y = layer(x, w)
    in_x.check_values("call", y)
    kept = checksum(y)
    y2, pull = layer.vjp(x, w)
    if where.is_numpy:
        check_same("call and vjp", y, y2)
    in_x.check_values("vjp", y2)
    u = mapped(lambda a: where.array(*a.shape), y)
    before_u = checksum(u)
    gx, gw = pull(u)
    first = checksum([gx, [] if gw is None else gw])
    if gw is None:
        if layer.num_parameters():
            raise Wrong("grad_w is None")
    else:
        check_shapes(where, "vjp", gw, w)
        in_w.check_pairing("grad_w", u, gw, dw)
    check_shapes(where, "vjp", gx, x)
    in_x.check_pairing("grad_x", u, gx, dx)
    again = pull(u)
    if where.is_numpy and checksum([again[0], [] if gw is None else again[1]]) != first:
        raise Wrong("the second pullback differs")
    in_x.check_pairing(
        "pullback of -2 u", mapped(lambda a: -2 * a, u), pull(mapped(lambda a: -2 * a, u))[0], dx
    )
    for wrt in ("x", "w"):
        y3, part = layer.vjp(x, w, wrt=wrt)
        in_x.check_values(f"vjp wrt={wrt}", y3)
        px, pw = part(u)
        if (px is None) != (wrt == "w") or (wrt == "x" and pw is not None):
            raise Wrong(f"wrt={wrt!r} gives {type(px)}, {type(pw)}")
        if wrt == "x":
            check_shapes(where, "wrt=x", px, x)
            in_x.check_pairing("grad_x of wrt=x", u, px, dx)
        elif gw is not None:
            check_shapes(where, "wrt=w", pw, w)
            in_w.check_pairing("grad_w of wrt=w", u, pw, dw)
    y4, dy = layer.jvp(x, w, dx, dw)
    in_x.check_values("jvp", y4)
    for got, a, b in zip(leaves(dy), in_x.ys, in_w.ys, strict=True):
        rounding = in_x.frame.rounding
        check_value(where, "dy", got, a[5] + b[5], a[3] + b[3], a[4] + b[4] + 8 * (a[3] + b[3]), rounding)
    if checksum([x, w, dx, dw]) != before or checksum(u) != before_u:
        raise Wrong("an input was written into")
    if not layer.num_parameters() and not w_lead:
        check_same("w=None", layer(x), y) if where.is_numpy else layer(x)
    if where.is_numpy:
        overwrite([y, gx, gw, dy, y4], [x, w, u, dx, dw])
        if checksum([x, w, dx, dw]) == before:
            if checksum(layer(x, w)) != kept:
                raise Wrong("writing into results changes later ones")
            again = pull(u)
            if checksum([again[0], [] if gw is None else again[1]]) != first:
                raise Wrong("writing into results changes a later pullback")


def check_rows(seed: int, chosen) -> None:
    """One role, many numbers of rows in any order, from one thread or several."""
    case = drawn(seed, chosen)
    where, rng, layer = case.where, case.where.rng, case.layer
    first = case.shape[0] if isinstance(case.shape, list) else case.shape
    counts = rng.sample(ROWS, 5) if where.is_numpy else rng.sample(ROWS[1:8], 2)
    if len(first) > 1:
        counts = [min(count, 12) for count in counts]
    w = case.numbers()
    calls = [(case.data((count,)), count) for count in counts]
    us = [mapped(lambda a: where.array(*a.shape), layer(x, w)) for x, _ in calls]

    def step(i):
        y, pull = layer.vjp(calls[i][0], w)
        return [layer(calls[i][0], w), y, *pull(us[i])]

    if where.is_numpy:
        with ThreadPoolExecutor(3) as pool:
            results = list(pool.map(step, range(len(calls))))
    else:
        results = [step(i) for i in range(len(calls))]
    for i, (x, count) in enumerate(calls):
        dx, dw = case.data((count,)), case.numbers()
        in_x = Expected(where, subject_of(layer), x, w, dx, np.zeros(w.shape))
        in_w = Expected(where, subject_of(layer), x, w, mapped(lambda a: np.zeros(a.shape), x), dw)
        y, y2, gx, gw = results[i]
        in_x.check_values(f"{count} rows", y)
        in_x.check_values(f"{count} rows, vjp", y2)
        in_x.check_pairing(f"{count} rows, grad_x", us[i], gx, dx)
        if gw is not None:
            in_w.check_pairing(f"{count} rows, grad_w", us[i], gw, dw)
        if where.is_numpy:
            check_same(f"{count} rows, alone", results[i], step(i))


def check_copies(seed: int, chosen) -> None:
    """Copies and equal layers give the same numbers."""
    case = drawn(seed, chosen)
    layer, where = case.layer, case.where
    lead = (3,)
    x, w = case.data(lead), case.numbers()
    y, pull = layer.vjp(x, w)
    u = mapped(lambda a: where.array(*a.shape), y)
    one, none = [y, *pull(u)], mapped(lambda a: np.zeros(a.shape), x)
    expected = Expected(where, subject_of(layer), x, w, none, np.zeros(w.shape))
    copies = {"copy": copy.copy(layer), "deepcopy": copy.deepcopy(layer)}
    holds_arrays, is_ours = "WithFrozen" in repr(layer), "Foreign" not in repr(layer)
    if where.namespace != "strict" or not holds_arrays:
        copies["pickle"] = pickle.loads(pickle.dumps(layer))
    if not holds_arrays:
        again = drawn(case.seed).layer
        copies["again"] = again
        for name, other in copies.items():
            if other != layer or hash(other) != hash(layer):
                raise Wrong(f"{name}: not equal")
    if where.is_numpy and is_ours:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "saved"
            plain = np.ascontiguousarray(w, dtype=where.native)
            af.save(path, {"it": (layer, plain)}, known=[Formula])
            loaded, v = af.load(path, known=[Formula])["it"]
            check_same("saved w", plain, v)
            copies["loaded"] = loaded
    for name, other in copies.items():
        y2, pull2 = other.vjp(x, w)
        expected.check_values(name, y2)
        if where.is_numpy and not holds_arrays:  # copies of arrays may lie in memory in another way
            check_same(name, one, [y2, *pull2(u)])


def check_losses(seed: int, chosen) -> None:
    """``value_and_grad`` of both losses, against losses written by hand."""
    case = drawn(seed, chosen)
    layer, where, rng = case.layer, case.where, case.where.rng
    x, w = case.data((rng.choice([1, 2, 5, 12]),)), case.numbers()
    y = layer(x, w)
    if isinstance(y, list) or not layer.num_parameters():
        return
    dw = case.numbers()
    expected = Expected(where, subject_of(layer), x, w, mapped(lambda a: np.zeros(a.shape), x), dw)
    ((value, m, e, d, f, dy),) = expected.ys
    rounding = expected.frame.rounding
    if overflows(where, rounding) or rounding.peak**2 * value.size > 0.01 * float(np.finfo(where.native).max):
        return
    if rng.random() < 0.5:
        target = where.array(*y.shape)
        t = host(target)
        loss, grad = value_and_grad(layer, mean_squared_error)(w, x, target)
        right = np.mean((value - t) ** 2)
        u, unsure = 2 * (value - t) / value.size, 2 * (e + m + np.abs(t)) / value.size
        bound = rounding.eps * (np.mean(2 * (m + np.abs(t)) * (e + m + np.abs(t))) + (4 + value.size) * right)
    else:
        labels = where.numbers.integers(0, y.shape[-1], y.shape[:-1])
        moved = labels if where.is_numpy else namespaces.get(where.namespace).asarray(labels, "int64")
        loss, grad = value_and_grad(layer, softmax_cross_entropy)(w, x, moved)
        shifted = value - value.max(axis=-1, keepdims=True)
        soft = np.exp(shifted) / np.exp(shifted).sum(axis=-1, keepdims=True)
        hot = np.arange(y.shape[-1]) == labels[..., None]
        right = -np.sum(np.log(soft)[hot]) / labels.size
        u = (soft - hot) / labels.size
        worst = np.max(e + m, axis=-1, keepdims=True)
        unsure = (2 * worst * soft + 8 + 0 * m) / labels.size
        bound = rounding.eps * (np.mean(2 * worst) + (8 + value.size) * (1 + abs(right)))
    loss, grad = float(to_host(loss)), host(grad)
    bound += tiny(where, rounding)
    if not abs(loss - right) <= bound:
        raise Wrong(f"loss {loss!r}, expected {right!r} within {bound:.3g}")
    left, right = np.sum(grad * host(dw)), np.sum(u * dy)
    bound = rounding.eps * np.sum(np.abs(u) * (f + (8 + rounding.widths) * d) + unsure * d)
    bound += tiny(where, rounding) * (1 + np.sum(np.abs(to_host(dw))) + value.size)
    if not abs(left - right) <= bound:
        raise Wrong(f"gradient of the loss {left!r}, expected {right!r} within {bound:.3g}")


# Fabrications alone.


def check_matrix(seed: int, chosen) -> None:
    """Products with a structured matrix, its dense form, its gradient and its derivative."""
    rng = random.Random(seed)
    where = setting(rng, chosen)
    n, D = rng.choice(SIZES), rng.choice(SIZES)
    f = fabrication(rng, n, D, 2, lambda n, D: where.array(n, D))
    l = f.num_parameters(n, D)  # noqa: E741
    w_lead = rng.choice([(), (), (), (2,), (2, 1), (0,)])
    w, dw = where.array(*w_lead, l, scale=0.5), where.array(*w_lead, l, scale=0.5)
    before = checksum([w, dw])

    def dense(x, w, frame):
        return matrix_of(f, Taker(w), n, D, frame, {})

    if w_lead != (0,):
        expected = Expected(where, lambda x, w, frame: dense(x, w, frame), [], w, [], dw)
    W = f.fabricate(w, n, D)
    if W.shape != (*w_lead, n, D) or W.T.shape != (*w_lead, D, n) or W.ndim != len(w_lead) + 2:
        raise Wrong(f"shape {W.shape} of {(*w_lead, n, D)}")
    formed, (formed2, pull), (formed3, dW) = W.to_dense(), f.vjp(w, n, D), f.jvp(w, n, D, dw)
    u = where.array(*w_lead, n, D)
    if w_lead != (0,):
        for name, each in (("to_dense", formed), ("vjp", formed2), ("jvp", formed3)):
            expected.check_values(name, each)
        if where.is_numpy:
            check_same("to_dense and vjp", formed, formed2)
        transposed = W.T.to_dense()
        (y,) = expected.ys
        swap = lambda a: np.swapaxes(a, -1, -2)  # noqa: E731
        rounding = expected.frame.rounding
        check_value(where, "W.T", transposed, *map(swap, y[:3]), rounding)
        check_value(where, "dW", dW, y[5], y[3], y[4] + 8 * y[3], rounding)
        grad = pull(u)
        check_shapes(where, "grad_w", grad, w)
        expected.check_pairing("grad_w", u, grad, dw)
        if where.is_numpy:
            check_same("second pullback", grad, pull(u))
    else:
        check_shapes(where, "grad_w", pull(u), w)
    for _ in range(4):
        check_product(where, dense, W, w, w_lead, n, D)
    if where.is_numpy and w_lead != (0,):
        overwrite([formed, formed2, formed3, dW, grad], [w, W.w, dw, u, *handed_in(f)])
        if checksum([w, dw]) == before:
            expected.check_values("to_dense after writing into results", W.to_dense())
            expected.check_values("fabricate after writing into results", f.fabricate(w, n, D).to_dense())
    if checksum([w, dw]) != before:
        raise Wrong("an input was written into")
    other = pickle.loads(pickle.dumps(W)) if where.namespace != "strict" else copy.copy(W)
    if where.is_numpy and w_lead != (0,):
        expected.check_values("pickled", other.to_dense())


def handed_in(f):
    inner = [getattr(f, "inner", None), *getattr(f, "terms", ())]
    found = list(getattr(f, "arrays", {}).values())
    return found + [array for each in inner if each is not None for array in handed_in(each)]


def check_product(where, dense, W, w, w_lead, n, D):
    rng = where.rng
    rows = rng.choice(ROWS if rng.random() < 0.9 else MANY_ROWS[:3])
    is_transposed, is_left = rng.random() < 0.4, rng.random() < 0.5
    inner = (n if is_left else D) if not is_transposed else (D if is_left else n)
    lead = rng.choice([(), (), (), w_lead or (2,), (1,)])
    if rng.random() < 0.15:
        x = where.array(inner)
    elif is_left:
        x = where.array(*lead, rows, inner)
    else:
        x = where.array(*lead, inner, rows)
    M = W.T if is_transposed else W
    what = f"{'x @ W' if is_left else 'W @ x'}{'.T' * is_transposed} with x {x.shape}, w {w_lead}"
    y = M.__rmatmul__(x) if is_left else M @ x
    if 0 in w_lead:
        return

    def product(x, w, frame):
        A = dense(None, w, frame)
        A = A.T if is_transposed else A
        if len(x.shape) == 1:
            row = x.reshape(1, -1) @ A if is_left else x.reshape(1, -1) @ A.T
            return row.reshape(row.shape[-1])
        return x @ A if is_left else A @ x

    zero_x, zero_w = np.zeros(x.shape), np.zeros(w.shape)
    if not w_lead:
        Expected(where, product, x, w, zero_x, zero_w).check_values(what, y)
        return
    Expected(where, product, x, w, zero_x, zero_w).check_values(what, y)


def check_not_finite(seed: int, chosen) -> None:
    """NaN and infinities raise nothing, and stay in their row where rows are taken alike."""
    case = drawn(seed, chosen)
    where, layer, rng = case.where, case.layer, case.where.rng
    if not where.is_numpy:
        return
    rows = rng.choice([2, 3, 5, 12])
    x, w = mapped(np.array, case.data((rows,))), case.numbers()
    y = layer(x, w)
    i, odd = rng.randrange(rows), rng.choice([np.nan, np.nan, np.inf, -np.inf])
    spoilt = mapped(np.array, x)
    part = rng.choice(leaves(spoilt))
    part[i, ..., rng.randrange(part.shape[-1])] = odd
    y2, pull = layer.vjp(spoilt, w)
    pull(y2)
    layer.jvp(spoilt, w, spoilt, w)
    if where.native != np.float16:
        bound = 1e4 * np.finfo(where.native).eps
        for a, b in zip(leaves(y), leaves(y2), strict=True):
            if not np.allclose(
                np.delete(b, i, 0), np.delete(a, i, 0), rtol=bound, atol=bound * (1 + np.max(np.abs(a)))
            ):
                raise Wrong(f"{odd} in row {i} is met in others")
    full = isinstance(getattr(layer, "fabrication", None), af.Full | af.LowRank) or isinstance(
        layer, af.Pointwise
    )
    if full and np.isnan(odd) and not np.isnan(leaves(y2)[0][i]).any():
        raise Wrong("NaN does not stay NaN")
    if w.size:
        w = np.array(w)
        w[rng.randrange(w.size)] = odd
        y3, pull = layer.vjp(x, w)
        pull(y3)
