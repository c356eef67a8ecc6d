"""The scripts that re-run the papers' tables, on a few made-up data."""

import json
import sys

import numpy as np
import pytest

from arrayfab import Full, Reconciliation
from papers import functions, graph, mnist, sequence, tabular, ten_steps
from papers.functions import LISTS


@pytest.fixture
def images(tmp_path):
    """A file like mnist.npz: noise, brighter in one of ten places by the class."""
    rng = np.random.default_rng(0)

    def made(rows):
        labels = rng.integers(0, 10, rows)
        x = rng.integers(0, 60, (rows, 784))
        places = 78 * labels[:, None] + np.arange(78)
        np.put_along_axis(x, places, 200, axis=1)
        return x.astype(np.uint8), labels.astype(np.uint8)

    x, t = made(400)
    x_test, t_test = made(100)
    np.savez(tmp_path / "mnist.npz", x_train=x, y_train=t, x_test=x_test, y_test=t_test)
    return tmp_path / "mnist.npz"


def test_mnist_prints_its_table_and_writes_it(images, tmp_path, capsys):
    out = tmp_path / "made" / "mnist.json"
    found = mnist.main(["--data", str(images), "--quick", "--out", str(out)])
    shown = capsys.readouterr().out
    assert shown.count("\n") == 2 + len(mnist.RECIPES)
    assert "| 9,330 | 2 |" in shown
    assert "| 0.9807 |" in shown
    assert json.loads(out.read_text()) == json.loads(json.dumps(found))
    assert {each["learned numbers"] for each in found.values()} <= set(range(10_001))
    for each in found.values():
        assert len(each["history"]["loss"]) == 2
        assert each["history"]["loss"][1] < each["history"]["loss"][0]
        assert each["machine"]["processor"]
    mnist.main(["--data", str(images), "--epochs", "1", "--out", str(out), "grid"])
    kept = json.loads(out.read_text())
    assert [each["epochs"] for each in kept.values()] == [2, 2, 2, 1]
    with pytest.raises(SystemExit):
        mnist.main(["cnn"])
    assert "unknown models ['cnn']; there are" in capsys.readouterr().err


def test_the_published_model_starts_as_tinybigs():
    model = mnist.published(mnist.KAPPA)
    w, lengths = mnist.xavier(model, 0), [layer.num_parameters() for layer in model.layers]
    assert lengths == [7925, 725, 680]
    for part, reach in zip(np.split(w, np.cumsum(lengths)[:-1]), (0.02751, 0.09091, 0.09386), strict=True):
        assert 0.98 * reach < np.abs(part).max() < reach + 1e-5


