"""Four lists of functions to learn: formulas, and the ranges of their variables.

17 elementary and 17 composite functions of a sum are those that tinybig ships (arXiv:2407.04819). The 100
formulas of physics, and the 27 of them without units, are those of the Feynman Symbolic Regression Database
(S.-M. Udrescu and M. Tegmark, arXiv:1905.11481), under its names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy import arccos, arcsin, cos, exp, log, pi, sin, sqrt, tanh


@dataclass(frozen=True)
class Function:
    """A function of some variables, each of them in a range."""

    name: str
    formula: Callable
    ranges: tuple[tuple[float, float], ...]

    def data(self, rows: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Variables, uniform in their ranges, and the results: shapes ``(rows, m)`` and ``(rows, 1)``."""
        low, high = np.asarray(self.ranges, dtype=np.float64).T
        x = low + (high - low) * rng.random((rows, len(low)))
        return x, self.formula(*x.T)[:, None]


def _f(name, formula, *ranges):
    """A function; one range stands for all of its variables."""
    return Function(name, formula, ranges * formula.__code__.co_argcount if len(ranges) == 1 else ranges)


def _of_sums(letter, *functions):
    """Functions of ``x + y``, both in one range."""
    return [
        _f(f"{letter}.{i}", lambda x, y, f=f: f(x + y), ends, ends) for i, (f, ends) in enumerate(functions)
    ]


def _bar(h):
    return h / (2 * pi)


def _lorentz(v, c):
    return sqrt(1 - (v / c) ** 2)


def _planck(h, omega, kb, T):
    return exp(_bar(h) * omega / (kb * T)) - 1


def _gravity(m1, m2, G, x1, x2, y1, y2, z1, z2):
    return G * m1 * m2 / ((x2 - x1) ** 2 + (y2 - y1) ** 2 + (z2 - z1) ** 2)


def _scattered(epsilon, c, Ef, r, omega, omega_0):
    return epsilon * c * Ef**2 * 4 * pi * r**2 / 3 * omega**4 / (omega**2 - omega_0**2) ** 2


def _transition(p_d, Ef, t, h, omega, omega_0):
    phase = (omega - omega_0) * t / 2
    return p_d * Ef * t / _bar(h) * (sin(phase) / phase) ** 2


ELEMENTARY = _of_sums(
    "E",
    (lambda s: s, (0, 1)),
    (lambda s: 1 / s, (0, 1)),
    (np.square, (0, 1)),
    (exp, (0, 1)),
    (log, (0, 1)),
    (sin, (0, 1)),
    (cos, (0, 1)),
    (np.tan, (0, 0.5)),
    (arcsin, (0, 0.5)),
    (arccos, (0, 0.5)),
    (np.arctan, (0, 0.5)),
    (np.sinh, (0, 1)),
    (np.cosh, (0, 1)),
    (tanh, (0, 1)),
    (np.arcsinh, (0, 0.5)),
    (np.arccosh, (0.5, 1)),
    (np.arctanh, (0, 0.5)),
)

COMPOSITE = _of_sums(
    "C",
    (lambda s: s + 1 / s, (0, 1)),
    (lambda s: s + s**2, (0, 1)),
    (lambda s: s**2 + exp(s), (0, 1)),
    (lambda s: exp(s) + log(s), (0, 1)),
    (lambda s: s**2 + sin(s), (0, 1)),
    (lambda s: cos(s) + arccos(s), (0, 0.5)),
    (lambda s: exp(s) / s, (0, 1)),
    (lambda s: s**2 * log(s), (0, 1)),
    (lambda s: s * sin(s), (0, 1)),
    (lambda s: exp(s) * log(s), (0, 1)),
    (lambda s: sin(s) * np.sinh(s), (0, 1)),
    (lambda s: arccos(s) * np.arctanh(s), (0, 0.5)),
    (lambda s: exp(s + exp(s)), (0, 0.5)),
    (lambda s: exp(sin(s) + cos(s)), (0, 1)),
    (lambda s: log(s**2 + exp(s)), (0.5, 1)),
    (lambda s: np.tan(exp(s) + log(s)), (0, 1)),
    (lambda s: 1 / (1 + exp(-s)), (0, 1)),
)

