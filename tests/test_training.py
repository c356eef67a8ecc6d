"""Training: optimizers, schedules, runs and what is saved of them."""

import itertools
import math
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import arrayfab as af
from arrayfab import _arrays
from arrayfab.gradients import mean_squared_error, softmax_cross_entropy, value_and_grad
from arrayfab.testing import namespaces
from arrayfab.training import (
    SGD,
    AdamW,
    Cosine,
    EarlyStopping,
    Exponential,
    History,
    Step,
    Training,
    accuracy,
    clipped,
)
from arrayfab.training.optimizers import _BLOCK

MODEL = af.Sequential(
    [
        af.Reconciliation(fabrication=af.LowRank(r=2), n=6, D=5),
        af.Pointwise("tanh"),
        af.Reconciliation(fabrication=af.Full(), n=3, D=6, bias=True),
    ]
)
ROWS = 30

SMALL = st.floats(0, 0.1)
OPTIMIZERS = st.one_of(
    st.builds(
        AdamW,
        betas=st.tuples(st.floats(0, 0.99), st.floats(0.5, 0.9999)),
        eps=st.floats(1e-10, 1e-2),
        weight_decay=SMALL,
    ),
    st.builds(SGD, momentum=st.floats(0.01, 0.99), nesterov=st.booleans(), weight_decay=SMALL),
    st.builds(SGD, weight_decay=SMALL),
)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def data(rows=ROWS, seed=0):
    x = draw(rows, 5, seed=seed)
    return x, (x[:, 0] > 0).astype(np.int64) + (x[:, 1] > 0)


def training(**options):
    options = {"batch_size": 8, "epochs": 3, "rate": Exponential(0.05, 0.8), "layer": MODEL} | options
    return Training(**options)


def without_seconds(run):
    return [epoch._replace(seconds=0.0) for epoch in run.history.epochs]


# Optimizers.


def theirs(optimizer, w, rate):
    """PyTorch's optimizer of the same name and settings."""
    torch = pytest.importorskip("torch")
    options = {"lr": rate, "weight_decay": optimizer.weight_decay}
    if isinstance(optimizer, AdamW):
        return torch.optim.AdamW([w], betas=optimizer.betas, eps=optimizer.eps, **options)
    return torch.optim.SGD([w], momentum=optimizer.momentum, nesterov=optimizer.nesterov, **options)


@given(OPTIMIZERS, st.integers(1, 20), st.integers(0, 99))
def test_optimizers_are_those_of_pytorch(optimizer, steps, seed):
    torch = pytest.importorskip("torch")
    gradients = draw(steps, 7, seed=seed) * 10.0 ** np.random.default_rng(seed).integers(-6, 3, (steps, 1))
    rates = np.random.default_rng(seed).uniform(1e-4, 0.1, steps)
    w, state = draw(7, seed=seed), optimizer.init(np.zeros(7))
    parameter = torch.nn.Parameter(torch.asarray(w))
    other = theirs(optimizer, parameter, rates[0])
    for gradient, rate in zip(gradients, rates, strict=True):
        w, state = optimizer.step(w, gradient, state, float(rate))
        other.param_groups[0]["lr"] = float(rate)
        parameter.grad = torch.asarray(gradient)
        other.step()
        np.testing.assert_allclose(w, parameter.detach().numpy(), rtol=1e-10, atol=1e-12)
    assert state[0] == steps


@pytest.mark.parametrize("optimizer", [AdamW(), SGD(momentum=0.9, nesterov=True), SGD()], ids=str)
@pytest.mark.parametrize("shape", [(2 * _BLOCK + 5,), (3, _BLOCK - 1), (2, 0)])
def test_blocks_give_the_numbers_of_the_whole(optimizer, shape):
    w, gradient = draw(*shape), draw(*shape, seed=1)
    v, state = w, optimizer.init(w)
    whole, arrays = w, optimizer.init(w)[1:]
    for t in (1, 2):
        v, state = optimizer.step(v, gradient, state, 0.1)
        whole, *arrays = optimizer._update(np, t, 0.1)(whole, gradient, *arrays)
    np.testing.assert_array_equal(v, whole)
    for ours, expected in zip(state[1:], arrays, strict=True):
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("optimizer", [AdamW(), SGD(momentum=0.9, weight_decay=0.1)], ids=str)
def test_what_is_given_is_not_written_into(optimizer, namespace):
    w, gradient = draw(4), draw(4, seed=1)
    here, there = (namespace.asarray(array) for array in (w, gradient))  # read-only on NumPy
    moved, _ = optimizer.step(here, there, optimizer.init(here), 0.1)
    assert namespace.owns(moved)
    assert moved.dtype == here.dtype
    np.testing.assert_array_equal(namespace.to_numpy(here), w.astype(namespace.dtype_name))
    np.testing.assert_array_equal(namespace.to_numpy(there), gradient.astype(namespace.dtype_name))


