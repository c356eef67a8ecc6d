"""What results and gradients are compared with: dense formulas, and bounds of their rounding."""

from __future__ import annotations

import numpy as np
from differential_cases import Setting, leaves, mapped
from differential_reference import Frame, Jet, Rounding, result_of, to_host


class Wrong(AssertionError):
    """A case that is not as it should be."""


def host(array):
    """An array of any namespace as one of NumPy in float64."""
    return np.asarray(to_host(array), dtype=np.float64)


def frame(where: Setting) -> Frame:
    return Frame(where.native, Rounding(float(np.finfo(where.native).eps)))


def tiny(where, rounding):
    """What numbers too small for the dtype may add up to."""
    return float(np.finfo(where.native).smallest_subnormal) * (1 + rounding.widths) * (1 + rounding.peak) ** 2


def overflows(where, rounding):
    return rounding.peak * (1 + rounding.peak) > 0.01 * float(np.finfo(where.native).max)


def check_value(where, what, actual, value, magnitude, error, rounding):
    if not where.is_own(actual):
        raise Wrong(f"{what}: {type(actual)} of {actual.dtype}, expected {where.namespace} {where.native}")
    found = host(actual)
    if found.shape != value.shape:
        raise Wrong(f"{what}: shape {found.shape}, expected {value.shape}")
    if overflows(where, rounding):
        return
    bound = rounding.eps * (error + 2 * magnitude) + tiny(where, rounding)
    off = ~(np.abs(found - value) <= bound)
    if off.any():
        at = tuple(int(i) for i in np.argwhere(off)[0])
        raise Wrong(
            f"{what}: {off.sum()} of {off.size} entries, first at {at}: {found[at]!r}, expected "
            f"{value[at]!r} within {bound[at]:.3g}"
        )


class Expected:
    """The dense result, and its derivative along a direction, in a loop over leading axes of ``w``."""

    def __init__(self, where, subject, x, w, dx, dw, leads=True):
        self.where, self.frame = where, frame(where)
        rounding = self.frame.rounding
        xs, dxs = mapped(host, x), mapped(host, dx)
        w, dw = host(w), host(dw)
        if w.ndim == 1 or not leads:
            ys = subject(
                mapped(lambda a, d: Jet.of(a, d, rounding), xs, dxs), Jet.of(w, dw, rounding), self.frame
            )
            self.ys = [(y.real, *y.bounds, y.derivative) for y in leaves(ys)]
            return
        cores = mapped(lambda a: min(a.ndim, 2), xs)
        first = leaves(xs)[0] if leaves(xs) else np.zeros(())
        lead = np.broadcast_shapes(first.shape[: first.ndim - min(first.ndim, 2)], w.shape[:-1])
        wide = lambda a, core: np.broadcast_to(a, lead + a.shape[a.ndim - core :])  # noqa: E731
        xs, dxs = mapped(wide, xs, cores), mapped(wide, dxs, cores)
        w, dw = wide(w, 1), wide(dw, 1)
        each = []
        for i in np.ndindex(lead):
            jets = mapped(lambda a, d: Jet.of(a[i], d[i], rounding), xs, dxs)  # noqa: B023
            each.append(leaves(subject(jets, Jet.of(w[i], dw[i], rounding), self.frame)))
        self.ys = []
        for same in zip(*each, strict=True):
            columns = zip(*((y.real, *y.bounds, y.derivative) for y in same), strict=True)
            self.ys.append([np.reshape(np.stack(c), lead + c[0].shape) for c in map(list, columns)])

    def check_values(self, what, actual):
        if len(leaves(actual)) != len(self.ys):
            raise Wrong(f"{what}: {len(leaves(actual))} results, expected {len(self.ys)}")
        for y, (value, m, e, *_) in zip(leaves(actual), self.ys, strict=True):
            check_value(self.where, what, y, value, m, e, self.frame.rounding)

    def check_pairing(self, what, u, grads, directions):
        """``⟨grad, d⟩ = ⟨u, dy⟩`` for a direction of some inputs alone."""
        rounding, where = self.frame.rounding, self.where
        if overflows(where, rounding):
            return
        left = sum(np.sum(host(g) * host(d)) for g, d in zip(leaves(grads), leaves(directions), strict=True))
        right = bound = reach = 0.0
        for u_, (_, _, _, d, f, dy) in zip(map(host, leaves(u)), self.ys, strict=True):
            right += np.sum(u_ * dy)
            bound += rounding.eps * np.sum(np.abs(u_) * (f + (8 + rounding.widths) * d))
            reach += np.sum(np.abs(u_) * d)
        if reach * (1 + rounding.peak) > 0.01 * float(np.finfo(where.native).max):
            return
        bound += tiny(where, rounding) * (1 + sum(np.sum(np.abs(host(d))) for d in leaves(directions)))
        if not abs(left - right) <= bound:
            raise Wrong(
                f"{what}: ⟨grad, d⟩ = {left!r}, ⟨u, dy⟩ = {right!r}, differ by {abs(left - right):.3g}, "
                f"allowed {bound:.3g}"
            )


def check_same(what, one, other):
    """Equal bit by bit."""
    for a, b in zip(leaves(one), leaves(other), strict=True):
        if (a is None) != (b is None):
            raise Wrong(f"{what}: one is None, the other is not")
        if a is None:
            continue
        a, b = np.asarray(to_host(a)), np.asarray(to_host(b))
        if a.shape != b.shape or a.dtype != b.dtype or not np.array_equal(a, b, equal_nan=True):
            raise Wrong(f"{what}: not equal bit by bit")


def check_shapes(where, what, grads, inputs):
    for g, a in zip(leaves(grads), leaves(inputs), strict=True):
        if g is None or not where.is_own(g) or tuple(g.shape) != tuple(a.shape):
            raise Wrong(
                f"{what}: gradient {None if g is None else (g.dtype, g.shape)} of an input of {a.shape}"
            )


def subject_of(layer):
    return lambda x, w, frame: result_of(layer, x, w, frame)


def checksum(tree):
    return [np.asarray(to_host(a)).tobytes() for a in leaves(tree)]


def overwrite(results, inputs):
    """Write into every result that shares no memory with what was given."""
    for array in leaves(results):
        is_free = isinstance(array, np.ndarray) and array.flags.writeable
        if is_free and not any(np.may_share_memory(array, given) for given in leaves(inputs)):
            array[...] = 77.0
