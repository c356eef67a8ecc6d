"""Scores of scikit-learn's bundled data sets: fabricated estimators beside scikit-learn's own.

    OMP_NUM_THREADS=1 python benchmarks/sklearn_scores.py

Prints the table of docs/scikit-learn.md. Every estimator sees the same folds of the same scaled data, and
chooses its alpha, the weight of the squared coefficients, from the same values by cross-validation within
each training part. Takes some minutes.
"""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, RepeatedKFold, RepeatedStratifiedKFold, cross_validate
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from arrayfab import DuplicatedDiagonalPadding, Full, Hypercomplex, LowRank
from arrayfab.interop.sklearn import FabricatedClassifier, FabricatedRegressor

ALPHAS = (0.1, 1.0, 10.0, 100.0)
FOLDS = {"n_splits": 5, "n_repeats": 2, "random_state": 0}
ITERATIONS = 1000

FOUR = sum([Hypercomplex(p=8, q=8)] * 3, start=Hypercomplex(p=8, q=8))
# The data, the size of the hidden layer, a linear model, and one with the hidden layer.
TASKS = {
    "digits": (load_digits, 64, LowRank(r=6), [FOUR, Full()]),
    "breast cancer": (load_breast_cancer, 32, Hypercomplex(p=1, q=10), [LowRank(r=1), Full()]),
    "wine": (load_wine, 16, LowRank(r=2), [LowRank(r=2), Full()]),
    "diabetes": (load_diabetes, 16, Hypercomplex(p=1, q=2), [DuplicatedDiagonalPadding(p=2), Full()]),
}


def search(estimator, name: str = "alpha", values=ALPHAS) -> GridSearchCV:
    """The estimator on scaled data, with its own choice of alpha."""
    pipeline = make_pipeline(StandardScaler(), estimator)
    return GridSearchCV(pipeline, {f"{pipeline.steps[-1][0]}__{name}": values}, cv=3)


def classifiers(hidden: int, linear, stack) -> dict[str, GridSearchCV]:
    """scikit-learn's perceptron and linear classifier, then ours."""
    common = {"max_iter": ITERATIONS, "random_state": 0}
    layers = {"hidden_layer_sizes": (hidden,), "activation": "tanh", **common}
    inverse = [1 / alpha for alpha in ALPHAS]
    return {
        f"`MLPClassifier`, {hidden} hidden": search(MLPClassifier(solver="lbfgs", **layers)),
        "`LogisticRegression`": search(LogisticRegression(max_iter=ITERATIONS), "C", inverse),
        f"{spelled(*stack)}, {hidden} hidden": search(FabricatedClassifier(stack, **layers)),
        f"{spelled(linear)}, linear": search(FabricatedClassifier(linear, **common)),
    }


def regressors(hidden: int, linear, stack) -> dict[str, GridSearchCV]:
    """The same of regressors; the perceptron gets a standardized target, as ours do."""
    common = {"max_iter": ITERATIONS, "random_state": 0}
    layers = {"hidden_layer_sizes": (hidden,), "activation": "tanh", **common}
    perceptron = TransformedTargetRegressor(
        MLPRegressor(solver="lbfgs", **layers), transformer=StandardScaler()
    )
    return {
        f"`MLPRegressor`, {hidden} hidden": search(perceptron, "regressor__alpha"),
        "`Ridge`": search(Ridge()),
        f"{spelled(*stack)}, {hidden} hidden": search(FabricatedRegressor(stack, **layers)),
        f"{spelled(linear)}, linear": search(FabricatedRegressor(linear, **common)),
    }


def spelled(*fabrications) -> str:
    """The fabrications as the table names them."""
    names = ["4 × Hypercomplex(p=8, q=8)" if f is FOUR else str(f) for f in fabrications]
    return f"`{', '.join(names)}`"


def learned_numbers(fitted) -> int:
    """How many numbers an estimator learned."""
    fitted = getattr(fitted, "regressor_", fitted)
    if hasattr(fitted, "w_"):
        return len(fitted.w_)
    if hasattr(fitted, "coefs_"):
        return sum(map(np.size, fitted.coefs_ + fitted.intercepts_))
    return np.size(fitted.coef_) + np.size(fitted.intercept_)


def print_rows(data: str, load, *models) -> None:
    """Lines of the table, each beside the first one's scores."""
    X, y = load(return_X_y=True)
    is_regression = load is load_diabetes
    folds = (RepeatedKFold if is_regression else RepeatedStratifiedKFold)(**FOLDS)
    first = None
    for name, model in (regressors if is_regression else classifiers)(*models).items():
        result = cross_validate(model, X, y, cv=folds, return_estimator=True)
        scores, count = result["test_score"], learned_numbers(result["estimator"][0].best_estimator_[-1])
        first = first or (scores, count)
        cells = [data, name, f"{count:,}", f"{count / first[1]:.0%}"]
        cells += [f"{scores.mean():.3f} ± {scores.std():.3f}"]
        beside = scores - first[0]
        cells += [f"{beside.mean():+.3f} ± {beside.std():.3f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore", ConvergenceWarning)
    print("| data | estimator | learned numbers | of the perceptron's | score | beside the perceptron's |")
    print("|---|---|---:|---:|---:|---:|")
    for data, task in TASKS.items():
        print_rows(data, *task)