FEYNMAN = [
    _f("I.6.2a", lambda theta: exp(-(theta**2) / 2) / sqrt(2 * pi), (1, 3)),
    _f("I.6.2", lambda sigma, theta: exp(-((theta / sigma) ** 2) / 2) / (sqrt(2 * pi) * sigma), (1, 3)),
    _f(
        "I.6.2b",
        lambda sigma, theta, theta1: exp(-(((theta - theta1) / sigma) ** 2) / 2) / (sqrt(2 * pi) * sigma),
        (1, 3),
    ),
    _f("I.8.14", lambda x1, x2, y1, y2: sqrt((x2 - x1) ** 2 + (y2 - y1) ** 2), (1, 5)),
    _f("I.9.18", _gravity, (1, 2), (1, 2), (1, 2), *[(3, 4), (1, 2)] * 3),
    _f("I.10.7", lambda m_0, v, c: m_0 / _lorentz(v, c), (1, 5), (1, 2), (3, 10)),
    _f("I.11.19", lambda x1, x2, x3, y1, y2, y3: x1 * y1 + x2 * y2 + x3 * y3, (1, 5)),
    _f("I.12.1", lambda mu, Nn: mu * Nn, (1, 5)),
    _f("I.13.4", lambda m, v, u, w: m * (v**2 + u**2 + w**2) / 2, (1, 5)),
    _f("I.12.2", lambda q1, q2, epsilon, r: q1 * q2 * r / (4 * pi * epsilon * r**3), (1, 5)),
    _f("I.12.4", lambda q1, epsilon, r: q1 * r / (4 * pi * epsilon * r**3), (1, 5)),
    _f("I.12.5", lambda q2, Ef: q2 * Ef, (1, 5)),
    _f("I.12.11", lambda q, Ef, B, v, theta: q * (Ef + B * v * sin(theta)), (1, 5)),
    _f("I.13.12", lambda m1, m2, r1, r2, G: G * m1 * m2 * (1 / r2 - 1 / r1), (1, 5)),
    _f("I.14.3", lambda m, g, z: m * g * z, (1, 5)),
    _f("I.14.4", lambda k_spring, x: k_spring * x**2 / 2, (1, 5)),
    _f("I.15.3x", lambda x, u, c, t: (x - u * t) / _lorentz(u, c), (5, 10), (1, 2), (3, 20), (1, 2)),
    _f("I.15.3t", lambda x, c, u, t: (t - u * x / c**2) / _lorentz(u, c), (1, 5), (3, 10), (1, 2), (1, 5)),
    _f("I.15.1", lambda m_0, v, c: m_0 * v / _lorentz(v, c), (1, 5), (1, 2), (3, 10)),
    _f("I.16.6", lambda c, v, u: (u + v) / (1 + u * v / c**2), (1, 5)),
    _f("I.18.4", lambda m1, m2, r1, r2: (m1 * r1 + m2 * r2) / (m1 + m2), (1, 5)),
    _f("I.18.12", lambda r, F, theta: r * F * sin(theta), (1, 5), (1, 5), (0, 5)),
    _f("I.18.14", lambda m, r, v, theta: m * r * v * sin(theta), (1, 5)),
    _f("I.24.6", lambda m, omega, omega_0, x: m * (omega**2 + omega_0**2) * x**2 / 4, (1, 3)),
    _f("I.25.13", lambda q, C: q / C, (1, 5)),
    _f("I.26.2", lambda n, theta2: arcsin(n * sin(theta2)), (0, 1), (1, 5)),
    _f("I.27.6", lambda d1, d2, n: 1 / (1 / d1 + n / d2), (1, 5)),
    _f("I.29.4", lambda omega, c: omega / c, (1, 10)),
    _f(
        "I.29.16",
        lambda x1, x2, theta1, theta2: sqrt(x1**2 + x2**2 - 2 * x1 * x2 * cos(theta1 - theta2)),
        (1, 5),
    ),
    _f("I.30.3", lambda Int_0, theta, n: Int_0 * sin(n * theta / 2) ** 2 / sin(theta / 2) ** 2, (1, 5)),
    _f("I.30.5", lambda lambd, d, n: arcsin(lambd / (n * d)), (1, 2), (2, 5), (1, 5)),
    _f("I.32.5", lambda q, a, epsilon, c: q**2 * a**2 / (6 * pi * epsilon * c**3), (1, 5)),
    _f("I.32.17", _scattered, (1, 2), (1, 2), (1, 2), (1, 2), (1, 2), (3, 5)),
    _f("I.34.8", lambda q, v, B, p: q * v * B / p, (1, 5)),
    _f("I.34.1", lambda c, v, omega_0: omega_0 / (1 - v / c), (3, 10), (1, 2), (1, 5)),
    _f("I.34.14", lambda c, v, omega_0: (1 + v / c) / _lorentz(v, c) * omega_0, (3, 10), (1, 2), (1, 5)),
    _f("I.34.27", lambda omega, h: _bar(h) * omega, (1, 5)),
    _f("I.37.4", lambda I1, I2, delta: I1 + I2 + 2 * sqrt(I1 * I2) * cos(delta), (1, 5)),
    _f("I.38.12", lambda m, q, h, epsilon: 4 * pi * epsilon * _bar(h) ** 2 / (m * q**2), (1, 5)),
    _f("I.39.1", lambda pr, V: 1.5 * pr * V, (1, 5)),
    _f("I.39.11", lambda gamma, pr, V: 1 / (gamma - 1) * pr * V, (2, 5), (1, 5), (1, 5)),
    _f("I.39.22", lambda n, T, V, kb: n * kb * T / V, (1, 5)),
    _f("I.40.1", lambda n_0, m, x, T, g, kb: n_0 * exp(-m * g * x / (kb * T)), (1, 5)),
    _f(
        "I.41.16",
        lambda omega, T, h, kb, c: _bar(h) * omega**3 / (pi**2 * c**2 * _planck(h, omega, kb, T)),
        (1, 5),
    ),
    _f("I.43.16", lambda mu_drift, q, Volt, d: mu_drift * q * Volt / d, (1, 5)),
    _f("I.43.31", lambda mob, T, kb: mob * kb * T, (1, 5)),
    _f("I.43.43", lambda gamma, kb, A, v: 1 / (gamma - 1) * kb * v / A, (2, 5), (1, 5), (1, 5), (1, 5)),
    _f("I.44.4", lambda n, kb, T, V1, V2: n * kb * T * log(V2 / V1), (1, 5)),
    _f("I.47.23", lambda gamma, pr, rho: sqrt(gamma * pr / rho), (1, 5)),
    _f("I.48.2", lambda m, v, c: m * c**2 / _lorentz(v, c), (1, 5), (1, 2), (3, 10)),
    _f("I.50.26", lambda x1, omega, t, alpha: x1 * (cos(omega * t) + alpha * cos(omega * t) ** 2), (1, 3)),
    _f("II.2.42", lambda kappa, T1, T2, A, d: kappa * (T2 - T1) * A / d, (1, 5)),
    _f("II.3.24", lambda Pwr, r: Pwr / (4 * pi * r**2), (1, 5)),
    _f("II.4.23", lambda q, epsilon, r: q / (4 * pi * epsilon * r), (1, 5)),
    _f("II.6.11", lambda epsilon, p_d, theta, r: 1 / (4 * pi * epsilon) * p_d * cos(theta) / r**2, (1, 3)),
    _f(
        "II.6.15a",
        lambda epsilon, p_d, r, x, y, z: p_d / (4 * pi * epsilon) * 3 * z / r**5 * sqrt(x**2 + y**2),
        (1, 3),
    ),
    _f(
        "II.6.15b",
        lambda epsilon, p_d, theta, r: p_d / (4 * pi * epsilon) * 3 * cos(theta) * sin(theta) / r**3,
        (1, 3),
    ),
    _f("II.8.7", lambda q, epsilon, d: 3 / 5 * q**2 / (4 * pi * epsilon * d), (1, 5)),
    _f("II.8.31", lambda epsilon, Ef: epsilon * Ef**2 / 2, (1, 5)),
    _f("II.10.9", lambda sigma_den, epsilon, chi: sigma_den / epsilon * 1 / (1 + chi), (1, 5)),
    _f(
        "II.11.3",
        lambda q, Ef, m, omega_0, omega: q * Ef / (m * (omega_0**2 - omega**2)),
        (1, 3),
        (1, 3),
        (1, 3),
        (3, 5),
        (1, 2),
    ),
    _f("II.11.17", lambda n_0, kb, T, theta, p_d, Ef: n_0 * (1 + p_d * Ef * cos(theta) / (kb * T)), (1, 3)),
    _f("II.11.20", lambda n_rho, p_d, Ef, kb, T: n_rho * p_d**2 * Ef / (3 * kb * T), (1, 5)),
    _f(
        "II.11.27",
        lambda n, alpha, epsilon, Ef: n * alpha / (1 - (n * alpha / 3)) * epsilon * Ef,
        (0, 1),
        (0, 1),
        (1, 2),
        (1, 2),
    ),
    _f("II.11.28", lambda n, alpha: 1 + n * alpha / (1 - (n * alpha / 3)), (0, 1)),
    _f("II.13.17", lambda epsilon, c, i, r: i / (2 * pi * epsilon * c**2 * r), (1, 5)),
    _f("II.13.23", lambda rho_c_0, v, c: rho_c_0 / _lorentz(v, c), (1, 5), (1, 2), (3, 10)),
    _f("II.13.34", lambda rho_c_0, v, c: rho_c_0 * v / _lorentz(v, c), (1, 5), (1, 2), (3, 10)),
    _f("II.15.4", lambda mom, B, theta: -mom * B * cos(theta), (1, 5)),
    _f("II.15.5", lambda p_d, Ef, theta: -p_d * Ef * cos(theta), (1, 5)),
    _f(
        "II.21.32",
        lambda q, epsilon, r, v, c: q / (4 * pi * epsilon * r * (1 - v / c)),
        (1, 5),
        (1, 5),
        (1, 5),
        (1, 2),
        (3, 10),
    ),
    _f("II.24.17", lambda omega, c, d: sqrt(omega**2 / c**2 - pi**2 / d**2), (4, 6), (1, 2), (2, 4)),
    _f("II.27.16", lambda epsilon, c, Ef: epsilon * c * Ef**2, (1, 5)),
    _f("II.27.18", lambda epsilon, Ef: epsilon * Ef**2, (1, 5)),
    _f("II.34.2a", lambda q, v, r: q * v / (2 * pi * r), (1, 5)),
    _f("II.34.2", lambda q, v, r: q * v * r / 2, (1, 5)),
    _f("II.34.11", lambda g_, q, B, m: g_ * q * B / (2 * m), (1, 5)),
    _f("II.34.29a", lambda q, h, m: q * h / (4 * pi * m), (1, 5)),
    _f("II.34.29b", lambda g_, h, Jz, mom, B: g_ * mom * B * Jz / _bar(h), (1, 5)),
    _f(
        "II.35.18",
        lambda n_0, kb, T, mom, B: n_0 / (exp(mom * B / (kb * T)) + exp(-mom * B / (kb * T))),
        (1, 3),
    ),
    _f("II.35.21", lambda n_rho, mom, B, kb, T: n_rho * mom * tanh(mom * B / (kb * T)), (1, 5)),
    _f(
        "II.36.38",
        lambda mom, H, kb, T, alpha, epsilon, c, M: mom * (H + alpha * M / (epsilon * c**2)) / (kb * T),
        (1, 3),
    ),
    _f("II.37.1", lambda mom, B, chi: mom * (1 + chi) * B, (1, 5)),
    _f("II.38.3", lambda Y, A, d, x: Y * A * x / d, (1, 5)),
    _f("II.38.14", lambda Y, sigma: Y / (2 * (1 + sigma)), (1, 5)),
    _f("III.4.32", lambda h, omega, kb, T: 1 / _planck(h, omega, kb, T), (1, 5)),
    _f("III.4.33", lambda h, omega, kb, T: _bar(h) * omega / _planck(h, omega, kb, T), (1, 5)),
    _f("III.7.38", lambda mom, B, h: 2 * mom * B / _bar(h), (1, 5)),
    _f("III.8.54", lambda E_n, t, h: sin(E_n * t / _bar(h)) ** 2, (1, 2), (1, 2), (1, 4)),
    _f("III.9.52", _transition, (1, 3), (1, 3), (1, 3), (1, 3), (1, 5), (1, 5)),
    _f("III.10.19", lambda mom, Bx, By, Bz: mom * sqrt(Bx**2 + By**2 + Bz**2), (1, 5)),
    _f("III.12.43", lambda n, h: n * _bar(h), (1, 5)),
    _f("III.13.18", lambda E_n, d, k, h: 2 * E_n * d**2 * k / _bar(h), (1, 5)),
    _f(
        "III.14.14",
        lambda I_0, q, Volt, kb, T: I_0 * (exp(q * Volt / (kb * T)) - 1),
        (1, 5),
        (1, 2),
        (1, 2),
        (1, 2),
        (1, 2),
    ),
    _f("III.15.12", lambda U, k, d: 2 * U * (1 - cos(k * d)), (1, 5)),
    _f("III.15.14", lambda h, E_n, d: _bar(h) ** 2 / (2 * E_n * d**2), (1, 5)),
    _f("III.15.27", lambda alpha, n, d: 2 * pi * alpha / (n * d), (1, 5)),
    _f("III.17.37", lambda Beta, alpha, theta: Beta * (1 + alpha * cos(theta)), (1, 5)),
    _f(
        "III.19.51",
        lambda m, q, h, n, epsilon: -m * q**4 / (2 * (4 * pi * epsilon) ** 2 * _bar(h) ** 2) * (1 / n**2),
        (1, 5),
    ),
    _f("III.21.20", lambda rho_c_0, q, A_vec, m: -rho_c_0 * q * A_vec / m, (1, 5)),
]