def test_moments_of_half_precision_are_kept_in_float32():
    w = np.ones(3, dtype=np.float16)
    state = AdamW().init(w)
    assert {array.dtype for array in state[1:]} == {np.dtype(np.float32)}
    moved, state = AdamW(weight_decay=0.0).step(w, np.full(3, 1e-4, np.float16), state, 0.125)
    assert moved.dtype == np.float16
    np.testing.assert_allclose(moved, 0.875, rtol=1e-3)  # in float16 the square would be zero


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AdamW(betas=(0.9,)), "betas must be a pair"),
        (lambda: AdamW(betas=(0.9, 1.0)), "betas.1. must be a number from 0, and below 1, got 1.0"),
        (lambda: AdamW(eps=-1.0), "eps must be"),
        (lambda: AdamW(weight_decay=math.nan), "weight_decay must be"),
        (lambda: SGD(momentum=1.0), "momentum must be"),
        (lambda: SGD(momentum="large"), "momentum must be"),
        (lambda: SGD(nesterov=True), "nesterov needs a momentum"),
        (lambda: Exponential(-1.0), "rate must be"),
        (lambda: Exponential(0.1, gamma=0.0), "gamma must be a number above 0"),
        (lambda: Cosine(0.1, epochs=0), "epochs must be a number above 0"),
        (lambda: Step(0.1, every=0), "every must be a whole number"),
        (lambda: EarlyStopping(patience=0), "patience must be"),
        (lambda: clipped(np.ones(2), -1.0), "norm must be"),
        (lambda: AdamW().step(np.ones(2), np.ones(3), AdamW().init(np.ones(2)), 0.1), "gradient must have"),
        (lambda: AdamW().step(np.ones(2), np.ones(2), SGD().init(np.ones(2)), 0.1), "another optimizer"),
        (lambda: History().column("accuracy"), "column must be one of"),
    ],
)
def test_wrong_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# Clipping.


@given(st.integers(0, 99), st.floats(-100, 200), st.floats(-0.5, -0.01) | st.floats(0.01, 0.5))
@example(0, 0.0, -0.01)
@example(0, 200.0, -0.01)
def test_clipping_keeps_the_direction_and_bounds_the_norm(seed, exponent, bound):
    gradient = draw(5, seed=seed) * 10.0**exponent
    length = math.hypot(*gradient)
    norm = length * 10.0**bound
    found = clipped(gradient, norm)
    np.testing.assert_allclose(found, gradient * min(1.0, norm / length), rtol=1e-12)
    assert length > norm or exponent > 150 or found is gradient


def test_clipping_is_that_of_pytorch(namespace):
    torch = pytest.importorskip("torch")
    for gradient, norm in itertools.product((draw(9), 1e-3 * draw(9), np.zeros(9)), (0.1, 1.0, 100.0)):
        parameter = torch.nn.Parameter(torch.zeros(9, dtype=torch.float64))
        parameter.grad = torch.asarray(gradient.copy())
        torch.nn.utils.clip_grad_norm_([parameter], norm)
        found = namespace.to_numpy(clipped(namespace.asarray(gradient), norm))
        np.testing.assert_allclose(found, parameter.grad.numpy(), rtol=1e-4)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_clipping_hides_nothing(namespace, value):
    found = namespace.to_numpy(clipped(namespace.asarray(np.asarray([1.0, value])), 1.0))
    assert not np.all(np.isfinite(found))


# Schedules.


