"""What scikit-learn's estimators of arrayfab share: how a model is made, and how its numbers are learned."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from itertools import pairwise
from numbers import Real
from typing import ClassVar

import numpy as np
from scipy.optimize import minimize
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab.composition import Sequential
from arrayfab.fabrications import Fabrication, Full, LowRank
from arrayfab.gradients import mean_squared_error, scipy_objective
from arrayfab.interop._samples import (
    floating,
    host,
    is_finite,
    largest,
    moved,
    standardization,
    taken,
    weighed,
)
from arrayfab.layer import Layer
from arrayfab.plain import Pointwise
from arrayfab.roles import Reconciliation


class Estimator(BaseEstimator):
    """Parameters, the model made of them, and L-BFGS and Adam on its numbers ``w_``."""

    #: The parameters that the model is made of. They stay what they were while its numbers are learned on.
    _made_of: ClassVar[tuple[str, ...]] = ("model", "hidden_layer_sizes", "activation")

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

    def _validated(self, X, y, is_batch: bool):
        """``X`` and what its results shall be like, checked by scikit-learn."""
        raise NotImplementedError

    def _target(self, y: Array, weights: Array) -> Array:
        """``y`` in the unit of the results, ``(rows, outputs)``: standardized as the first one was."""
        if self._is_first:
            self.target_mean_, self.target_scale_ = standardization(y, weights)
        elif y.shape[1] != self.target_mean_.shape[0]:
            self._refuse(f"y must have {self.target_mean_.shape[0]} columns, as the first one", y.shape[1])
        target = (y - self.target_mean_) / self.target_scale_
        if not is_finite(target):
            dtype = _arrays.dtype_name(y.dtype)
            self._fail(f"data to learn, standardized as the first ones, are too large for {dtype}")
        return target

    def _made_model(self, X: Array, n_outputs: int) -> Layer:
        """A model from the columns of ``X`` to that many."""
        if isinstance(self.model, Layer):
            return self.model
        sizes = (X.shape[1], *self._hidden(), n_outputs)
        return self._stack(self._fabrications(sizes, X), sizes)

    def _initial(self, model: Layer, **options) -> Array:
        """Numbers to start from; the options are those of `arrayfab.Fabrication.init`."""
        return model.init(**options)

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

    def _fabrications(self, sizes: tuple[int, ...], X: Array) -> list[Fabrication]:
        """One for every matrix between layers of these sizes, for data like ``X``."""
        if self.model is None:
            return [_smaller(LowRank(r=4), Full(), n, D) for D, n in pairwise(sizes)]
        if isinstance(self.model, Fabrication):
            return [self.model] * (len(sizes) - 1)
        if not isinstance(self.model, list | tuple):
            self._refuse("model must be a fabrication, a list of them, or a layer", self.model, TypeError)
        if len(self.model) != len(sizes) - 1:
            self._refuse(f"model must hold {len(sizes) - 1} fabrications, one for each matrix", self.model)
        return list(self.model)

    def _recipe(self) -> dict:
        values = {name: getattr(self, name) for name in self._made_of}
        # Lists may be changed later.
        return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}

    def _start(self, X, n_outputs):
        """Make the model, and draw the numbers to start from."""
        model = self._made_model(X, n_outputs)
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        xp = _arrays.backend_of("model", "X", X).xp
        w = self._initial(model, rng=seed, xp=xp, dtype=X.dtype, device=_arrays.device_of(X))
        shape = tuple(model(X[:1, :], w).shape)
        if shape != (1, n_outputs):
            self._refuse(f"model must turn a row into shape {(1, n_outputs)}", shape)
        self.model_, self.w_, self.loss_curve_, self.n_iter_ = model, w, [], 0
        self._moments, self._made_with = (0, 0.0, 0.0), self._recipe()

    # Learning.

    @property
    def _is_first(self) -> bool:
        """Whether there are no learned numbers yet to go on from."""
        return not hasattr(self, "w_")

    @contextmanager
    def _revision(self, goes_on: bool) -> Iterator:
        """A copy to learn with, which takes the estimator's place at the end.

        What fails, or is interrupted, leaves the estimator as it was.
        """
        revision = copy(self)
        if not goes_on:
            for name in [name for name in vars(revision) if name.endswith("_")]:
                delattr(revision, name)
        with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is looked at
            yield revision
        self.__dict__ = revision.__dict__

    def _objective(self, X, y, sample_weight, is_batch: bool):
        """From ``w`` on the host to the loss and its gradient, and ``X``; the first data set the model up."""
        self._check_parameters()
        owner, is_first = type(self).__name__, self._is_first
        X, y = self._validated(X, y, is_batch)
        X = floating(owner, X) if is_first else self._continued(X)
        rows, weights, total = weighed(owner, sample_weight, X.shape[0])
        decay = self.alpha / total
        if not np.isfinite(decay):
            self._refuse("alpha, divided by the sum of sample_weight, must be finite", decay)
        # What has no weight says nothing, not even about the unit of y.
        X, y = taken(X, rows), taken(self._moved_target(y, X), rows)
        weights = moved(owner, "sample_weight", weights, X)[:, None]
        target = self._target(y, weights)
        if is_first:
            self._start(X, self._n_outputs(target))
        mean_loss = scipy_objective(self.model_, lambda y, t: self._loss(y, t, weights), X, target)

        def objective(w):
            value, grad = mean_loss(w)
            return value + 0.5 * decay * float(w @ w), grad + decay * w

        return objective, X

    def _continued(self, X):
        """``X`` to learn on with; ValueError where it is of another dtype than the first one was."""
        dtype, before = (_arrays.dtype_name(array.dtype) for array in (X, self.w_))
        if dtype != before and dtype in ("float64", "float32"):
            self._refuse(f"X must have dtype {before}, as the first one", dtype)
        return self._at_home(X, "fit")

    def _moved_target(self, y, X):
        """``y`` like ``X``, with two axes; ValueError where its numbers do not fit the dtype."""
        y = y[:, None] if y.ndim == 1 else y
        dtype = _arrays.dtype_name(X.dtype)
        if dtype == "float32" and _arrays.dtype_name(y.dtype) == "float64":
            peak = largest(y)
            if np.any((peak > 0) & (peak < np.finfo(dtype).smallest_normal)):
                self._fail(f"y holds numbers too small for {dtype}, the dtype of X")
        return moved(type(self).__name__, "y", y, X)

    def _fit(self, X, y, sample_weight):
        with self._revision(goes_on=self.warm_start) as revision:
            objective, X = revision._objective(X, y, sample_weight, is_batch=False)
            revision._moments, revision.loss_curve_, revision.n_iter_ = (0, 0.0, 0.0), [], 0
            found = minimize(
                objective,
                host(revision.w_).astype(np.float64),
                jac=True,
                method="L-BFGS-B",
                callback=lambda intermediate_result: revision._report(intermediate_result.fun),
                options={
                    "maxiter": self.max_iter,
                    "maxfun": 20 * self.max_iter,
                    "maxcor": 50,  # where numbers are few, a long memory costs little
                    "gtol": self.tol,
                    "ftol": 64 * np.finfo(float).eps,
                },
            )
            revision._keep(found.x, found.fun)
            self._check_scale(X)
            if found.status != 0:
                self._warn(
                    f"no convergence to tol={self.tol} within max_iter={self.max_iter} iterations, L-BFGS "
                    f"says {found.message!r}; scale the data, or allow more"
                )
        return self

    def _step(self, X, y, sample_weight):
        """One step of Adam (Kingma and Ba, arXiv:1412.6980), with the paper's decay rates."""
        with self._revision(goes_on=True) as revision:
            objective, X = revision._objective(X, y, sample_weight, is_batch=True)
            w = host(revision.w_).astype(np.float64)
            value, grad = objective(w)
            t, mean, root = revision._moments
            t, mean = t + 1, 0.9 * mean + 0.1 * grad
            # The root of the second moment, which itself may overflow.
            root = np.hypot(np.sqrt(0.999) * root, np.sqrt(0.001) * grad)
            direction = mean / (1 - 0.9**t) / (root / np.sqrt(1 - 0.999**t) + 1e-8)
            revision._keep(w - self.learning_rate * direction, value)
            revision._moments = t, mean, root
            revision.loss_curve_ = list(revision.loss_curve_)
            revision._report(value)
            self._check_scale(X)
        return self

    def _report(self, loss):
        self.n_iter_ += 1
        self.loss_curve_.append(float(loss))
        if self.verbose:
            print(f"Iteration {self.n_iter_}, loss = {loss:.8f}")

    def _keep(self, w, loss):
        if not (np.isfinite(loss) and np.all(np.isfinite(w))):
            self._fail("the loss or its gradient is no longer finite; scale X, or sample_weight")
        self.w_ = moved(type(self).__name__, "w_", w, self.w_)

    def _check_parameters(self):
        for name, least in {"alpha": 0, "tol": 0, "max_iter": 1, "learning_rate": 0}.items():
            value = getattr(self, name)
            if not (isinstance(value, Real) and value >= least):
                self._refuse(f"{name} must be a number, at least {least}", value)
        if self._is_first:
            return
        for name, value in self._recipe().items():
            before = self._made_with[name]
            if not _same(value, before):
                self._refuse(f"{name} must stay {before!r} as long as w_ is learned on", value)

    def _refuse(self, expected, got, error=ValueError):
        self._fail(f"{expected}, got {got!r}", error)

    def _fail(self, reason, error=ValueError):
        raise error(f"{type(self).__name__}: {reason}")

    def _check_scale(self, X):
        """ConvergenceWarning where gradients are tiny or huge whatever there is to be learned."""
        reach = float(np.max(largest(X)))
        if reach > 0 and not 0.01 <= reach <= 10_000:
            reason = f"the largest number in X is {reach:.2g}, and should be between 0.01 and 10,000; scale X"
            self._warn(reason, stacklevel=5)

    def _warn(self, reason, stacklevel=4):
        warnings.warn(f"{type(self).__name__}: {reason}", ConvergenceWarning, stacklevel=stacklevel)

    # Results.

    def _checked(self, X, method: str) -> Array:
        """New data, fit for the model; ValueError where they are not like those of `fit`."""
        check_is_fitted(self)
        return self._at_home(validate_data(self, X, dtype="numeric", reset=False), method)

    def _at_home(self, X, method, name="X"):
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
        return moved(type(self).__name__, name, X, self.w_)


def _same(one, other) -> bool:
    """Whether parameters are equal, of which some may be arrays."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if hasattr(one, "shape") and hasattr(other, "shape"):
        return np.array_equal(host(one), host(other))
    return one is other or bool(one == other)


def _smaller(one: Fabrication, other: Fabrication, n: int, D: int) -> Fabrication:
    return min(one, other, key=lambda fabrication: fabrication.num_parameters(n, D))
