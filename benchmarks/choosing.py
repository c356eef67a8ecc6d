"""Which fabrication, expansion and role for which job, measured: scores and errors against learned numbers.

    OMP_NUM_THREADS=1 python benchmarks/choosing.py [--quick]
    python benchmarks/choosing.py --report

Scores are of scikit-learn's bundled data in five folds; every model chooses its alpha, the weight of the
squared learned numbers, on a quarter of each training part. Those of MNIST are recorded ones, of
``papers/mnist.py``. Errors are of three kinds of matrices, to which every variant within a budget is
fitted. Writes ``results/choosing.json``, and from it the tables and figures of ``docs/choosing.md``, which
the second command does alone. ``--quick`` takes seconds, and prints tables only.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from itertools import count
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, KFold, ShuffleSplit, StratifiedKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, StandardScaler

import arrayfab as af
from arrayfab.choices import unscaled
from arrayfab.expansions import BSpline, Chebyshev, GaussianRBF, Taylor
from arrayfab.interop.sklearn import FabricatedClassifier, FabricatedRegressor
from arrayfab.layer import Layer
from arrayfab.training.history import progress_bar
from choosing_page import sections, write_page
from papers.reruns import about
from report import text_table

RESULTS = Path(__file__).parent / "results" / "choosing.json"
ALPHAS = (0.01, 0.1, 1.0, 10.0)
BUDGETS = (128, 256, 512, 1024, 2048)
Models = Iterator[tuple[str, str, Layer]]  # the kind of a model, what it is, and the layer


def short(fabrication: af.Fabrication, k: int = 1) -> str:
    """What so many equal fabrications are called in a table: with sizes, and what is other than usual."""
    values = [(each, getattr(fabrication, each.name)) for each in fields(fabrication)]
    kept = [(of.name, value) for of, value in values if len(of.name) == 1 or value != of.default]
    text = ", ".join(f"{name}={value!r}" for name, value in kept if value is not None)
    return f"{k} × " * (k > 1) + f"{type(fabrication).__name__}({text})"


def head(m: int, n: int, fabrication: af.Fabrication, k: int = 1, **parts) -> af.Head:
    """A head with a bias, and a sum of so many equal fabrications."""
    return af.Head(fabrication=sum([fabrication] * (k - 1), start=fabrication), m=m, n=n, bias=True, **parts)


def with_hidden(m: int, hidden: int, n: int, fabrication: af.Fabrication, k: int = 1) -> Layer:
    """A perceptron whose first matrix is fabricated."""
    first, last = head(m, hidden, fabrication, k), head(hidden, n, af.Full())
    return af.Sequential([first, af.Pointwise("tanh"), last])


def of_images() -> Models:
    """Models of 8 × 8 pixels and ten classes."""
    block, pairs = af.Hypercomplex(p=8, q=8), af.Hypercomplex(p=10, q=64)
    for fabrication in (af.Full(), af.LowRank(r=4), af.LowRank(r=6)):
        yield "linear", f"`{short(fabrication)}`", head(64, 10, fabrication)
    frozen = (af.RandomMatrixAdaption(r=32), af.RandomMatrixHypernet(l=64, r=8))
    of_one = (af.Full(), af.LowRank(r=4), af.LowRank(r=8), block, af.Circulant(b=64), *frozen)
    for k, fabrication in (*((1, each) for each in of_one), (4, block)):
        yield "hidden layer", f"`{short(fabrication, k)}`, 64 hidden", with_hidden(64, 64, 10, fabrication, k)
    dual = af.DualLPHM(p=2, q=64, r=4)
    for k, fabrication in ((1, af.LowRank(r=1)), (1, dual), (1, pairs), (2, pairs)):
        name = f"`Taylor(d=2)`, `{short(fabrication, k)}`"
        yield "products", name, head(64, 10, fabrication, k, expansion=Taylor(d=2))
    for name, expansion, fabrication in (
        ("Chebyshev(d=3)", Chebyshev(d=3), pairs),
        ("BSpline()", BSpline(grid_range=(0.0, 1.0)), pairs),
        ("BSpline()", BSpline(grid_range=(0.0, 1.0)), af.LowRank(r=8)),
    ):
        yield "functions", f"`{name}`, `{short(fabrication)}`", head(64, 10, fabrication, expansion=expansion)
    for k in (4, 8):
        rows = af.ParameterizedInterdependence(fabrication=af.Full(), m=8, m_prime=k)
        layers = [af.Reshape((64,), (8, 8)), rows, af.Reshape((8, k), (8 * k,)), af.Pointwise("tanh")]
        name = f"`ParameterizedInterdependence(m=8, m_prime={k})` of every row, `Full()`"
        yield "patches, rows", name, af.Sequential([*layers, head(8 * k, 10, af.Full())])
    yield "patches, rows", "`models.cnn((8, 8), (1, 8), (10,))`", af.models.cnn((8, 8), (1, 8), (10,))


def of_a_table(m: int) -> Models:
    """Models of ``m`` columns that have no order, and one result."""
    pairs = af.Hypercomplex(p=1, q=m)
    for fabrication in (af.Full(), af.Hypercomplex(p=1, q=m // 2)):
        yield "linear", f"`{short(fabrication)}`", head(m, 1, fabrication)
    for fabrication in (af.Full(), af.LowRank(r=1), af.LowRank(r=2)):
        yield "hidden layer", f"`{short(fabrication)}`, 16 hidden", with_hidden(m, 16, 1, fabrication)
    for k, fabrication in ((1, af.Full()), (1, pairs), (2, pairs)):
        name = f"`Taylor(d=2)`, `{short(fabrication, k)}`"
        yield "products", name, head(m, 1, fabrication, k, expansion=Taylor(d=2))
    bells = GaussianRBF(base_range=(-2.0, 2.0), num_interval=5)
    for fabrication in (af.Full(), pairs):
        name = f"`GaussianRBF(num_interval=5)`, `{short(fabrication)}`"
        yield "functions", name, head(m, 1, fabrication, expansion=bells)


@dataclass(frozen=True)
class Task:
    """A data set, what is done to its columns, and the models that are tried."""

    load: Callable
    scaler: type
    models: Callable[[], Models]
    is_regression: bool = False


TASKS = {
    "digits": Task(load_digits, MaxAbsScaler, of_images),
    "breast cancer": Task(load_breast_cancer, StandardScaler, lambda: of_a_table(30)),
    "diabetes": Task(load_diabetes, StandardScaler, lambda: of_a_table(10), is_regression=True),
}


def scores(task: Task, data: tuple[np.ndarray, np.ndarray], layer: Layer, quick: bool) -> dict:
    """The scores of a model in every fold, and the processor seconds of a fit."""
    estimator = FabricatedRegressor if task.is_regression else FabricatedClassifier
    pipeline = make_pipeline(task.scaler(), estimator(layer, max_iter=2 if quick else 500, random_state=0))
    alphas = ALPHAS[:1] if quick else ALPHAS
    values = {f"{pipeline.steps[-1][0]}__alpha": alphas}
    model = GridSearchCV(pipeline, values, cv=ShuffleSplit(1, test_size=0.25, random_state=0))
    if quick:
        folds = ShuffleSplit(1, random_state=0)
    else:
        folds = (KFold if task.is_regression else StratifiedKFold)(5, shuffle=True, random_state=0)
    began = time.process_time()
    found = cross_validate(model, *data, cv=folds, error_score="raise")["test_score"]
    fits = len(found) * (len(alphas) + 1)
    return {"scores": found.tolist(), "seconds": (time.process_time() - began) / fits}


def matrices(n: int) -> dict[str, np.ndarray]:
    """One of each kind, ``n × n`` for a square ``n``."""
    rng, side = np.random.default_rng(0), round(n**0.5)
    here, there = rng.random((2, n, 2))
    apart = np.sum((here[:, None, :] - there) ** 2, axis=2)
    A, B = rng.standard_normal((2, 3, side, side))
    noise, random = rng.standard_normal((2, n, n))
    return {
        "smooth": np.exp(-2.0 * apart),
        "Kronecker-like": sum(0.3**k * np.kron(A[k], B[k]) for k in range(3)) + 0.01 * noise,
        "random": random,
    }


def errors(matrix: np.ndarray, budget: int, each: int) -> list[dict]:
    """The lines of a plan, the nearest first."""
    norm = float(np.linalg.norm(matrix))
    return [
        {
            "fabrication": short(unscaled(line.fabrication)),
            "variant": type(unscaled(line.fabrication)).__name__,
            "learned numbers": line.l,
            "error": line.error / norm,
        }
        for line in af.plan(*matrix.shape, budget, matrix, each=each).lines
    ]


def measured(quick: bool) -> dict:
    """All scores and errors."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    models = {name: list(task.models()) for name, task in TASKS.items()}
    kinds, budgets = matrices(16 if quick else 64), (32,) if quick else BUDGETS
    found: dict = {"machine": about(), "scores": {}, "errors": {}}
    total = sum(map(len, models.values())) + len(kinds) * len(budgets)
    with progress_bar(True, 0, total) as show:
        steps = count(1)
        for name, task in TASKS.items():
            data = tuple(each[: 100 if quick else None] for each in task.load(return_X_y=True))
            found["scores"][name] = []
            for kind, model, layer in models[name]:
                line = {"kind": kind, "model": model, "learned numbers": layer.num_parameters()}
                found["scores"][name].append(line | scores(task, data, layer, quick))
                show(next(steps), name)
        for kind, matrix in kinds.items():
            found["errors"][kind] = {}
            for budget in budgets:
                found["errors"][kind][str(budget)] = errors(matrix, budget, each=1 if quick else 3)
                show(next(steps), kind)
    return found


def main(argv: list[str] | None = None) -> dict:
    """Measure, and write the file and what follows from it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--quick", action="store_true", help="a few rows and two iterations; writes nothing")
    only.add_argument("--report", action="store_true", help="write the page and the figures from the file")
    arguments = parser.parse_args(argv)
    if arguments.report:
        found = json.loads(RESULTS.read_text(encoding="utf-8"))
    else:
        found = measured(arguments.quick)
        print("\n\n".join(text(text_table) for text in sections(found).values()))
    if not arguments.quick:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        write_page(found)
    return found


if __name__ == "__main__":
    main()