@given(st.floats(1e-4, 1.0), st.floats(0.1, 1.0), st.integers(1, 6), st.floats(0, 1e-4))
def test_schedules_are_those_of_pytorch(rate, gamma, every, least):
    torch = pytest.importorskip("torch")
    lr = torch.optim.lr_scheduler
    pairs = [
        (Exponential(rate, gamma), lambda o: lr.ExponentialLR(o, gamma)),
        (Step(rate, every, gamma), lambda o: lr.StepLR(o, every, gamma)),
        (Cosine(rate, 10, least), lambda o: lr.CosineAnnealingLR(o, 10, least)),
    ]
    for ours, make in pairs:
        other = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)
        schedule = make(other)
        for epoch in range(11):
            assert ours(epoch) == pytest.approx(other.param_groups[0]["lr"], rel=1e-9, abs=1e-12)
            other.step()
            schedule.step()


def test_a_cosine_warms_up_and_stays_at_its_end():
    schedule = Cosine(1.0, epochs=4, least=0.25, warmup=2)
    assert [schedule(t) for t in (0, 1, 2, 6, 7, 100)] == [0.0, 0.5, 1.0, 0.25, 0.25, 0.25]


def test_a_rate_follows_from_epoch_to_epoch_or_from_step_to_step():
    seen = []

    def rate(epoch):
        seen.append(epoch)
        return 0.01

    training(rate=rate, epochs=2).start(*data()).train()
    training(rate=rate, epochs=2, smooth=True).start(*data()).train()
    assert seen == [0] * 4 + [1] * 4 + [k / 4 for k in range(8)]


# Runs.


def test_a_run_is_the_loop_that_one_would_write():
    x, t = data()
    run = training(shuffle=False, optimizer=SGD(), rate=0.1, epochs=2).start(x, t, MODEL.init(rng=3)).train()
    w, losses = MODEL.init(rng=3), []
    objective = value_and_grad(MODEL, softmax_cross_entropy)
    for _ in range(2):
        total = 0.0
        for start in range(0, ROWS, 8):
            batch = slice(start, start + 8)
            loss, gradient = objective(w, x[batch], t[batch])
            w, total = w - 0.1 * gradient, total + loss * len(x[batch])
        losses.append(total / ROWS)
    np.testing.assert_array_equal(run.w, w)
    np.testing.assert_allclose(run.history.column("loss"), losses, rtol=1e-14)
    assert run.is_over
    assert run.train().steps == 8


def test_every_row_is_seen_once_in_an_epoch_and_in_another_order_in_the_next():
    batches = []

    def loss(y, target):
        batches.append(target[:, 0].astype(int).tolist())
        return mean_squared_error(y, target)

    def orders(seed):
        batches.clear()
        role = af.Reconciliation(fabrication=af.Full(), n=1, D=5)
        target = np.arange(float(ROWS))[:, None]
        training(layer=role, loss=loss, rate=0.0, seed=seed).start(data()[0], target).train()
        assert [len(batch) for batch in batches] == [8, 8, 8, 6] * 3
        return [[*itertools.chain(*batches[i : i + 4])] for i in (0, 4, 8)]

    found = orders(seed=5)
    assert all(sorted(each) == list(range(ROWS)) for each in found)
    assert len({tuple(each) for each in (*found, *orders(seed=6), range(ROWS))}) == 7
    assert orders(seed=5) == found


def test_orders_of_rows_stay_what_they_are():
    from arrayfab.training.batches import order

    assert order(0, 0, 8).tolist() == [0, 2, 1, 5, 4, 3, 6, 7]
    assert order(7, 3, 8).tolist() == [2, 5, 7, 3, 0, 6, 4, 1]
    assert sum(order(1, epoch, 3)[0] == 0 for epoch in range(3000)) == pytest.approx(1000, abs=130)


def test_a_seed_decides_everything_and_a_batch_may_be_larger_than_the_data():
    runs = [training(seed=seed, batch_size=100).start(*data()).train() for seed in (1, 1, 2)]
    assert runs[0].steps == 3
    np.testing.assert_array_equal(runs[0].w, runs[1].w)
    assert not np.any(runs[0].w == runs[2].w)


