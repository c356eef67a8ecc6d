"""Layers that join the parts of a head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from arrayfab import _arrays
from arrayfab._cached import cached_property
from arrayfab.composition import Composed, joined
from arrayfab.fabrications.blueprint import settle_sizes
from arrayfab.layer import Layer
from arrayfab.outline import Outline, outline
from arrayfab.ruled import Ruled
from arrayfab.structures import Numbers


@dataclass(frozen=True)
class Channels(Composed):
    """What ``Parallel([layer] * k)`` gives, in one product: ``w`` holds ``k`` rows of learned numbers."""

    layer: Layer
    k: int

    def __post_init__(self):
        settle_sizes(self, "k")

    @cached_property
    def layers(self):  # type: ignore[override]
        return (self.layer,)

    @property
    def core(self):  # type: ignore[override]
        return self.layer.core

    @property
    def given(self):
        return self.layer.given

    @property
    def outputs(self):
        return [None] * self.k

    def num_parameters(self):
        return self.k * self.layer.num_parameters()

    def init(self, *, rng=None, **options):
        rng = np.random.default_rng(rng)
        return joined(None, [self.layer.init(rng=rng, **options) for _ in range(self.k)])

    def outline(self, given, at=""):
        one = outline(self.layer, given, at).times(self.k)
        return Outline(one.lines, None if one.result is None else [one.result] * self.k)

    def _check_inputs(self, shapes):
        self.layer._check_inputs(shapes)

    # Leading axes of w and x meet; so the channels' own stands behind all others, in front of a matrix.
    def _rows_of(self, backend, w):
        return backend.reshape(w, (*w.shape[:-1], self.k, self.layer.num_parameters()))

    def _with_axis(self, backend, x):
        shape = tuple(x.shape)
        if len(shape) == 2:
            return x
        return backend.reshape(x, (1, *shape) if len(shape) == 1 else (*shape[:-2], 1, *shape[-2:]))

    def _apart(self, backend, y, is_row):
        parts = [y[..., c, :, :] for c in range(self.k)]
        return [part[0, :] for part in parts] if is_row else parts

    def _rule(self, backend, x, w, frozen, wrt):
        is_row, xs = x.ndim == 1, self._with_axis(backend, x)
        y, pull = self.layer._rule(backend, xs, self._rows_of(backend, w), frozen, wrt)

        def channels_pullback(grads):
            key = (None, None, slice(None)) if is_row else (..., None, slice(None), slice(None))
            grad_x, grad_w = pull(backend.xp.concat([grad[key] for grad in grads], axis=-3))
            return (
                backend.reshape(grad_x, tuple(x.shape)) if "x" in wrt else None,
                backend.reshape(grad_w, tuple(w.shape)) if "w" in wrt else None,
            )

        return self._apart(backend, y, is_row), channels_pullback

    def _push(self, backend, x, w, dx, dw, frozen):
        is_row = x.ndim == 1
        xs, dxs = (self._with_axis(backend, each) for each in (x, dx))
        ws, dws = (self._rows_of(backend, each) for each in (w, dw))
        y, dy = self.layer._push(backend, xs, ws, dxs, dws, frozen)
        return self._apart(backend, y, is_row), self._apart(backend, dy, is_row)


@dataclass(frozen=True)
class Applied(Composed):
    """``x → g([x, f(x)])``, of two layers ``f`` and ``g``."""

    layers: tuple[Layer, ...]

    @property
    def core(self):  # type: ignore[override]
        return max(2, getattr(self.layers[0], "core", 1))

    def outline(self, given, at=""):
        first = outline(self.layers[0], given, at)
        second = outline(self.layers[1], None if first.result is None else [given, first.result], at)
        return Outline(first.lines + second.lines, second.result)

    def _check_inputs(self, shapes):
        self.layers[0]._check_inputs(shapes)

    def _rule(self, backend, x, w, frozen, wrt):
        (f, part), (g, own) = self._parts(w)
        z, pull_z = self._vjp(f, backend, x, part, frozen, wrt)
        y, pull = self._vjp(g, backend, [x, z], own, frozen, wrt and ("xw" if "w" in wrt else "x"))

        def applied_pullback(grad_y):
            (grad_x, grad_z), grad_own = pull(grad_y)
            through_z, grad_part = pull_z(grad_z)
            grad_w = joined(backend, [grad_part, grad_own]) if "w" in wrt else None
            return grad_x + through_z if "x" in wrt else None, grad_w

        return y, applied_pullback

    def _push(self, backend, x, w, dx, dw, frozen):
        (f, part), (g, own) = self._parts(w)
        (_, dpart), (_, down) = self._parts(dw)
        z, dz = self._jvp(f, backend, x, part, dx, dpart, frozen)
        return self._jvp(g, backend, [x, z], own, [dx, dz], down, frozen)


@dataclass(frozen=True)
class Bias(Ruled):
    """``y = x + b``, with ``n`` learned numbers ``b`` for every row."""

    n: int

    def num_parameters(self):
        return self.n

    def init(self, *, xp=None, dtype=None, device=None, **options):
        return _arrays.namespace(xp).zeros((self.n,), dtype=dtype, device=device)

    def result_shape(self, given):
        return given

    def _row(self, backend, w):
        return w if w.ndim == 1 else backend.reshape(w, (*w.shape[:-1], 1, self.n))

    def _rule(self, backend, x, w, frozen, wrt):
        row, numbers = self._row(backend, w), Numbers(backend, {}, w)

        def bias_pullback(grad_y):
            grad_x = numbers.unbroadcast(grad_y, tuple(x.shape)) if "x" in wrt else None
            grad_w = numbers.unbroadcast(grad_y, tuple(row.shape)) if "w" in wrt else None
            return grad_x, None if grad_w is None else backend.reshape(grad_w, tuple(w.shape))

        return x + row, bias_pullback

    def _push(self, backend, x, w, dx, dw, frozen):
        return x + self._row(backend, w), dx + self._row(backend, dw)
