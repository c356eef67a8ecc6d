"""The adapters of tinybig's compressions that draw attributes of every row, or tuples of them."""

from __future__ import annotations

import math
from itertools import combinations, combinations_with_replacement
from typing import Any, ClassVar

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab._elementwise import SIGMOID
from arrayfab.tinybig._configuration import at, of_config
from arrayfab.tinybig._distributions import Distribution, Normal, Uniform
from arrayfab.tinybig._function import ParameterError
from arrayfab.tinybig._transformation import transformation


class Drawn(transformation):
    """``k`` attributes of every row, drawn with probabilities in proportion to a density, in their order.

    The density is that of ``z = 0.99 σ(x) + 0.001``, or of ``x`` itself without ``require_normalization``;
    ``metric`` is applied before. What comes out are the drawn numbers of ``x``, of ``z`` without
    ``simply_sampling``, or their log densities with ``log_prob``.

    Every call draws anew, in evaluation too. Draws are made on the host by ``rng``, NumPy's generator of
    ``seed``; one that is assigned is used. A ``vjp`` is of the draw that it made.
    """

    d = 1  # the longest tuples that are drawn
    _overridable = (*transformation._overridable, "calculate_weights")
    _distribution: ClassVar[Any] = None  # its class, where it is given
    _parameters: ClassVar[tuple[str, ...]] = ()  # the attributes that are its parameters
    _is_of_normalized: ClassVar[bool] = False  # whether the distribution is of normalized numbers only

    def _settle(self):
        super()._settle()
        if self._is_of_normalized and not self.require_normalization:
            raise ParameterError(
                f"{self.name}: require_normalization must be True, as it is in tinybig's code"
            )
        self.log_prob = self.log_prob and not self.simply_sampling
        self.rng = np.random.default_rng(self.seed)
        if self._distribution is not None:
            self.distribution_function = self._distribution(*(getattr(self, key) for key in self._parameters))
        elif self.distribution_function is None and self.distribution_function_configs is not None:
            with at("distribution_function_configs"):
                self.distribution_function = of_config(self.distribution_function_configs, Distribution)
        elif self.distribution_function is None:
            self.distribution_function = Uniform(0.0, 1.0)

    def calculate_D(self, m):
        self._check_k(m)
        return self.k

    def _check_k(self, m):
        if not 0 < self.k <= m:
            raise ParameterError(f"{self.name}: k must be from 1 to m={m}, got {self.k}")

    def calculate_weights(self, x: Array, r: int = 1) -> Array:
        """The probabilities of the first draw, in which every row sums to one."""
        xp, logs = _arrays.backend_of(self.name, "x", x).xp, self._log_density(x)
        weights = xp.exp(logs - xp.max(logs, axis=-1, keepdims=True))
        return weights / xp.sum(weights, axis=-1, keepdims=True)

    def _log_density(self, z):
        return self.distribution_function.log_prob(z)

    def _choices(self, m, r):
        """What is drawn from, by the places of the attributes."""
        return np.arange(m)

    def _core(self):
        raise NotImplementedError(f"{self.name}: what is drawn in every call is no expansion of arrayfab's")

    def _expanded(self, x, device, **more):
        return self._joined(x, [self._drawn(x, r)[1] for r in range(1, self.d + 1)])

    def _joined(self, x, parts):
        D, xp = self.calculate_D(x.shape[1]), _arrays.backend_of(self.name, "x", x).xp
        y = xp.reshape(xp.concat(parts, axis=-1), (x.shape[0], -1))
        if y.shape[1] != D:
            raise ParameterError(
                f"{self.name}: {D} numbers are wanted, got {y.shape[1]}; tuples have one number each "
                "only with log_prob=True"
            )
        return y

    def _drawn(self, x, r):
        """The places that are drawn, of shape ``(b, k)`` or ``(b, k, r)``, and what comes out of them."""
        backend, (b, m) = _arrays.check_real_floating(self.name, "x", x), x.shape
        choices = self._choices(m, r)
        values = backend.xp.reshape(backend.take(x, choices.reshape(-1), 1), (b, *choices.shape))
        z = values if self.metric is None else self.metric(values)
        if tuple(z.shape) != tuple(values.shape):
            raise ParameterError(
                f"{self.name}: metric must give shape {tuple(values.shape)}, got {tuple(z.shape)}"
            )
        z = self._normalized(backend.xp, z)
        index = self._draw(np.asarray(_arrays.to_host(self.calculate_weights(z, r)), np.float64))
        drawn = _at(backend, values if self.simply_sampling else z, index)
        return choices[index], self._log_density(drawn) if self.log_prob else drawn

    def _normalized(self, xp, x):
        return 0.99 * SIGMOID.value(xp, x) + 0.001 if self.require_normalization else x

    # Where Gᵢ are independent Gumbel numbers, the largest of log wᵢ + Gᵢ stands at i with probability
    # wᵢ / Σ w, and the k largest stand where k draws without replacement fall.
    def _draw(self, weights):
        count, wanted = weights.shape[1], 1 if self.with_replacement else self.k
        if not np.all(np.isfinite(weights)) or np.any(np.sum(weights > 0, axis=1) < wanted):
            raise ParameterError(
                f"{self.name}: {self.k} of {count} are to be drawn in every row; the density must be finite, "
                f"and positive for {wanted} of them"
            )
        with np.errstate(divide="ignore"):
            logs = np.log(weights)
        if self.with_replacement:
            draws = [np.argmax(logs + self.rng.gumbel(size=logs.shape), axis=1) for _ in range(self.k)]
            return np.sort(np.stack(draws, axis=1), axis=1)
        keys = logs + self.rng.gumbel(size=logs.shape)
        return np.sort(np.argpartition(keys, count - self.k, axis=1)[:, count - self.k :], axis=1)

    # The draw has no derivative. Given it, every number that comes out is a sum of functions of single
    # numbers of x, so that an attribute's gradient is the sum over its draws of grad_y times the slope there.
    def _pulled(self, x):
        if not self.simply_sampling and self.metric is not None:
            raise NotImplementedError(f"{self.name}: vjp has no rule for a metric that is handed in")
        if self.log_prob and not isinstance(self.distribution_function, Distribution):
            raise NotImplementedError(f"{self.name}: vjp has no rule for a distribution that is handed in")
        backend, (b, m) = _arrays.check_real_floating(self.name, "x", x), x.shape
        xp, drawn = backend.xp, [self._drawn(x, r) for r in range(1, self.d + 1)]
        y = self._joined(x, [part for _, part in drawn])

        def drawn_pullback(grad_y):
            first, grad_x = drawn[0][1], xp.zeros_like(x)
            grads, start = xp.reshape(grad_y, (b, *first.shape[1:-1], -1)), 0
            for places, part in drawn:
                end, size = start + part.shape[-1], math.prod(places.shape[1:])
                grad = xp.reshape(grads[..., start:end], (b, self.k, -1))
                grad = xp.broadcast_to(grad, (b, self.k, size // self.k))
                flat = places.reshape(b, size)
                grad = xp.reshape(grad, (b, size)) * self._slope(xp, _at(backend, x, flat))
                here = backend.index(flat[:, None, :] == np.arange(m)[:, None], _arrays.device_of(x))
                grad_x = grad_x + xp.sum(
                    xp.where(here, grad[:, None, :], xp.zeros_like(grad)[:, None, :]), axis=-1
                )
                start = end
            return grad_x

        return y, drawn_pullback

    def _slope(self, xp, x):
        if self.simply_sampling:
            return xp.ones_like(x)
        slope = 0.99 * SIGMOID.slope(xp, x) if self.require_normalization else xp.ones_like(x)
        return slope * self.distribution_function.slope(self._normalized(xp, x)) if self.log_prob else slope


class DrawnTuples(Drawn):
    """``k`` tuples of ``r`` attributes of every row for ``r = 1 … d``, drawn as standard normal ones.

    They come from all tuples of different attributes in lexicographic order, or from those with repetition
    if ``with_replacement``. The first of all ``r`` stand beside each other, then the second; with
    ``log_prob``, all densities of one ``r`` do.
    """

    _distribution, _parameters = Normal, ("mean", "std")
    mean, std = 0.0, 1.0

    def calculate_D(self, m):
        self._check_k(m)
        return self.k * (sum(range(1, self.d + 1)) if self.simply_sampling else self.d)

    def random_combinations(self, x: Array, r: int, *args, **kwargs) -> Array:
        """What is drawn of the tuples of ``r``, of shape ``(b, k, r)``, or ``(b, k)`` with ``log_prob``."""
        return self._drawn(x, r)[1]

    def _log_density(self, z):
        logs = super()._log_density(z)
        return _arrays.backend_of(self.name, "x", z).xp.sum(logs, axis=-1)

    def _choices(self, m, r):
        if r > m:
            raise ParameterError(f"{self.name}: tuples must be of 1 to m={m} attributes, got {r}")
        chosen = combinations_with_replacement if self.with_replacement else combinations
        return np.asarray(list(chosen(range(m), r)))


def _at(backend, x, index):
    """``x[i, index[i, j], …]``, of shape ``(b, k, …)``."""
    b, count, *rest = x.shape
    flat = (np.arange(b)[:, None] * count + index).reshape(-1)
    return backend.xp.reshape(
        backend.take(backend.xp.reshape(x, (b * count, *rest)), flat, 0), (*index.shape, *rest)
    )
