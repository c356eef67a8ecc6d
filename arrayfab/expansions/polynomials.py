"""Polynomials by a recurrence of three terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from arrayfab.expansions.base import Functions, check


class Step(NamedTuple):
    """``Pₙ = (a x + b) Pₙ₋₁ + (c + e x²) Pₙ₋₂``."""

    a: float
    b: float = 0.0
    c: float = 0.0
    e: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Polynomials(Functions):
    """``P₁ … P_d`` of every attribute, one attribute after the other; ``D = m d``.

    A family gives `step`, and the numbers ``P₋₁`` and ``P₀`` where they are not 0 and 1.
    """

    d: int = 2
    start: ClassVar[tuple[float, float]] = (0.0, 1.0)
    is_attribute_major = True

    def step(self, n: int) -> Step:
        """The coefficients that lead to ``Pₙ``."""
        raise NotImplementedError(f"{type(self).__name__}.step")

    @property
    def count(self):
        return self.d

    @property
    def has_short_coefficients(self):
        return self.degree is not None

    @property
    def degree(self):
        """The largest degree, where the coefficients are short binary fractions."""
        is_short = all(float(16 * c).is_integer() for n in range(1, self.d + 1) for c in self.step(n))
        return self.d if is_short else None

    def values(self, xp, x):
        return self._recurrence(xp, x, has_slopes=False)

    def slopes(self, xp, x):
        return self._recurrence(xp, x, has_slopes=True)

    # With A = a x + b and C = c + e x²:  Pₙ' = a Pₙ₋₁ + A Pₙ₋₁' + 2 e x Pₙ₋₂ + C Pₙ₋₂'.
    def _recurrence(self, xp, x, has_slopes):
        (before, last), (slope_before, slope), found = self.start, (0.0, 0.0), []
        for n in range(1, self.d + 1):
            a, _, _, e = self._step(n)
            A, C = self._factors(n, x)
            moved = _plus(_product(a, last), _product(2.0 * e, x), before)
            kept = _plus(_product(A, slope), C, slope_before)
            before, last = last, _plus(_product(A, last), C, before)
            slope_before, slope = slope, _sum(moved, kept)
            found.append(slope if has_slopes else last)
        return [xp.full_like(x, each) if isinstance(each, float) else each for each in found]

    def _step(self, n):
        return tuple(map(float, self.step(n)))

    def _factors(self, n, x):
        """``A`` and ``C`` of a step."""
        a, b, c, e = self._step(n)
        return _sum(_product(a, x), b), _sum(c, _product(_product(e, x), x))

    # The recurrence backwards, for cotangents hₙ of Pₙ with all that follows from it:
    #   hₙ = gₙ + Aₙ₊₁ hₙ₊₁ + Cₙ₊₂ hₙ₊₂  and  gx = Σₙ (a Pₙ₋₁ + 2 e x Pₙ₋₂) hₙ.
    def pulled(self, xp, x, gs):
        """``Σ gₖ fₖ'(x)``."""
        P = [*self.start, *self.values(xp, x)]  # from P₋₁ on
        h, after, gx = 0.0, 0.0, 0.0
        for n in range(self.d, 0, -1):
            A = self._factors(n + 1, x)[0] if n < self.d else 0.0
            C = self._factors(n + 2, x)[1] if n < self.d - 1 else 0.0
            h, after = _plus(_plus(gs[n - 1], A, h), C, after), h
            a, _, _, e = self._step(n)
            gx = _plus(gx, a, _product(P[n], h))
            gx = _plus(gx, _product(2.0 * e, x), _product(P[n - 1], h))
        return xp.zeros_like(x) if isinstance(gx, float) else gx


# Of arrays and plain numbers, where nothing is computed that is known.
def _product(p, q):
    if isinstance(q, float):
        p, q = q, p
    if isinstance(p, float) and p in (0.0, 1.0):
        return q if p else 0.0
    return p * q


def _sum(p, q):
    if isinstance(q, float):
        p, q = q, p
    return q if isinstance(p, float) and p == 0.0 else p + q


def _plus(p, factor, q):
    """``p + factor q``."""
    if isinstance(factor, float) and factor == -1.0 and not isinstance(q, float):
        return p - q
    return _sum(p, _product(factor, q))


@dataclass(frozen=True, kw_only=True)
class Chebyshev(Polynomials):
    """Chebyshev polynomials of the first kind ``Tₙ(cos φ) = cos nφ``, or the second (P. L. Chebyshev, 1854).

    ``P₁ = x``, or ``2 x`` for the second kind, and ``Pₙ = 2 x Pₙ₋₁ − Pₙ₋₂``.
    """

    kind: int = 1

    def __post_init__(self):
        super().__post_init__()
        check(self, self.kind in (1, 2), "kind must be 1 or 2")

    def step(self, n):
        return Step(1.0 if n == self.kind == 1 else 2.0, c=-1.0)