@pytest.mark.parametrize("optimizer", [AdamW(), SGD(momentum=0.9), SGD()], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("with_validation", [False, True])
def test_a_run_is_resumed_to_the_bit(optimizer, dtype, with_validation, tmp_path):
    pytest.importorskip("safetensors")
    x, t = data()
    x = x.astype(dtype)
    options = {"validation": (x[:7], 2 - t[:7])} if with_validation else {}  # it learns what is wrong there
    fitting = training(optimizer=optimizer, clip=0.5, smooth=True, seed=2**63 + 3)
    if with_validation:
        fitting = training(optimizer=optimizer, stopping=EarlyStopping(patience=9), metric=accuracy)
    expected = fitting.start(x, t, **options).train()
    assert with_validation == bool(np.any(expected.best != expected.w))
    for steps in (0, 1, 4, 6, 11, 12):
        run = fitting.start(x, t, **options).train(steps)
        assert run.steps == steps
        af.save(tmp_path / "run", run.entries())
        run.train()  # what was saved is not moved by what comes
        entries = af.load(tmp_path / "run")
        for resumed in (fitting.resume(entries, x, t, **options) for _ in range(2)):
            resumed.train(1).train(3)
            again = fitting.resume(resumed.entries(), x, t, **options).train()
            for run in (resumed.train(), again):
                assert run.steps == expected.steps
                assert run.w.dtype == x.dtype
                np.testing.assert_array_equal(run.w, expected.w)
                np.testing.assert_array_equal(run.best, expected.best)
                for ours, other in zip(run.state, expected.state, strict=True):
                    np.testing.assert_array_equal(ours, other)
                ours, other = (History(without_seconds(each)).numbers() for each in (run, expected))
                np.testing.assert_array_equal(ours, other)


@pytest.mark.parametrize("optimizer", [AdamW(), SGD(momentum=0.9)], ids=str)
def test_entries_stay_what_they_were_while_the_run_goes_on(optimizer, namespace):
    if namespace.name in ("dask", "jax-jit"):
        pytest.skip("its arrays are not written into, as JAX's")
    x, t = data(14)
    here = namespace.asarray(x), namespace.asarray(t, "int32")
    run = training(optimizer=optimizer).start(*here).train(2)
    entries = run.entries()
    run.train(3)
    again = training(optimizer=optimizer).resume(entries, *here).train(3)
    np.testing.assert_array_equal(namespace.to_numpy(again.w), namespace.to_numpy(run.w))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "seed % 2[*][*]32 was 0 and is 1"),
        ({"seed": 1 << 40}, "seed // 2[*][*]32 was 0 and is 256"),
        ({"batch_size": 7}, "batch_size was 8 and is 7"),
        ({"shuffle": False}, "shuffle was 1 and is 0"),
        ({"optimizer": SGD()}, "another optimizer"),
        ({"layer": MODEL.layers[2]}, "w must hold 21 numbers"),
    ],
)
def test_another_training_does_not_resume_a_run(change, message):
    x, t = data()
    entries = training().start(x, t).train(2).entries()
    with pytest.raises(ValueError, match=message):
        training(**change).resume(entries, x if "layer" not in change else draw(ROWS, 6), t).train(1)
    with pytest.raises(ValueError, match="rows was 30 and is 29"):
        training().resume(entries, x[1:], t[1:])
    with pytest.raises(ValueError, match="these are no entries of a run"):
        training().resume({"w": entries["w"]}, x, t)


def test_it_stops_when_the_validation_set_says_so():
    # What is learned of noise is wrong elsewhere.
    x, t = data(20)
    t = np.random.default_rng(0).permutation(t)
    x_other, t_other = data(20, seed=1)
    fitting = training(epochs=200, rate=0.05, stopping=EarlyStopping(patience=4), metric=accuracy)
    run = fitting.start(x, t, validation=(x_other, t_other)).train()
    losses = run.history.column("validation_loss")
    best = int(np.argmin(losses))
    assert len(losses) == best + 5 < 200
    loss = softmax_cross_entropy(MODEL(x_other, run.best), t_other)[0]
    np.testing.assert_allclose(loss, losses[best], rtol=1e-12)
    assert run.history.column("metric")[best] == np.mean(np.argmax(MODEL(x_other, run.best), -1) == t_other)


@pytest.mark.parametrize(
    ("losses", "min_delta", "best"),
    [
        ([3.0, 2.0, 2.5], 0.0, 1),
        ([3.0, 2.95, 2.9], 0.08, 2),
        ([3.0, 2.99, 2.98], 0.1, 0),
        ([math.nan, 2.0, math.nan], 0.0, 1),
        ([math.nan], 0.0, 0),
        ([2.0, 2.0], 0.0, 0),
    ],
)
def test_the_best_epoch(losses, min_delta, best):
    stopping = EarlyStopping(patience=2, min_delta=min_delta)
    assert stopping.best(losses) == best
    assert stopping.stops(losses) == (len(losses) - 1 - best >= 2)


