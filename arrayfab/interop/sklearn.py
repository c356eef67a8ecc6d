"""scikit-learn: a regressor, a classifier and a transformer that learn one ``w_`` by L-BFGS."""

from __future__ import annotations

import numpy as np

from arrayfab import _arrays
from arrayfab.composition import Sequential
from arrayfab.layer import Layer

try:
    from sklearn.base import (
        ClassifierMixin,
        ClassNamePrefixFeaturesOutMixin,
        MultiOutputMixin,
        RegressorMixin,
        TransformerMixin,
    )
    from sklearn.utils import check_array
    from sklearn.utils.validation import check_is_fitted, validate_data

    from arrayfab.interop._classes import Classifying
    from arrayfab.interop._estimator import Estimator
    from arrayfab.interop._samples import host
except ImportError as error:
    raise ImportError("scikit-learn 1.6 or newer is needed: pip install 'arrayfab[sklearn]'") from error


class FabricatedRegressor(MultiOutputMixin, RegressorMixin, Estimator):
    """A linear model or a multi-layer perceptron for numbers, every matrix of it fabricated.

    It minimizes ``(Σᵢ sᵢ ‖yᵢ − f(xᵢ; w)‖² / outputs + alpha ‖w‖²) / (2 Σᵢ sᵢ)`` by L-BFGS, with ``sᵢ`` the
    weights of the samples, and ``y`` standardized, so that ``alpha`` means the same in any unit. ``X`` is
    taken as it is.

    Parameters
    ----------
    model : Fabrication, list of Fabrication, or Layer, optional
        The fabrication of every matrix, or one for each of them; left out, ``LowRank(r=4)``, or ``Full()``
        for a matrix that has fewer numbers. Or a role, or layers composed, from ``n_features`` columns to one
        for every output, for which ``hidden_layer_sizes`` and ``activation`` are not used.
    hidden_layer_sizes : tuple of int
        Columns of the hidden layers; without any the model is linear.
    activation : str
        ``"tanh"``, ``"sigmoid"`` or ``"relu"``, after every hidden layer.
    alpha : float
        The weight of ``‖w‖²``, of which the bias is a part.
    max_iter : int
        At most so many iterations of L-BFGS.
    tol : float
        `fit` stops where no entry of the gradient is larger.
    learning_rate : float
        That of Adam, of which `partial_fit` makes one step.
    random_state : int, RandomState instance or None
        Of the numbers to start from. Frozen matrices follow from the seeds of their fabrications.
    warm_start : bool
        Whether `fit` starts from the numbers learned before. It then refuses, as `partial_fit` does, what
        does not go with them: another model, other columns, outputs or classes, another dtype or namespace.
    verbose : bool
        Whether to print the loss of every iteration.

    Attributes
    ----------
    w_ : array, shape ``(l,)``
        The learned numbers, in the namespace and dtype of ``X`` and on its device.
    model_ : Layer
        ``model_(X, w_)`` is the standardized prediction.
    target_mean_, target_scale_ : array, shape ``(n_outputs,)``
        What ``y`` was standardized with: its mean and standard deviation, or, where a column is constant, the
        magnitude of its number.
    loss_curve_ : list of float
        The loss after every iteration.
    n_iter_, n_features_in_ : int
        Iterations made, and columns of ``X``.
    feature_names_in_ : numpy.ndarray
        The names of the columns, where ``X`` has any.

    Notes
    -----
    A call that fails, or is interrupted, leaves the estimator as it was. Where L-BFGS ends for another reason
    than convergence, or the largest number in ``X`` is not between 0.01 and 10,000, there is a
    ``ConvergenceWarning``.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from arrayfab import LowRank
    >>> from arrayfab.interop.sklearn import FabricatedRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = FabricatedRegressor(LowRank(r=1), random_state=0).fit(X, y)
    >>> model.w_.shape, round(model.score(X, y), 2)
    ((12,), 0.52)
    """

    def _validated(self, X, y, is_batch):
        X, y = validate_data(
            self, X, y, dtype="numeric", reset=self._is_first, multi_output=True, y_numeric=True
        )
        self._is_flat = y.ndim == 1
        return X, y

    def fit(self, X, y, sample_weight=None):
        """Learn from ``X``, ``(rows, n_features)``, and ``y``, ``(rows,)`` or ``(rows, n_outputs)``."""
        return self._fit(X, y, sample_weight)

    def partial_fit(self, X, y, sample_weight=None):
        """Make one step of Adam on a batch; the first batch says how ``y`` is standardized."""
        return self._step(X, y, sample_weight)

    def predict(self, X):
        """Predictions, ``(rows,)`` or ``(rows, n_outputs)``."""
        X = self._checked(X, "predict")
        y = self.model_(X, self.w_) * self.target_scale_ + self.target_mean_
        return y[:, 0] if self._is_flat else y


