"""What is written down of a formula is what the formula does."""

import operator
import tracemalloc

import numpy as np
import pytest
from dense_reference import assert_equal, by_fabrication, by_lead, by_name, by_role, integers
from namespaces import ENTRIES

from arrayfab import Full, LowRank, RandomMatrixAdaption, Reconciliation, _arrays
from arrayfab._arrays import backend_of
from arrayfab.programs import ELEMENTWISE, Interpreted, Program, traced
from arrayfab.roles import formula_of
from arrayfab.ruled import MOST_PROGRAMS, programs_of
from arrayfab.structures import layout

NUMPY = backend_of("test", "x", np.zeros(1))


def results(program, arrays):
    """The value with what is kept, and the gradients, of which the second call gives the same."""
    (y,), kept = program.linearize(*arrays)
    u = np.cos(np.arange(y.size, dtype=y.dtype)).reshape(y.shape)
    gradients = program.pullback(*kept, u)
    for once, again in zip(gradients, program.pullback(*kept, u), strict=True):
        np.testing.assert_array_equal(once, again)
    return [y, *gradients]


def settled(layer, *call):
    """How a layer is entered for the second time: what is met once is interpreted."""
    layer._enter(*call)
    return layer._enter(*call)


def forget():
    for made in (programs_of, formula_of):
        made.forget()


@pytest.fixture(params=["as they are", "of a few numbers", "of a few numbers by MKL"])
def products(request, monkeypatch):
    """Products that are laid out as small ones are, and as large ones; and as they are for another BLAS."""
    forget()
    monkeypatch.setattr(NUMPY, "in_runs", "MKL" not in request.param)
    if request.param != "as they are":
        for name, value in {"RUN": 2, "CALL": 2, "SHORT": 2, "THIN": 2, "MANY": 0}.items():
            monkeypatch.setattr(layout, name, value)
    yield
    forget()


