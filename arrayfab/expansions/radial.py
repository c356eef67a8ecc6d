"""Radial bases."""

from __future__ import annotations

from dataclasses import dataclass

from arrayfab.expansions.base import Functions, check, settle_tuples

#: The exponential of minus its square is zero in every dtype, and its cube finite in every dtype.
_FAR = 40.0


@dataclass(frozen=True, kw_only=True)
class RadialBasis(Functions):
    """A bell at each of ``num_interval`` points from end to end of ``base_range``; ``D = m · num_interval``.

    All functions of one attribute stand together. ``points``, where they are given, are these points.
    """

    base_range: tuple[float, float] = (-1.0, 1.0)
    num_interval: int = 10
    epsilon: float = 1.0
    points: tuple[float, ...] | None = None
    is_attribute_major = True

    def __post_init__(self):
        super().__post_init__()
        settle_tuples(self, "base_range", "points")
        count = self.num_interval if self.points is None else len(self.points)
        check(self, count == self.num_interval, f"points must be num_interval={self.num_interval} numbers")
        check(self, self.epsilon > 0, "epsilon must be positive")

    @property
    def count(self):
        return self.num_interval

    def _centres(self):
        (low, high), steps = self.base_range, max(self.num_interval - 1, 1)
        return [(low * (steps - k) + high * k) / steps for k in range(self.num_interval)]

    def _distances(self, x):
        for centre in self._centres() if self.points is None else self.points:
            yield self.epsilon * (x - centre)


@dataclass(frozen=True, kw_only=True)
class GaussianRBF(RadialBasis):
    """``exp(−(ε (x − cₖ))²)`` at points ``cₖ``; ``D = m · num_interval`` (Broomhead and Lowe, 1988)."""

    def values(self, xp, x):
        return [_bell(xp, z)[1] for z in self._distances(x)]

    def slopes(self, xp, x):
        bells = (_bell(xp, z) for z in self._distances(x))
        return [-2.0 * self.epsilon * (z * bell) for z, bell in bells]


def _bell(xp, z):
    z = xp.clip(z, -_FAR, _FAR)
    return z, xp.exp(-z * z)


@dataclass(frozen=True, kw_only=True)
class InverseQuadraticRBF(RadialBasis):
    """``1 / (1 + (ε (x − cₖ))²)`` at points ``cₖ``; ``D = m · num_interval`` (R. L. Hardy, 1971)."""

    # With q = min(|z|, 1/|z|), it is 1 / (1 + q²) near the point and q² / (1 + q²) far from it, and its slope
    # −2 q / (1 + q²)² or −2 q³ / (1 + q²)²: nothing overflows.
    def _parts(self, xp, x):
        for z in self._distances(x):
            far = xp.maximum(xp.abs(z), xp.ones_like(z))
            q = xp.minimum(xp.abs(z), xp.ones_like(z)) / far
            yield z, 1.0 / (1.0 + q * q), xp.where(far > 1.0, q * q, xp.ones_like(q)), q

    def values(self, xp, x):
        return [scale * part for _, part, scale, _ in self._parts(xp, x)]

    def slopes(self, xp, x):
        return [
            -2.0 * self.epsilon * xp.sign(z) * (q * scale) * (part * part)
            for z, part, scale, q in self._parts(xp, x)
        ]
