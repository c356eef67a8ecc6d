"""Streamed frozen matrices: the same results as held ones, and a tile at a time."""

import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import arrayfab as af
from arrayfab import frozen
from arrayfab.fabrications import seeded
from arrayfab.fabrications.blueprint import blueprint
from arrayfab.frozen import Frozen, Gaussian
from arrayfab.roles import formula_of
from arrayfab.ruled import programs_of
from arrayfab.structures import (
    Chain,
    Dense,
    Diagonal,
    Span,
    Streamed,
    StreamedHadamard,
    hadamard,
    reshaped,
    streamed,
)

VARIANTS = {
    "masked": af.Masked,
    "random matrix adaption": af.RandomMatrixAdaption,
    "hypernet": lambda **how: af.Hypernet(l=3, hidden_dim=4, **how),
    "random matrix hypernet": lambda **how: af.RandomMatrixHypernet(l=3, hidden_dim=5, r=3, **how),
    "sum": lambda storage, seed=1: (
        af.RandomMatrixAdaption(storage=storage, seed=seed) + 0.5 * af.Masked(storage=storage, seed=3)
    ),
}
every_variant = pytest.mark.parametrize("make", VARIANTS.values(), ids=VARIANTS)
ROLES = {
    "reconciliation": (lambda f: af.Reconciliation(fabrication=f, n=6, D=8, bias=True), [(5, 8)]),
    "interdependence": (lambda f: af.ParameterizedInterdependence(fabrication=f, m=8, m_prime=6), [(5, 8)]),
    "instances": (
        lambda f: af.ParameterizedInterdependence(fabrication=f, b=6, interdependence_type="instance"),
        [(6, 5)],
    ),
    "bilinear": (lambda f: af.BilinearInterdependence(fabrication=f, b=6), [(6, 4)]),
    "fusion": (lambda f: af.ConcatenationFusion(fabrication=f, dims=(3, 5), n=6), [(5, 3), (5, 5)]),
}


@pytest.fixture
def small_tiles(request, monkeypatch):
    """Tiles so small that every block takes several of them."""
    for plans in (blueprint, formula_of, programs_of):
        plans.forget()
    monkeypatch.setattr(streamed, "TILE", getattr(request, "param", 7))
    yield
    for plans in (blueprint, formula_of, programs_of):
        plans.forget()


def results(role, xs, w, directions):
    """The value, the gradients, the derivative along a direction and the matrix."""
    x, dx = (xs, directions[:-1]) if len(xs) > 1 else (xs[0], directions[0])
    y, pullback = role.vjp(x, w)
    grad_x, grad_w = pullback(y)
    dy = role.jvp(x, w, dx, directions[-1])[1]
    matrix = role.matrix(x, w) if isinstance(role, af.BilinearInterdependence) else role.matrix(w)
    return [y, grad_w, dy, matrix, *(grad_x if len(xs) > 1 else [grad_x])]


def check_agreement(make, role_name, batch, asarray, to_numpy, tolerance):
    rng = np.random.default_rng(0)
    build, shapes = ROLES[role_name]
    held, flowing = (build(make(seed=5, storage=storage)) for storage in ("cached", "streamed"))
    w, dw = (rng.standard_normal((*batch, held.num_parameters())) for _ in range(2))
    xs, dxs = ([rng.standard_normal((*batch, *shape)) for shape in shapes] for _ in range(2))
    expected = results(held, xs, w, [*dxs, dw])
    actual = results(flowing, [asarray(x) for x in xs], asarray(w), [asarray(d) for d in (*dxs, dw)])
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(to_numpy(a), b, rtol=tolerance, atol=tolerance * np.abs(b).max())


@every_variant
@pytest.mark.parametrize("batch", [(), (2,)], ids=["one", "batch"])
@pytest.mark.parametrize("role_name", ROLES)
@pytest.mark.parametrize("small_tiles", [1, 7, 16], indirect=True)
@pytest.mark.usefixtures("small_tiles")
def test_streamed_and_cached_agree_to_rounding(make, role_name, batch):
    check_agreement(make, role_name, batch, np.asarray, np.asarray, 1e-11)


