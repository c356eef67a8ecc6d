"""Rows shard over Dask: chunks, laziness and graphs counted; a cluster whose data fit no worker."""

import os
import pickle
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from dense_reference import integers

import arrayfab as af
from arrayfab import _arrays, frozen
from arrayfab.frozen import philox
from arrayfab.gradients import mean_squared_error, scipy_objective, value_and_grad

dask = pytest.importorskip("dask", reason="Dask is not installed")
da = pytest.importorskip("dask.array")

M, ROWS = 24, 10  # columns of x, rows of a chunk


def attribute(fabrication):
    return af.ParameterizedInterdependence(fabrication=fabrication, m=M)


ROWWISE = {
    "reconciliation": af.Reconciliation(fabrication=af.LowRank(r=2), n=8, D=M, bias=True),
    "full": attribute(af.Full()),
    "low rank": attribute(af.LowRank(r=2)),
    "dual lphm": attribute(af.DualLPHM(p=4, q=4, r=2)),
    "adaption": attribute(af.RandomMatrixAdaption(r=2)),
    "hypernet": attribute(af.RandomMatrixHypernet(l=5, hidden_dim=6, r=2)),
    "sum": attribute(af.Eye() + af.LowRank(r=2)),
    "fusion": af.ConcatenationFusion(fabrication=af.LowRank(r=2), dims=(M, M, M), n=8),
    "model": af.Sequential([attribute(af.LowRank(r=2)), af.Pointwise("tanh"), attribute(af.Full())]),
}
# Attributes depend on attributes, and instances on instances through a W whose factors are thin.
BILINEAR = af.BilinearInterdependence(fabrication=af.LowRank(r=2), b=40)
INSTANCE = af.ParameterizedInterdependence(fabrication=af.LowRank(r=2), b=40, interdependence_type="instance")

by_role = pytest.mark.parametrize("role", ROWWISE.values(), ids=ROWWISE.keys())


def refuse(*args, **kwargs):
    raise AssertionError("computed before it was asked for")


def inputs(role, chunks, rows_of_chunk=(ROWS, M)):
    """Data for a role, by rows, and learned numbers; on the host."""
    count = 3 if isinstance(role, af.ConcatenationFusion) else 1
    xs = [integers(i, chunks * rows_of_chunk[0], M) for i in range(count)]
    return (xs if count > 1 else xs[0]), integers(9, role.num_parameters())


def everything(role, x, w, rows_of_chunk=(ROWS, M)):
    """``y``, the gradients of ``|y|² / 2`` in all inputs, and that in ``w``, as unfinished arrays."""
    is_list = isinstance(x, list)
    lazy = [da.from_array(a, chunks=rows_of_chunk) for a in (x if is_list else [x])]
    with dask.config.set(scheduler=refuse):
        y, pullback = role.vjp(lazy if is_list else lazy[0], da.from_array(w, chunks=-1))
        grad_x, grad_w = pullback(y)
    return y, (grad_x if is_list else [grad_x]), grad_w


def tasks(array):
    """Every task that an array needs, with the keys of those that it needs itself."""
    graph = array.__dask_graph__()
    return {key: graph.get_all_dependencies()[key] for key in graph}


@by_role
def test_chunks_of_rows_stay_chunks_of_rows(role):
    y, grad_xs, grad_w = everything(role, *inputs(role, 8))
    for array in (y, *grad_xs):
        assert array.chunks == ((ROWS,) * 8, (array.shape[1],))
    # No more chunks than w has blocks, however many rows there are.
    assert grad_w.chunks == everything(role, *inputs(role, 4))[2].chunks


@by_role
def test_the_numbers_are_those_of_numpy(role):
    x, w = inputs(role, 8)
    y, pullback = role.vjp(x, w)
    grad_x, grad_w = pullback(y)
    lazy = everything(role, x, w)
    actual = dask.compute(lazy[0], *lazy[1], lazy[2])
    expected = [y, *(grad_x if isinstance(grad_x, list) else [grad_x]), grad_w]
    for array, numbers in zip(actual, expected, strict=True):
        np.testing.assert_allclose(array, numbers, rtol=1e-10, atol=1e-8 * np.abs(numbers).max())