class FabricatedClassifier(ClassifierMixin, Classifying):
    """A linear model or a multi-layer perceptron for classes, every matrix of it fabricated.

    It minimizes ``(2 Σᵢ sᵢ Hᵢ(w) + alpha ‖w‖²) / (2 Σᵢ sᵢ)`` by L-BFGS, with ``Hᵢ`` the cross entropy of a
    sample and ``sᵢ`` its weight. The model has an output for every class; for two classes a single one, the
    logit of the second.

    Parameters
    ----------
    base : array, shape ``(outputs, n_features)``, or list of array or None, optional
        A matrix that was trained before, to which what is fabricated is added: it is frozen, and ``w_`` holds
        no more than the update, which starts where the matrix is the base, and the biases, which start from
        zero. With hidden layers one for every matrix, each with a row for every column that it gives, or None
        where there is none. For two classes the last one has one row. It may be any array: its numbers go
        where ``X`` is, into its dtype.

    Other parameters and attributes are those of `FabricatedRegressor`, but that ``classes_`` stands in place
    of ``target_mean_`` and ``target_scale_``.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from arrayfab import LowRank
    >>> from arrayfab.interop.sklearn import FabricatedClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> model = FabricatedClassifier(LowRank(r=4), hidden_layer_sizes=(16,), tol=0.01, random_state=0)
    >>> model.fit(X / 16, y).w_.shape
    (450,)
    >>> model.score(X / 16, y) > 0.9
    True
    """

    def __init__(
        self,
        model=None,
        *,
        base=None,
        hidden_layer_sizes=(),
        activation="tanh",
        alpha=1e-4,
        max_iter=200,
        tol=1e-4,
        learning_rate=0.01,
        random_state=None,
        warm_start=False,
        verbose=False,
    ):
        super().__init__(
            model,
            hidden_layer_sizes=hidden_layer_sizes,
            activation=activation,
            alpha=alpha,
            max_iter=max_iter,
            tol=tol,
            learning_rate=learning_rate,
            random_state=random_state,
            warm_start=warm_start,
            verbose=verbose,
        )
        self.base = base

    def fit(self, X, y, sample_weight=None):
        """Learn from ``X``, ``(rows, n_features)``, and classes ``y``, ``(rows,)``."""
        return self._fit(X, y, sample_weight)

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Make one step of Adam on a batch; the first call must name all ``classes``."""
        with self._revision(goes_on=True) as revision:
            revision._name_classes(classes)
            revision._step(X, y, sample_weight)
        return self

    def _outputs(self, X, method):
        X = self._checked(X, method)
        return self.model_(X, self.w_)

    def decision_function(self, X):
        """The logit of every class, ``(rows, classes)``; of two classes that of the second, ``(rows,)``."""
        outputs = self._outputs(X, "decision_function")
        return outputs[:, 0] if self._is_binary else outputs

    def predict(self, X):
        """The most probable classes, ``(rows,)``; where they are numbers, where ``X`` lives."""
        logits = self._logits(self._outputs(X, "predict"))
        xp = _arrays.backend_of("predict", "logits", logits).xp
        chosen = xp.argmax(logits, axis=1)
        if self.classes_.dtype.kind not in "biuf":
            return self.classes_[host(chosen)]
        # PyTorch takes nothing from unsigned numbers.
        numbers = self.classes_.astype(np.int64) if self.classes_.dtype.kind == "u" else self.classes_
        numbers = xp.take(_arrays.from_host(numbers, xp, None, _arrays.device_of(logits)), chosen)
        return xp.astype(numbers, getattr(xp, self.classes_.dtype.name), copy=False)

    def predict_proba(self, X):
        """The probability of every class, ``(rows, classes)``."""
        return self._probabilities(X, "predict_proba")[0]

    def predict_log_proba(self, X):
        """The logarithm of every class's probability, ``(rows, classes)``."""
        return self._probabilities(X, "predict_log_proba")[1]

    def _probabilities(self, X, method):
        logits = self._logits(self._outputs(X, method))
        xp = _arrays.backend_of(method, "logits", logits).xp
        shifted = logits - xp.max(logits, axis=1, keepdims=True)
        logs = shifted - xp.log(xp.sum(xp.exp(shifted), axis=1, keepdims=True))
        return xp.exp(logs), logs