def test_images_are_shifted_by_the_number_of_the_step():
    x = np.zeros((200, 784), np.uint8)
    x[:, 14 * 28 + 14] = 255
    t = np.arange(200)
    still, _ = mnist.prepare(x, t, 3)
    np.testing.assert_allclose(still[0, [0, 14 * 28 + 14]], [-0.1307 / 0.3081, 0.8693 / 0.3081], rtol=1e-6)
    np.testing.assert_array_equal(mnist.shifted(2)(x, t, None)[0], still)
    moved, labels = mnist.shifted(2)(x, t, 3)
    assert moved.dtype == np.float32
    np.testing.assert_array_equal(labels, t)
    places = np.argmax(moved, axis=1)
    assert {*(places // 28)} == {*(places % 28)} == {12, 13, 14, 15, 16}
    np.testing.assert_allclose(np.sort(moved, axis=1), np.sort(still, axis=1))
    np.testing.assert_array_equal(mnist.shifted(2)(x, t, 3)[0], moved)
    assert np.any(mnist.shifted(2)(x, t, 4)[0] != moved)


@pytest.mark.parametrize(("side", "stride", "taps"), [(6, 2, 3), (8, 2, 5), (5, 1, 3)])
def test_a_sum_of_grids_is_a_convolution(side, stride, taps):
    channels, kernels, outer = 2, 3, side // stride
    grid = mnist.Grid(channels=channels, kernels=kernels, taps=taps, stride=stride)
    n, D = kernels * outer**2, channels * side**2
    rng = np.random.default_rng(0)
    w = rng.normal(size=(grid + grid).num_parameters(n, D))
    kernel = 0
    for part in np.split(w, 2):
        C, a, b = np.split(part, [kernels * channels, kernels * channels + taps])
        kernel = kernel + C.reshape(kernels, channels, 1, 1) * a[:, None] * b
    x = rng.normal(size=(channels, side, side))
    reach = taps // 2
    padded = np.pad(x, ((0, 0), (reach, taps), (reach, taps)))
    expected = np.empty((kernels, outer, outer))
    for i in range(outer):
        for j in range(outer):
            patch = padded[:, stride * i : stride * i + taps, stride * j : stride * j + taps]
            expected[:, i, j] = np.sum(kernel * patch, axis=(1, 2, 3))
    found = (grid + grid).fabricate(w, n, D) @ x.reshape(-1)
    np.testing.assert_allclose(found.reshape(kernels, outer, outer), expected, atol=1e-12)


def test_functions_are_those_of_the_papers():
    counts = {name: len(functions) for name, functions in LISTS.items()}
    assert counts == {"elementary": 17, "composite": 17, "feynman": 100, "dimensionless": 27}
    for functions_of_list in LISTS.values():
        for f in functions_of_list:
            x, y = f.data(50, np.random.default_rng(0))
            assert x.shape == (50, len(f.ranges))
            assert y.shape == (50, 1)
            assert np.all(np.isfinite(y)), f.name
            assert np.ptp(y) > 0


@pytest.mark.parametrize(
    ("name", "number", "x", "expected"),
    [
        ("elementary", "E.15", (0.7, 0.9), 1.0469679),
        ("composite", "C.11", (0.2, 0.3), np.pi / 6 * np.log(3)),
        ("feynman", "I.9.18", (1, 2, 2, 3, 1, 3, 1, 3, 1), 1 / 3),
        ("feynman", "I.34.27", (2, np.pi), 1),
        ("feynman", "III.4.32", (2 * np.pi, 1, 1, 1), 0.5819767),
        ("dimensionless", "III.17.37", (0.5, 1, np.pi / 3), 0.75),
    ],
)
def test_a_function_has_the_value_worked_out_by_hand(name, number, x, expected):
    f = next(f for f in LISTS[name] if f.name == number)
    np.testing.assert_allclose(f.formula(*x), expected, rtol=1e-6)


def test_a_jacobian_has_a_row_for_every_row_of_the_data():
    layer, rng = functions.rpn(2), np.random.default_rng(0)
    x, w = rng.uniform(-1, 1, (3, 4, 2)), np.stack([layer.init(rng=i) for i in range(3)])
    y, J = functions.jacobian(layer, x, w)
    np.testing.assert_allclose(y, layer(x, w)[..., 0], atol=1e-14)
    for i in (0, 30, w.shape[1] - 1):
        moved = np.zeros_like(w)
        moved[:, i] = 1e-6
        slopes = (layer(x, w + moved) - layer(x, w - moved))[..., 0] / 2e-6
        np.testing.assert_allclose(J[..., i], slopes, atol=1e-8)


def test_least_squares_of_a_linear_model_are_the_least():
    rng = np.random.default_rng(0)
    layer, x = Reconciliation(fabrication=Full(), n=1, D=3), rng.normal(size=(2, 20, 3))
    y = rng.normal(size=(2, 20, 1))
    w, errors = functions.least_squares(layer, x, y, np.zeros((2, 3)), 30)
    for i in range(2):
        expected, squares, *_ = np.linalg.lstsq(x[i], y[i, :, 0])
        np.testing.assert_allclose(w[i], expected, atol=1e-8)
        np.testing.assert_allclose(errors[i], squares / 20)


def test_functions_print_their_table_and_keep_other_models(tmp_path, capsys):
    out = tmp_path / "functions.json"
    functions.main(["--quick", "--out", str(out), "rpn", "scikit-learn"])
    capsys.readouterr()
    functions.main(["--quick", "--out", str(out), "tinybig"])
    errors, summary = capsys.readouterr().out.split("\n\n")
    assert errors.count("\n") == 1 + 161
    assert "| 1.55e-09 |" in errors
    assert "| feynman | tinybig's model and training | 97 to 313 |" in summary
    kept = json.loads(out.read_text())
    assert list(kept) == ["rpn", "scikit-learn", "tinybig"]
    for result in kept.values():
        assert {name: len(found) for name, found in result["functions"].items()} == {
            name: len(functions_of_list) for name, functions_of_list in LISTS.items()
        }
    with pytest.raises(SystemExit):
        functions.main(["svm"])
    assert "unknown models ['svm']; there are" in capsys.readouterr().err


def test_tabular_prints_its_table_and_writes_it(tmp_path, capsys):
    rows = np.random.default_rng(0).normal(size=(60, 3))
    rows[:, 2] = rows[:, 0] > 0
    np.savetxt(tmp_path / "pima.csv", rows, delimiter=",")
    out = tmp_path / "tabular.json"
    found = tabular.main(["--quick", "--pima", str(tmp_path / "pima.csv"), "--out", str(out)])
    shown = capsys.readouterr().out
    assert "| pima | 60 |" in shown
    assert "| 0.8052 |" in shown
    assert json.loads(out.read_text()) == json.loads(json.dumps(found))
    assert np.mean(found["wine"]["accuracies"]["naive Bayes head"]) > 0.5


def test_splits_are_scaled_by_the_rows_to_learn_from():
    rng = np.random.default_rng(0)
    x, t = rng.normal(3, 5, size=(40, 2)), np.repeat([0, 1], 20)
    train, labels, test, others = tabular.splits(x, t, 3)
    assert (train.shape, labels.shape, test.shape, others.shape) == ((3, 36, 2), (3, 36), (3, 4, 2), (3, 4))
    np.testing.assert_allclose(train.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(train.std(axis=1), 1)
    np.testing.assert_array_equal(labels.sum(axis=1), 18)
    assert not np.allclose(test.mean(axis=1), 0, atol=1e-3)


def test_the_graph_prints_its_table_and_writes_it(tmp_path, capsys):
    assert len(graph.LINKS) == len(set(graph.LINKS)) == 78
    assert all(one < other for one, other in graph.LINKS)
    assert graph.SIDES.sum() == 17
    out = tmp_path / "graph.json"
    found = graph.main(["--quick", "--out", str(out)])
    assert "| the teacher and the officer | 298 |" in capsys.readouterr().out
    assert json.loads(out.read_text()) == json.loads(json.dumps(found))
    assert np.mean(found["4 of each side, 3 choices"]["network"]) > 0.7
    labelled = graph.choices(2, 3)
    np.testing.assert_array_equal(labelled.sum(axis=1), 6)
    assert graph.accuracies(np.where(labelled, 1 - graph.SIDES, graph.SIDES), labelled) == [1.0, 1.0]


def test_the_sequence_prints_its_table_and_writes_it(tmp_path, capsys):
    out = tmp_path / "sequence.json"
    found = sequence.main(["--quick", "--out", str(out)])
    assert "| persistence | 0 |" in capsys.readouterr().out
    assert json.loads(out.read_text()) == json.loads(json.dumps(found))


def test_the_chain_sees_as_many_moments_as_the_autoregression():
    layer = sequence.network(3)
    x, w = np.random.default_rng(0).normal(size=(60, 1)), layer.init(rng=0)
    moved = x.copy()
    moved[30] += 1
    (changed,) = np.nonzero((layer(moved, w) != layer(x, w))[:, 0])
    np.testing.assert_array_equal(changed, np.arange(30, 30 + sequence.LAGS))
    windows, target = sequence.lagged(np.arange(100))
    np.testing.assert_array_equal(windows[:, -1] + sequence.AHEAD, target)
    assert target[-1] == 99


def test_steps_say_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "tinybig", None)
    found = ten_steps.main("tinybig")
    assert found["error"].startswith("tinybig cannot be imported: ")
    taken = {"seconds per step": 0.5, "processor seconds per step": 0.25, "peak MiB of the process": 9.0}
    shown = mnist.steps_table({"arrayfab": taken, "tinybig": found})
    assert "| arrayfab | 0.5000 (0.2500) | 9 |" in shown
    assert "| tinybig | tinybig cannot be imported" in shown
