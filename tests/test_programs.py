"""Programs that serve any number of rows, and what they are asked for."""

import builtins
import pickle
import tracemalloc
from unittest import mock

import numpy as np
import pytest
from dense_reference import by_fabrication, by_lead, by_role, integers

import arrayfab as af
from arrayfab.gradients import mean_squared_error, softmax_cross_entropy, value_and_grad
from arrayfab.programs import Program, Symbol, broadcast, program, regime
from arrayfab.ruled import programs_of

COUNTS = [1, 2, 3, 0, 5, 8, 31, 32, 33, 47, 64, 100, 257, 1000]


def test_symbols_are_polynomials_in_the_number_of_rows():
    rows = regime(100)
    for at in (0, 7, 100):
        scope = {"rows": at}
        for made, value in [
            (rows * 3, at * 3),
            (2 + rows, 2 + at),
            (rows * rows - 1, at * at - 1),
            (5 - rows, 5 - at),
        ]:
            assert isinstance(made, Symbol)
            assert eval(made.text, scope) == value
    assert 2 * rows == rows + rows != 2 * int(rows)
    assert (0 * rows, rows - rows) == (0, 0)
    assert (3 * rows * rows + 1).at(5) == 76
    assert len({rows * 2, 2 * rows, rows}) == 2
    assert broadcast((rows, 1, 3), (4, 1)) == (rows, 4, 3)
    with pytest.raises(ValueError, match="do not broadcast"):
        broadcast((rows,), (3,))
    for refused in (lambda: rows // 2, lambda: rows % 2, lambda: 1 / rows, lambda: rows**2):
        with pytest.raises(TypeError, match="is not known"):
            refused()


def test_data_without_columns_have_a_program_too():
    full = af.Full()
    role = af.ParameterizedInterdependence(fabrication=full, b=2, b_prime=4, interdependence_type="instance")
    y, pullback = role.vjp(np.ones((3, 2, 0)), np.ones(8))
    grad_x, grad_w = pullback(np.ones((3, 4, 0)))
    assert (y.shape, grad_x.shape) == ((3, 4, 0), (3, 2, 0))
    np.testing.assert_array_equal(grad_w, np.zeros(8))


def test_one_row_is_a_regime_of_its_own_and_others_lie_around_powers_of_two():
    assert regime(1) == 1
    assert all(isinstance(regime(rows), Symbol) for rows in (0, 2, 3, 10**9))
    for rows in range(2, 4000):
        assert 2**-0.5 <= int(regime(rows)) / rows <= 2**0.5


def model(layer_of=af.LowRank):
    return af.Sequential(
        [
            af.Reconciliation(fabrication=layer_of(r=2), n=8, D=16, bias=True),
            af.Pointwise("tanh"),
            af.Parallel(
                [
                    af.ParameterizedInterdependence(fabrication=af.DualLPHM(p=2, q=2), m=8),
                    af.Sequential([af.Reshape((8,), (2, 4)), af.Reshape((2, 4), (8,))]),
                ]
            ),
            af.ConcatenationFusion(fabrication=af.RandomMatrixAdaption(r=2), dims=(8, 8), n=3),
        ]
    )


LAYERS = {
    "low rank": af.Reconciliation(fabrication=af.LowRank(r=2), n=3, D=16, bias=True),
    "dual lphm": af.ParameterizedInterdependence(fabrication=af.DualLPHM(p=2, q=2), m=16),
    "adaption": af.Reconciliation(fabrication=af.RandomMatrixAdaption(r=2), n=3, D=16),
    "hypernet": af.Reconciliation(fabrication=af.RandomMatrixHypernet(l=5), n=3, D=16),
    "model": model(),
}


@pytest.mark.parametrize("name", LAYERS)
def test_any_number_of_rows_gives_what_single_rows_give(name):
    layer = LAYERS[name]
    w = layer.init(rng=0)
    for rows in COUNTS:
        x = np.random.default_rng(rows).standard_normal((rows, 16))
        y, pullback = layer.vjp(x, w)
        u = np.cos(np.arange(y.size)).reshape(y.shape)
        grad_x, grad_w = pullback(u)
        each = [layer.vjp(x[i], w) for i in range(rows)]
        pulled = [pull(u[i]) for i, (_, pull) in enumerate(each)]
        for many, single in [
            (y, [one for one, _ in each]),
            (layer(x, w), [one for one, _ in each]),
            (grad_x, [g for g, _ in pulled]),
        ]:
            np.testing.assert_allclose(many, np.reshape(single, many.shape), rtol=1e-12, atol=1e-13)
        total = sum((g for _, g in pulled), start=np.zeros_like(w))
        np.testing.assert_allclose(grad_w, total, rtol=1e-11, atol=1e-11 * max(rows, 1))
        dy = layer.jvp(x, w, np.ones_like(x), np.ones_like(w))[1]
        np.testing.assert_allclose(np.sum(u * dy), np.sum(grad_x) + np.sum(grad_w), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", LAYERS)
def test_a_handful_of_programs_serves_ten_thousand_numbers_of_rows(name):
    layer = LAYERS[name]
    programs_of.forget()
    program._compiled.cache_clear()
    layer = pickle.loads(pickle.dumps(layer))
    w, x = layer.init(rng=0), np.ones((10_000, 16))
    objective = value_and_grad(layer, mean_squared_error)
    target = np.zeros((10_000, layer(x[:1], w).shape[-1]))
    counts = np.random.default_rng(0).permutation(10_000)[:2_000]
    with mock.patch.object(builtins, "compile", wraps=compile) as compiled:
        for rows in counts[:200]:
            layer(x[:rows], w)
            objective(w, x[: rows + 1], target[: rows + 1])
        first = compiled.call_count
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for rows in counts[200:]:
            layer(x[:rows], w)
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
    assert first <= 20
    assert compiled.call_count - first <= 4
    assert grown < 10 << 20


@by_role
@by_fabrication
@by_lead
def test_gradients_that_are_not_wanted_are_left_out(role_case, case, w_lead):
    role = role_case.build(case.build(*role_case.matrix_shape))
    xs = [integers(i, *shape) for i, shape in enumerate(role_case.x_shapes)]
    w = integers(9, *w_lead, role_case.length(case))
    y, pullback = role.vjp(role_case.packed(xs), w)
    u = integers(10, *y.shape)
    both = pullback(u)
    for wrt, place in (("x", 0), ("w", 1)):
        again, pull = role.vjp(role_case.packed(xs), w, wrt=wrt)
        np.testing.assert_array_equal(again, y)
        grads = pull(u)
        assert grads[1 - place] is None
        pairs = [(grads[place], both[place])]
        if isinstance(both[place], list):
            pairs = list(zip(*pairs[0], strict=True))
        for one, other in pairs:
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("fabrication", [af.LowRank(r=1), af.RandomMatrixAdaption(r=2)], ids=str)
def test_what_is_asked_does_not_change_the_value(fabrication):
    # Large enough for thin products that read the data to be one.
    role = af.BilinearInterdependence(fabrication=fabrication, b=36)
    x, w = np.random.default_rng(0).standard_normal((36, 40)), role.init(rng=0)
    for wrt in ("xw", "x", "w"):
        np.testing.assert_array_equal(role.vjp(x, w, wrt=wrt)[0], role(x, w))
    np.testing.assert_array_equal(role.jvp(x, w, x, w)[0], role(x, w))


def test_a_gradient_of_the_data_that_is_not_wanted_is_not_computed():
    role = af.Reconciliation(fabrication=af.Full(), n=4, D=3)
    x, w = np.ones((5, 3)), np.ones(12)
    lines = {wrt: [role._enter(wrt, x, w) for _ in range(2)][1].program.backward for wrt in ("xw", "w")}
    products = {wrt: sum("@" in line.text for line in lines[wrt]) for wrt in lines}
    assert products == {"xw": 2, "w": 1}
    with pytest.raises(ValueError, match="wrt must be one of"):
        role.vjp(x, w, wrt="y")


class Logged:
    """A layer of someone else's: twice the data, and it counts its calls."""

    def __init__(self):
        self.calls = 0

    def num_parameters(self):
        return 0

    def init(self, **options):
        return np.zeros(0)

    def __call__(self, x, w):
        self.calls += 1
        return 2.0 * x

    def vjp(self, x, w):
        return self(x, w), lambda g: (2.0 * g, None)

    def jvp(self, x, w, dx, dw):
        return self(x, w), 2.0 * dx


def test_a_layer_of_someone_elses_is_called_in_between():
    first, last = (af.Reconciliation(fabrication=af.LowRank(r=1), n=n, D=D) for n, D in ((4, 6), (2, 4)))
    theirs = Logged()
    mixed, ours = af.Sequential([first, theirs, last]), af.Sequential([first, last])
    x, w, u = integers(1, 5, 6), integers(2, 16), integers(3, 5, 2)
    y, pullback = mixed.vjp(x, w)
    assert theirs.calls == 1
    np.testing.assert_array_equal(y, 2 * ours(x, w))
    grad_x, grad_w = pullback(u)
    expected_x, expected_w = ours.vjp(x, w)[1](u)
    np.testing.assert_array_equal(grad_x, 2 * expected_x)
    np.testing.assert_array_equal(grad_w, 2 * expected_w)
    np.testing.assert_array_equal(mixed.vjp(x, w, wrt="w")[1](u)[1], grad_w)
    np.testing.assert_array_equal(mixed.jvp(x, w, x, w)[1], 2 * ours.jvp(x, w, x, w)[1])


def test_a_plain_branch_follows_a_batched_w_beside_a_layer_of_someone_elses():
    low = af.Reconciliation(fabrication=af.LowRank(r=1), n=2, D=3)
    both = af.Parallel([low, af.Pointwise("tanh"), Logged()])
    x, w = 0.1 * integers(1, 4, 3), 0.1 * integers(2, 2, 5)
    ys, pullback = both.vjp(x, w)
    assert [y.shape for y in ys[:2]] == [(2, 4, 2), (2, 4, 3)]
    assert both(x, w)[1].shape == both.jvp(x, w, x, w)[1][1].shape == (2, 4, 3)
    grad_x, grad_w = pullback([np.ones_like(y) for y in ys])
    expected = [low.vjp(x, w[i])[1](np.ones((4, 2))) for i in range(2)]
    np.testing.assert_allclose(grad_w, [g for _, g in expected])
    plain = 2 * (1 - np.tanh(x) ** 2) + 2.0
    np.testing.assert_allclose(grad_x, sum(g for g, _ in expected) + plain)


class Doubled(af.Reconciliation):
    """Someone's role that does more than its formula."""

    def __call__(self, x, w):
        return 2.0 * super().__call__(x, w)

    def vjp(self, x, w, **options):
        y, pull = super().vjp(x, w, **options)
        return 2.0 * y, lambda g: pull(2.0 * g)


def test_a_role_that_someone_changed_is_called_as_it_is():
    plain, doubled = (kind(fabrication=af.LowRank(r=1), n=2, D=3) for kind in (af.Reconciliation, Doubled))
    x, w = integers(1, 4, 3), integers(2, 5)
    np.testing.assert_array_equal(af.Sequential([doubled])(x, w), 2 * plain(x, w))
    value, grad = value_and_grad(af.Sequential([doubled]), mean_squared_error)(w, x, np.zeros((4, 2)))
    expected = mean_squared_error(2 * plain(x, w), np.zeros((4, 2)))
    assert value == expected[0]
    np.testing.assert_array_equal(grad, 2 * plain.vjp(x, w)[1](expected[1])[1])


TARGETS = {
    "squares": (mean_squared_error, lambda rows: np.ones((rows, 3))),
    "classes": (softmax_cross_entropy, lambda rows: np.arange(rows) % 3),
    "narrow classes": (softmax_cross_entropy, lambda rows: (np.arange(rows) % 3).astype(np.uint8)),
    "probabilities": (softmax_cross_entropy, lambda rows: np.full((rows, 3), 1 / 3)),
}


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_a_loss_is_part_of_the_program(name, dtype):
    loss, target_of = TARGETS[name]
    programs_of.forget()
    layer = model()
    w = layer.init(rng=0).astype(dtype)
    objective = value_and_grad(layer, loss)
    for rows in (1, 4, 5, 100):
        x = np.random.default_rng(rows).standard_normal((rows, 16)).astype(dtype)
        target = target_of(rows)
        target = target.astype(dtype) if target.dtype == np.float64 else target
        y, pullback = layer.vjp(x, w)
        expected, grad_y = loss(y, target)
        for _ in range(2):  # what is met once is interpreted
            value, grad = objective(w, x, target)
            assert (value.dtype, grad.dtype) == (dtype, dtype)
            np.testing.assert_array_equal(value, expected)
            np.testing.assert_array_equal(grad, pullback(grad_y)[1])
    losses = [key for key in layer._programs if callable(key[0])]
    assert losses
    assert all(isinstance(layer._programs[key], Program) for key in losses)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (np.ones((5, 2)), "target must have shape (5, 3)"),
        (np.ones((4, 3)), "target must have shape (5, 3)"),
        (np.ones((5, 3), np.float32), "target has dtype float32"),
        (np.ones((0, 3)), "needs at least one row"),
        ([[1.0] * 3] * 5, "target must be an array"),
    ],
    ids=["columns", "rows", "dtype", "nothing", "list"],
)
def test_a_target_that_does_not_fit_is_refused(target, message):
    layer = model()
    w, x = layer.init(rng=0), np.ones((5, 16))
    objective = value_and_grad(layer, mean_squared_error)
    objective(w, x, np.ones((5, 3)))
    with pytest.raises((TypeError, ValueError), match="mean_squared_error") as caught:
        objective(w, x, target)
    assert message in str(caught.value)


