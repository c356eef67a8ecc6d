"""Toeplitz matrices, applied by the fast Fourier transform where that is cheaper."""

from __future__ import annotations

from dataclasses import dataclass

from arrayfab import _arrays
from arrayfab._arrays import is_half
from arrayfab._cached import cached_property
from arrayfab.programs import regime
from arrayfab.structures.base import Cost, Multilinear, Structure
from arrayfab.structures.formed import ThroughDense


@dataclass(frozen=True)
class Toeplitz(ThroughDense, Multilinear):
    """``r`` matrices of shape ``(n, D)`` side by side, each constant along its diagonals.

    A row ``h`` of ``taps ∈ R^{r×t}`` makes the one with entries ``h[i - j + before]``, zero where there is no
    such number. So ``x T`` holds the correlations ``Σ_k h[k] x[j - before + k]``, ``j`` from 0 to ``D - 1``.
    """

    taps: Structure
    n: int
    D: int
    before: int = 0

    def __post_init__(self):
        t, n, D, before = self.taps.shape[1], self.n, self.D, self.before
        if not (0 <= before < D and before <= t <= n + before):
            raise ValueError(
                f"Toeplitz: expected 0 <= before < D and before <= taps <= n + before, got n={n}, D={D}, "
                f"before={before} and {t} taps"
            )

    @cached_property
    def shape(self):
        return (self.n, self.taps.shape[0] * self.D)

    @property
    def children(self):
        return (self.taps,)

    def with_children(self, taps):
        return Toeplitz(taps, self.n, self.D, self.before)

    # With P = n + D numbers in h, (h, h, …) in rows of P − 1 has h[(i − j) mod P] in row j and column i. For
    # h = (taps from `before` on, zeros, taps up to `before`) that is the transpose.
    def dense(self, numbers):
        xp, reshape, (r, t) = numbers.xp, numbers.reshape, self.taps.shape
        n, D, period = self.n, self.D, self.n + self.D
        taps, pull = self.taps.dense(numbers)
        lead = tuple(taps.shape[:-2])
        gap = numbers.full((*lead, r, period - t), 0.0)
        h = xp.concat([taps[..., self.before :], gap, taps[..., : self.before]], axis=-1)
        rows = reshape(xp.broadcast_to(h[..., None, :], (*lead, r, D, period)), (*lead, r, D * period))
        rows = reshape(rows[..., : D * (period - 1)], (*lead, r, D, period - 1))[..., :n]

        def toeplitz_pullback(g, cotangents):
            lead = tuple(g.shape[:-2])
            g = reshape(numbers.mT(g), (*lead, r, D, n))
            g = xp.concat([g, numbers.full((*lead, r, D, D - 1), 0.0)], axis=-1)
            g = reshape(g, (*lead, r, D * (period - 1)))
            g = xp.concat([g, numbers.full((*lead, r, D), 0.0)], axis=-1)
            g = numbers.sum(reshape(g, (*lead, r, D, period)), axis=-2)
            pull(xp.concat([g[..., period - self.before :], g[..., : t - self.before]], axis=-1), cotangents)

        return numbers.mT(reshape(rows, (*lead, r * D, n))), toeplitz_pullback

    def rows(self, x, numbers):
        if not (numbers.backend.has_fft and self._is_fast(x.shape[-2]) and not is_half(numbers.dtype)):
            return super().rows(x, numbers)
        return self._rows_by_transforms(x, numbers)

    # With z = (0 … 0, x), which begins `before` places later, y_ρ[j] = Σ_k h_ρ[k] z[j + k]. Of transforms, in
    # capitals, that is Y_ρ = conj(H_ρ) Z. Hence  gZ = Σ_ρ H_ρ gY_ρ  and  gH_ρ = Σ_rows conj(gY_ρ) Z.
    def _rows_by_transforms(self, x, numbers):
        xp, apply, (r, t), D = numbers.xp, numbers.backend.apply, self.taps.shape, self.D
        taps, pull = self.taps.dense(numbers)
        pad = numbers.full((*x.shape[:-1], self.before), 0.0)
        z = xp.concat([pad, x], axis=-1) if self.before else x

        def transform(a):
            return apply(spectrum, (*a.shape[:-1], self._length // 2 + 1), a, self._length)

        def back(a, size):
            return apply(from_spectrum, (*a.shape[:-1], size), a, self._length, size, x)

        Z = transform(z)[..., None, :]
        H = transform(taps)[..., None, :, :]
        y = back(Z * apply(conjugate, H.shape, H), D)

        def toeplitz_rows_pullback(gy, cotangents, need_x=True):
            G = transform(numbers.reshape(gy, (*gy.shape[:-1], r, D)))
            if self.learned:
                pull(back(xp.sum(apply(conjugate, G.shape, G) * Z, axis=-3), t), cotangents)
            return back(xp.sum(G * H, axis=-2), self.before + self.n)[..., self.before :] if need_x else None

        return numbers.reshape(y, (*y.shape[:-2], r * D)), toeplitz_rows_pullback

    @cached_property
    def _length(self):
        """A length of transforms at which nothing that is asked for meets what comes around the end."""
        t, reach = self.taps.shape[1], self.before + self.n
        return _smooth(max(reach, self.D + t - 1 - self.before, self.D, t))

    def _is_fast(self, rows):
        rows = regime(rows)
        return self._transforms_cost(rows).weight < super().rows_cost(rows).weight

    def _transforms_cost(self, rows):
        r = self.taps.shape[0]
        passes = 2 * self._length.bit_length()
        return self.taps.dense_cost + Cost(moved=(rows + r + rows * r) * passes * self._length)

    def rows_cost(self, rows):
        return self._transforms_cost(rows) if self._is_fast(rows) else super().rows_cost(rows)

    @property
    def dense_cost(self):
        return self.taps.dense_cost + Cost(moved=2 * self.shape[0] * self.shape[1])

    def mean_square(self, variance):
        t, n, D = self.taps.shape[1], self.n, self.D
        # How many entries lie on the diagonals that have a number.
        count = sum(min(n, D, n - k, D + k) for k in range(-self.before, t - self.before))
        return self.taps.mean_square(variance) * count / (n * D)


def spectrum(x, length):
    """The discrete Fourier transform of rows that are filled up with zeros."""
    return _arrays.backend_of("spectrum", "x", x).xp.fft.rfft(x, n=length, axis=-1)


def conjugate(x):
    """The complex conjugate."""
    return _arrays.backend_of("conjugate", "x", x).xp.conj(x)


def from_spectrum(x, length, size, like):
    """The first numbers of the rows that have such a transform, in the dtype of other numbers."""
    xp = _arrays.backend_of("from_spectrum", "x", x).xp
    return xp.astype(xp.fft.irfft(x, n=length, axis=-1)[..., :size], like.dtype, copy=False)


def _smooth(least: int) -> int:
    """The smallest number from there on with small prime factors alone."""
    odd = (1, 3, 5, 9, 15, 25)
    return min(factor << (-(-least // factor) - 1).bit_length() for factor in odd)
