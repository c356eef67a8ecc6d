"""Scores of scikit-learn's bundled data sets: fabricated estimators beside scikit-learn's own.

    OMP_NUM_THREADS=1 python benchmarks/sklearn_scores.py

Prints the table of docs/scikit-learn.md. Every estimator sees the same folds of the same scaled data, and
chooses its alpha, the weight of the squared coefficients, from the same values by cross-validation within each
training part. Takes some minutes.
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

from arrayfab import Full, Hypercomplex, LowRank
from arrayfab.interop.sklearn import FabricatedClassifier, FabricatedRegressor

ALPHAS = (0.1, 1.0, 10.0, 100.0)
FOLDS = {"n_splits": 5, "n_repeats": 2, "random_state": 0}
ITERATIONS = 1000

# The data, the size of the hidden layer, a linear model, and one with the hidden layer.
SUM_OF_FOUR = [sum([Hypercomplex(p=8, q=8)] * 3, start=Hypercomplex(p=8, q=8)), Full()]
CLASSIFIED = {
    "digits": (load_digits, 64, LowRank(r=6), SUM_OF_FOUR),
    "breast cancer": (load_breast_cancer, 32, Hypercomplex(p=1, q=10), [LowRank(r=1), Full()]),
    "wine": (load_wine, 16, LowRank(r=2), [LowRank(r=2), Full()]),
}
DIABETES = (load_diabetes, 16, Hypercomplex(p=1, q=2), [LowRank(r=1), Full()])


def search(estimator, name: str, values) -> GridSearchCV:
    """The estimator on scaled data, with its own choice of alpha."""
    pipeline = make_pipeline(StandardScaler(), estimator)
    return GridSearchCV(pipeline, {f"{pipeline.steps[-1][0]}__{name}": values}, cv=3)


def classifiers(hidden: int, linear, stack) -> dict[str, GridSearchCV]:
    """scikit-learn's classifiers, then ours."""
    settings = {"hidden_layer_sizes": (hidden,), "max_iter": ITERATIONS, "random_state": 0}
    own = {"max_iter": ITERATIONS, "random_state": 0}
    perceptron = MLPClassifier(activation="tanh", solver="lbfgs", **settings)
    return {
        "`LogisticRegression`": search(
            LogisticRegression(max_iter=ITERATIONS), "C", [1 / alpha for alpha in ALPHAS]
        ),
        f"`MLPClassifier`, {hidden} hidden": search(perceptron, "alpha", ALPHAS),
        f"linear, {spelled(linear)}": search(FabricatedClassifier(linear, **own), "alpha", ALPHAS),
        f"{hidden} hidden, {spelled(*stack)}": search(
            FabricatedClassifier(stack, **settings), "alpha", ALPHAS
        ),
    }


def regressors(hidden: int, linear, stack) -> dict[str, GridSearchCV]:
    """scikit-learn's regressors, the perceptron with a scaled target as ours have, then ours."""
    settings = {"hidden_layer_sizes": (hidden,), "max_iter": ITERATIONS, "random_state": 0}
    own = {"max_iter": ITERATIONS, "random_state": 0}
    perceptron = TransformedTargetRegressor(
        MLPRegressor(activation="tanh", solver="lbfgs", **settings), transformer=StandardScaler()
    )
    return {
        "`Ridge`": search(Ridge(), "alpha", ALPHAS),
        f"`MLPRegressor`, {hidden} hidden": search(perceptron, "regressor__alpha", ALPHAS),
        f"linear, {spelled(linear)}": search(FabricatedRegressor(linear, **own), "alpha", ALPHAS),
        f"{hidden} hidden, {spelled(*stack)}": search(
            FabricatedRegressor(stack, **settings), "alpha", ALPHAS
        ),
    }


def spelled(*fabrications) -> str:
    """The fabrications as the table names them."""
    names = ["4 × Hypercomplex(p=8, q=8)" if f is SUM_OF_FOUR[0] else str(f) for f in fabrications]
    return f"`{', '.join(names)}`"


def learned_numbers(fitted) -> int:
    """How many numbers an estimator learned."""
    fitted = getattr(fitted, "regressor_", fitted)
    if hasattr(fitted, "w_"):
        return len(fitted.w_)
    if hasattr(fitted, "coefs_"):
        return sum(map(np.size, fitted.coefs_ + fitted.intercepts_))
    return np.size(fitted.coef_) + np.size(fitted.intercept_)


def rows(data: str, load, searches, folds) -> None:
    """Lines of the table."""
    X, y = load(return_X_y=True)
    for name, model in searches.items():
        result = cross_validate(model, X, y, cv=folds, return_estimator=True)
        count = learned_numbers(result["estimator"][0].best_estimator_[-1])
        scores = result["test_score"]
        print(f"| {data} | {name} | {count:,} | {scores.mean():.3f} ± {scores.std():.3f} |", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore", ConvergenceWarning)
    print("| data | estimator | learned numbers | score |\n|---|---|---:|---:|")
    for data, (load, hidden, linear, stack) in CLASSIFIED.items():
        rows(data, load, classifiers(hidden, linear, stack), RepeatedStratifiedKFold(**FOLDS))
    load, *sizes = DIABETES
    rows("diabetes", load, regressors(*sizes), RepeatedKFold(**FOLDS))
