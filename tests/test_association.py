"""The order in which products are taken: never dearer than another, never through a large matrix."""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import arrayfab as af
from arrayfab import _arrays
from arrayfab.roles import formula_of
from arrayfab.structures import Chain, Dense, Numbers
from arrayfab.structures.chain import ReadOnce, associate

MIB = 1 << 20


def cheapest(sizes):
    """Multiplies of the best bracketing of a product of matrices, all bracketings tried."""
    if len(sizes) == 2:
        return 0
    return min(
        cheapest(sizes[: k + 1]) + cheapest(sizes[k:]) + sizes[0] * sizes[k] * sizes[-1]
        for k in range(1, len(sizes) - 1)
    )


@given(st.lists(st.integers(1, 50), min_size=3, max_size=7))
def test_the_cheapest_bracketing_is_found(sizes):
    factors = tuple(Dense(f"F{i}", shape) for i, shape in enumerate(itertools.pairwise(sizes)))
    assert associate(factors, None).cost.multiplies == cheapest(sizes)
    assert associate(factors[1:], sizes[0]).cost.multiplies == cheapest(sizes)


def plans_within(plan):
    yield plan
    for part in (*plan.operands, *([plan.body] if isinstance(plan, ReadOnce) else [])):
        yield from plans_within(part)


def bilinear(kind, fabrication, b, m):
    size = {"m": m} if kind == "instance" else {"b": b}
    return af.BilinearInterdependence(fabrication=fabrication, interdependence_type=kind, **size)


low_ranks = pytest.mark.parametrize("fabrication", [af.LowRank(r=3), af.RandomMatrixAdaption(r=3)], ids=str)
kinds = pytest.mark.parametrize("kind", ["attribute", "instance"])


@low_ranks
@kinds
@pytest.mark.parametrize(("b", "m"), [(36, 48), (60, 50), (400, 700), (700, 400)])
def test_a_bilinear_form_of_low_rank_multiplies_only_thin_matrices(fabrication, kind, b, m):
    structure = formula_of(bilinear(kind, fabrication, b, m), ((b, m),)).structure
    assert isinstance(structure, Chain)
    outer = structure.plan()
    plans = [plan for plan in plans_within(outer) if plan.operands and plan is not outer]
    assert all(min(plan.shape) <= 3 for plan in plans if plan.shape != (b, m))
    assert not {(m, m), (b, b)} & {plan.shape for plan in plans}


@low_ranks
@kinds
def test_products_with_the_data_are_merged_where_they_are_large(fabrication, kind):
    for (b, m), is_merged in (((36, 48), True), ((20, 24), False)):
        structure = formula_of(bilinear(kind, fabrication, b, m), ((b, m),)).structure
        assert isinstance(structure.plan(), ReadOnce) == is_merged


def peak(function):
    """Bytes allocated at the worst moment of a call, above what was there before."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        function()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def forward_and_gradient(role, x, w):
    y, pullback = role.vjp(x, w)
    pullback(y)


@low_ranks
@kinds
@pytest.mark.parametrize("shape", [(1500, 300), (300, 1500)], ids=str)
def test_a_bilinear_form_of_low_rank_needs_no_square_matrix(fabrication, kind, shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    role = bilinear(kind, fabrication, *shape)
    w = role.init(rng=0, dtype=np.float32)
    forward_and_gradient(role, x, w)  # draws what is frozen
    assert peak(lambda: forward_and_gradient(role, x, w)) < 4 * 1500 * 1500


def test_a_dual_lphm_of_a_gibibyte_stays_below_64_mib():
    role = af.ParameterizedInterdependence(fabrication=af.DualLPHM(r=2), m=16384)
    x = np.random.default_rng(0).standard_normal((64, 16384)).astype(np.float32)
    w = role.init(rng=0, dtype=np.float32)
    assert peak(lambda: forward_and_gradient(role, x, w)) < 64 * MIB


def test_a_fusion_of_low_rank_does_not_copy_its_inputs():
    role = af.ConcatenationFusion(fabrication=af.LowRank(r=2), dims=(2048, 2048, 2048), n=16)
    xs = [np.ones((256, 2048), dtype=np.float32) for _ in role.dims]
    w = role.init(rng=0, dtype=np.float32)
    assert peak(lambda: role(xs, w)) < 4 * 256 * 2048


def test_an_adaption_builds_no_square_diagonal():
    role = af.ParameterizedInterdependence(fabrication=af.RandomMatrixAdaption(r=2), m=3000)
    x = np.ones((8, 3000))
    w = role.init(rng=0)
    role(x, w)
    assert peak(lambda: forward_and_gradient(role, x, w)) < 2 * MIB


def test_frozen_numbers_get_no_gradient():
    W, A = Dense("W", (3, 4)), Dense("A", (4, 5), is_learned=False)
    numbers = Numbers(
        _arrays.backend_of("test", "w", np.zeros(1)),
        {"W": np.ones((3, 4)), "A": np.ones((4, 5))},
        np.zeros(1),
    )
    sent = []

    class Recorder:
        def add(self, name, g):
            sent.append(name)

        def add_product(self, name, left, right):
            sent.append(name)

    _, pullback = (W @ A).rows(np.ones((2, 3)), numbers)
    pullback(np.ones((2, 5)), Recorder())
    assert sent == ["W"]
