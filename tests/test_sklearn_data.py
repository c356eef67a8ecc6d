"""The estimators for scikit-learn on data of any unit, dtype and byte order, and with weights of any size."""

import pickle
import warnings

import numpy as np
import pytest
from refusals import assert_refused

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression

import arrayfab as af
from arrayfab.interop.sklearn import Fabricated, FabricatedClassifier, FabricatedRegressor

ESTIMATORS = [FabricatedRegressor, FabricatedClassifier, Fabricated]
each = pytest.mark.parametrize("cls", ESTIMATORS, ids=lambda cls: cls.__name__)

rng = np.random.default_rng(0)
X = rng.standard_normal((60, 4))
y = X @ np.asarray([1.0, 2.0, -1.0, 0.5]) + 0.1 * rng.standard_normal(60)
LABELS = (y > 0).astype(np.int64)
UNITS = {
    "float32": [1e-40, 1e-30, 1e-25, 1.0, 1e19, 1e30, 1e37],
    "float64": [1e-310, 1e-200, 1.0, 1e200, 1e307],
}


def regressor(**parameters):
    return FabricatedRegressor(af.Full(), random_state=0, **parameters)


def classifier(**parameters):
    return FabricatedClassifier(af.Full(), random_state=0, **parameters)


def relative_error(found, wanted):
    """The largest error, in units of what is wanted at most, in higher precision."""
    found, wanted = (np.asarray(array, dtype=np.longdouble) for array in (found, wanted))
    return float(np.max(np.abs(found - wanted)) / np.max(np.abs(wanted)))


# Units.


@pytest.mark.parametrize(("dtype", "unit"), [(dtype, unit) for dtype in UNITS for unit in UNITS[dtype]])
def test_a_linear_model_predicts_the_same_in_any_unit_of_the_target(dtype, unit):
    rows, wanted = X.astype(dtype), np.stack([y, 1 - y / 2], axis=1).astype(dtype)
    expected = LinearRegression().fit(X, wanted).predict(X).astype(np.longdouble) * np.longdouble(unit)
    model = regressor(alpha=0.0).fit(rows, wanted * np.dtype(dtype).type(unit))
    assert model.predict(rows).dtype == dtype
    assert relative_error(model.predict(rows), expected) < 1e-3


@pytest.mark.parametrize(("dtype", "unit"), [(dtype, unit) for dtype in UNITS for unit in UNITS[dtype]])
def test_a_perceptron_is_as_good_in_any_unit_of_the_target(dtype, unit):
    rows, wanted = X.astype(dtype), y.astype(dtype) * np.dtype(dtype).type(unit)
    predicted = regressor(hidden_layer_sizes=(3,), tol=1e-3).fit(rows, wanted).predict(rows)
    errors = predicted.astype(np.longdouble) / np.longdouble(unit) - y
    assert np.sqrt(np.mean(errors**2)) < 0.15


@pytest.mark.parametrize("unit", [1e-25, 1e19])
def test_steps_are_as_good_in_any_unit_of_the_target(unit):
    rows, wanted = X.astype(np.float32), y.astype(np.float32)
    one, other = regressor(learning_rate=0.1), regressor(learning_rate=0.1)
    for _ in range(20):
        one.partial_fit(rows, wanted)
        other.partial_fit(rows, wanted * np.float32(unit))
    assert relative_error(other.predict(rows) / np.float32(unit), one.predict(rows)) < 1e-3


@pytest.mark.parametrize(("offset", "spread"), [(1e6, 1.0), (-1e19, 1e13), (1e30, 1e25)])
def test_an_offset_far_above_the_spread_is_learned(offset, spread):
    wanted = (offset + spread * y).astype(np.float32)
    predicted = regressor().fit(X.astype(np.float32), wanted).predict(X.astype(np.float32))
    error = (predicted.astype(np.float64) - wanted) / spread
    resolution = abs(np.spacing(np.float32(offset))) / spread
    assert np.sqrt(np.mean(error**2)) < 0.15 + resolution


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("value", [0.0, 1e-30, 0.1, -5.0, 1e30])
@pytest.mark.parametrize("rows", [60, 1])
def test_a_constant_target_is_predicted(dtype, value, rows):
    model = regressor().fit(X[:rows].astype(dtype), np.full(rows, value, dtype))
    predicted = model.predict(X[:rows].astype(dtype))
    np.testing.assert_allclose(predicted, value, rtol=2e-3, atol=2e-3 * (value == 0))


