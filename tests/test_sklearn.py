"""The estimators for scikit-learn: its own checks, and what they promise beyond."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from refusals import assert_refused

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from namespaces import ENTRIES
from scipy.special import log_softmax
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits, load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import arrayfab as af
from arrayfab.interop.sklearn import Fabricated, FabricatedClassifier, FabricatedRegressor

ESTIMATORS = [FabricatedRegressor, FabricatedClassifier, Fabricated]
HOMES = [entry.param for entry in ENTRIES if entry.name in ("strict", "strict-device1", "torch", "cupy")]
each = pytest.mark.parametrize("cls", ESTIMATORS, ids=lambda cls: cls.__name__)


def scaled(load):
    X, y = load(return_X_y=True)
    return StandardScaler().fit_transform(X), y


@pytest.fixture
def dispatch(monkeypatch):
    """scikit-learn keeps arrays of other namespaces, and array_api_strict lets it look at values."""
    from array_api_strict import ArrayAPIStrictFlags
    from sklearn import config_context

    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    with ArrayAPIStrictFlags(data_dependent_shapes=True, boolean_indexing=True):
        yield lambda: config_context(array_api_dispatch=True)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(
    [
        *(cls() for cls in ESTIMATORS),
        FabricatedRegressor(af.LowRank(r=2), hidden_layer_sizes=(8,), max_iter=50),
        FabricatedClassifier(hidden_layer_sizes=(8,), activation="relu", max_iter=50),
        Fabricated([af.Full()] * 4, hidden_layer_sizes=(3,), max_iter=20),
    ]
)
@pytest.mark.usefixtures("dispatch")
def test_scikit_learns_own_checks_pass(estimator, check):
    check(estimator)


# What is learned.


def test_a_linear_regressor_of_full_matrices_is_ridge_on_a_standardized_target():
    X, y = scaled(load_diabetes)
    Y = np.stack([y, y**2 / 100], axis=1)
    fitted = FabricatedRegressor(af.Full(), alpha=5.0, tol=1e-9, random_state=0).fit(X, Y)
    # The mean is over two outputs, so that the penalty weighs twice as much. No bias: both sides are centred.
    expected = Ridge(alpha=10.0).fit(X, StandardScaler().fit_transform(Y)).predict(X)
    np.testing.assert_allclose((fitted.predict(X) - Y.mean(axis=0)) / Y.std(axis=0), expected, atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_linear_classifier_of_full_matrices_minimizes_the_penalized_log_loss(classes):
    X, y = scaled(load_iris)
    X, y = X[y < classes], y[y < classes]
    ones = np.concatenate([X, np.ones((len(X), 1))], axis=1)  # so that the bias is penalized too
    expected = LogisticRegression(C=1 / 0.5, fit_intercept=False, tol=1e-9, max_iter=1000).fit(ones, y)
    fitted = FabricatedClassifier(af.Full(), alpha=0.5, tol=1e-9, max_iter=1000, random_state=0).fit(X, y)
    assert fitted.w_.shape == ((5 if classes == 2 else 15),)
    np.testing.assert_allclose(fitted.predict_proba(X), expected.predict_proba(ones), atol=1e-6)


def test_a_linear_autoencoder_restores_as_much_as_principal_components_do():
    X = 3 * scaled(load_wine)[0] + 2
    fitted = Fabricated(af.Full(), n_components=3, random_state=0).fit(X)
    expected = PCA(3).fit(X)
    restored = fitted.inverse_transform(fitted.transform(X))
    best = ((X - expected.inverse_transform(expected.transform(X))) ** 2).mean()
    assert best - 1e-9 <= ((X - restored) ** 2).mean() <= best * 1.0001


def test_probabilities_decisions_and_predictions_fit_together():
    X, y = scaled(load_wine)
    names = np.asarray(["barbera", "barolo", "grignolino"])[y]
    fitted = FabricatedClassifier(af.LowRank(r=2), alpha=1.0, random_state=0).fit(X, names)
    decision, logs = fitted.decision_function(X), fitted.predict_log_proba(X)
    np.testing.assert_allclose(logs, log_softmax(decision, axis=1), atol=1e-12)
    np.testing.assert_allclose(fitted.predict_proba(X).sum(axis=1), 1.0)
    np.testing.assert_array_equal(fitted.predict(X), fitted.classes_[decision.argmax(axis=1)])
    assert fitted.score(X, names) > 0.95


def image(layer):
    return af.Sequential([af.Reshape((64,), (8, 8)), layer, af.Reshape((8, 8), (64,))])


def test_a_stack_of_roles_is_taken_as_it_is():
    X, y = load_digits(n_class=4, return_X_y=True)
    X = X[:200] / 16
    stack = af.Sequential(
        [
            image(af.BilinearInterdependence(fabrication=af.RandomMatrixAdaption(r=4), b=8)),
            af.Pointwise("tanh"),
            af.Reconciliation(fabrication=af.LowRank(r=3), n=4, D=64, bias=True),
        ]
    )
    fitted = FabricatedClassifier(stack, tol=1e-2, random_state=0).fit(X, y[:200])
    assert fitted.model_ is stack
    assert fitted.w_.shape == (stack.num_parameters(),)
    assert fitted.score(X, y[:200]) > 0.95


def test_a_list_names_a_fabrication_for_each_matrix():
    X, y = scaled(load_wine)
    variants = [af.LowRank(r=1), af.Hypercomplex(), af.Full()]
    fitted = FabricatedClassifier(variants, hidden_layer_sizes=(8, 4), max_iter=2)
    with pytest.warns(ConvergenceWarning, match="within max_iter=2 iterations"):
        fitted.fit(X, y)
    assert [layer.fabrication for layer in fitted.model_.layers[::2]] == variants


def test_what_is_not_learned_is_the_base():
    X, y = scaled(load_wine)
    before = LogisticRegression(max_iter=1000).fit(X, y)
    held = FabricatedClassifier(af.LowRank(r=1), base=before.coef_, alpha=1e9, random_state=0).fit(X, y)
    np.testing.assert_allclose(held.decision_function(X), X @ before.coef_.T, atol=1e-5)
    assert held.w_.shape == (3 + 13 + 3,)
    tuned = FabricatedClassifier(af.LowRank(r=1), base=before.coef_, random_state=0).fit(X, y)
    w, bias = tuned.w_[:-3], tuned.w_[-3:]
    update = np.outer(w[:3], w[3:])
    np.testing.assert_allclose(tuned.decision_function(X), X @ (before.coef_ + update).T + bias, atol=1e-9)
    assert tuned.loss_curve_[-1] < held.loss_curve_[-1]
    again = pickle.loads(pickle.dumps(tuned))
    np.testing.assert_array_equal(again.predict(X), tuned.predict(X))


@pytest.mark.parametrize("update", [af.LowRank(r=2), af.Full(), af.DualLPHM(r=1)], ids=str)
def test_learning_starts_where_the_matrix_is_its_base(update):
    X, y = scaled(load_wine)
    W0 = np.random.default_rng(0).standard_normal((3, 13))
    fresh = FabricatedClassifier(update, base=W0, learning_rate=0, random_state=0).partial_fit(X, y, range(3))
    np.testing.assert_allclose(fresh.decision_function(X), X @ W0.T, atol=1e-12)


def test_some_matrices_have_a_base_and_others_not():
    X, y = scaled(load_wine)
    W0 = np.random.default_rng(0).standard_normal((5, 13))
    fitted = clone(FabricatedClassifier(af.Full(), base=[W0, None], hidden_layer_sizes=(5,), max_iter=1))
    fitted.set_params(random_state=0, warm_start=True)
    with pytest.warns(ConvergenceWarning):
        fitted.fit(X.astype(np.float32), y)
    first, _, last = fitted.model_.layers
    np.testing.assert_array_equal(first.fabrication.terms[0].W0, W0.astype(np.float32))
    assert last.fabrication == af.Full()
    fresh = clone(fitted).set_params(learning_rate=0).partial_fit(X, y, range(3))
    learned = fresh.w_[first.num_parameters() :][:15]
    assert np.all(fresh.w_[:65] == 0)
    assert np.all(learned != 0)
    with pytest.warns(ConvergenceWarning):
        fitted.set_params(base=[W0.copy(), None]).fit(X.astype(np.float32), y)
    with pytest.raises(ValueError, match="base must stay"):
        fitted.set_params(base=[2 * W0, None]).fit(X.astype(np.float32), y)


def test_an_autoencoder_goes_back_through_the_same_layers():
    X, _ = scaled(load_wine)
    fitted = Fabricated(n_components=2, hidden_layer_sizes=(6, 4), tol=0.1, random_state=0).fit(X)
    encoder, decoder = ([(role.D, role.n) for role in part.layers[::2]] for part in fitted.model_.layers)
    assert encoder == [(13, 6), (6, 4), (4, 2)]
    assert decoder == [(2, 4), (4, 6), (6, 13)]


def test_the_default_never_takes_more_numbers_than_a_full_matrix():
    X, y = scaled(load_wine)
    fitted = FabricatedClassifier(hidden_layer_sizes=(32,), tol=0.1).fit(X, y)
    assert [layer.fabrication for layer in fitted.model_.layers[::2]] == [af.LowRank(r=4), af.Full()]


# How it is learned.


@each
def test_weights_are_repetitions_in_every_step(cls):
    X, y = scaled(load_wine)
    X, y, weights = X[::4], y[::4], np.arange(len(X[::4])) % 4
    again = np.repeat(np.arange(len(X)), weights)
    first = {"classes": [0, 1, 2]} if cls is FabricatedClassifier else {}
    one, other = (cls(hidden_layer_sizes=(4,), random_state=0) for _ in range(2))
    for _ in range(5):
        one.partial_fit(X, y, **first, sample_weight=weights)
        other.partial_fit(X[again], y[again], **first)
    np.testing.assert_allclose(one.w_, other.w_, atol=1e-10)


@each
def test_a_warm_start_goes_on(cls):
    X, y = scaled(load_wine)
    fitted = cls(warm_start=True, random_state=0, tol=1e-3).fit(X, y)
    before, loss = fitted.w_, fitted.loss_curve_[-1]
    fitted.set_params(tol=1e-5, max_iter=500).fit(X, y)
    assert fitted.loss_curve_[0] <= loss
    assert 0 < np.abs(fitted.w_ - before).max() < 10
    done = fitted.w_
    fitted.fit(X, y)
    np.testing.assert_allclose(fitted.w_, done, atol=1e-3)
    assert fitted.n_iter_ <= 2


@each
def test_a_cold_start_forgets(cls):
    X, y = scaled(load_wine)
    fitted = cls(random_state=0, tol=1e-2).fit(X, y)
    once = fitted.w_
    fitted.partial_fit(X, y).fit(X[:, :5], y != 1).partial_fit(X[:, :5], y != 1)
    assert fitted.n_features_in_ == 5
    np.testing.assert_allclose(fitted.fit(X, y).w_, once, atol=1e-8)


@each
def test_partial_fit_approaches_what_fit_finds(cls):
    X, y = scaled(load_wine)
    model = cls(af.Full(), alpha=1.0, tol=1e-6, learning_rate=0.05, random_state=0)
    best = clone(model).fit(X, y).loss_curve_[-1]
    first = {"classes": [0, 1, 2]} if cls is FabricatedClassifier else {}
    for _ in range(300):
        model.partial_fit(X, y, **first)
    assert model.n_iter_ == len(model.loss_curve_) == 300
    assert 1 - 1e-6 < model.loss_curve_[-1] / best < 1.01


def test_the_first_step_of_partial_fit_is_adams():
    X, y = scaled(load_diabetes)
    start = FabricatedRegressor(learning_rate=0.0, random_state=0).partial_fit(X, y).w_
    fitted = FabricatedRegressor(learning_rate=0.125, random_state=0).partial_fit(X, y)
    # The corrected means of one gradient are the gradient and its square: a step of its sign. That of the
    # bias is zero.
    np.testing.assert_allclose(np.abs(fitted.w_ - start)[:-1], 0.125, atol=1e-6)


def test_verbose_prints_the_loss_of_every_iteration(capsys):
    X, y = scaled(load_wine)
    fitted = FabricatedClassifier(verbose=True, tol=1e-2, random_state=0).fit(X, y)
    expected = [f"Iteration {i}, loss = {loss:.8f}" for i, loss in enumerate(fitted.loss_curve_, start=1)]
    assert capsys.readouterr().out.splitlines() == expected
    assert len(expected) == fitted.n_iter_ > 2


# In scikit-learn's company.


@each
def test_parameters_clone_and_pickle(cls):
    X, y = scaled(load_wine)
    variant = af.Eye() + 0.5 * af.LowRank(r=1)
    model = cls(variant, hidden_layer_sizes=(5,), tol=0.1, random_state=0)
    assert model.get_params()["model"] is variant
    assert clone(model).get_params() == model.get_params()
    model.fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    method = "transform" if cls is Fabricated else "predict"
    np.testing.assert_array_equal(getattr(again, method)(X), getattr(model, method)(X))
    assert again.model_ == model.model_


def test_a_grid_searches_fabrications_in_a_pipeline():
    X, y = load_wine(return_X_y=True)
    pipeline = make_pipeline(
        StandardScaler(), Fabricated(n_components=4, tol=1e-2), FabricatedClassifier(alpha=1.0, tol=1e-2)
    )
    variants = [af.Constant(), af.Full()]
    search = GridSearchCV(
        pipeline.set_params(fabricated__random_state=0), {"fabricated__model": variants}, cv=3
    )
    assert search.fit(X, y).best_params_ == {"fabricated__model": af.Full()}


def test_cross_validation_takes_sample_weights_and_both_kinds_of_estimators():
    X, y = scaled(load_diabetes)
    assert cross_val_score(FabricatedRegressor(alpha=10.0, random_state=0), X, y, cv=3).mean() > 0.4


def test_outputs_have_names():
    X, _ = scaled(load_wine)
    fitted = Fabricated(n_components=3, tol=0.1, random_state=0).fit(X)
    assert list(fitted.get_feature_names_out()) == ["fabricated0", "fabricated1", "fabricated2"]


# Other namespaces.


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("home", HOMES)
@each
def test_arrays_stay_where_they_are(cls, home, dispatch):
    X, y = scaled(load_wine)
    settings = {"hidden_layer_sizes": (4,), "max_iter": 20, "alpha": 1.0, "random_state": 0}
    weights = np.linspace(0.5, 1.5, len(X))
    X_there, weights_there = home.asarray(X), home.asarray(weights)
    expected = cls(**settings).fit(X.astype(home.dtype_name), y, weights)
    with dispatch():
        fitted = cls(**settings).fit(X_there, home.asarray(y, "int64"), weights_there)
    for method in ("predict", "transform", "decision_function", "predict_proba", "predict_log_proba"):
        if not hasattr(cls, method):
            continue
        with dispatch():
            result = getattr(fitted, method)(X_there)
            assert home.owns(result)
            assert home.owns(fitted.w_)
        wanted = getattr(expected, method)(X.astype(home.dtype_name))
        atol = 1e-8 if home.dtype_name == "float64" else 0.02
        np.testing.assert_allclose(home.to_numpy(result), wanted, atol=atol)


def test_names_of_classes_come_back_on_the_host(dispatch):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    X, y = scaled(load_wine)
    names = np.asarray(["a", "b", "c"])[y]
    with dispatch():
        fitted = FabricatedClassifier(tol=1e-2, random_state=0).fit(torch.asarray(X), names)
        predicted = fitted.predict(torch.asarray(X))
        assert fitted.score(torch.asarray(X), names) > 0.95
    assert predicted.dtype == names.dtype


def test_whole_numbers_become_the_default_dtype(dispatch):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    X, y = load_digits(n_class=2, return_X_y=True)
    with dispatch():
        fitted = FabricatedClassifier(tol=1e-2, random_state=0).fit(torch.asarray(X).int(), torch.asarray(y))
        assert fitted.predict(torch.asarray(X).int()).dtype == torch.int64
    assert fitted.w_.dtype == torch.float32


def test_data_from_elsewhere_are_refused(dispatch):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    X, _ = scaled(load_wine)
    fitted = Fabricated(tol=0.1).fit(X)
    with dispatch():
        for call in (fitted.transform, fitted.partial_fit):
            with pytest.raises(ValueError, match="must use the same namespace and the same device"):
                call(torch.asarray(X))
        with pytest.raises(ValueError, match=r"Fabricated.inverse_transform\(\) must use the same"):
            fitted.inverse_transform(torch.asarray(X[:, :2]))


# Bad input.

X, y = np.arange(24.0).reshape(8, 3), np.arange(8) % 2
BAD = {
    "model": (
        FabricatedRegressor("lowrank"),
        "model must be a fabrication, a list of them, or a layer, got",
    ),
    "too few": (FabricatedRegressor([af.Full()], hidden_layer_sizes=(4,)), "must hold 2 fabrications"),
    "hidden": (
        FabricatedRegressor(hidden_layer_sizes=64),
        "hidden_layer_sizes must be a tuple of sizes",
    ),
    "size": (FabricatedRegressor(hidden_layer_sizes=(0,)), "n must be a positive integer, got 0"),
    "activation": (
        FabricatedRegressor(hidden_layer_sizes=(4,), activation="cube"),
        "function must be one of",
    ),
    "alpha": (FabricatedClassifier(alpha=-1), "alpha must be a number, at least 0, got -1"),
    "max_iter": (Fabricated(max_iter=0), "max_iter must be a number, at least 1, got 0"),
    "divisor": (FabricatedRegressor(af.Hypercomplex(p=1, q=2)), "q=2 does not divide D=3"),
    "columns": (
        FabricatedClassifier(af.Reconciliation(fabrication=af.Full(), n=2, D=3)),
        "FabricatedClassifier: model must turn a row into shape (1, 1), got (1, 2)",
    ),
    "autoencoder": (
        Fabricated(af.Reconciliation(fabrication=af.Full(), n=2, D=3)),
        "Fabricated: model must be a Sequential of two layers, an encoder and a decoder",
    ),
    "base": (FabricatedClassifier(base=np.ones((2, 3))), "base 0 must have shape (1, 3), got (2, 3)"),
    "bases": (FabricatedClassifier(base=[None, None]), "base must hold 1 matrices or None, one for each"),
    "no base": (FabricatedClassifier(base=[[1.0, 2.0, 3.0]]), "base must be an array, or a list of arrays"),
    "base of a layer": (
        FabricatedClassifier(af.Reconciliation(fabrication=af.Full(), n=1, D=3), base=np.ones((1, 3))),
        "model must be a fabrication, or a list of them, where there is a base",
    ),
    "components": (Fabricated(n_components=0), "n must be a positive integer, got 0"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_parameters_get_a_clear_error(name):
    model, message = BAD[name]
    assert_refused(lambda: model.fit(X, y), message)


def test_numbers_that_overflow_get_a_clear_error():
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="no longer finite; scale X"):
        FabricatedRegressor(random_state=0).fit(X * 1e300, y)


def test_classes_must_be_known():
    model = FabricatedClassifier()
    with pytest.raises(ValueError, match="the first partial_fit needs all classes"):
        model.partial_fit(X, y)
    model.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match="classes must be those of the first call"):
        model.partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="y must hold classes of"):
        model.partial_fit(X, y + 1)


def test_importing_arrayfab_leaves_scikit_learn_out_and_a_hint_says_what_is_missing():
    code = (
        "import sys, arrayfab, arrayfab.interop; assert 'sklearn' not in sys.modules\n"
        "sys.modules['sklearn'] = None\n"
        "import arrayfab.interop.sklearn"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'arrayfab[sklearn]'" in run.stderr.splitlines()[-1]
