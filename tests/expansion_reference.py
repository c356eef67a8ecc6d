"""Every expansion as a formula in mpmath, one row at a time.

Nothing here shares arrayfab's code: polynomials are hypergeometric functions or sums in closed form, splines
are de Boor's recursion over knots, and derivatives are mpmath's own.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from math import comb, factorial

import mpmath
import numpy as np
import pytest
from mpmath import mp, mpf

from arrayfab import expansions as ex
from arrayfab import interdependences as it

DIGITS = 40


def function_major(*functions):
    return lambda row: [f(x) for f in functions for x in row]


def attribute_major(*functions):
    return lambda row: [f(x) for x in row for f in functions]


def degrees(polynomial, d, first=1):
    return attribute_major(*(lambda x, n=n: polynomial(n, x) for n in range(first, first + d)))


def sigmoid(x):
    return 1 / (1 + mp.exp(-x))


# Polynomials in closed form.
def probabilists(n, x):
    return mp.hermite(n, x / mp.sqrt(2)) / mp.sqrt(2) ** n


def bessel(n, x):
    return sum(factorial(n + k) * (x / 2) ** k / (factorial(n - k) * factorial(k)) for k in range(n + 1))


def reverse_bessel(n, x):
    return sum(
        factorial(n + k) * x ** (n - k) / (factorial(n - k) * factorial(k) * mpf(2) ** k)
        for k in range(n + 1)
    )


def fibonacci(n, x):
    return sum(comb(n - k - 1, k) * x ** (n - 2 * k - 1) for k in range((n - 1) // 2 + 1))


def lucas(n, x):
    return sum(mpf(n) / (n - k) * comb(n - k, k) * x ** (n - 2 * k) for k in range(n // 2 + 1))


def waves(P, N):
    return [
        lambda x, n=n, wave=wave: wave(2 * mp.pi * n * x / P)
        for n in range(1, N + 1)
        for wave in (mp.cos, mp.sin)
    ]


def spline(low, high, t, d):
    h = (mpf(high) - mpf(low)) / t
    knots = [mpf(low) + (j - d) * h for j in range(t + 2 * d + 1)]

    def basis(j, k, x):
        if k == 0:
            return mpf(knots[j] <= x < knots[j + 1])
        left = (x - knots[j]) / (knots[j + k] - knots[j]) * basis(j, k - 1, x)
        return left + (knots[j + k + 1] - x) / (knots[j + k + 1] - knots[j + 1]) * basis(j + 1, k - 1, x)

    return [lambda x, j=j: basis(j, d, x) for j in range(t + d)]


def points(low, high, count):
    return [mpf(float(c)) for c in np.linspace(low, high, count)]


def products(row, d):
    found, last = [], [mpf(1)]
    for _ in range(d):
        last = [a * b for a in last for b in row]
        found += last
    return found


def wavelets(psi, d=1, s=1, t=1, a=1, b=1):
    a, b = mpf(a), mpf(b)
    functions = [
        lambda x, i=i, j=j: psi(x / a**i - j * b) / mp.sqrt(a**i) for i in range(s) for j in range(t)
    ]
    return lambda row: products(attribute_major(*functions)(row), d)


def haar(x):
    return mpf(0 <= x < 0.5) - mpf(0.5 <= x < 1)


def ricker(sigma):
    return lambda x: (
        2 * (1 - (x / sigma) ** 2) / (mp.sqrt(3 * sigma) * mp.pi**0.25) * mp.exp(-(x**2) / (2 * sigma**2))
    )


def dog(x):
    return mp.npdf(x, 0, 1) - mp.npdf(x, 0, 2)


def shannon(x):
    return mpf(1) if x == 0 else (mp.sin(2 * mp.pi * x) - mp.sin(mp.pi * x)) / (mp.pi * x)


def meyer(x):
    if x == 0:
        return mpf(2) / 3 + 4 / (3 * mp.pi)
    above = mp.sin(2 * mp.pi * x / 3) + 4 * x / 3 * mp.cos(4 * mp.pi * x / 3)
    return above / (mp.pi * x - 16 * mp.pi / 9 * x**3)


def beta(alpha, beta):
    return lambda x: (
        x ** (alpha - 1) * (1 - x) ** (beta - 1) / mp.beta(alpha, beta) if 0 <= x <= 1 else mpf(0)
    )


def normal(mean, deviation):
    return lambda x: mp.log(mp.npdf(x, mean, deviation))


def cauchy(median, width):
    return lambda x: -mp.log(mp.pi * width * (1 + ((x - median) / width) ** 2))


def laplace(mean, width):
    return lambda x: mp.log(mp.exp(-abs(x - mean) / width) / (2 * width))


def gamma(shape, rate, squash=0.99):
    def log_density(x):
        v = mpf(squash) * sigmoid(x) + mpf(0.001)
        return mp.log(mpf(rate) ** shape * v ** (mpf(shape) - 1) * mp.exp(-rate * v) / mp.gamma(shape))

    return log_density


def chi2(k, squash=1):
    return gamma(mpf(k) / 2, mpf(1) / 2, squash)


def exponential(rate):
    return gamma(1, rate)


def tuples(row, d, of):
    return [of(chosen) for r in range(1, d + 1) for chosen in itertools.combinations(row, r)]


def grouped(groups, of):
    def row_of(row):
        size = len(row) // groups
        return [of(row[k * size : (k + 1) * size]) for k in range(groups)]

    return row_of


def normalized(row):
    mean = mp.fsum(row) / len(row)
    variance = mp.fsum((k - mean) ** 2 for k in row) / len(row)
    return [(k - mean) / mp.sqrt(variance + mpf("1e-5")) for k in row]


LESS = mpf(0.99)

#: Functions of one number, which are checked over a whole range too.
FUNCTIONS = {
    "reciprocal": (ex.Reciprocal(), function_major(lambda x: 1 / x)),
    "fourier": (ex.Fourier(N=3), function_major(*waves(10, 3))),
    "trigonometric": (ex.Trigonometric(), function_major(mp.sin, mp.cos, mp.tan)),
    "hyperbolic": (ex.Hyperbolic(), function_major(mp.sinh, mp.cosh, mp.tanh)),
    "arc trigonometric": (
        ex.ArcTrigonometric(),
        function_major(
            lambda x: mp.asin(LESS * sigmoid(x)),
            lambda x: mp.acos(LESS * sigmoid(x)),
            lambda x: mp.atan(sigmoid(x)),
        ),
    ),
    "arc hyperbolic": (
        ex.ArcHyperbolic(),
        function_major(
            lambda x: mp.asinh(sigmoid(x)),
            lambda x: mp.acosh(sigmoid(x) + mpf(1.01)),
            lambda x: mp.atanh(LESS * sigmoid(x)),
        ),
    ),
    "gaussian rbf": (
        ex.GaussianRBF(num_interval=3, epsilon=2.0),
        attribute_major(*(lambda x, c=c: mp.exp(-((2 * (x - c)) ** 2)) for c in points(-1, 1, 3))),
    ),
    "rbf at points": (
        ex.GaussianRBF(num_interval=2, points=[-0.75, 0.5]),
        attribute_major(*(lambda x, c=c: mp.exp(-((x - c) ** 2)) for c in (mpf(-0.75), mpf(0.5)))),
    ),
    "inverse quadratic rbf": (
        ex.InverseQuadraticRBF(base_range=(-2.0, 2.0), num_interval=5, epsilon=0.5),
        attribute_major(*(lambda x, c=c: 1 / (1 + ((x - c) / 2) ** 2) for c in points(-2, 2, 5))),
    ),
    "ricker": (ex.Ricker(sigma=0.5), wavelets(ricker(mpf(0.5)))),
    "dog": (ex.DoG(), wavelets(dog)),
    "shannon": (ex.Shannon(), wavelets(shannon)),
    "meyer": (ex.Meyer(), wavelets(meyer)),
    "naive normal": (ex.NaiveNormal(), function_major(normal(0, 1))),
    "naive cauchy": (ex.NaiveCauchy(), function_major(cauchy(0, 1))),
    "naive laplace": (ex.NaiveLaplace(), function_major(laplace(0, 1))),
    "naive gamma": (ex.NaiveGamma(), function_major(gamma(mpf(0.5), 1))),
    "naive chi2": (ex.NaiveChi2(), function_major(chi2(1))),
    "naive exponential": (ex.NaiveExponential(), function_major(exponential(mpf(0.5)))),
}

_LOCATIONS = [(m, s) for m in (0, 1, -1) for s in (mpf(1), mpf(0.5))]
_WAVELETS = {"s": 2, "t": 2, "a": 2.0, "b": 1.0}

OTHERS = {
    "identity": (ex.Identity(), list),
    "linear": (ex.Linear(c=-1.5), lambda row: [mpf(-1.5) * x for x in row]),
    "taylor": (ex.Taylor(d=3), lambda row: products(row, 3)),
    "chebyshev": (ex.Chebyshev(d=4), degrees(mp.chebyt, 4)),
    "chebyshev, second kind": (ex.Chebyshev(d=4, kind=2), degrees(mp.chebyu, 4)),
    "jacobi": (
        ex.Jacobi(d=4, alpha=0.5, beta=-0.25),
        degrees(lambda n, x: mp.jacobi(n, mpf(0.5), mpf(-0.25), x), 4),
    ),
    "legendre": (ex.Legendre(d=4), degrees(mp.legendre, 4)),
    "gegenbauer": (ex.Gegenbauer(d=4, alpha=0.75), degrees(lambda n, x: mp.gegenbauer(n, mpf(0.75), x), 4)),
    "hermite": (ex.Hermite(d=4), degrees(probabilists, 4)),
    "laguerre": (ex.Laguerre(d=4), degrees(lambda n, x: mp.laguerre(n, 1, x), 4)),
    "bessel": (ex.Bessel(d=4), degrees(bessel, 4)),
    "reverse bessel": (ex.ReverseBessel(d=4), degrees(reverse_bessel, 4)),
    "fibonacci": (ex.Fibonacci(d=4), degrees(fibonacci, 4)),
    "lucas": (ex.Lucas(d=4), degrees(lucas, 4)),
    "spline": (ex.BSpline(), attribute_major(*spline(-1, 1, 5, 3))),
    "linear spline": (ex.BSpline(grid_range=(-2.0, 3.0), t=3, d=1), attribute_major(*spline(-2, 3, 3, 1))),
    "haar": (ex.Haar(**_WAVELETS), wavelets(haar, **_WAVELETS)),
    "ricker, products": (ex.Ricker(d=2, **_WAVELETS), wavelets(ricker(1), d=2, **_WAVELETS)),
    "dog, scaled": (ex.DoG(**_WAVELETS), wavelets(dog, **_WAVELETS)),
    "shannon, products": (ex.Shannon(d=2, t=2), wavelets(shannon, d=2, t=2)),
    "meyer, scaled": (ex.Meyer(**_WAVELETS), wavelets(meyer, **_WAVELETS)),
    "beta": (ex.BetaWavelet(alpha=1.5, beta=3.0, t=2), wavelets(beta(mpf(1.5), mpf(3)), t=2)),
    "flat beta": (ex.BetaWavelet(), wavelets(beta(1, 1))),
    "normal": (
        ex.Normal(parameters=[(0, 1), (1, 0.5), (-1, 0.25)]),
        function_major(normal(0, 1), normal(1, mpf(0.5)), normal(-1, mpf(0.25))),
    ),
    "cauchy": (ex.Cauchy(), function_major(*(cauchy(m, s) for m, s in _LOCATIONS))),
    "laplace": (ex.Laplace(), function_major(*(laplace(m, s) for m in (0, 1, -1) for s in (1, 2)))),
    "gamma": (ex.Gamma(), function_major(*(gamma(mpf(a), r) for a in (0.5, 1, 2) for r in (1, 2)))),
    "chi2": (ex.Chi2(), function_major(chi2(1), chi2(2))),
    "exponential": (
        ex.Exponential(),
        function_major(*(exponential(mpf(r)) for r in (0.5, 0.75, 1, 2, 3, 5))),
    ),
    "hybrid": (
        ex.HybridProbabilistic(),
        function_major(
            normal(0, 1), cauchy(0, 1), chi2(1, 0.99), gamma(mpf(0.5), 1), laplace(0, 1), exponential(1)
        ),
    ),
    "choices": (
        ex.Choices(d=2),
        lambda row: [x for r in (1, 2) for chosen in itertools.combinations(row, r) for x in chosen],
    ),
    "combinatorial": (ex.Combinatorial(d=3), lambda row: tuples(row, 3, mp.fprod)),
    "combinatorial normal": (
        ex.CombinatorialNormal(d=2),
        lambda row: tuples(row, 2, lambda chosen: mp.log(mp.fprod(map(mp.npdf, chosen)))),
    ),
    "nested": (
        ex.Nested(expansions=[ex.Trigonometric(), ex.Chebyshev(d=2)]),
        lambda row: degrees(mp.chebyt, 2)(function_major(mp.sin, mp.cos, mp.tan)(row)),
    ),
    "extended": (
        ex.Extended(expansions=[ex.Hermite(d=2), ex.Identity(), ex.Taylor(d=2)]),
        lambda row: [*degrees(probabilists, 2)(row), *row, *products(row, 2)],
    ),
    "compressed": (
        ex.Nested(expansions=[ex.Taylor(d=2), ex.GroupSum(groups=5)]),
        lambda row: grouped(5, mp.fsum)(products(row, 2)),
    ),
    "patches": (
        it.Interdependent(
            interdependence=it.CuboidInterdependence(
                **{"height": 2, "width": 2, "p_h": 0, "p_w": 0, "p_w_prime": 1},
                strides=(1, 2, 1),
                order=("channel", "cell", "patch"),
            )
        ),
        lambda row: [row[0], row[2], row[1], row[3]],
    ),
    "normalized": (ex.RowNormalized(expansion=ex.Taylor(d=2)), lambda row: normalized(products(row, 2))),
    "sum": (ex.GroupSum(groups=2), grouped(2, mp.fsum)),
    "mean": (ex.GroupMean(groups=2), grouped(2, lambda group: mp.fsum(group) / len(group))),
    "max": (ex.GroupMax(groups=2), grouped(2, max)),
    "min": (ex.GroupMin(), grouped(1, min)),
    "median": (ex.GroupMedian(), grouped(1, lambda group: sorted(group)[(len(group) - 1) // 2])),
    "product": (ex.GroupProduct(groups=2), grouped(2, mp.fprod)),
}


@dataclass(frozen=True)
class ExpansionCase:
    """An expansion, and the formula of one row of its result."""

    name: str
    expansion: ex.Expansion
    row: Callable

    def values(self, x: np.ndarray) -> np.ndarray:
        """The result for rows of numbers."""
        with mpmath.workdps(DIGITS):
            return np.asarray([[float(y) for y in self.row(list(map(mpf, row.tolist())))] for row in x])

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """For every row, the derivatives of all features by all attributes: shape ``(b, D, m)``."""
        return np.asarray([self._jacobian_of(row.tolist()) for row in x])

    def _jacobian_of(self, row):
        columns, step = [], mpf(2) ** -50
        with mpmath.workdps(DIGITS):
            for i in range(len(row)):
                up, down = (
                    self.row([mpf(x) + sign * step * (j == i) for j, x in enumerate(row)]) for sign in (1, -1)
                )
                columns.append([float((a - b) / (2 * step)) for a, b in zip(up, down, strict=True)])
        return np.transpose(columns)


CASES = [ExpansionCase(name, *case) for name, case in (FUNCTIONS | OTHERS).items()]
of_one_number = [ExpansionCase(name, *case) for name, case in FUNCTIONS.items()]
by_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
by_function = pytest.mark.parametrize("case", of_one_number, ids=lambda case: case.name)