def test_a_column_that_is_constant_but_for_rounding_is_not_blown_up():
    rows = X.copy()
    rows[:, 3] = np.where(LABELS, 0.3, 0.1 + 0.2)
    model = Fabricated(af.Full(), n_components=3, random_state=0).fit(rows)
    assert relative_error(model.inverse_transform(model.transform(rows)), rows) < 1e-2


def test_whole_numbers_and_booleans_are_learned():
    expected = LinearRegression().fit(X, np.round(10 * y)).predict(X)
    np.testing.assert_allclose(
        regressor().fit(X, np.round(10 * y).astype(int)).predict(X), expected, atol=0.02
    )
    expected = LinearRegression().fit(X, y > 0).predict(X)
    np.testing.assert_allclose(regressor().fit(X.tolist(), (y > 0).tolist()).predict(X), expected, atol=1e-3)


@each
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("unit", [1e-30, 1e-10, 1e10, 1e18, 1e30])
def test_an_extreme_unit_of_the_data_is_never_passed_over(cls, dtype, unit):
    rows = X.astype(dtype) * np.dtype(dtype).type(unit)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(
            (ValueError, ConvergenceWarning), match=r"no longer finite; scale X|10,000; scale X"
        ):
            cls(af.Full(), random_state=0).fit(rows, LABELS)


# Numbers that do not fit.

