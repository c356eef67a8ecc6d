"""What is written down of a formula is what the formula does."""

import tracemalloc

import numpy as np
import pytest
from dense_reference import by_fabrication, by_lead, by_name, by_role, integers
from namespaces import ENTRIES

from arrayfab import Full, LowRank, RandomMatrixAdaption, Reconciliation, _arrays
from arrayfab._arrays import backend_of
from arrayfab.structures.tracing import Interpreted, Program, traced

NUMPY = backend_of("test", "x", np.zeros(1))


def results(program, arrays):
    """The value, alone and with what is kept, and the gradients, of which the second call gives the same."""
    y, kept = program.linearize(*arrays)
    u = np.cos(np.arange(y.size, dtype=y.dtype)).reshape(y.shape)
    gradients = program.pullback(*kept, u)
    for once, again in zip(gradients, program.pullback(*kept, u), strict=True):
        np.testing.assert_array_equal(once, again)
    return [program.value(*arrays), y, *gradients]


@by_role
@by_fabrication
@by_lead
def test_every_role_of_every_variant_is_written_down_and_gives_the_same_bits(role_case, case, w_lead):
    role = role_case.build(case.build(*role_case.matrix_shape))
    xs = [integers(i, 2, *shape) for i, shape in enumerate(role_case.x_shapes)]
    call, backend, arrays = role._bind(role_case.packed(xs), integers(9, *w_lead, role_case.length(case)))
    program = call.program(backend, arrays[0])
    assert isinstance(program, Program)
    asked = results(Interpreted(call._vjp, backend), arrays)
    for a, b in zip(results(program, arrays), asked, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_array_equal(a, b)


#: Where arrays are numbers; Dask puts off what it does, and cannot reshape across its chunks.
PLAIN = [entry for entry in ENTRIES if entry.known_as in ("strict", "strict-device1", "torch", "cupy")]


@pytest.mark.parametrize("namespace", [entry.param for entry in PLAIN])
@by_name
@by_lead
def test_programs_speak_the_standard_alone(namespace, role_case, case, w_lead):
    role = role_case.build(case.build(*role_case.matrix_shape))
    xs = [namespace.asarray(integers(i, *shape)) for i, shape in enumerate(role_case.x_shapes)]
    w = namespace.asarray(integers(9, *w_lead, role_case.length(case)))
    call, backend, arrays = role._bind(role_case.packed(xs), w)
    program = traced(call._vjp, backend, w, [tuple(array.shape) for array in arrays])
    assert isinstance(program, Program)
    asked = Interpreted(call._vjp, backend)
    (y, kept), (expected, pull) = program.linearize(*arrays), asked.linearize(*arrays)
    pairs = [(y, expected), *zip(program.pullback(*kept, y), asked.pullback(*pull, y), strict=True)]
    for a, b in pairs:
        assert a.dtype == b.dtype
        assert _arrays.device_of(a) == _arrays.device_of(b)
        np.testing.assert_array_equal(namespace.to_numpy(a), namespace.to_numpy(b))


def test_one_role_serves_shapes_and_dtypes_in_turn():
    role = Reconciliation(fabrication=LowRank(r=1), n=2, D=3)
    for dtype in (np.float32, np.float64, np.float32):
        for lead in ((), (2,), (3,), ()):
            w = integers(1, *lead, 5).astype(dtype)
            y = role(np.ones((4, 3), dtype), w)
            assert (y.dtype, y.shape) == (dtype, (*lead, 4, 2))


def test_what_is_drawn_on_the_way_is_not_written_down():
    role = Reconciliation(fabrication=RandomMatrixAdaption(r=40, storage="streamed"), n=1 << 15, D=2)
    call, backend, arrays = role._bind(np.ones((1, 2)), role.init(rng=0))
    assert isinstance(call.program(backend, arrays[0]), Interpreted)


def linear(xp, x, a):
    """``y = x a`` and its pullback."""
    return x @ a, lambda g: (g @ xp.mT(a), xp.mT(x) @ g)


def looking(xp, x, a):
    return linear(xp, x if x[0, 0] > 0 else 2.0 * x, a)


def converting(xp, x, a):
    return linear(xp, np.asarray(x), a)


def mixing(xp, x, a):
    return linear(xp, np.ones(x.shape) * x, a)


def writing(xp, x, a):
    x = x + 0.0
    x += 1.0
    return linear(xp, x, a)


def unknown(xp, x, a):
    return linear(xp, xp.xp.cumulative_sum(x, axis=0), a)


class Counting:
    """A formula that gives something else each time."""

    def __init__(self):
        self.calls = 0

    def __call__(self, xp, x, a):
        self.calls += 1
        return linear(xp, x * self.calls, a)


def once(xp, x, a):
    """A pullback that may be called once."""
    y, pull = linear(xp, x, a)
    pulls = [pull]
    return y, lambda g: pulls.pop()(g)


@pytest.mark.parametrize("formula", [looking, converting, mixing, writing, unknown, Counting(), once])
def test_what_is_no_function_of_shapes_is_asked_anew(formula):
    x, a = integers(1, 3, 2), integers(2, 2, 2)
    found = traced(formula, NUMPY, x, [x.shape, a.shape])
    assert isinstance(found, Interpreted)
    y, _ = found.linearize(x, a)
    if isinstance(formula, Counting):
        formula.calls -= 1
    np.testing.assert_array_equal(y, formula(NUMPY, x, a)[0])


def test_an_array_is_let_go_of_as_soon_as_nothing_reads_it():
    """Ten large arrays, one after another, never more than two of them at once."""

    def formula(xp, x):
        y = x
        for _ in range(10):
            y = 2.0 * y
        return y, lambda g: (g,)

    x = np.ones(100_000)
    program = traced(formula, NUMPY, x, [x.shape])
    program.value(x)
    tracemalloc.start()
    program.value(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5 * x.nbytes


def test_what_is_written_twice_is_computed_once_and_what_nothing_needs_not_at_all():
    counted = []

    class Counted(np.ndarray):
        def __array_ufunc__(self, ufunc, method, *inputs, **options):
            counted.append(ufunc)
            plain = [np.asarray(a) if isinstance(a, np.ndarray) else a for a in inputs]
            return getattr(ufunc, method)(*plain, **options).view(Counted)

    def formula(xp, x):
        _ = x - 1.0
        return (x + 1.0) * (x + 1.0), lambda g: (g * (x + 1.0) * 2.0,)

    x = np.ones(3).view(Counted)
    program = traced(formula, NUMPY, np.ones(3), [x.shape])
    y, kept = program.linearize(x)
    assert counted == [np.add, np.multiply]
    program.pullback(*kept, y)
    assert counted == [np.add, np.multiply, np.multiply, np.multiply]


def test_a_role_of_plain_matrices_costs_one_product_and_its_views():
    """The least that a program can be: split, reshape, multiply."""
    role = Reconciliation(fabrication=Full(), n=2, D=3)
    call, backend, arrays = role._bind(np.ones((4, 3)), np.ones(6))
    program = call.program(backend, arrays[0])
    lines = [line.text.partition("(")[0].partition("[")[0] for line in program._forward]
    assert lines == ["x0", "reshape", "mT", "x1 @ t2"]