@by_role
def test_graphs_grow_linearly_and_no_task_waits_for_many(role):
    sizes, widths = [], []
    for chunks in (4, 16, 64):
        y, grad_xs, grad_w = everything(role, *inputs(role, chunks))
        graphs = [tasks(array) for array in (y, *grad_xs, grad_w)]
        sizes.append([len(graph) for graph in graphs])
        widths.append([max(map(len, graph.values())) for graph in graphs])
    small, medium, large = np.asarray(sizes)
    # Dask adds up by trees of four, which are full for powers of four: then "linear" is exact.
    np.testing.assert_array_equal(large - medium, 4 * (medium - small))
    assert widths[0] == widths[1] == widths[2]
    assert np.max(widths) <= 4


@pytest.mark.parametrize(
    ("role", "shard"),
    [(BILINEAR, (ROWS, M)), (INSTANCE, (40, 6))],
    ids=["bilinear by rows", "instance by columns"],
)
def test_other_roles_shard_where_the_page_says_so(role, shard):
    x, w = inputs(role, 40 // shard[0], shard)
    y, (grad_x,), grad_w = everything(role, x, w, shard)
    chunks = da.from_array(x, chunks=shard).chunks
    assert y.chunks == grad_x.chunks == chunks
    expected, pullback = role.vjp(x, w)
    for array, numbers in zip(dask.compute(y, grad_x, grad_w), (expected, *pullback(expected)), strict=True):
        np.testing.assert_array_equal(array, numbers)


def test_instances_chunked_by_rows_become_one_chunk():
    y, _, _ = everything(INSTANCE, *inputs(INSTANCE, 4))
    assert y.numblocks == (1, 1)


@pytest.mark.parametrize("storage", ["cached", "streamed"])
def test_a_frozen_matrix_travels_as_its_seed(storage, monkeypatch):
    fabrication = af.RandomMatrixAdaption(r=64, seed=5, storage=storage)
    role = af.Reconciliation(fabrication=fabrication, n=20_000, D=4)
    x, w = da.ones((2, 4), chunks=(1, 4)), da.ones(role.num_parameters(), chunks=-1)
    frozen.cache.clear()
    monkeypatch.setattr(philox, "generator", refuse)
    y = role(x, w)  # nothing is drawn yet
    monkeypatch.undo()
    assert len(pickle.dumps(dict(y.__dask_graph__()))) < 100_000  # the matrix has ten million bytes
    expected = role(np.ones((2, 4)), np.ones(role.num_parameters()))
    np.testing.assert_allclose(y.compute(), expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())


def test_a_step_of_an_optimizer_computes_once():
    role = ROWWISE["low rank"]
    x, w = inputs(role, 4)
    calls = []

    def counted(dsk, keys, **kwargs):
        calls.append(keys)
        return dask.get(dsk, keys, **kwargs)

    objective = scipy_objective(role, mean_squared_error, *(da.from_array(x, chunks=(ROWS, M)),) * 2)
    with dask.config.set(scheduler=counted):
        value, grad = objective(w)
    assert len(calls) == 1
    expected_value, expected_grad = value_and_grad(role, mean_squared_error)(w, x, x)
    np.testing.assert_allclose(value, expected_value, rtol=1e-12)
    np.testing.assert_allclose(grad, expected_grad, rtol=1e-12)


def test_rows_must_be_counted_first():
    x = da.ones((20, M), chunks=(ROWS, M))
    some = x[x[:, 0] > 0]
    role = ROWWISE["low rank"]
    w = da.ones(role.num_parameters(), chunks=-1)
    with pytest.raises(ValueError, match=r"sizes of x must be known, got .*nan.*compute_chunk_sizes"):
        role(some, w)
    assert role(some.compute_chunk_sizes(), w).shape == (20, M)


def chunks_of(kind):
    x = integers(1, 20, M)
    if kind == "masked":
        return da.ma.masked_greater(da.from_array(x, chunks=(ROWS, M)), 0)
    if kind == "a masked array":
        return da.from_array(np.ma.masked_greater(x, 0), chunks=(ROWS, M))
    return da.from_array(x, chunks=(ROWS, M)).map_blocks(np.matrix, meta=np.matrix([[]]))


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("kind", ["masked", "a masked array", "a matrix"])
@pytest.mark.parametrize("place", ["x", "w", "grad_y", "frozen", "the matrix", "a composition"])
def test_chunks_that_are_no_plain_arrays_are_refused(kind, place):
    role, odd = ROWWISE["low rank"], chunks_of(kind)
    x, w = da.from_array(integers(1, 20, M), chunks=(ROWS, M)), da.ones(role.num_parameters(), chunks=-1)
    role(x, w)  # the class of the array is known
    frozen_A = af.RandomMatrixAdaption(r=M).with_frozen(A=odd)
    calls = {
        "x": lambda: role(odd, w),
        "w": lambda: role(x, da.ones_like(odd)[0]) if kind != "a matrix" else role(odd, w),
        "grad_y": lambda: role.vjp(x, w)[1](odd),
        "frozen": lambda: frozen_A.fabricate(da.ones(20 + M, chunks=-1), 20, M),
        "the matrix": lambda: odd @ role.fabrication.fabricate(w, M, M),
        "a composition": lambda: ROWWISE["model"](odd, da.ones(4 * M + M * M, chunks=-1)),
    }
    wanted = "matrix" if kind == "a matrix" else "MaskedArray"
    with pytest.raises(
        TypeError, match=rf"chunks are plain arrays of NumPy, got chunks of numpy\..*{wanted}"
    ):
        calls[place]()


# The cluster. Data are made where they are needed: row i is pattern[i % 251].

COLUMNS, CHUNKS, CHUNK_ROWS, LIMIT = 256, 160, 2048, 320 << 20


def _pattern():
    return integers(3, 251, COLUMNS)


def _rows(block_info=None):
    start, stop = block_info[None]["array-location"][0]
    return _pattern()[np.arange(start, stop) % 251]


def _peak():
    # Not `resource.getrusage`, whose figure a process inherits from the one that started it.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, memory_limit=LIMIT, dashboard_address=None
        ) as workers,
        distributed.Client(workers) as client,
    ):
        yield client


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux, for the peak of a process")
def test_data_that_fit_no_worker(cluster):
    x = da.map_blocks(
        _rows, chunks=((CHUNK_ROWS,) * CHUNKS, (COLUMNS,)), dtype=np.float64, meta=np.empty((0, 0))
    )
    assert x.nbytes == 2 * LIMIT
    role = af.Reconciliation(fabrication=af.LowRank(r=2), n=16, D=COLUMNS)
    w = integers(4, role.num_parameters())
    before = cluster.run(os.getpid)
    y, pullback = role.vjp(x, da.from_array(w, chunks=-1))
    grad_x, grad_w = pullback(y)
    value, actual, total = dask.compute(da.sum(y * y), grad_w, da.sum(grad_x, axis=0))
    assert cluster.run(os.getpid) == before  # no worker was killed and started again
    assert max(cluster.run(_peak).values()) < LIMIT

    # The same on each distinct row once, times how often it occurs. All are integers below 2⁵³: exact.
    occurs = np.bincount(np.arange(x.shape[0]) % 251)[:, None]
    y, pullback = role.vjp(_pattern(), w)
    grad_x, grad_w = pullback(occurs * y)
    assert value == np.sum(occurs * y * y)
    np.testing.assert_array_equal(actual, grad_w)
    np.testing.assert_array_equal(total, np.sum(grad_x, axis=0))
    A, Bt = w[:32].reshape(16, 2), w[32:].reshape(2, COLUMNS)
    G = (occurs * (_pattern() @ (A @ Bt).T)).T @ _pattern()  # the gradient in W, formed
    np.testing.assert_array_equal(actual, np.concat([(G @ Bt.T).reshape(-1), (A.T @ G).reshape(-1)]))