TOO_LARGE = {
    "y": lambda: regressor().fit(X.astype(np.float32), 1e300 * y),
    "y in a batch": lambda: regressor().partial_fit(X.astype(np.float32), 1e300 * y),
    "a later y": lambda: regressor().partial_fit(X, 1e-200 * y).partial_fit(X, 1e200 * y),
    "X": lambda: regressor().fit(X * np.longdouble("1e400"), y),
    "X to predict": lambda: regressor().fit(X.astype(np.float32), y).predict(1e300 * X),
    "Z": lambda: Fabricated().fit(X.astype(np.float32)).inverse_transform(np.full((1, 2), 1e300)),
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_numbers_too_large_for_the_dtype_are_refused(name):
    if name == "X" and np.finfo(np.longdouble).maxexp == np.finfo(np.float64).maxexp:
        pytest.skip("longdouble is float64 here")
    assert_refused(TOO_LARGE[name], "too large for float")


def test_a_target_too_small_for_the_dtype_of_the_data_is_refused():
    assert_refused(
        lambda: regressor().fit(X.astype(np.float32), 1e-60 * y), "y holds numbers too small for float32"
    )


# Byte order.


@each
@pytest.mark.parametrize("dtype", [">f8", ">f4", "<f8"])
def test_foreign_byte_order_is_native_inside(cls, dtype):
    native = np.dtype(dtype).newbyteorder("=")
    target = LABELS.astype(">i4") if cls is FabricatedClassifier else y.astype(dtype)
    model = cls(af.Full(), hidden_layer_sizes=(3,), tol=1e-2, random_state=0)
    expected = clone(model).fit(X.astype(native), target.astype(target.dtype.newbyteorder("=")))
    model.fit(X.astype(dtype), target, np.ones(60, dtype))
    assert model.w_.dtype.isnative
    np.testing.assert_array_equal(model.w_, expected.w_)
    model.partial_fit(X.astype(dtype), target)
    for method in ("predict", "predict_proba", "transform"):
        if hasattr(cls, method):
            found = getattr(model, method)(X.astype(dtype))
            assert found.dtype.isnative
            np.testing.assert_array_equal(found, getattr(model, method)(X.astype(native)))
    if cls is Fabricated:
        Z = model.transform(X.astype(dtype))
        np.testing.assert_array_equal(model.inverse_transform(Z.astype(dtype)), model.inverse_transform(Z))


# Labels.

KINDS = {
    "text": np.asarray(["no", "yes"])[LABELS],
    "foreign text": np.asarray(["no", "yes"])[LABELS].astype(">U3"),
    "objects": np.asarray(["no", "yes"], dtype=object)[LABELS],
    "list": ["yes" if label else "no" for label in LABELS],
    "bool": LABELS > 0,
    "uint8": LABELS.astype(np.uint8),
    "uint64": np.asarray([3, 2**64 - 1], dtype=np.uint64)[LABELS],
    "float": LABELS.astype(np.float32),
}


@pytest.mark.parametrize("name", KINDS)
def test_labels_of_any_kind_come_back_as_they_went_in(name):
    labels = KINDS[name]
    model = classifier(tol=1e-2).fit(X, labels)
    predicted = pickle.loads(pickle.dumps(model)).predict(X)
    assert predicted.dtype == np.asarray(labels).dtype.newbyteorder("=")
    assert np.mean(predicted == np.asarray(labels)) > 0.95
    again = clone(model).partial_fit(X, labels, classes=np.unique(labels))
    np.testing.assert_array_equal(again.classes_, model.classes_)


@pytest.fixture
def torch(monkeypatch):
    """PyTorch, whose arrays scikit-learn keeps."""
    library = pytest.importorskip("torch", reason="PyTorch is not installed")
    from sklearn import config_context

    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    with config_context(array_api_dispatch=True):
        yield library


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64", "bool", "float16"])
@pytest.mark.parametrize("on_host", [False, True])
def test_labels_of_any_dtype_go_with_pytorch(torch, dtype, on_host):
    rows, labels = torch.asarray(X), LABELS.astype(dtype)
    model = classifier(tol=1e-2).fit(rows, labels if on_host else torch.asarray(labels))
    predicted = model.partial_fit(rows, labels if on_host else torch.asarray(labels)).predict(rows)
    assert predicted.dtype == getattr(torch, dtype)
    assert np.mean(predicted.numpy() == labels) > 0.95


def test_bfloat16_goes_with_pytorch(torch):
    rows, target = torch.asarray(X).bfloat16(), torch.asarray(y).bfloat16()
    model = regressor().fit(rows, target, torch.ones(60).bfloat16())
    assert model.w_.dtype == torch.float32
    assert float(((model.predict(rows) - target) ** 2).mean()) < 0.05
    with pytest.raises(ValueError, match="y holds numbers too large for float32"):
        regressor().fit(torch.asarray(X).float(), torch.asarray(1e300 * y))


# Weights.


@each
@pytest.mark.parametrize(
    "weight", [3, 3.0, np.float32(3), np.asarray(3.0), [3] * 60, np.full(60, 3, np.uint8)]
)
def test_one_weight_is_one_for_every_row(cls, weight):
    model = cls(af.Full(), alpha=3.0, tol=1e-3, random_state=0)
    expected = clone(model).set_params(alpha=1.0).fit(X, LABELS)
    np.testing.assert_allclose(model.fit(X, LABELS, sample_weight=weight).w_, expected.w_, atol=1e-9)


def test_a_weight_of_pytorch_without_axes(torch):
    rows, target = torch.asarray(X), torch.asarray(y)
    one, other = (regressor().fit(rows, target, weight) for weight in (torch.asarray(2.0), np.full(60, 2.0)))
    np.testing.assert_array_equal(one.w_, other.w_)


@each
@pytest.mark.parametrize("weight", [1e-300, 1e300, 1e308])
def test_only_the_ratio_of_weights_counts_without_a_penalty(cls, weight):
    model = cls(af.Full(), alpha=0.0, tol=1e-2, random_state=0)
    expected = clone(model).fit(X, LABELS, sample_weight=1 + LABELS)
    found = model.fit(X, LABELS, sample_weight=weight * 0.5 * (1 + LABELS))
    np.testing.assert_allclose(found.w_, expected.w_, atol=1e-8)


@each
def test_rows_without_weight_say_nothing(cls):
    weights = np.arange(60) % 2
    rows, target = X.copy(), LABELS.astype(float) if cls is FabricatedClassifier else y.copy()
    rows[::2] = 1e300
    if cls is FabricatedRegressor:
        target[::2] = 1e300
    model = cls(af.Full(), tol=1e-2, random_state=0)
    found = clone(model).fit(rows, target, sample_weight=weights)
    np.testing.assert_allclose(found.w_, model.fit(X[1::2], target[1::2]).w_, atol=1e-12)


BAD_WEIGHTS = {
    "negative": (-1.0, "Negative values"),
    "NaN": (np.nan, "NaN"),
    "inf": (np.full(60, np.inf), "infinity"),
    "text": ("balanced", "could not convert"),
    "columns": (np.ones((60, 1)), "1D array or scalar"),
    "zero": (0.0, "zero"),
    "tiny": (1e-320, "alpha, divided by the sum of sample_weight, must be finite"),
}


@each
@pytest.mark.parametrize("name", BAD_WEIGHTS)
def test_bad_weights_get_a_clear_error(cls, name):
    weight, message = BAD_WEIGHTS[name]
    assert_refused(lambda: cls().fit(X, LABELS, sample_weight=weight), message)