class Fabricated(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Estimator):
    """An autoencoder whose matrices are fabricated: few columns from which ``X`` can be restored.

    The encoder goes from ``n_features`` columns through the hidden layers to ``n_components``, the decoder
    back through the same layers. Both are learned together, as `FabricatedRegressor` learns to give ``X``
    for ``X``. Without hidden layers the columns span what those of a principal component analysis of
    standardized data span, as far as the fabrications can.

    Parameters
    ----------
    model : Fabrication, list of Fabrication, or Sequential, optional
        The fabrication of every matrix, or one for each of them, those of the encoder first; left out, as
        for `FabricatedRegressor`. Or a `Sequential` of two layers, an encoder and a decoder, for which
        ``n_components``, ``hidden_layer_sizes`` and ``activation`` are not used.
    n_components : int
        Columns that `transform` gives.

    Other parameters and attributes are those of `FabricatedRegressor`.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.preprocessing import StandardScaler
    >>> from arrayfab import Full
    >>> from arrayfab.interop.sklearn import Fabricated
    >>> X = StandardScaler().fit_transform(load_wine().data)
    >>> model = Fabricated(Full(), n_components=2, random_state=0).fit(X)
    >>> restored = model.inverse_transform(model.transform(X))
    >>> round(float(1 - ((X - restored) ** 2).mean()), 3)  # what two principal components explain
    0.554
    """

    _made_of = (*Estimator._made_of, "n_components")

    def __init__(
        self,
        model=None,
        n_components=2,
        *,
        hidden_layer_sizes=(),
        activation="tanh",
        alpha=1e-4,
        max_iter=200,
        tol=1e-4,
        learning_rate=0.01,
        random_state=None,
        warm_start=False,
        verbose=False,
    ):
        super().__init__(
            model,
            hidden_layer_sizes=hidden_layer_sizes,
            activation=activation,
            alpha=alpha,
            max_iter=max_iter,
            tol=tol,
            learning_rate=learning_rate,
            random_state=random_state,
            warm_start=warm_start,
            verbose=verbose,
        )
        self.n_components = n_components

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _validated(self, X, y, is_batch):
        X = validate_data(self, X, dtype="numeric", reset=self._is_first)
        return X, X

    def _made_model(self, X, n_outputs):
        if isinstance(self.model, Layer):
            if not (isinstance(self.model, Sequential) and len(self.model.layers) == 2):
                self._refuse("model must be a Sequential of two layers, an encoder and a decoder", self.model)
            return self.model
        hidden = self._hidden()
        sizes = (X.shape[1], *hidden, self.n_components, *hidden[::-1], n_outputs)
        fabrications, middle = self._fabrications(sizes, X), len(hidden) + 1
        encoder = self._stack(fabrications[:middle], sizes[: middle + 1])
        decoder = self._stack(fabrications[middle:], sizes[middle:])
        return Sequential([encoder, decoder])

    def fit(self, X, y=None, sample_weight=None):
        """Learn from ``X``, ``(rows, n_features)``; ``y`` is not used."""
        return self._fit(X, y, sample_weight)

    def partial_fit(self, X, y=None, sample_weight=None):
        """Make one step of Adam on a batch; ``y`` is not used."""
        return self._step(X, y, sample_weight)

    def _start(self, X, n_outputs):
        super()._start(X, n_outputs)
        self._n_features_out = self._encoded(X[:1, :]).shape[1]

    def _encoded(self, X):
        encoder = self.model_.layers[0]
        return encoder(X, self.w_[: encoder.num_parameters()])

    def transform(self, X):
        """The encoder's result, ``(rows, n_components)``."""
        return self._encoded(self._checked(X, "transform"))

    def inverse_transform(self, Z):
        """The decoder's result, ``(rows, n_features)``, in the unit of ``X``."""
        check_is_fitted(self)
        Z = self._at_home(check_array(Z, input_name="Z"), "inverse_transform", "Z")
        encoder, decoder = self.model_.layers
        X = decoder(Z, self.w_[encoder.num_parameters() :])
        return X * self.target_scale_ + self.target_mean_