def test_a_step_by_futures_equals_that_on_all_rows(cluster):
    from data_parallel import objective_of_futures

    role = ROWWISE["dual lphm"]
    x, w = inputs(role, 5)
    target = integers(8, *x.shape)
    edges = [0, 7, 20, 30, 41, 50]  # shards of several sizes
    shards = [(x[a:b], target[a:b]) for a, b in pairwise(edges)]
    value, grad = objective_of_futures(cluster, role, mean_squared_error, cluster.scatter(shards), len(x))(w)
    expected_value, expected_grad = value_and_grad(role, mean_squared_error)(w, x, target)
    np.testing.assert_allclose(value, expected_value, rtol=1e-12)
    np.testing.assert_allclose(grad, expected_grad, rtol=1e-12, atol=1e-12 * np.abs(expected_grad).max())


@pytest.mark.parametrize(("before", "after"), [((4, 6), (12, 2)), ((2, 9), (6, 3)), ((2, 3, 4), (2, 4, 3))])
def test_what_splits_and_merges_axes_takes_two_passes(before, after):
    numbers = integers(1, *before)
    lazy = _arrays.backend_of("test", "x", da.asarray(numbers)).reshape(da.asarray(numbers).rechunk(2), after)
    assert np.array_equal(lazy.compute(), numbers.reshape(after))
