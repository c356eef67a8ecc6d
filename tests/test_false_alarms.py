"""What is right passes the kit: layers without a formula, kinks, steep functions, and what few shapes fit."""

from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import arrayfab as af
from arrayfab.structures import Diagonal, Structure
from arrayfab.structures.formed import ThroughDense, hadamard
from arrayfab.testing import (
    CannotBeTried,
    Case,
    Check,
    LawBroken,
    check_fabrication,
    checks,
    laws,
    parametrize_with_checks,
    strategies,
)
from arrayfab.testing.shapes import fitting


@dataclass(frozen=True)
class Exp(ThroughDense):
    """``exp(M)``, entry by entry: a steep function."""

    inner: Structure

    @cached_property
    def shape(self):
        return self.inner.shape

    @property
    def children(self):
        return (self.inner,)

    def dense(self, numbers):
        z, pull = self.inner.dense(numbers)
        y = numbers.xp.exp(z)
        return y, lambda g, cotangents: pull(g * y, cotangents)

    @property
    def dense_cost(self):
        return self.inner.dense_cost

    def mean_square(self, variance):
        return np.exp(2 * min(self.inner.mean_square(variance), 100.0))

    @property
    def derivative(self):
        return hadamard(self, self.inner.tangent)


@dataclass(frozen=True, kw_only=True)
class Steep(af.LowRank):
    """``W = exp(A B)``."""

    def matrix(self, n, D, A, Bt):
        return Exp(A @ Bt)


@dataclass(frozen=True, kw_only=True)
class WeighedRanks(af.Fabrication):
    """``W = A diag(v) B``, of degree three."""

    r: int = 2

    def blocks(self, n, D):
        return {"A": (n, self.r), "v": (self.r,), "B": (self.r, D)}

    def matrix(self, n, D, A, v, B):
        return A @ Diagonal(v) @ B


@pytest.mark.parametrize("spread", [2000, 4000])
def test_products_of_whole_numbers_may_be_larger_than_float64_tells_apart(spread):
    for seed in range(20):
        laws.pairing(WeighedRanks(r=2), Case(seed=seed, spread=spread))


SCALED = ("linear_in_x", "linear_in_each_block", "pullback_is_linear_and_repeatable")


@pytest.mark.parametrize("law", SCALED)
@pytest.mark.parametrize("seed", range(12))
def test_rounding_is_measured_at_the_size_of_the_data(law, seed):
    getattr(laws, law)(Steep(r=2), Case(n=6, D=6, rows=3, seed=seed, spread=2, dtype="float32"))


def test_a_steep_function_passes_every_law():
    exempt = {"no_dense_allocation": "it is formed"}
    check_fabrication(Steep(), namespaces=["numpy"], exempt=exempt, max_examples=10)


recon = af.Reconciliation(fabrication=af.LowRank(r=1), n=2, D=3)
LAYERS = [
    af.Pointwise("tanh"),
    af.Pointwise("sigmoid"),
    af.Pointwise("relu"),
    af.Reshape((6,), (2, 3)),
    af.Concatenation(dims=(2, 1)),
    af.Parallel([recon, af.Reconciliation(fabrication=af.Full(), n=3, D=3)]),
    af.Sequential([af.Pointwise("relu"), recon, af.Pointwise("relu")]),
    af.Sequential([af.Reshape((6,), (2, 3)), recon, af.Reshape((2, 2), (4,))]),
    af.Sequential(
        [
            af.Parallel([recon, recon]),
            af.ConcatenationFusion(fabrication=af.Full(), dims=(2, 2), n=2),
        ]
    ),
    af.Sequential([af.Concatenation(dims=(2, 1)), recon]),
]


@parametrize_with_checks(LAYERS, namespaces=["numpy"])
def test_layers_without_a_formula(check):
    check()


HERE = ["strict", *(["torch"] if find_spec("torch") else [])]


@parametrize_with_checks([af.Sequential([recon, af.Pointwise("relu")])], namespaces=HERE)
def test_a_kink_elsewhere(check):
    check()


def test_slopes_on_either_side_of_a_kink_are_right_and_others_are_wrong():
    laws.vjp_matches_differences(af.Pointwise("relu"), Case(rows=6, seed=1))

    @dataclass(frozen=True)
    class Leaning(af.Pointwise):
        def vjp(self, x, w=None):
            y, pull = super().vjp(x, w)
            return y, lambda u: (2 * pull(u)[0], None)

    with pytest.raises(LawBroken):
        laws.vjp_matches_differences(Leaning("relu"), Case(rows=6, seed=1))


@pytest.mark.parametrize(
    "fabrication",
    [af.DuplicatedPadding(p=8), af.Hypercomplex(p=7, q=11), af.Masked(p=1.0), af.Constant() + af.LowRank()],
    ids=str,
)
def test_fabrications_that_few_shapes_fit_or_that_have_nothing_to_draw(fabrication):
    exempt = {"no_dense_allocation": "it is not asked here"}
    check_fabrication(fabrication, namespaces=["numpy"], exempt=exempt, max_examples=5)


def test_larger_shapes_are_tried_where_no_small_one_fits():
    assert fitting(af.DuplicatedPadding(p=8))[:2] == [(8, 8), (8, 16)]


def test_what_fits_no_shape_cannot_be_tried_and_breaks_no_law():
    check = checks(af.DuplicatedPadding(p=65), namespaces=["numpy"])[0]
    with pytest.raises(CannotBeTried, match=r"no shape up to 64 × 64 fits.*p=65 does not divide n=64"):
        check()


PROFILES = {
    "the suite's": settings(max_examples=3, deadline=None),
    "strict": settings(max_examples=3, deadline=None, suppress_health_check=()),
    "ci": settings(max_examples=3, deadline=None, derandomize=True, database=None, print_blob=True),
}


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_the_kit_runs_inside_a_test_that_draws(profile):
    @settings(profile)
    @given(strategies.fabrications())
    def draws(fabrication):
        forms = {"no_dense_allocation": "some of them form their matrix"}
        check_fabrication(fabrication, namespaces=["numpy"], max_examples=1, exempt=forms)

    draws()


def test_a_fault_found_inside_a_test_that_draws_is_found_again():
    @dataclass(frozen=True, kw_only=True)
    class WrongFromTwoRows(af.Reconciliation):
        def __call__(self, x, w):
            y = super().__call__(x, w)
            return y + 1 if x.shape[-2] >= 2 else y

    @settings(max_examples=10, deadline=None, database=None)
    @given(st.integers(1, 4))
    def draws(n):
        Check(WrongFromTwoRows(fabrication=af.Full(), n=n, D=1), "dense_equals_matrix_free", "numpy")()

    with pytest.raises(LawBroken, match=r"n=1.*Case\(rows=2\)"):
        draws()
