"""What every fabrication and layer should give, by dense formulas in float64, and how far rounding may lead.

A `Jet` holds a matrix with its derivative along one direction, by a complex step, and beside them what
bounds the error of any way to compute the two: magnitudes, which are the same formula of absolute values,
and the roundings that they have met, in units of the machine epsilon. Only bilinear operations and functions
of one number are needed. Nothing here asks arrayfab for more than fields of its classes and frozen draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from differential_theirs import Foreign, Formula

import arrayfab as af
from arrayfab import _arrays
from arrayfab.fabrications import Scaled, SumOf, WithFrozen
from arrayfab.frozen import Bernoulli, Frozen, Gaussian

STEP = 2.0**-600  # a power of two: scaling by it rounds nothing, and its square is zero


class Rounding:
    """The machine epsilon that a result is judged by, and what has been met on the way to it."""

    def __init__(self, eps):
        self.eps, self.peak, self.widths = eps, 0.0, 0


class Jet:
    """A value, and bounds: ``(|value|, its error, |derivative|, its error)``, errors in units of epsilon."""

    def __init__(self, value, bounds, rounding):
        self.value, self.bounds, self.rounding = value, bounds, rounding
        if value.size:
            rounding.peak = max(rounding.peak, float(np.max(bounds[0])), float(np.max(bounds[2])))

    @classmethod
    def of(cls, array, direction, rounding):
        """Exact numbers that move in a direction."""
        zero = np.zeros(np.shape(array))
        bounds = (np.abs(array), zero, np.abs(direction), zero)
        return cls(np.asarray(array + 1j * STEP * direction), bounds, rounding)

    @property
    def real(self):
        return self.value.real

    @property
    def derivative(self):
        return self.value.imag / STEP

    @property
    def shape(self):
        return self.value.shape

    def linear(self, function):
        """A rearrangement."""
        return Jet(function(self.value), tuple(map(function, self.bounds)), self.rounding)

    def rounded(self, times):
        """The same with so many roundings more."""
        m, e, d, f = self.bounds
        return Jet(self.value, (m, e + times * m, d, f + times * d), self.rounding)

    def with_(self, other, function, times):
        """What is linear in both, with so many roundings."""
        (m, e, d, f), (n, g, h, i) = self.bounds, other.bounds
        bounds = (
            function(m, n),
            function(e, n) + function(m, g),
            function(d, n) + function(m, h),
            function(f, n) + function(d, g) + function(e, h) + function(m, i),
        )
        self.rounding.widths += times
        return Jet(function(self.value, other.value), bounds, self.rounding).rounded(times)

    def __matmul__(self, other):
        self.rounding.widths += self.shape[-2] + other.shape[-1]
        return self.with_(other, np.matmul, self.shape[-1] + 1)

    def __mul__(self, other):
        return self.with_(other, np.multiply, 1)

    def kron(self, other):
        self.rounding.widths += sum(self.shape) + sum(other.shape)
        return self.with_(other, np.kron, 1)

    def __add__(self, other):
        bounds = tuple(a + b for a, b in zip(self.bounds, other.bounds, strict=True))
        return Jet(self.value + other.value, bounds, self.rounding).rounded(1)

    @property
    def T(self):
        return self.linear(lambda a: np.swapaxes(a, -1, -2))

    def reshape(self, *shape):
        return self.linear(lambda a: a.reshape(shape))

    def __getitem__(self, key):
        return self.linear(lambda a: a[key])

    def scaled(self, scale):
        return self.linear(lambda a: abs(scale) * a if a.dtype == float else scale * a).rounded(1)

    def mapped(self, name):
        """An elementwise function, with bounds of its first and its second derivative."""
        m, e, d, f = self.bounds
        eps = self.rounding.eps
        if name == "relu":
            unsure = np.abs(self.real) <= eps * e  # on which side it lies
            value = np.where(self.real > 0, self.value, 0.0)
            return Jet(value, (m, e, d, f + np.where(unsure, d / eps, 0.0)), self.rounding)
        slope, bend = (1.0, 0.8) if name == "tanh" else (0.25, 0.1)
        value = np.tanh(self.value) if name == "tanh" else _sigmoid(self.value)
        size = np.abs(value.real)
        bounds = (size, slope * e + 8.0 * size, slope * d, slope * f + bend * e * d + 12.0 * slope * d)
        return Jet(value, bounds, self.rounding)


def _sigmoid(z):
    small = np.exp(np.where(z.real < 0, z, -z))
    return np.where(z.real < 0, small, 1.0) / (1.0 + small)


def concatenated(jets, axis):
    """Jets side by side."""
    bounds = tuple(np.concatenate(each, axis) for each in zip(*(jet.bounds for jet in jets), strict=True))
    return Jet(np.concatenate([jet.value for jet in jets], axis), bounds, jets[0].rounding)


@dataclass(frozen=True)
class Frame:
    """What a formula is evaluated with: the dtype of frozen draws, and how exact numbers become jets."""

    dtype: np.dtype
    rounding: Rounding

    def constant(self, array):
        return Jet.of(
            np.asarray(array, dtype=np.float64), 0.0 * np.asarray(array, dtype=np.float64), self.rounding
        )

    def drawn(self, seed, name, law, handed_in, prefix):
        """A frozen block: what was handed in, or what the seed gives."""
        if prefix + name in handed_in:
            return self.constant(np.asarray(handed_in[prefix + name], dtype=np.float64))
        return self.constant(Frozen(seed, name, law).draw(self.dtype).astype(np.float64))


class Taker:
    """The blocks of ``w``, one after the other, row-major."""

    def __init__(self, w):
        self.w, self.at = w, 0

    def __call__(self, n, D):
        self.at += n * D
        return self.w[self.at - n * D : self.at].reshape(n, D)


def matrix_of(f, take, n, D, frame, handed_in, prefix=""):
    """``ψ(w)``, dense; ``handed_in`` holds host arrays by the names of their blocks."""

    def drawn(name, law):
        return frame.drawn(f.seed, name, law, handed_in, prefix)

    match f:
        case SumOf():
            parts = [
                matrix_of(term, take, n, D, frame, handed_in, f"{prefix}{i}.")
                for i, term in enumerate(f.terms)
            ]
            total = parts[0]
            for part in parts[1:]:
                total = total + part
            return total
        case Scaled():
            return matrix_of(f.inner, take, n, D, frame, handed_in, prefix).scaled(f.scale)
        case WithFrozen():
            ours = {prefix + name: to_host(array) for name, array in f.arrays.items()}
            return matrix_of(f.inner, take, n, D, frame, handed_in | ours, prefix)
        case Formula():
            return f.dense(take, frame, drawn)
        case af.Constant():
            return frame.constant(np.full((n, D), f.c)).rounded(1)
        case af.Eye():
            return frame.constant(np.eye(n, D))
        case af.Full():
            return take(n, D)
        case af.Masked():
            return take(n, D) * drawn("mask", Bernoulli(n, D, f.p))
        case af.DuplicatedPadding():
            q = f.q or f.p
            return frame.constant(np.ones((f.p, q))).kron(take(n // f.p, D // q))
        case af.DuplicatedDiagonalPadding():
            return frame.constant(np.eye(f.p)).kron(take(n // f.p, D // f.p))
        case af.LowRank():
            return take(n, f.r) @ take(f.r, D)
        case af.RandomMatrixAdaption():
            first, second = take(1, n), take(1, f.r)
            A, B = drawn("A", Gaussian(n, f.r)), drawn("B", Gaussian(D, f.r))
            return ((first.T * A) * second) @ B.T
        case af.Hypernet():
            h, w = f.hidden_dim, take(1, f.l)
            inner = w @ drawn("U", Gaussian(h, f.l)).T + drawn("a", Gaussian(1, h))
            outer = inner.mapped("sigmoid") @ drawn("V", Gaussian(n * D, h)).T + drawn(
                "c", Gaussian(1, n * D)
            )
            return outer.reshape(n, D)
        case af.RandomMatrixHypernet():
            h, w = f.hidden_dim, take(1, f.l)
            P, Q = drawn("P", Gaussian(f.l, f.r)), drawn("Q", Gaussian(h, f.r))
            S, T = drawn("S", Gaussian(h, f.r)), drawn("T", Gaussian(n * D, f.r))
            return ((w @ P @ Q.T).mapped("sigmoid") @ S @ T.T).reshape(n, D)
    p, q = f.p or _factor(n), f.q or _factor(D)
    match f:
        case af.Hypercomplex():
            return take(p, q).kron(take(n // p, D // q))
        case af.LPHM():
            A = take(p, q)
            return A.kron(take(n // p, f.r) @ take(f.r, D // q))
        case af.DualLPHM():
            left = take(p, f.r) @ take(f.r, q)
            return left.kron(take(n // p, f.r) @ take(f.r, D // q))
    raise NotImplementedError(f)


def _factor(size):
    return max(k for k in range(1, size + 1) if size % k == 0 and k * k <= size)


def to_host(array):
    """An array of any namespace as one of NumPy."""
    return _arrays.to_host(array)


def result_of(layer, x, w, frame):
    """The result of a layer for one vector ``w``; ``x`` is a jet, or a list of what is again either."""
    match layer:
        case af.Sequential():
            for each, part in _with_parts(layer, w):
                x = result_of(each, x, part, frame)
            return x
        case af.Parallel():
            return [result_of(each, x, part, frame) for each, part in _with_parts(layer, w)]
        case Foreign():
            return result_of(layer.inner, x, w, frame)
        case af.Pointwise():
            return x.mapped(layer.function)
        case af.Reshape():
            return x.reshape(*x.shape[: len(x.shape) - len(layer.before)], *layer.after)
        case af.Concatenation():
            return concatenated(x, -1)
        case af.ConcatenationFusion():
            W = matrix_of(layer.fabrication, Taker(w), layer.n, sum(layer.dims), frame, {})
            return _on_rows(concatenated(x, -1), W.T)
        case af.Reconciliation():
            take = Taker(w)
            y = _on_rows(x, matrix_of(layer.fabrication, take, layer.n, layer.D, frame, {}).T)
            return y + take(1, layer.n)[0] if layer.bias else y
        case af.ParameterizedInterdependence():
            size = layer.b if layer.is_instance else layer.m
            other = (layer.b_prime if layer.is_instance else layer.m_prime) or size
            A = matrix_of(layer.fabrication, Taker(w), size, other, frame, {})
            return A.T @ x if layer.is_instance else _on_rows(x, A)
        case af.BilinearInterdependence():
            size = layer.m if layer.is_instance else layer.b
            W = matrix_of(layer.fabrication, Taker(w), size, size, frame, {})
            return (x @ W @ x.T).T @ x if layer.is_instance else x @ (x.T @ W @ x)
    raise NotImplementedError(layer)


def _on_rows(x, M):
    flat = x.reshape(int(np.prod(x.shape[:-1])), x.shape[-1]) @ M
    return flat.reshape(*x.shape[:-1], M.shape[-1])


def _with_parts(layer, w):
    start = 0
    for each in layer.layers:
        size = each.num_parameters()
        yield each, w[start : start + size]
        start += size
