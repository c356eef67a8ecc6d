"""Strategies give what they promise, and shrink to the simplest of it."""

import numpy as np
import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

import arrayfab as af
from arrayfab import _arrays
from arrayfab.testing import strategies
from arrayfab.testing.cases import Case

sizes = st.integers(1, 6)
quick = settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(st.data(), sizes, sizes)
def test_fabrications_fit_the_shape_that_was_asked_for(data, n, D):
    fabrication = data.draw(strategies.fabrications(n, D))
    w = data.draw(strategies.parameters(fabrication, n, D))
    assert fabrication.fabricate(w, n, D).shape == (n, D)


@quick
@given(st.data(), strategies.fabrications())
def test_shapes_fit_the_fabrication_that_they_are_for(data, fabrication):
    n, D = data.draw(strategies.shapes(fabrication))
    assert fabrication.num_parameters(n, D) >= 0


@quick
@given(st.data(), sizes, sizes)
def test_compositions_fit_their_shape(data, n, D):
    fabrication = data.draw(strategies.compositions(n, D))
    w = data.draw(strategies.parameters(fabrication, n, D, batch=(2,)))
    assert fabrication.fabricate(w, n, D).to_dense().shape == (2, n, D)


@quick
@given(st.data(), strategies.built_in_roles())
def test_roles_take_their_cases(data, role):
    case = data.draw(strategies.cases(role))
    assert isinstance(case, Case)
    assert role.init(rng=0).shape == (role.num_parameters(),)


@quick
@given(st.data(), sizes)
def test_expansions_take_as_many_columns_as_were_asked_for(data, m):
    expansion = data.draw(strategies.expansions(m))
    assert expansion(np.ones((2, m))).shape == (2, expansion.num_features(m))


@quick
@given(st.data(), strategies.namespaces())
def test_data_live_where_they_were_asked_for(data, name):
    from arrayfab.testing import namespaces

    xp = namespaces.get(name).xp
    x = data.draw(strategies.batches(3, xp=xp, dtype="float32"))
    u = data.draw(strategies.cotangents(x))
    assert u.shape == x.shape
    assert u.dtype == x.dtype == xp.float32
    assert np.all(np.abs(_arrays.to_host(u)) <= 2)


def test_a_planted_fault_shrinks_to_the_smallest_shape():
    def fails(case):
        return case.n >= 2 and case.D >= 3

    case = find(strategies.cases(af.LowRank()), fails)
    assert case == Case(n=2, D=3)


def test_a_planted_fault_shrinks_to_the_simplest_numbers():
    w = find(strategies.parameters(af.Full(), 2, 2), lambda w: np.any(w != 0))
    assert sorted(w) == [0, 0, 0, 1]


def test_a_planted_fault_shrinks_to_the_simplest_fabrication():
    found = find(strategies.fabrications(4, 4), lambda fabrication: getattr(fabrication, "r", 1) > 1)
    assert found == af.LowRank(r=2)


def test_a_fabrication_that_fits_nothing_is_an_error():
    with pytest.raises(ValueError, match="no shape up to 64 × 64 fits"):
        strategies.shapes(af.Hypercomplex(p=67, q=67))