def all_kinds(storage, seed=1):
    """A fabrication with every kind of streamed structure."""
    return VARIANTS["sum"](storage=storage) + VARIANTS["random matrix hypernet"](storage=storage, seed=seed)


@pytest.mark.parametrize("small_tiles", [24], indirect=True)
@pytest.mark.usefixtures("small_tiles")
def test_streams_run_on_every_namespace(namespace):
    tolerance = 2e-4 if namespace.dtype_name == "float32" else 1e-11
    check_agreement(all_kinds, "reconciliation", (), namespace.asarray, namespace.to_numpy, tolerance)


@every_variant
@pytest.mark.usefixtures("small_tiles")
def test_the_structured_matrix_streams_from_either_side(make):
    rng = np.random.default_rng(1)
    held, flowing = (make(storage=storage) for storage in ("cached", "streamed"))
    w = rng.standard_normal(held.num_parameters(6, 8))
    W, V = flowing.fabricate(w, 6, 8), held.fabricate(w, 6, 8).to_dense()
    x, z = rng.standard_normal((3, 6)), rng.standard_normal((8, 3))
    for actual, expected in ((x @ W, x @ V), (W @ z, V @ z), (W.to_dense(), V), (W.T.to_dense(), V.T)):
        np.testing.assert_allclose(actual, expected, rtol=1e-11, atol=1e-11)
    g = rng.standard_normal((6, 8))
    np.testing.assert_allclose(flowing.vjp(w, 6, 8)[1](g), held.vjp(w, 6, 8)[1](g), rtol=1e-11, atol=1e-11)


@pytest.mark.usefixtures("small_tiles")
def test_matrices_handed_in_serve_in_place_of_streamed_ones():
    rng = np.random.default_rng(2)
    T = rng.standard_normal((48, 3))
    w = rng.standard_normal(3)
    W = [
        af.RandomMatrixHypernet(l=3, hidden_dim=5, r=3, storage=storage).with_frozen(T=T).fabricate(w, 6, 8)
        for storage in ("cached", "streamed")
    ]
    np.testing.assert_allclose(W[0].to_dense(), W[1].to_dense(), rtol=1e-12)


def leaves(fabrication, n, D):
    return {
        leaf.name: type(leaf)
        for leaf in blueprint(fabrication, n, D).structure.leaves
        if hasattr(leaf, "name")
    }


def test_only_what_does_not_fit_a_tile_is_streamed():
    found = leaves(af.RandomMatrixHypernet(r=4, storage="streamed"), 1024, 1024)
    assert found == {"w": Dense, "P": Dense, "Q": Dense, "S": Dense, "T": Streamed}
    assert Streamed not in leaves(af.RandomMatrixHypernet(r=4), 1024, 1024).values()


def test_what_is_larger_than_the_stated_size_streams_by_itself(monkeypatch):
    assert seeded.CACHED_AT_MOST == 1 << 28
    assert leaves(af.RandomMatrixHypernet(r=4), 16384, 16384)["T"] is Streamed
    assert leaves(af.RandomMatrixHypernet(r=4, storage="cached"), 16384, 16384)["T"] is Dense
    assert leaves(af.RandomMatrixAdaption(r=8), 1 << 20, 1 << 20)["A"] is Dense


def test_every_step_stays_a_tile_where_it_can():
    n = D = 1 << 11
    kinds = {type(s) for s in walk(blueprint(af.Hypernet(storage="streamed"), n, D).structure)}
    assert {Span, Streamed} <= kinds
    kinds = {type(s) for s in walk(blueprint(af.Masked(storage="streamed"), n, D).structure)}
    assert StreamedHadamard in kinds


def walk(structure):
    yield structure
    for child in structure.children:
        yield from walk(child)


