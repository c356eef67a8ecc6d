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
    ``seed``; one that is assigned is used. Data that are traced have no numbers there, and are refused by
    their namespace. A ``vjp`` is of the draw that it made.
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
        if not 0 < self.k <= m:
            raise ParameterError(f"{self.name}: k must be from 1 to m={m}, got {self.k}")
        return self.k

    def calculate_weights(self, x: Array, r: int = 1) -> Array:
        """The probabilities of the first draw; every row sums to one, or has zeros only."""
        xp, logs = _arrays.backend_of(self.name, "x", x).xp, self._log_density(x)
        largest = xp.max(logs, axis=-1, keepdims=True)
        weights = xp.exp(logs - xp.where(xp.isfinite(largest), largest, xp.zeros_like(largest)))
        total = xp.sum(weights, axis=-1, keepdims=True)
        return weights / xp.where(total == 0.0, xp.ones_like(total), total)

    def _log_density(self, z):
        return self.distribution_function.log_prob(z)

    def _choices(self, m, r):
        """What is drawn from, by the places of the attributes."""
        return np.arange(m)

    def _core(self):
        raise NotImplementedError(f"{self.name}: what is drawn in every call is no expansion of arrayfab's")

    def _expanded(self, x, device, **more):
        return self._joined(x, self._parts(x))

    def _parts(self, x):
        self.calculate_D(x.shape[1])
        return [self._drawn(x, r) for r in range(1, self.d + 1)]

    def _joined(self, x, parts):
        D, xp = self.calculate_D(x.shape[1]), _arrays.backend_of(self.name, "x", x).xp
        y = xp.concat([part for _, part in parts], axis=-1)
        if math.prod(y.shape[1:]) != D:
            raise ParameterError(
                f"{self.name}: {D} numbers are wanted, got {math.prod(y.shape[1:])}; tuples of several "
                "attributes are one number each only with log_prob=True"
            )
        return xp.reshape(y, (x.shape[0], D))

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
        backend, parts = _arrays.check_real_floating(self.name, "x", x), self._parts(x)
        y = self._joined(x, parts)
        columns, places = self._origin(parts, *y.shape)
        slope = self._slope(backend.xp, _at(backend, x, places))
        back = _uses(places, x.shape[1])

        def drawn_pullback(grad_y):
            grad = backend.take(grad_y, columns, 1) * slope
            nothing = backend.xp.zeros_like(grad[:, :1])
            return backend.xp.sum(_at(backend, backend.xp.concat([grad, nothing], axis=1), back), axis=-1)

        return y, drawn_pullback

    def _origin(self, parts, b, D):
        """Every column of ``y`` as often as it has attributes, and for each the attributes in all rows."""
        columns, start = np.arange(D).reshape(*parts[0][1].shape[1:-1], -1), 0
        used = []
        for places, part in parts:
            end, size = start + part.shape[-1], math.prod(places.shape[2:])
            own = columns[..., start:end].reshape(self.k, -1)
            used.append(np.broadcast_to(own, (self.k, size)).reshape(-1))
            start = end
        flat = [places.reshape(b, math.prod(places.shape[1:])) for places, _ in parts]
        return np.concatenate(used), np.concatenate(flat, axis=1)

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
        each = sum(range(1, self.d + 1)) if self.simply_sampling else self.d
        return super().calculate_D(m) * each

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
    """``x[i, index[i, …], …]``: entries of every row, or rows of them."""
    b, count, *rest = x.shape
    flat = np.arange(b).reshape(b, *(1,) * (index.ndim - 1)) * count + index
    values = backend.take(backend.xp.reshape(x, (b * count, *rest)), flat.reshape(-1), 0)
    return backend.xp.reshape(values, (*index.shape, *rest))


def _uses(places, m):
    """Where each of ``m`` places stands in every row of ``places``; the width, where it does no more."""
    b, width = places.shape
    order = np.argsort(places, axis=1, kind="stable")
    ordered = (np.arange(b)[:, None] * m + np.take_along_axis(places, order, axis=1)).reshape(-1)
    rank = np.arange(b * width) - np.searchsorted(ordered, ordered)
    uses = np.full((b * m, 1 + rank.max(initial=0)), width)
    uses[ordered, rank] = order.reshape(-1)
    return uses.reshape(b, m, uses.shape[1])
