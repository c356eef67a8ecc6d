"""Plain dense formulas of every fabrication and role, from the papers.

Nothing here shares arrayfab's algebra: matrices are formed with ``kron``, ``diag`` and ``concatenate``,
and derivatives come from complex steps. The formulas take the module to compute with, so that JAX can
differentiate them too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

import arrayfab as af
from arrayfab.frozen import Bernoulli, Frozen, Gaussian

STEP = 2.0**-300  # a power of two: scaling by it rounds nothing


def integers(seed: int, *shape: int) -> np.ndarray:
    """Small integers in float64, with which sums and products are exact."""
    return np.random.default_rng(seed).integers(-2, 3, size=shape).astype(np.float64)


@dataclass(frozen=True)
class FabricationCase:
    """A fabrication, the length of its ``w`` and its dense formula ``dense(xp, w, n, D)``."""

    name: str
    fabrication: af.Fabrication
    length: Callable[[int, int], int]
    dense: Callable
    frozen: Callable[[int, int], dict] = lambda n, D: {}
    is_exact: bool = True

    def build(self, n: int, D: int, asarray: Callable = np.asarray) -> af.Fabrication:
        """The fabrication, with integer frozen blocks handed in where the case has some."""
        arrays = {name: asarray(array) for name, array in self.frozen(n, D).items()}
        return self.fabrication.with_frozen(**arrays) if arrays else self.fabrication


def split(w, *shapes):
    """The blocks of ``w``, one after the other, row-major."""
    edges = np.cumsum([0, *map(math.prod, shapes)])
    return [w[a:b].reshape(shape) for a, b, shape in zip(edges, edges[1:], shapes, strict=False)]


def gaussian(seed, name, n, D):
    return Frozen(seed, name, Gaussian(n, D)).draw()


def sigmoid(xp, z):
    return 1.0 / (1.0 + xp.exp(-z))


def low_rank(xp, w, n, D):
    A, Bt = split(w, (n, 2), (2, D))
    return A @ Bt


def hypercomplex(p, q):
    def dense(xp, w, n, D):
        return xp.kron(*split(w, (p, q), (n // p, D // q)))

    return dense


def lphm(xp, w, n, D):
    A, S, Tt = split(w, (2, 2), (n // 2, 3), (3, D // 2))
    return xp.kron(A, S @ Tt)


def dual_lphm(xp, w, n, D):
    P, Qt, S, Tt = split(w, (2, 2), (2, 1), (n // 2, 2), (2, D))
    return xp.kron(P @ Qt, S @ Tt)


def outer_in_rows(xp, A, B, n, D):
    """The products of all entries of two factors, as tinybig lays them out."""
    return (A.reshape(-1, 1) * B.reshape(1, -1)).reshape(n, D)


def reshaped_hypercomplex(xp, w, n, D):
    return outer_in_rows(xp, *split(w, (2, 2), (n // 2, D // 2)), n, D)


def random_matrix_adaption(frozen):
    def dense(xp, w, n, D):
        lambda_1, lambda_2 = split(w, (n,), (2,))
        A, B = frozen(n, D).values()
        return xp.diag(lambda_1) @ A @ xp.diag(lambda_2) @ B.T

    return dense


def drawn_adaption(n, D):
    return {"A": gaussian(1, "A", n, 2), "B": gaussian(1, "B", D, 2)}


def integer_adaption(n, D):
    return {"A": integers(21, n, 2), "B": integers(22, D, 2)}


def masked(xp, w, n, D):
    return w.reshape(n, D) * Frozen(3, "mask", Bernoulli(n, D, 0.5)).draw()


def hypernet(xp, w, n, D):
    U, a = gaussian(4, "U", 7, 5), gaussian(4, "a", 1, 7)
    V, c = gaussian(4, "V", n * D, 7), gaussian(4, "c", 1, n * D)
    return (sigmoid(xp, w @ U.T + a) @ V.T + c).reshape(n, D)


def random_matrix_hypernet(xp, w, n, D):
    P, Q = gaussian(5, "P", 5, 2), gaussian(5, "Q", 7, 2)
    S, T = gaussian(5, "S", 7, 2), gaussian(5, "T", n * D, 2)
    return (sigmoid(xp, w @ P @ Q.T) @ S @ T.T).reshape(n, D)


def low_rank_and_padding(xp, w, n, D):
    l = 2 * (n + D)  # noqa: E741 - the papers' name
    return low_rank(xp, w[:l], n, D) + xp.kron(np.ones((2, 1)), w[l:].reshape(n // 2, D))


FABRICATIONS = [
    FabricationCase("constant", af.Constant(c=3.0), lambda n, D: 0, lambda xp, w, n, D: np.full((n, D), 3.0)),
    FabricationCase("eye", af.Eye(), lambda n, D: 0, lambda xp, w, n, D: np.eye(n, D)),
    FabricationCase("full", af.Full(), lambda n, D: n * D, lambda xp, w, n, D: w.reshape(n, D)),
    FabricationCase("masked", af.Masked(p=0.5, seed=3), lambda n, D: n * D, masked),
    FabricationCase(
        "padding",
        af.DuplicatedPadding(p=2, q=1),
        lambda n, D: n * D // 2,
        lambda xp, w, n, D: xp.kron(np.ones((2, 1)), w.reshape(n // 2, D)),
    ),
    FabricationCase(
        "diagonal_padding",
        af.DuplicatedDiagonalPadding(p=2),
        lambda n, D: n * D // 4,
        lambda xp, w, n, D: xp.kron(np.eye(2), w.reshape(n // 2, D // 2)),
    ),
    FabricationCase("low_rank", af.LowRank(r=2), lambda n, D: 2 * (n + D), low_rank),
    FabricationCase(
        "hypercomplex", af.Hypercomplex(p=2, q=1), lambda n, D: 2 + n * D // 2, hypercomplex(2, 1)
    ),
    FabricationCase("lphm", af.LPHM(p=2, q=2, r=3), lambda n, D: 4 + 3 * (n + D) // 2, lphm),
    FabricationCase(
        "reshaped_hypercomplex",
        af.Hypercomplex(p=2, q=2, arrangement="reshaped"),
        lambda n, D: 4 + n * D // 4,
        reshaped_hypercomplex,
    ),
    FabricationCase(
        "dual_lphm", af.DualLPHM(p=2, q=1, r=2), lambda n, D: 2 * (2 + 1 + n // 2 + D), dual_lphm
    ),
    FabricationCase(
        "adaption",
        af.RandomMatrixAdaption(r=2, seed=1),
        lambda n, D: n + 2,
        random_matrix_adaption(drawn_adaption),
        is_exact=False,
    ),
    FabricationCase(
        "adaption_handed_in",
        af.RandomMatrixAdaption(r=2),
        lambda n, D: n + 2,
        random_matrix_adaption(integer_adaption),
        integer_adaption,
    ),
    FabricationCase(
        "hypernet", af.Hypernet(l=5, hidden_dim=7, seed=4), lambda n, D: 5, hypernet, is_exact=False
    ),
    FabricationCase(
        "random_matrix_hypernet",
        af.RandomMatrixHypernet(r=2, l=5, hidden_dim=7, seed=5),
        lambda n, D: 5,
        random_matrix_hypernet,
        is_exact=False,
    ),
    FabricationCase(
        "sum",
        af.LowRank(r=2) + af.DuplicatedPadding(p=2, q=1),
        lambda n, D: 2 * (n + D) + n * D // 2,
        low_rank_and_padding,
    ),
    FabricationCase(
        "scaled",
        -3.0 * af.DualLPHM(p=2, q=1, r=2),
        lambda n, D: 2 * (2 + 1 + n // 2 + D),
        lambda xp, w, n, D: -3.0 * dual_lphm(xp, w, n, D),
    ),
]


@dataclass(frozen=True)
class RoleCase:
    """A role, the shapes of its matrix and data, and its dense formula ``apply(xp, xs, W, bias)``."""

    name: str
    build: Callable[[af.Fabrication], object]
    matrix_shape: tuple[int, int]
    x_shapes: tuple[tuple[int, int], ...]
    apply: Callable
    bias: int = 0

    def length(self, case: FabricationCase) -> int:
        return case.length(*self.matrix_shape) + self.bias

    def dense(self, xp, case: FabricationCase, xs, w):
        """The result for data without leading axes and one vector ``w``."""
        W = case.dense(xp, w[: w.shape[0] - self.bias], *self.matrix_shape)
        return self.apply(xp, xs, W, w[w.shape[0] - self.bias :])

    def packed(self, xs):
        """Arrays as the role takes them."""
        return list(xs) if self.name == "fusion" else xs[0]

    def unpacked(self, x):
        return tuple(x) if self.name == "fusion" else (x,)


def _fused(n):
    return (n // 2, n // 3, n - n // 2 - n // 3)


def role_cases(b: int, n: int, D: int) -> list[RoleCase]:
    """Every role and type, with data of ``b`` rows (or columns) and a matrix between ``n`` and ``D``."""
    interdependence, bilinear = af.ParameterizedInterdependence, af.BilinearInterdependence
    return [
        RoleCase(
            "attribute",
            lambda f: interdependence(fabrication=f, m=n, m_prime=D),
            (n, D),
            ((b, n),),
            lambda xp, xs, A, _: xs[0] @ A,
        ),
        RoleCase(
            "instance",
            lambda f: interdependence(fabrication=f, b=n, b_prime=D, interdependence_type="instance"),
            (n, D),
            ((n, b),),
            lambda xp, xs, A, _: A.T @ xs[0],
        ),
        RoleCase(
            "bilinear_attribute",
            lambda f: bilinear(fabrication=f, b=n),
            (n, n),
            ((n, b),),
            lambda xp, xs, W, _: xs[0] @ (xs[0].T @ W @ xs[0]),
        ),
        RoleCase(
            "bilinear_instance",
            lambda f: bilinear(fabrication=f, m=n, interdependence_type="instance"),
            (n, n),
            ((b, n),),
            lambda xp, xs, W, _: (xs[0] @ W @ xs[0].T).T @ xs[0],
        ),
        RoleCase(
            "reconciliation",
            lambda f: af.Reconciliation(fabrication=f, n=D, D=n),
            (D, n),
            ((b, n),),
            lambda xp, xs, W, _: xs[0] @ W.T,
        ),
        RoleCase(
            "biased_reconciliation",
            lambda f: af.Reconciliation(fabrication=f, n=D, D=n, bias=True),
            (D, n),
            ((b, n),),
            lambda xp, xs, W, bias: xs[0] @ W.T + bias,
            bias=D,
        ),
        RoleCase(
            "fusion",
            lambda f: af.ConcatenationFusion(fabrication=f, dims=_fused(n), n=D),
            (D, n),
            tuple((b, columns) for columns in _fused(n)),
            lambda xp, xs, W, _: xp.concatenate(xs, axis=-1) @ W.T,
        ),
    ]


ROLES = role_cases(b=5, n=6, D=4)
BILINEAR = [role for role in ROLES if role.name.startswith("bilinear")]
LINEAR = [role for role in ROLES if role not in BILINEAR]
ROWWISE = [role for role in LINEAR if role.name != "instance"]

#: The five functions of the README, by what they are made of.
NAMED = [
    (role, case)
    for role_name, case_name in (
        ("attribute", "full"),
        ("attribute", "dual_lphm"),
        ("bilinear_attribute", "adaption"),
        ("reconciliation", "random_matrix_hypernet"),
        ("fusion", "low_rank"),
    )
    for role in ROLES
    for case in FABRICATIONS
    if (role.name, case.name) == (role_name, case_name)
]

by_fabrication = pytest.mark.parametrize("case", FABRICATIONS, ids=lambda case: case.name)
by_role = pytest.mark.parametrize("role_case", ROLES, ids=lambda role: role.name)
by_name = pytest.mark.parametrize(
    ("role_case", "case"), NAMED, ids=[f"{role.name}-{case.name}" for role, case in NAMED]
)
by_lead = pytest.mark.parametrize("w_lead", [(), (2,)], ids=["one w", "batched w"])


@dataclass(frozen=True)
class Example:
    """Data for a role, and what the dense formula makes of them."""

    xs: tuple[np.ndarray, ...]
    w: np.ndarray
    y: np.ndarray
    u: np.ndarray
    grad_xs: tuple[np.ndarray, ...]
    grad_w: np.ndarray
    dxs: tuple[np.ndarray, ...]
    dw: np.ndarray
    dy: np.ndarray


@cache
def example(role: RoleCase, case: FabricationCase, x_lead: tuple = (), w_lead: tuple = ()) -> Example:
    """Integer data with the given leading axes, the result, its gradients and its derivative."""
    seeds = iter(range(100))

    def draw(lead, *shape):
        return integers(next(seeds), *lead, *shape)

    def formula(*arrays):
        return over_lead(lambda *a: role.dense(np, case, a[:-1], a[-1]), arrays, ranks)

    ranks = (2,) * len(role.x_shapes) + (1,)
    xs = tuple(draw(x_lead, *shape) for shape in role.x_shapes)
    w = draw(w_lead, role.length(case))
    directions = tuple(draw(a.shape) for a in (*xs, w))
    y = formula(*xs, w)
    u = draw(y.shape)
    *grad_xs, grad_w = gradients(formula, (*xs, w), u, case.is_exact)
    dy = derivative(formula, (*xs, w), directions, case.is_exact)
    return Example(xs, w, y, u, tuple(grad_xs), grad_w, directions[:-1], directions[-1], dy)


def over_lead(formula: Callable, arrays, ranks):
    """``formula`` of arrays of the given ranks, for every index of their leading axes."""
    leads = [a.shape[: a.ndim - rank] for a, rank in zip(arrays, ranks, strict=True)]
    lead = np.broadcast_shapes(*leads)
    full = [
        np.broadcast_to(a, lead + a.shape[a.ndim - rank :]) for a, rank in zip(arrays, ranks, strict=True)
    ]
    results = [formula(*(a[i] for a in full)) for i in np.ndindex(lead)]
    return np.reshape(np.stack(results), lead + results[0].shape)


def derivative(formula: Callable, arrays, directions, is_exact: bool) -> np.ndarray:
    """The derivative of an analytic formula: ``Im f(a + i h d) / h`` with a negligible ``h``."""
    moved = formula(*(a + 1j * STEP * d for a, d in zip(arrays, directions, strict=True)))
    value = np.imag(moved) / STEP
    return np.rint(value) if is_exact else value


def gradients(formula: Callable, arrays, u: np.ndarray, is_exact: bool) -> list[np.ndarray]:
    """The gradients of ``⟨u, f⟩``, one derivative for every number in the arrays."""
    found = []
    for k, array in enumerate(arrays):
        gradient = np.zeros(array.shape)
        for i in np.ndindex(array.shape):
            directions = [np.zeros(a.shape) for a in arrays]
            directions[k][i] = 1.0
            gradient[i] = np.sum(u * derivative(formula, arrays, directions, is_exact))
        found.append(gradient)
    return found


def assert_equal(actual, expected, is_exact: bool = True) -> None:
    """Shapes alike; values equal, or within a tolerance that scales with the dtype's resolution."""
    actual = np.asarray(actual)
    assert actual.shape == expected.shape
    if is_exact:
        np.testing.assert_array_equal(actual, expected)
    elif actual.size:
        tolerance = 500 * np.finfo(actual.dtype).eps * (1.0 + np.max(np.abs(expected)))
        np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)