@pytest.mark.parametrize("optimizer", [AdamW(), SGD(momentum=0.9)], ids=str)
def test_every_namespace_learns_the_same(namespace, optimizer):
    x, t = data(14 if namespace.name != "dask" else 6)  # the graph of Dask grows with every step
    here, labels = (
        namespace.asarray(x),
        namespace.asarray(t, "int64" if "jax" not in namespace.name else "int32"),
    )
    compiled = namespace.compiled if namespace.name == "jax-jit" else None
    options = {"optimizer": optimizer, "clip": 0.5, "epochs": 2, "metric": accuracy}
    start = MODEL.init(rng=0)
    run = (
        training(**options, compiled=compiled)
        .start(here, labels, namespace.asarray(start), validation=(here, labels))
        .train()
    )
    expected = training(**options).start(x, t, start, validation=(x, t)).train()
    assert namespace.owns(run.w)
    assert _arrays.dtype_name(run.w.dtype) == namespace.dtype_name
    rtol = 1e-9 if namespace.dtype_name == "float64" else 1e-3
    np.testing.assert_allclose(namespace.to_numpy(run.w), expected.w, rtol=rtol, atol=1e-4 * rtol)
    numbers = History(without_seconds(run)).numbers(), History(without_seconds(expected)).numbers()
    np.testing.assert_allclose(*numbers, rtol=rtol)
    again = training(**options, compiled=compiled).resume(
        run.entries(), here, labels, validation=(here, labels)
    )
    assert again.is_over
    assert namespace.owns(again.state[1])


def test_nothing_is_moved_to_the_host_in_a_step(monkeypatch):
    """As many ways out are taken for few steps as for many."""
    strict = pytest.importorskip("array_api_strict")
    home, counts = namespaces.get("strict-device1"), Counter()

    def counted(owner, name):
        original = getattr(owner, name)

        def counting(*arguments, **options):
            counts[name] += 1
            return original(*arguments, **options)

        monkeypatch.setattr(owner, name, counting)

    array_type = type(strict.zeros(1))
    for name in ("__float__", "__int__", "__bool__", "__index__", "__complex__"):
        counted(array_type, name)
    counted(_arrays, "to_host")
    counted(_arrays, "from_host")

    def transfers(rows):
        x, t = data(rows)
        here, labels = home.asarray(x, "float64"), home.asarray(t, "int64")
        w = home.asarray(MODEL.init(rng=0), "float64")
        run = training(epochs=2, clip=0.1).start(here, labels, w)
        run.train(1)  # what is done once per model
        counts.clear()
        run.train()
        assert run.steps == 2 * math.ceil(rows / 8)
        return dict(counts)

    few, many = transfers(16), transfers(600)
    assert few == many
    assert few["to_host"] == 2  # the losses of two epochs


@pytest.mark.parametrize("name", ["numpy", "strict-device1", "torch"])
def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(name):
    if reason := namespaces.why_not(name):
        pytest.skip(reason)
    home = namespaces.get(name)
    x, t = data()
    x[13] = math.nan
    run = training(shuffle=False, epochs=5, optimizer=SGD()).start(
        home.asarray(x, "float32"), home.asarray(t, "int64"), home.asarray(MODEL.init(rng=0), "float32")
    )
    with pytest.raises(FloatingPointError, match=r"loss is nan at step 2, mini-batch 2 of epoch 1; lower"):
        run.train()
    assert not run.history.epochs
    if name == "numpy":
        assert np.all(np.isfinite(run.w))


def test_models_side_by_side_are_trained_as_one():
    role = af.Reconciliation(fabrication=af.LowRank(r=1), n=2, D=5)
    x, target = draw(3, ROWS, 5), draw(3, ROWS, 2, seed=1)
    w = draw(3, role.num_parameters(), seed=2)
    options = {"layer": role, "loss": mean_squared_error, "optimizer": SGD(momentum=0.5)}
    run = training(**options, rate=0.3, axis=1).start(x, target, w).train()
    for k in range(3):  # the mean over three models has a third of each one's gradient
        one = training(**options, rate=0.1).start(x[k], target[k], w[k]).train()
        np.testing.assert_allclose(run.w[k], one.w, rtol=1e-10)