class Price(float):
    """A number that prints as less than it is."""

    def __repr__(self):
        return f"{self:.2f} EUR"

    __str__ = __repr__


class Priced(af.Fabrication):
    """Two constants that print alike."""

    def matrix(self, n, D):
        from arrayfab.structures import Constant

        return Constant((n, D), Price(0.5)) + Constant((n, D), Price(0.504))


def test_constants_that_print_alike_are_told_apart():
    role = af.Reconciliation(fabrication=Priced(), n=2, D=3)
    for _ in range(2):
        np.testing.assert_allclose(role(np.ones((4, 3)), None), np.full((4, 2), 3 * 1.004), rtol=1e-15)


def test_programs_do_not_travel_with_a_layer():
    layer = model()
    layer(np.ones((4, 16)), layer.init(rng=0))
    again = pickle.loads(pickle.dumps(layer))
    assert again == layer
    assert "_programs" not in vars(again)
    assert len(pickle.dumps(layer)) < 2_000


def test_what_is_asked_of_a_structured_matrix_runs_as_a_program():
    W = af.DualLPHM(p=2, q=2).fabricate(np.ones(24), 8, 8)
    dense = [W.to_dense() for _ in range(2)][1]
    for rows in COUNTS * 2:
        x = np.random.default_rng(rows).standard_normal((rows, 8))
        for product, expected in [
            (x @ W, x @ dense),
            (W @ x.T, dense @ x.T),
            (x @ W.T, x @ dense.T),
            (W.T @ x.T, dense.T @ x.T),
        ]:
            np.testing.assert_allclose(product, expected, rtol=1e-12, atol=1e-12)
    assert all(isinstance(each, Program) for each in W._plan._programs.values())
    assert len(W._plan._programs) < 60