@dataclass(frozen=True, kw_only=True)
class Jacobi(Polynomials):
    """Jacobi polynomials ``Pₙ^{(α, β)}`` (C. G. J. Jacobi, 1859).

    ``P₁ = (α − β + (α + β + 2) x) / 2`` and, with ``s = α + β``, ``2 n (n + s) (2n + s − 2) Pₙ =
    (2n + s − 1) ((2n + s) (2n + s − 2) x + α² − β²) Pₙ₋₁ − 2 (n + α − 1) (n + β − 1) (2n + s) Pₙ₋₂``.
    """

    alpha: float = 1.0
    beta: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        check(self, self.alpha > -1 and self.beta > -1, "alpha and beta must be above -1")

    def step(self, n):
        alpha, beta = self.alpha, self.beta
        s = alpha + beta
        if n == 1:
            return Step((s + 2) / 2, (alpha - beta) / 2)
        below = n * (n + s) * (2 * n + s - 2)
        return Step(
            (2 * n + s - 1) * (2 * n + s) / (2 * n * (n + s)),
            (2 * n + s - 1) * s * (alpha - beta) / (2 * below),
            -(n + alpha - 1) * (n + beta - 1) * (2 * n + s) / below,
        )


@dataclass(frozen=True, kw_only=True)
class Legendre(Polynomials):
    """Legendre polynomials (A.-M. Legendre, 1785).

    ``n Pₙ = (2n − 1) x Pₙ₋₁ − (n − 1) Pₙ₋₂`` from ``P₁ = x``.
    """

    def step(self, n):
        return Step((2 * n - 1) / n, c=-(n - 1) / n)


@dataclass(frozen=True, kw_only=True)
class Gegenbauer(Polynomials):
    """Gegenbauer polynomials (L. Gegenbauer, 1874).

    ``n Cₙ = 2 (n − 1 + α) x Cₙ₋₁ − (n − 2 + 2α) Cₙ₋₂`` from ``C₁ = 2 α x``.
    """

    alpha: float = 1.0

    def step(self, n):
        return Step(2 * (n - 1 + self.alpha) / n, c=-(n - 2 + 2 * self.alpha) / n)


@dataclass(frozen=True, kw_only=True)
class Hermite(Polynomials):
    """The probabilists' Hermite polynomials (C. Hermite, 1864).

    ``Heₙ = x Heₙ₋₁ − (n − 1) Heₙ₋₂`` from ``He₁ = x``.
    """

    def step(self, n):
        return Step(1.0, c=1.0 - n)


@dataclass(frozen=True, kw_only=True)
class Laguerre(Polynomials):
    """Generalised Laguerre polynomials (E. Laguerre, 1879; N. Y. Sonin, 1880).

    ``n Lₙ = (2n − 1 + α − x) Lₙ₋₁ − (n − 1 + α) Lₙ₋₂`` from ``L₁ = 1 + α − x``.
    """

    alpha: float = 1.0

    def step(self, n):
        return Step(-1 / n, (2 * n - 1 + self.alpha) / n, -(n - 1 + self.alpha) / n)


@dataclass(frozen=True, kw_only=True)
class Bessel(Polynomials):
    """Bessel polynomials (H. L. Krall and O. Frink, 1949).

    ``Bₙ = (2n − 1) x Bₙ₋₁ + Bₙ₋₂`` from ``B₁ = x + 1``.
    """

    start = (1.0, 1.0)

    def step(self, n):
        return Step(2.0 * n - 1, c=1.0)


@dataclass(frozen=True, kw_only=True)
class ReverseBessel(Polynomials):
    """Reverse Bessel polynomials, ``Rₙ = (2n − 1) Rₙ₋₁ + x² Rₙ₋₂`` from ``R₁ = x + 1``."""

    def step(self, n):
        return Step(1.0, 1.0) if n == 1 else Step(0.0, 2.0 * n - 1, e=1.0)


@dataclass(frozen=True, kw_only=True)
class Fibonacci(Polynomials):
    """Fibonacci polynomials, ``Fₙ = x Fₙ₋₁ + Fₙ₋₂`` from ``F₁ = 1`` and ``F₂ = x`` (E. C. Catalan, 1883)."""

    start = (1.0, 0.0)

    def step(self, n):
        return Step(1.0, c=1.0)


@dataclass(frozen=True, kw_only=True)
class Lucas(Polynomials):
    """Lucas polynomials, ``Lₙ = x Lₙ₋₁ + Lₙ₋₂`` from ``L₀ = 2`` and ``L₁ = x`` (M. Bicknell, 1970)."""

    start = (0.0, 2.0)

    def step(self, n):
        return Step(0.5 if n == 1 else 1.0, c=1.0)
