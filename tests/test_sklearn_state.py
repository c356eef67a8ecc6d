"""The estimators for scikit-learn change where a call succeeds alone, and go on with what goes with them."""

import copy
import warnings
from dataclasses import dataclass, field

import numpy as np
import pytest
from refusals import assert_refused

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils.validation import check_is_fitted

import arrayfab as af
from arrayfab.interop.sklearn import Fabricated, FabricatedClassifier, FabricatedRegressor

ESTIMATORS = [FabricatedRegressor, FabricatedClassifier, Fabricated]
each = pytest.mark.parametrize("cls", ESTIMATORS, ids=lambda cls: cls.__name__)

rng = np.random.default_rng(0)
X = rng.standard_normal((40, 4))
y = np.arange(40) % 3


def spoiled(array, value):
    array = np.array(array, dtype=np.float64)
    array.flat[5] = value
    return array


def assert_unchanged(model, call, error=ValueError):
    """A call fails and leaves everything the estimator holds as it was."""
    before = copy.deepcopy(vars(model))
    with pytest.raises(error):
        call(model)
    np.testing.assert_equal(vars(model), before)


def fitted(cls, **parameters):
    return cls(af.Full(), tol=1e-2, random_state=0, **parameters).fit(X, y)


# Calls that fail.

FAILING = {
    "X of NaN": lambda model: model.fit(spoiled(X, np.nan), y),
    "X of inf, a batch": lambda model: model.partial_fit(spoiled(X, np.inf), y),
    "weights of NaN": lambda model: model.fit(X, y, sample_weight=spoiled(np.ones(40), np.nan)),
    "a weight of inf": lambda model: model.partial_fit(X, y, sample_weight=np.inf),
    "weights of zero": lambda model: model.fit(X, y, sample_weight=np.zeros(40)),
    "too few weights": lambda model: model.partial_fit(X, y, sample_weight=np.ones(7)),
    "parameter": lambda model: model.set_params(alpha=-1).fit(X, y),
    "divisor": lambda model: model.set_params(model=af.Hypercomplex(p=1, q=3)).fit(X, y),
    "features in a batch": lambda model: model.partial_fit(X[:, :3], y),
    "overflow": lambda model: model.set_params(hidden_layer_sizes=()).fit(X * 1e200, y),
}


@each
@pytest.mark.parametrize("name", FAILING)
def test_a_call_that_fails_changes_nothing(cls, name):
    model, call = fitted(cls).partial_fit(X, y), FAILING[name]
    if cls is FabricatedClassifier and name == "overflow":
        pytest.skip("the logits of a linear model only decide")
    before = copy.deepcopy(vars(model))
    parameters = model.get_params()
    with pytest.raises(ValueError):  # noqa: PT011
        call(model)
    model.set_params(**parameters)
    np.testing.assert_equal(vars(model), before)
    method = model.transform if cls is Fabricated else model.predict
    assert method(X).shape[0] == 40


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_target_that_is_not_finite_changes_nothing(value):
    for call in (FabricatedRegressor.fit, FabricatedRegressor.partial_fit, FabricatedClassifier.fit):
        cls = FabricatedClassifier if call is FabricatedClassifier.fit else FabricatedRegressor
        assert_unchanged(fitted(cls), lambda model, call=call: call(model, X, spoiled(y, value)))


@each
def test_after_a_first_fit_that_failed_nothing_is_fitted(cls):
    model = cls(af.Hypercomplex(p=1, q=3))
    for call in (lambda: model.fit(X, y), lambda: model.partial_fit(X, y, **all_classes(cls))):
        with pytest.raises(ValueError, match="does not divide"):
            call()
        with pytest.raises(NotFittedError):
            check_is_fitted(model)
        with pytest.raises(NotFittedError):
            (model.transform if cls is Fabricated else model.predict)(X)
    assert vars(model) == vars(clone(model))


def all_classes(cls):
    return {"classes": [0, 1, 2]} if cls is FabricatedClassifier else {}