def test_no_association_forms_a_streamed_matrix():
    role = af.BilinearInterdependence(
        fabrication=af.RandomMatrixAdaption(r=64, storage="streamed"), b=1 << 15
    )
    structure = formula_of(role, ((1 << 15, 4),)).structure
    assert isinstance(structure, Chain)
    assert "Formed" not in {type(p).__name__ for p in plans(structure.plan()) if holds_streamed(p)}


def plans(plan):
    yield plan
    for operand in plan.operands:
        yield from plans(operand)


def holds_streamed(plan):
    factor = getattr(plan, "factor", None)
    return factor is not None and any(isinstance(leaf, Streamed) for leaf in factor.leaves)


def test_peak_memory_is_that_of_tiles():
    role = af.Reconciliation(fabrication=af.RandomMatrixHypernet(r=4, storage="streamed"), n=1024, D=2048)
    x, w = np.ones((8, 2048), np.float32), role.init(rng=0, dtype=np.float32)
    role(x, w)
    tracemalloc.start()
    y, pullback = role.vjp(x, w)
    pullback(y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    tile = 4 * streamed.TILE
    assert peak < 3 * tile < 4 * 1024 * 2048 * 4 / 2  # T has 32 MiB


def test_nothing_is_cached_of_what_is_streamed():
    frozen.cache.clear()
    fabrication = af.RandomMatrixAdaption(r=2, storage="streamed")
    n = streamed.TILE
    fabrication.fabricate(np.ones(n + 2, np.float32), n, 4).T @ np.ones((n, 1), np.float32)
    assert [key[0].name for key in frozen.cache._held] == ["B"]


@given(st.data())
def test_a_stream_gives_runs_of_the_draw(data):
    matrix = Frozen(3, "A", Gaussian(*data.draw(st.tuples(*[st.integers(1, 9)] * 2))))
    start, stop = sorted(data.draw(st.tuples(*[st.integers(0, matrix.size)] * 2)))
    run = frozen.Stream(matrix, np.zeros(1, np.float32))[start:stop]
    np.testing.assert_array_equal(run, matrix.draw(np.float32).reshape(-1)[start:stop])


A, B, v = Streamed("A", (6, 4)), Dense("B", (6, 4)), Streamed("v", (1, 6))


def test_formulas_find_their_streamed_form():
    assert hadamard(A, B) == hadamard(B, A) == StreamedHadamard(B, A)
    assert reshaped(A, (3, 8)) == Streamed("A", (3, 8))
    row = Dense("c", (1, 4))
    assert reshaped(row @ A.T + row @ B.T, (2, 3)).terms[0] == Span(row, A, (2, 3))
    assert Diagonal(v).T is not None


@pytest.mark.parametrize("storage", ["disk", "", 3])
def test_storage_is_checked(storage):
    with pytest.raises(ValueError, match="storage must be 'cached', 'streamed' or None"):
        af.Masked(storage=storage)


def peak_of(call):
    call()
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_a_batch_of_matrices_is_streamed_by_smaller_tiles():
    fabrication = af.RandomMatrixHypernet(r=4, storage="streamed")
    x = np.ones((1, 512), np.float32)
    W = fabrication.fabricate(np.ones((64, 64), np.float32), 1024, 512)
    assert peak_of(lambda: W @ x[0]) < 6 * 4 * streamed.TILE  # all matrices have 32 tiles


def test_an_array_that_lies_the_other_way_round_is_not_copied_whole():
    T = np.asfortranarray(np.ones((1 << 19, 4), np.float32))
    fabrication = af.RandomMatrixHypernet(r=4, storage="streamed").with_frozen(T=T)
    W = fabrication.fabricate(np.ones(64, np.float32), 1024, 512)
    assert peak_of(lambda: np.ones((1, 1024), np.float32) @ W) < 2 * 4 * streamed.TILE


def test_a_copy_of_a_matrix_holds_its_configuration_only():
    W = af.RandomMatrixHypernet(r=4).fabricate(np.ones(64), 256, 256)
    copied = pickle.dumps(W)
    assert len(copied) < 20_000
    np.testing.assert_array_equal(pickle.loads(copied).to_dense(), W.to_dense())
