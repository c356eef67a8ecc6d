"""Rows as probabilities."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import arrayfab as af
from arrayfab import Softmax
from arrayfab.testing import parametrize_with_checks

HEAD = af.Reconciliation(fabrication=af.LowRank(r=1), n=2, D=3)


@parametrize_with_checks(
    [af.Sequential([HEAD, Softmax(is_log=is_log)]) for is_log in (False, True)],
    namespaces=["numpy"],
    max_examples=3,
)
def test_laws(check):
    check()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-700, 700), min_size=1, max_size=4))
def test_softmax_is_its_formula(row):
    exponentials = [mpmath.exp(number) for number in row]
    shares = [each / mpmath.fsum(exponentials) for each in exponentials]
    x = np.asarray([row, row])
    np.testing.assert_allclose(Softmax()(x)[1], [float(share) for share in shares], rtol=1e-12)
    logarithms = [float(mpmath.log(share)) for share in shares]
    np.testing.assert_allclose(Softmax(is_log=True)(x)[1], logarithms, rtol=1e-12, atol=1e-14)


def test_flags_are_refused():
    with pytest.raises(TypeError, match="is_log"):
        Softmax(is_log=1)