DIMENSIONLESS = [
    _f("I.6.2", lambda sigma, theta: exp(-((theta / sigma) ** 2) / 2) / (sqrt(2 * pi) * sigma), (0, 1)),
    _f(
        "I.6.2b",
        lambda sigma, theta, theta1: exp(-(((theta - theta1) / sigma) ** 2) / 2) / (sqrt(2 * pi) * sigma),
        (0, 1),
    ),
    _f("I.9.18", lambda a, b, c, d, e, f: a / ((b - 1) ** 2 + (c - d) ** 2 + (e - f) ** 2), (0, 1)),
    _f("I.12.11", lambda a, theta: 1 + a * sin(theta), (0, 1)),
    _f("I.13.12", lambda a, b: a * (1 / b - 1), (0, 1)),
    _f("I.15.3x", lambda a, b: (1 - a) / sqrt(1 - b**2), (0, 1)),
    _f("I.16.6", lambda a, b: (a + b) / (1 + a * b), (0, 1)),
    _f("I.18.4", lambda a, b: (1 + a * b) / (1 + a), (0, 1)),
    _f("I.26.2", lambda n, theta2: arcsin(n * sin(theta2)), (0, 1)),
    _f("I.27.6", lambda a, b: 1 / (1 + a * b), (0, 1)),
    _f("I.29.16", lambda a, theta1, theta2: sqrt(1 + a**2 - 2 * a * cos(theta1 - theta2)), (0, 1)),
    _f("I.30.3", lambda theta, n: sin(n * theta / 2) ** 2 / sin(theta / 2) ** 2, (0, 1)),
    _f("I.30.5", lambda a, n: arcsin(a / n), (0, 1), (1, 2)),
    _f("I.37.4", lambda a, delta: 1 + a + 2 * sqrt(a) * cos(delta), (0, 1)),
    _f("I.40.1", lambda n_0, a: n_0 * exp(-a), (0, 1)),
    _f("I.44.4", lambda n, a: n * log(a), (0, 1)),
    _f("I.50.26", lambda a, alpha: cos(a) + alpha * cos(a) ** 2, (0, 1)),
    _f("II.2.42", lambda a, b: (a - 1) * b, (0, 1)),
    _f("II.6.15a", lambda a, b, c: (1 / (4 * pi)) * c * sqrt(a**2 + b**2), (0, 1)),
    _f("II.11.17", lambda n_0, a, theta: n_0 * (1 + a * cos(theta)), (0, 1)),
    _f("II.11.27", lambda n, alpha: n * alpha / (1 - (n * alpha / 3)), (0, 1)),
    _f("II.35.18", lambda n_0, a: n_0 / (exp(a) + exp(-a)), (0, 1)),
    _f("II.36.38", lambda a, alpha, b: a + alpha * b, (0, 1)),
    _f("II.38.3", lambda a, b: a / b, (0, 1)),
    _f("III.9.52", lambda a, b, c: a * sin((b - c) / 2) ** 2 / ((b - c) / 2) ** 2, (0, 1)),
    _f("III.10.19", lambda a, b: sqrt(1 + a**2 + b**2), (0, 1)),
    _f("III.17.37", lambda Beta, alpha, theta: Beta * (1 + alpha * cos(theta)), (0, 1)),
]

LISTS = {
    "elementary": ELEMENTARY,
    "composite": COMPOSITE,
    "feynman": FEYNMAN,
    "dimensionless": DIMENSIONLESS,
}