@pytest.mark.parametrize(
    ("first", "message"),
    [
        (lambda model: model.partial_fit(X, y, classes=[0, 1]), "y must hold classes of"),
        (lambda model: model.partial_fit(X, y, classes=[0]), "two classes or more"),
        (lambda model: model.partial_fit(X, y, classes=["0", "1", "2"]), "y must hold classes of"),
        (lambda model: model.partial_fit(X, y, classes=[0, 1, np.nan]), "NaN"),
        (lambda model: model.partial_fit(X, y), "needs all classes"),
    ],
)
def test_classes_of_a_batch_that_failed_are_forgotten(first, message):
    model = FabricatedClassifier(random_state=0)
    assert_refused(lambda: first(model), message)
    assert not hasattr(model, "classes_")
    expected = FabricatedClassifier(random_state=0).partial_fit(X, y, classes=[0, 1, 2])
    np.testing.assert_array_equal(model.partial_fit(X, y, classes=[0, 1, 2]).w_, expected.w_)


def test_the_unit_of_a_batch_that_failed_is_forgotten():
    model = FabricatedRegressor(af.Hypercomplex(p=1, q=3), random_state=0)
    assert_refused(lambda: model.partial_fit(X, 1e6 * y + 5), "does not divide")
    model.set_params(model=af.Full()).partial_fit(X, y)
    expected = FabricatedRegressor(af.Full(), random_state=0).partial_fit(X, y)
    np.testing.assert_array_equal(model.predict(X), expected.predict(X))


# Calls that are interrupted.


@dataclass(frozen=True)
class Interrupted:
    """A role that Ctrl-C reaches after so many pullbacks."""

    role: af.Reconciliation
    left: list = field(compare=False)

    def num_parameters(self):
        return self.role.num_parameters()

    def init(self, **options):
        return self.role.init(**options)

    def __call__(self, x, w):
        return self.role(x, w)

    def jvp(self, x, w, dx, dw):
        return self.role.jvp(x, w, dx, dw)

    def vjp(self, x, w):
        self.left[0] -= 1
        if not self.left[0]:
            raise KeyboardInterrupt
        return self.role.vjp(x, w)


@pytest.mark.parametrize("warm_start", [False, True])
def test_an_interrupted_fit_leaves_the_old_one(warm_start):
    left = [4]
    role = af.Reconciliation(fabrication=af.Full(), n=1, D=4, bias=True)
    model = FabricatedRegressor(Interrupted(role, left), tol=1e-8, warm_start=warm_start, random_state=0)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert vars(model) == vars(clone(model).set_params(model=model.model))
    left[0] = 0
    model.fit(X, y)
    before = {name: value for name, value in vars(model).items() if name.endswith("_")}
    before = copy.deepcopy(before)
    for call, after in ((model.fit, 3), (model.partial_fit, 1)):
        left[0] = after
        with pytest.raises(KeyboardInterrupt):
            call(X, -y)
        for name, value in before.items():
            np.testing.assert_equal(getattr(model, name), value)