@pytest.mark.parametrize("count", [2, 3, 7])
def test_rows_behind_leading_axes_are_not_taken_for_those_axes(count):
    # The number of matrices is a symbol in the program, and so is that of rows in the formula of the second.
    eye = af.Eye()
    model = af.Sequential(
        [
            af.ParameterizedInterdependence(fabrication=af.Full(), b=3, interdependence_type="instance"),
            af.Reconciliation(fabrication=eye, n=6, D=4),
            af.ParameterizedInterdependence(fabrication=eye, m=6, m_prime=2),
        ]
    )
    x, w = np.random.default_rng(count).standard_normal((count, 3, 4)), model.init(rng=0)
    u = np.random.default_rng(0).standard_normal((count, 3, 2))
    for _ in range(2):
        y, pullback = model.vjp(x, w)
        grad_x, grad_w = pullback(u)
    A = w.reshape(3, 3)
    np.testing.assert_allclose(y, (A.T @ x)[..., :2], rtol=1e-12)
    np.testing.assert_allclose(grad_x, A @ np.concatenate([u, 0 * u], axis=-1), rtol=1e-12)
    expected = sum(x[i, :, :2] @ u[i].T for i in range(count))
    np.testing.assert_allclose(grad_w.reshape(3, 3), expected, rtol=1e-11)
    assert isinstance(model._enter("xw", x, w).program, Program)