def test_a_mini_batch_is_prepared_by_its_step():
    x, t = data()
    bytes_, steps = np.round(20 * x).astype(np.int8), []

    def prepare(x, target, step):
        steps.append(step)
        return x.astype(np.float32) / 20 + 0.01 * (step or 0), target + 0

    fitting, pair = training(prepare=prepare), (bytes_[:9], t[:9])
    run = fitting.start(bytes_, t, validation=pair).train()
    assert run.w.dtype == np.float32
    assert [step for step in steps if step is not None] == list(range(12))
    assert steps.count(None) == 1 + 3 * 2  # once to know the dtype
    half = fitting.start(bytes_, t, validation=pair).train(5)
    np.testing.assert_array_equal(fitting.resume(half.entries(), bytes_, t, validation=pair).train().w, run.w)


def test_a_layer_of_lists_is_trained():
    fusion = af.ConcatenationFusion(fabrication=af.Full(), dims=(5, 2), n=3)
    x, t = data()
    run = training(layer=fusion).start([x, x[:, :2]], t, validation=([x, x[:, :2]], t)).train()
    assert run.history.epochs[-1].loss < run.history.epochs[0].loss


X, T = data()


@pytest.mark.parametrize(
    ("options", "arguments", "error", "message"),
    [
        ({}, (X[:0], T[:0]), ValueError, "x must have at least one row, got none"),
        ({}, (X, T[1:]), ValueError, "target of x must have 30 rows along axis 0"),
        ({}, (X, 3.0), TypeError, "the target of x must be an array"),
        ({}, (X.tolist(), T), TypeError, "x must be an array"),
        ({}, (X, T, np.ones(3)), ValueError, "w must hold"),
        ({}, (X.astype(np.float32), T, MODEL.init(rng=0)), TypeError, "has dtype"),
        ({"axis": 1}, (X, T), ValueError, "target of x must have rows along axis 1"),
        ({"stopping": EarlyStopping()}, (X, T), ValueError, "stopping and metric need validation"),
        ({"metric": accuracy}, (X, T), ValueError, "stopping and metric need validation"),
        ({"layer": "mlp"}, (X, T), TypeError, "layer must be a role or layers composed, got 'mlp'"),
        ({"layer": af.Pointwise("tanh")}, (X, T), ValueError, "nothing to learn"),
        ({"loss": "cross entropy"}, (X, T), TypeError, "loss must be a function, got 'cross entropy'"),
        ({}, (X.astype(np.int64), T), TypeError, "x must hold real floating numbers"),
        ({"metric": "accuracy"}, (X, T), TypeError, "metric must be a function"),
        ({"optimizer": "adam"}, (X, T), TypeError, "optimizer must be one, such as AdamW"),
        ({"optimizer": AdamW}, (X, T), TypeError, "optimizer must be one, such as AdamW"),
        ({"rate": -1.0}, (X, T), ValueError, "rate must be"),
        ({"clip": 0.0}, (X, T), ValueError, "clip must be"),
        ({"batch_size": 0}, (X, T), ValueError, "batch_size must be"),
        ({"epochs": 1.5}, (X, T), ValueError, "epochs must be"),
        ({"seed": -1}, (X, T), ValueError, "seed must be"),
    ],
)
def test_what_cannot_be_trained_is_refused(options, arguments, error, message):
    with pytest.raises(error, match=message):
        training(**options).start(*arguments).train(1)


def test_validation_must_be_a_pair_and_steps_a_number():
    with pytest.raises(TypeError, match="validation must be a pair"):
        training().start(X, T, validation=X)
    with pytest.raises(ValueError, match="validation must have at least one row"):
        training().start(X, T, validation=(X[:0], T[:0]))
    with pytest.raises(ValueError, match="steps must be a whole number"):
        training().start(X, T).train(-1)


# What is shown.


def test_a_bar_is_shown_on_a_terminal(monkeypatch, capsys):
    pytest.importorskip("rich")
    run = training().start(X, T, validation=(X, T))
    run.train(5, progress=True)
    assert capsys.readouterr().err == ""  # no terminal
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm")
    run.train(progress=True)
    shown = capsys.readouterr().err
    assert "12/12" in shown
    assert "rate 0.032" in shown
    assert "validation" in shown