@each
def test_a_warning_that_is_made_an_error_leaves_the_old_fit(cls):
    model = fitted(cls).set_params(max_iter=1, tol=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_unchanged(model, lambda model: model.fit(X, y), ConvergenceWarning)


# What goes with what was learned.

OTHER = {
    "model": (lambda model: model.set_params(model=af.LowRank(r=1)), "model must stay Full()"),
    "hidden_layer_sizes": (
        lambda model: model.set_params(hidden_layer_sizes=(5,)),
        "hidden_layer_sizes must stay (3,)",
    ),
    "activation": (lambda model: model.set_params(activation="relu"), "activation must stay 'tanh'"),
}


@each
@pytest.mark.parametrize("name", OTHER)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_another_model_is_not_learned_on(cls, name, method):
    change, message = OTHER[name]
    model = change(fitted(cls, hidden_layer_sizes=(3,), warm_start=True))
    assert_refused(lambda: getattr(model, method)(X, y), message)
    assert model.set_params(warm_start=False).fit(X, y) is model


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_another_number_of_components_is_not_learned_on(method):
    model = fitted(Fabricated, warm_start=True).set_params(n_components=3)
    assert_refused(
        lambda: getattr(model, method)(X), "n_components must stay 2 as long as w_ is learned on, got 3"
    )


def test_a_list_of_fabrications_that_was_changed_is_not_learned_on():
    variants = [af.Full()]
    model = FabricatedRegressor(variants, tol=1e-2, warm_start=True).fit(X, y)
    variants[0] = af.LowRank(r=1)
    assert_refused(lambda: model.fit(X, y), "model must stay (Full(),)")


@each
def test_an_equal_model_and_other_settings_are_learned_on(cls):
    model = fitted(cls, hidden_layer_sizes=[3], warm_start=True)
    settings = {"model": af.Full(), "hidden_layer_sizes": (3,), "alpha": 0.1, "tol": 0.1, "random_state": 5}
    model.set_params(**settings).partial_fit(X, y).fit(X, y)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(("first", "then"), [(1, 2), (2, 1), (2, 3)])
def test_another_number_of_outputs_is_refused(method, first, then):
    Y = rng.standard_normal((40, 3))
    model = FabricatedRegressor(af.Full(), warm_start=True).fit(X, Y[:, :first])
    assert_unchanged(model, lambda model: getattr(model, method)(X, Y[:, :then]))
    message = f"FabricatedRegressor: y must have {first} columns, as the first one, got {then}"
    assert_refused(lambda: getattr(model, method)(X, Y[:, :then]), message)


@pytest.mark.parametrize("labels", [y + 1, y % 2, np.asarray(["a", "b", "c"])[y], np.arange(40) % 4])
def test_a_warm_start_takes_the_same_classes_alone(labels):
    model = fitted(FabricatedClassifier, warm_start=True)
    assert_unchanged(model, lambda model: model.fit(X, labels))
    assert_refused(lambda: model.fit(X, labels), "y must hold the classes [0 1 2], got")


def test_a_batch_may_lack_classes():
    model = fitted(FabricatedClassifier).partial_fit(X, y % 2).partial_fit(X, (y % 2).astype(float))
    np.testing.assert_array_equal(model.classes_, [0, 1, 2])
    assert_unchanged(model, lambda model: model.partial_fit(X, y + 1))


@each
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_another_dtype_is_refused_and_whole_numbers_are_taken(cls, method):
    model = cls(af.Full(), tol=1e-2, warm_start=True, random_state=0).fit(X.astype(np.float32), y)
    assert_unchanged(model, lambda model: getattr(model, method)(X, y))
    assert_refused(
        lambda: getattr(model, method)(X, y), "X must have dtype float32, as the first one, got 'float64'"
    )
    assert getattr(model, method)((10 * X).astype(np.int64), y).w_.dtype == np.float32


# Convergence.


@dataclass(frozen=True)
class Wrong(Interrupted):
    """A role whose gradient points the other way."""

    def vjp(self, x, w):
        result, pullback = self.role.vjp(x, w)
        return result, lambda grad: (None, -10.0 * pullback(grad)[1])


def test_every_end_but_convergence_is_told_with_scipys_reason():
    role = af.Reconciliation(fabrication=af.Full(), n=1, D=4, bias=True)
    with pytest.warns(ConvergenceWarning, match="L-BFGS says 'ABNORMAL"):
        FabricatedRegressor(Wrong(role, []), random_state=0).fit(X, y)
    with pytest.warns(
        ConvergenceWarning, match="within max_iter=2 iterations, L-BFGS says 'STOP: TOTAL NO. (OF|of) IT"
    ):
        FabricatedRegressor(af.Full(), max_iter=2, tol=1e-9, random_state=0).fit(X, y)


@each
def test_a_warning_points_at_the_call(cls):
    for name in ("fit", "partial_fit"):
        first = all_classes(cls) if name == "partial_fit" else {}
        with pytest.warns(ConvergenceWarning) as caught:
            getattr(cls(af.Full(), max_iter=1, tol=0, random_state=0), name)(X * 1e-9, y, **first)
        assert {warning.filename for warning in caught} == {__file__}