@by_role
@by_fabrication
@by_lead
@pytest.mark.usefixtures("products")
def test_every_role_of_every_variant_is_written_down_and_gives_the_same_bits(role_case, case, w_lead):
    rng = np.random.default_rng(1)
    role = role_case.build(case.build(*role_case.matrix_shape))
    xs = [rng.standard_normal((2, *shape)) for shape in role_case.x_shapes]
    w = rng.standard_normal((*w_lead, role_case.length(case)))
    entered = settled(role, "xw", role_case.packed(xs), w)
    assert isinstance(entered.program, Program)
    asked = results(Interpreted(role._flat_rule("xw"), NUMPY), entered.arrays)
    for a, b in zip(results(entered.program, entered.arrays), asked, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_array_equal(a, b)
    value = settled(role, "value", role_case.packed(xs), w)
    assert isinstance(value.program, Program)
    np.testing.assert_array_equal(value.program.value(*value.arrays)[0], asked[0])


#: Where arrays are numbers; Dask puts off what it does, and cannot reshape across its chunks.
PLAIN = [entry for entry in ENTRIES if entry.known_as in ("strict", "strict-device1", "torch", "cupy")]


@pytest.mark.parametrize("namespace", [entry.param for entry in PLAIN])
@by_name
@by_lead
def test_programs_speak_the_standard_alone(namespace, role_case, case, w_lead):
    role = role_case.build(case.build(*role_case.matrix_shape))
    xs = [namespace.asarray(integers(i, *shape)) for i, shape in enumerate(role_case.x_shapes)]
    w = namespace.asarray(integers(9, *w_lead, role_case.length(case)))
    entered = settled(role, "xw", role_case.packed(xs), w)
    rule, arrays = role._flat_rule("xw"), entered.arrays
    program = traced(rule, backend_of("test", "w", w), arrays, [tuple(array.shape) for array in arrays], True)
    assert isinstance(program, Program)
    asked = Interpreted(rule, backend_of("test", "w", w))
    ((y,), kept), ((expected,), pull) = program.linearize(*arrays), asked.linearize(*arrays)
    pairs = [(y, expected), *zip(program.pullback(*kept, y), asked.pullback(*pull, y), strict=True)]
    for a, b in pairs:
        assert a.dtype == b.dtype
        assert _arrays.device_of(a) == _arrays.device_of(b)
        np.testing.assert_array_equal(namespace.to_numpy(a), namespace.to_numpy(b))


def test_one_role_serves_shapes_and_dtypes_in_turn():
    # What is added for the bias is made in the dtype of w.
    role = Reconciliation(fabrication=LowRank(r=1), n=2, D=3, bias=True)
    for dtype in (np.float32, np.float64, np.float16, np.float32):
        for lead in ((), (2,), (3,), ()):
            x, w = integers(2, 4, 3).astype(dtype), integers(1, *lead, 7).astype(dtype)
            y = role(x, w)
            assert y.dtype == dtype
            np.testing.assert_array_equal(y, x @ role.matrix(w).mT + w[..., None, -2:])


def test_arrays_may_lie_in_memory_in_any_way_and_change_after_a_pullback_is_made():
    role = Reconciliation(fabrication=LowRank(r=2), n=3, D=4)
    x, w = integers(1, 8, 10)[::2, ::-2][:, :4], integers(2, 28)[::2]
    grad_y = integers(3, 3, 4).T
    expected = [array.copy() for array in (x, w, grad_y)]
    y, pullback = role.vjp(x, w)
    again, pullback_again = role.vjp(*expected[:2])
    assert_equal(y, again)
    for a, b in zip(pullback(grad_y), pullback_again(expected[2]), strict=True):
        assert_equal(a, b)
    y[:] = 0.0
    assert_equal(pullback(grad_y)[1], pullback_again(grad_y)[1])


def test_programs_for_ever_new_shapes_are_not_kept_for_ever():
    role = Reconciliation(fabrication=LowRank(r=1), n=2, D=3)
    x = np.ones((4, 3))
    for count in range(1, 2 * MOST_PROGRAMS):
        assert role(x, np.ones((count, 5))).shape == (count, 4, 2)
    assert len(role._programs) <= MOST_PROGRAMS


def test_what_is_met_once_is_interpreted_and_gives_the_same_bits():
    role = Reconciliation(fabrication=LowRank(r=2), n=3, D=5)
    x, w = np.random.default_rng(0).standard_normal((8, 5)), role.init(rng=0)
    forget()
    entered = [role._enter("value", x, w).program for _ in range(3)]
    assert [type(program) for program in entered] == [Interpreted, Program, Program]
    values = [program.value(w, x)[0] for program in entered]
    np.testing.assert_array_equal(values[0], values[1])


def test_what_is_drawn_on_the_way_is_not_written_down():
    role = Reconciliation(fabrication=RandomMatrixAdaption(r=40, storage="streamed"), n=1 << 15, D=2)
    assert isinstance(settled(role, "value", np.ones((1, 2)), role.init(rng=0)).program, Interpreted)


def linear(xp, x, a):
    """``y = x a`` and its pullback."""
    return (x @ a,), lambda g: (g @ xp.mT(a), xp.mT(x) @ g)


def looking(xp, x, a):
    return linear(xp, x if x[0, 0] > 0 else 2.0 * x, a)


def converting(xp, x, a):
    return linear(xp, np.asarray(x) + 0.0 * x, a)


def counting_by_numpy(xp, x, a):
    return linear(xp, x / np.size(x), a)


def choosing(xp, x, a):
    return linear(xp, x + x[:, np.argmax(x[0])][:, None], a)


def picking(xp, x, a):
    return linear(xp, x[[2, 0, 1]], a)


def permuting(xp, x, a):
    return linear(xp, x[..., np.asarray([1, 0])], a)


def multiplying_by_numpy(xp, x, a):
    return (np.dot(x, a),), linear(xp, x, a)[1]


def mixing(xp, x, a):
    return linear(xp, np.ones(x.shape) * x, a)


def spreading(xp, x, a):
    return linear(xp, x * (1.0, 2.0), a)


def guessing(xp, x, a):
    return linear(xp, xp.reshape(x, (-1, 2)), a)


def asking_for_a_dtype(xp, x, a):
    return linear(xp, x if (x + 0.0).dtype == np.float64 else 2.0 * x, a)


def unknown(xp, x, a):
    return linear(xp, xp.xp.cumulative_sum(x, axis=0), a)


def writing(change):
    def formula(xp, x, a):
        x = x + 0.0
        same = x
        x = change(x, 2.0)
        return linear(xp, x + same, a)

    return formula


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


class Keeping:
    """A formula that keeps an array from one call to the next."""

    def __call__(self, xp, x, a):
        if not hasattr(self, "ones"):
            self.ones = xp.xp.full((1, 2), 1.0)
        return linear(xp, x + self.ones, a)


@pytest.mark.parametrize(
    "formula",
    [
        looking,
        converting,
        counting_by_numpy,
        choosing,
        picking,
        permuting,
        multiplying_by_numpy,
        mixing,
        spreading,
        guessing,
        asking_for_a_dtype,
        unknown,
        Counting(),
        once,
        *(
            writing(change)
            for change in (
                operator.iadd,
                operator.isub,
                operator.imul,
                operator.itruediv,
                operator.ipow,
            )
        ),
    ],
)
def test_what_is_no_function_of_shapes_is_not_written_down(formula):
    assert written(formula, np.ones((3, 2)), np.ones((2, 2))) is None


def written(formula, *arrays):
    return traced(formula, NUMPY, arrays, [array.shape for array in arrays], True)


def test_what_belongs_to_another_tape_is_not_written_down():
    formula = Keeping()
    assert written(formula, np.ones((3, 2)), np.ones((2, 2)))
    assert written(formula, np.ones((3, 2)), np.ones((2, 2))) is None


@pytest.mark.parametrize("name", sorted(ELEMENTWISE))
def test_functions_of_every_entry_are_written_down(name):
    function = getattr(NUMPY.xp, name)
    binary = name in ("maximum", "minimum")

    def formula(xp, x, row):
        f = getattr(xp.xp, name)
        if name == "where":
            return (f(x == 0.5, x, row),), lambda g: (g, row)
        return (f(x, row) if binary else f(x),), lambda g: (g, row)

    x, row = np.linspace(0.25, 0.75, 6).reshape(3, 2), np.asarray([[0.5, 0.25]])
    expected = function(x == 0.5, x, row) if name == "where" else function(*((x, row) if binary else (x,)))
    np.testing.assert_array_equal(written(formula, x, row).value(x, row)[0], expected)


@pytest.mark.parametrize(
    "formula",
    [
        lambda x, a: x + a,
        lambda x, a: 2.0 - a,
        lambda x, a: -2.0 - a,
        lambda x, a: x / a,
        lambda x, a: -1.0 / x,
        lambda x, a: (-x) ** 2,
        lambda x, a: x**-1.0 * a,
        lambda x, a: (x + a) * (x + a),
    ],
)
def test_operators_are_written_down(formula):
    x, a = integers(1, 3, 2) + 9.0, integers(2, 1, 2) + 9.0
    program = written(lambda xp, x, a: ((formula(x, a),), lambda g: (g,)), x, a)
    np.testing.assert_array_equal(program.value(x, a)[0], formula(x, a))


def test_an_array_is_let_go_of_as_soon_as_nothing_reads_it():
    """Ten large arrays, one after another, never more than two of them at once."""

    def formula(xp, x):
        y = x
        for _ in range(10):
            y = 2.0 * y
        return (y,), lambda g: (g,)

    x = np.ones(100_000)
    program = written(formula, x)
    program.value(x)
    tracemalloc.start()
    program.value(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5 * x.nbytes


def test_what_is_summed_up_for_one_gradient_is_let_go_of_before_the_next_is_made():
    def formula(xp, x):
        def pullback(g):
            second = 2.0 * g
            return xp.sum(x * g, axis=0), second

        return (x,), pullback

    x = np.ones((1_000, 100))
    program = written(formula, x)
    _, kept = program.linearize(x)
    program.pullback(*kept, x)
    tracemalloc.start()
    program.pullback(*kept, x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * x.nbytes


def test_what_is_written_twice_is_computed_once_and_what_nothing_needs_not_at_all():
    counted = []

    class Counted(np.ndarray):
        def __array_ufunc__(self, ufunc, method, *inputs, **options):
            counted.append(ufunc)
            plain = [np.asarray(a) if isinstance(a, np.ndarray) else a for a in inputs]
            return getattr(ufunc, method)(*plain, **options).view(Counted)

    def formula(xp, x):
        _ = x - 1.0
        return ((x + 1.0) * (x + 1.0),), lambda g: (g * (x + 1.0) * 2.0,)

    x = np.ones(3).view(Counted)
    program = written(formula, np.ones(3))
    (y,), kept = program.linearize(x)
    assert counted == [np.add, np.multiply]
    program.pullback(*kept, y)
    assert counted == [np.add, np.multiply, np.multiply, np.multiply]


def test_an_array_transposed_twice_is_the_array():
    program = written(lambda xp, x: ((x.mT.mT + 0.0,), lambda g: (g,)), np.ones((2, 3)))
    assert [line.text for line in program.forward][-1] == "x0 + 0.0"


def test_a_role_of_plain_matrices_costs_one_product_and_its_views():
    """The least that a program can be: split, reshape, multiply."""
    role = Reconciliation(fabrication=Full(), n=2, D=3)
    program = settled(role, "value", np.ones((4, 3)), np.ones(6)).program
    lines = [line.text.partition("(")[0].partition("[")[0] for line in program.forward]
    assert lines == ["x1.shape", "x0", "reshape", "mT", "x1 @ t3"]
    assert "shape" not in program.value.__code__.co_names
