"""The scripts that re-run the papers' tables, on a few made-up data."""

import json

import numpy as np
import pytest

from papers import mnist


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
