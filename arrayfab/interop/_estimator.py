"""What scikit-learn's estimators of arrayfab share: how a model is made, and how its numbers are learned."""

from __future__ import annotations

import warnings
from itertools import pairwise
from numbers import Real

import numpy as np
from scipy.optimize import minimize
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab.composition import Pointwise, Sequential
from arrayfab.fabrications import Fabrication, Full, LowRank
from arrayfab.gradients import mean_squared_error, scipy_objective
from arrayfab.layer import Layer
from arrayfab.roles import Reconciliation


class Estimator(BaseEstimator):
    """Parameters, the model made of them, and L-BFGS and Adam on its numbers ``w_``."""

    def __init__(
        self,
        model=None,
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
        self.model = model
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.alpha = alpha
        self.max_iter = max_iter
        self.tol = tol
        self.learning_rate = learning_rate
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        return tags

    # What an estimator may say otherwise.

    def _validated(self, X, y, is_first: bool):
        """``X`` and ``y``, checked by scikit-learn, which remembers the features of the first ``X``."""
        return validate_data(self, X, y, dtype="numeric", reset=is_first)

    def _target(self, X: Array, y, weights: Array) -> Array:
        """What the results shall be like, of shape ``(rows, …)``: ``y`` standardized as the first one was."""
        y = moved(y, X)
        y = y[:, None] if y.ndim == 1 else y
        if not hasattr(self, "target_mean_"):
            xp = _arrays.backend_of("target", "y", y).xp
            self.target_mean_ = xp.mean(weights * y, axis=0)
            scale = xp.sqrt(xp.mean(weights * (y - self.target_mean_) ** 2, axis=0))
            is_constant = scale <= 10 * xp.finfo(scale.dtype).eps * xp.abs(self.target_mean_)
            self.target_scale_ = xp.where(is_constant, xp.ones_like(scale), scale)
        return (y - self.target_mean_) / self.target_scale_

    def _made_model(self, n_features: int, n_outputs: int) -> Layer:
        """A model from that many columns to that many."""
        if isinstance(self.model, Layer):
            return self.model
        sizes = (n_features, *self._hidden(), n_outputs)
        return self._stack(self._fabrications(sizes), sizes)

    def _n_outputs(self, target: Array) -> int:
        return target.shape[1]

    def _loss(self, outputs: Array, target: Array, weights: Array) -> tuple[Array, Array]:
        """The loss and its gradient in the outputs; the weights have mean one and shape ``(rows, 1)``."""
        root = _arrays.backend_of("loss", "weights", weights).xp.sqrt(weights)
        value, grad = mean_squared_error(root * outputs, root * target)
        return 0.5 * value, 0.5 * root * grad

    # The model.

    def _stack(self, fabrications, sizes) -> Layer:
        """Reconciliations from each size to the next, with the activation between them."""
        layers: list[Layer] = []
        for fabrication, (D, n) in zip(fabrications, pairwise(sizes), strict=True):
            layers.append(Reconciliation(fabrication=fabrication, n=n, D=D, bias=True))
            layers.append(Pointwise(self.activation))
        return Sequential(layers[:-1])

    def _hidden(self) -> tuple[int, ...]:
        if not isinstance(self.hidden_layer_sizes, list | tuple):
            self._refuse("hidden_layer_sizes must be a tuple of sizes", self.hidden_layer_sizes, TypeError)
        return tuple(self.hidden_layer_sizes)

    def _fabrications(self, sizes: tuple[int, ...]) -> list[Fabrication]:
        """One for every matrix between layers of these sizes."""
        if self.model is None:
            return [_smaller(LowRank(r=4), Full(), n, D) for D, n in pairwise(sizes)]
        if isinstance(self.model, Fabrication):
            return [self.model] * (len(sizes) - 1)
        if not isinstance(self.model, list | tuple):
            self._refuse("model must be a fabrication, a list of them, or a layer", self.model, TypeError)
        if len(self.model) != len(sizes) - 1:
            self._refuse(f"model must hold {len(sizes) - 1} fabrications, one for each matrix", self.model)
        return list(self.model)

    def _start(self, X, n_outputs):
        """Make the model, and draw the numbers to start from."""
        model = self._made_model(X.shape[1], n_outputs)
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        xp = _arrays.backend_of("model", "X", X).xp
        w = model.init(rng=seed, xp=xp, dtype=X.dtype, device=_arrays.device_of(X))
        shape = tuple(model(X[:1, :], w).shape)
        if shape != (1, n_outputs):
            self._refuse(f"model must turn a row into shape {(1, n_outputs)}", shape)
        self.model_, self.w_, self.loss_curve_, self.n_iter_ = model, w, [], 0

    # Learning.

    def _objective(self, X, y, sample_weight):
        """From ``w`` on the host to the loss and its gradient; the first data set the model up."""
        self._check_parameters()
        is_first = not hasattr(self, "w_")
        X, y = self._validated(X, y, is_first)
        X = floating(X) if is_first else self._at_home(X, "fit")
        rows = X.shape[0]
        weights = None if sample_weight is None else host(sample_weight)
        weights = _check_sample_weight(weights, np.empty((rows, 1)), ensure_non_negative=True)
        total = float(np.sum(weights))
        if total == 0:
            raise ValueError(f"{type(self).__name__}: all numbers in sample_weight are zero")
        weights = moved(weights * (rows / total), X)[:, None]
        target = self._target(X, y, weights)
        if is_first:
            self._start(X, self._n_outputs(target))
        mean_loss = scipy_objective(self.model_, lambda y, t: self._loss(y, t, weights), X, target)
        decay = self.alpha / total

        def objective(w):
            value, grad = mean_loss(w)
            return value + 0.5 * decay * float(w @ w), grad + decay * w

        return objective

    def _fit(self, X, y, sample_weight):
        if not self.warm_start:
            for name in [name for name in vars(self) if name.endswith("_")]:
                delattr(self, name)
        vars(self).pop("_moments", None)
        objective = self._objective(X, y, sample_weight)
        self.loss_curve_, self.n_iter_ = [], 0
        found = minimize(
            objective,
            host(self.w_).astype(np.float64),
            jac=True,
            method="L-BFGS-B",
            callback=lambda intermediate_result: self._report(intermediate_result.fun),
            options={
                "maxiter": self.max_iter,
                "maxfun": 20 * self.max_iter,
                "maxcor": 50,  # where numbers are few, a long memory costs little
                "gtol": self.tol,
                "ftol": 64 * np.finfo(float).eps,
            },
        )
        self._keep(found.x, found.fun)
        if found.status == 1:  # out of iterations
            warnings.warn(
                f"{type(self).__name__}: no convergence to tol={self.tol} within max_iter={self.max_iter} "
                "iterations; scale the data, or allow more",
                ConvergenceWarning,
                stacklevel=3,
            )
        return self

    def _step(self, X, y, sample_weight):
        """One step of Adam (Kingma and Ba, arXiv:1412.6980), with the paper's decay rates."""
        objective = self._objective(X, y, sample_weight)
        w = host(self.w_).astype(np.float64)
        value, grad = objective(w)
        t, mean, square = getattr(self, "_moments", (0, 0.0, 0.0))
        t, mean, square = t + 1, 0.9 * mean + 0.1 * grad, 0.999 * square + 0.001 * grad * grad
        direction = mean / (1 - 0.9**t) / (np.sqrt(square / (1 - 0.999**t)) + 1e-8)
        self._keep(w - self.learning_rate * direction, value)
        self._moments = t, mean, square
        self._report(value)
        return self

    def _report(self, loss):
        self.n_iter_ += 1
        self.loss_curve_.append(float(loss))
        if self.verbose:
            print(f"Iteration {self.n_iter_}, loss = {loss:.8f}")

    def _keep(self, w, loss):
        if not (np.isfinite(loss) and np.all(np.isfinite(w))):
            raise ValueError(f"{type(self).__name__}: the loss or its gradient is no longer finite; scale X")
        self.w_ = moved(w, self.w_)

    def _check_parameters(self):
        for name, least in {"alpha": 0, "tol": 0, "max_iter": 1, "learning_rate": 0}.items():
            value = getattr(self, name)
            if not (isinstance(value, Real) and value >= least):
                self._refuse(f"{name} must be a number, at least {least}", value)

    def _refuse(self, expected, got, error=ValueError):
        raise error(f"{type(self).__name__}: {expected}, got {got!r}")

    # Results.

    def _checked(self, X, method: str) -> Array:
        """New data, fit for the model; ValueError where they are not like those of `fit`."""
        check_is_fitted(self)
        return self._at_home(validate_data(self, X, dtype="numeric", reset=False), method)

    def _at_home(self, X, method):
        """``X`` in the dtype of ``w_``; ValueError unless it lives where ``w_`` does."""
        here, there = (
            (_arrays.backend_of(method, "X", array).xp, _arrays.device_of(array)) for array in (X, self.w_)
        )
        if here != there:
            raise ValueError(
                f"Inputs passed to {type(self).__name__}.{method}() must use the same namespace and the same "
                f"device as those passed to fit(): got {here[0].__name__} on {here[1]}, fitted with "
                f"{there[0].__name__} on {there[1]}"
            )
        return here[0].astype(X, self.w_.dtype, copy=False)


def _smaller(one: Fabrication, other: Fabrication, n: int, D: int) -> Fabrication:
    return min(one, other, key=lambda fabrication: fabrication.num_parameters(n, D))


def floating(X: Array) -> Array:
    """``X`` in float64 or float32; what is neither in the default dtype of its namespace and device."""
    if _arrays.dtype_name(X.dtype) in ("float64", "float32"):
        return X
    xp = _arrays.backend_of("floating", "X", X).xp
    return xp.astype(X, xp.zeros((), device=_arrays.device_of(X)).dtype)


def host(array) -> np.ndarray:
    """An array of any namespace, or what NumPy takes for one, as a NumPy array."""
    try:
        return _arrays.to_host(array)
    except TypeError:  # no array
        return np.asarray(array)


def moved(array: Array, like: Array) -> Array:
    """An array in the namespace and dtype of another one, and on its device."""
    backend = _arrays.backend_of("moved", "like", like)
    device = _arrays.device_of(like)
    if _arrays.backend_of("moved", "array", array).xp is backend.xp and _arrays.device_of(array) == device:
        return backend.xp.astype(array, like.dtype, copy=False)
    return _arrays.from_host(host(array), backend.xp, like.dtype, device)
