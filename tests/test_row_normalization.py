"""Rows with mean zero and variance one against their definition, in more digits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import arrayfab as af
from arrayfab.expansions import RowNormalized

EPS = 1e-5


def products(x, d):
    parts = [x]
    for _ in range(d - 1):
        parts.append(np.einsum("bi,bj->bij", parts[-1], x).reshape(len(x), -1))
    return np.concatenate(parts, axis=1)


def layer_norm(K):
    K = K.astype(np.longdouble)
    return (K - K.mean(axis=1, keepdims=True)) / np.sqrt(K.var(axis=1, keepdims=True) + EPS)


FABRICATIONS = [af.DualLPHM(r=2), af.LowRank(r=2), af.Full(), af.LPHM(r=1, arrangement="reshaped")]
FABRICATIONS += [af.DualLPHM(r=1) + af.LowRank(r=1)]


@settings(max_examples=30)
@given(st.integers(1, 3), st.integers(2, 4), st.sampled_from(FABRICATIONS), st.sampled_from([0.0, 30.0]))
def test_a_product_with_normalized_rows_is_that_of_the_formed_ones(d, m, fabrication, mean):
    kappa = RowNormalized(expansion=af.Taylor(d=d))
    role = af.Reconciliation(expansion=kappa, fabrication=fabrication, n=4, m=m)
    x = np.random.default_rng(m).standard_normal((3, m)) + mean
    w = role.init(rng=0)
    expected = layer_norm(products(x, d)) @ role.matrix(w).T
    np.testing.assert_allclose(role(x, w), expected.astype(float), rtol=1e-8, atol=1e-9)
    y, pullback = role.vjp(x, w)
    u, dx, dw = (np.random.default_rng(i).standard_normal(a.shape) for i, a in enumerate((y, x, w)))
    grad_x, grad_w = pullback(u)
    h = 1e-5
    ahead, behind = (layer_norm(products(x + s * h * dx, d)) @ role.matrix(w + s * h * dw).T for s in (1, -1))
    slope = float(((ahead - behind) / (2 * h) * u).sum())
    size = np.abs(grad_x * dx).sum() + np.abs(grad_w * dw).sum()
    assert abs((grad_x * dx).sum() + (grad_w * dw).sum() - slope) <= 1e-5 * size + 1e-8


@pytest.mark.parametrize("fabrication", [af.DualLPHM(r=3), af.LowRank(r=3)], ids=str)
@pytest.mark.parametrize("d", [1, 2])
def test_no_digits_are_lost_in_single_precision_where_the_mean_is_far_off(fabrication, d):
    # Attributes near 30 whose products differ by little: E κ² − (E κ)² would lose four digits and more.
    x = (30.0 + 0.01 * np.random.default_rng(0).standard_normal((8, 50))).astype(np.float32)
    kappa = RowNormalized(expansion=PAIRS if d == 2 else af.Taylor(d=1))
    role = af.Reconciliation(expansion=kappa, fabrication=fabrication, n=6, m=50)
    w = role.init(rng=0)
    exact = role(x.astype(np.float64), w)
    error = np.abs(role(x, w.astype(np.float32)) - exact).max() / np.abs(exact).max()
    # One rounding of an attribute, or of a mean, is 30 / 0.01 · 2⁻²⁴ = 2e-4 of what is left without the mean.
    assert error < 1e-3
    K = PAIRS(x) if d == 2 else x
    careless = (K * K).mean(axis=1) - K.mean(axis=1) ** 2
    assert np.abs(careless / K.astype(np.float64).var(axis=1) - 1).max() > 0.05


class Pairs(af.Expansion):
    """``x ⊗ x`` alone."""

    def num_features(self, m):
        return m * m

    def expand(self, X):
        from arrayfab.structures import face

        return face(X, X)


PAIRS = Pairs()


def test_rows_of_one_value_become_zero():
    y, pullback = RowNormalized(expansion=af.Taylor(d=2)).vjp(np.zeros((2, 3)))
    assert not y.any()
    assert np.isfinite(pullback(np.ones_like(y))[0]).all()


@pytest.mark.parametrize("eps", [0.0, -1.0, float("nan"), "a"])
def test_eps_must_be_positive(eps):
    with pytest.raises(ValueError, match="eps must be positive"):
        RowNormalized(expansion=af.Taylor(), eps=eps)


def test_what_is_no_expansion_is_refused():
    with pytest.raises(TypeError, match="expansion must be an Expansion"):
        RowNormalized(expansion=af.LowRank())
