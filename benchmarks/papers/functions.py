"""The RPN paper's tables of functions, re-run: how well 161 formulas are learned from 1,000 rows each.

    OMP_NUM_THREADS=1 python benchmarks/papers/functions.py [--quick] [MODEL ...]

An RPN (B-splines and products of two, matrices of low rank) beside a Kolmogorov-Arnold network and a
perceptron of like size, all three trained by the same least squares, scikit-learn's perceptron, and
tinybig's model trained as on tinybig's pages. All functions of a list that have as many variables are
learned as one batch. Prints the mean squared error on 1,000 other rows, and writes those of every seed as
JSON.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

import arrayfab as af
from arrayfab import models, remainders
from arrayfab.expansions import BSpline, Extended, Nested, Taylor
from arrayfab.gradients import mean_squared_error
from arrayfab.training import AdamW, Exponential, Training
from arrayfab.training.history import progress_bar
from function_lists import LISTS, Function
from function_tables import NAMES, table
from reruns import about, results_file, written, xavier

#: Of the rows and of the starting values; tinybig's long training is tried with the first one alone.
SEEDS = range(5)


def rpn(m: int) -> af.Sequential:
    """Two heads of the kind of tinybig's."""
    return _heads((m, 2, 1), rank=2)


def kan(m: int) -> af.Sequential:
    """About as many numbers, in splines alone."""
    return models.kan((m, max(1, round(rpn(m).num_parameters() / (9 * (m + 1)))), 1))


def hidden(m: int) -> int:
    """How many units make a perceptron of about as many numbers."""
    return round((rpn(m).num_parameters() - 1) / (m + 2))


def mlp(m: int) -> af.Sequential:
    """About as many numbers, in one hidden layer."""
    return models.mlp((m, hidden(m), 1), activation="tanh")


def as_shown(name: str, m: int) -> af.Sequential:
    """The models of tinybig's pages."""
    if name == "elementary":
        return _heads((m, 2, 1))
    splines = BSpline(t=10, d=4)
    if name == "composite":
        return _heads((m, 2, 2, 1), expansion=Nested(expansions=(splines, Taylor())))
    both = Extended(expansions=(splines, Taylor()))
    return _heads((m, 2, 2, 1), expansion=both, remainder=partial(remainders.linear, activation="silu"))


def _heads(dims, rank=1, expansion=None, remainder=None):
    expansion = expansion or Extended(expansions=(BSpline(), Taylor()))
    return af.Sequential(
        [
            af.Head(
                fabrication=af.LowRank(r=min(rank, n)),
                expansion=expansion,
                remainder=remainder and remainder(m, n),
                n=n,
                m=m,
            )
            for m, n in pairwise(dims)
        ]
    )


@dataclass(frozen=True)
class Task:
    """Functions of as many variables, with rows to learn from and others to be tried on: ``(k, rows, m)``."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray

    @classmethod
    def of(cls, functions: list[Function], rows: int, seed: int) -> Task:
        """Rows drawn by a seed."""
        drawn = [f.data(2 * rows, np.random.default_rng([seed, i])) for i, f in enumerate(functions)]
        x, y = (np.stack(arrays) for arrays in zip(*drawn, strict=True))
        return cls(x[:, :rows], y[:, :rows], x[:, rows:], y[:, rows:])

    def scaled(self) -> Task:
        """With variables from -1 to 1, and results of mean 0 and variance 1, on the rows to learn from."""
        low, high = (f(self.x, axis=1, keepdims=True) for f in (np.min, np.max))
        x, x_test = (2 * (each - low) / (high - low) - 1 for each in (self.x, self.x_test))
        mean, spread = (f(self.y, axis=1, keepdims=True) for f in (np.mean, np.std))
        return Task(x, (self.y - mean) / spread, x_test, (self.y_test - mean) / spread)

    def errors(self, y: np.ndarray) -> np.ndarray:
        """The mean squared errors of results for the other rows, shape ``(k,)``."""
        return np.mean((y - self.y_test) ** 2, axis=(1, 2))


def jacobian(layer: af.Sequential, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Results ``(k, rows)`` and their derivatives ``(k, rows, l)``.

    Every row gets a ``w`` of its own, so that the gradient is not summed over the rows: it is the Jacobian.
    """
    each = np.repeat(w[:, None, :], x.shape[1], axis=1)
    y, pullback = layer.vjp(x[:, :, None, :], each)
    return y[..., 0, 0], pullback(np.ones_like(y))[1]


def least_squares(layer: af.Sequential, x: np.ndarray, y: np.ndarray, w: np.ndarray, steps: int) -> tuple:
    """``w`` of ``k`` models after so many steps, and their mean squared errors.

    Levenberg-Marquardt (D. Marquardt, 1963): a step solves ``(JᵀJ + μ diag JᵀJ) s = Jᵀr``. Each model has its
    own ``μ``, which falls where the step helps; where it does not, ``μ`` grows and the step is not taken.
    """

    def errors(w):
        return np.mean((layer(x, w) - y) ** 2, axis=(1, 2))

    least, damping = errors(w), np.full(len(w), 1e-2)
    for _ in range(steps):
        results, J = jacobian(layer, x, w)
        square, toward = J.mT @ J, J.mT @ (results[..., None] - y)
        diagonal = np.diagonal(square, axis1=1, axis2=2)
        floor = 1e-8 * np.max(diagonal, axis=1, keepdims=True) + 1e-12
        ridge = damping[:, None] * (diagonal + floor)
        moved = w - np.linalg.solve(square + ridge[:, :, None] * np.eye(w.shape[1]), toward)[..., 0]
        found = errors(moved)
        helps = found < least
        w, least = np.where(helps[:, None], moved, w), np.where(helps, found, least)
        damping = np.clip(np.where(helps, damping / 3, damping * 4), 1e-12, 1e8)
    return w, least


def by_least_squares(make: Callable, name: str, task: Task, seed: int, budget: Budget) -> tuple:
    """The best of some starts, by a quarter of the rows, and from there on by all."""
    layer, scaled, k = make(task.x.shape[2]), task.scaled(), len(task.x)
    rng = np.random.default_rng(seed)
    w = np.stack([layer.init(rng=rng) for _ in range(budget.starts * k)])
    x, y = (np.tile(each[:, ::4], (budget.starts, 1, 1)) for each in (scaled.x, scaled.y))
    w, errors = least_squares(layer, x, y, w, budget.first_steps)
    best = np.argmin(np.reshape(errors, (budget.starts, k)), axis=0)
    w = np.reshape(w, (budget.starts, k, -1))[best, np.arange(k)]
    w, _ = least_squares(layer, scaled.x, scaled.y, w, budget.steps)
    return layer.num_parameters(), scaled.errors(layer(scaled.x_test, w)) * np.var(task.y, axis=(1, 2))


def by_scikit_learn(name: str, task: Task, seed: int, budget: Budget) -> tuple:
    """Its perceptron, one function after another."""
    from sklearn.neural_network import MLPRegressor

    scaled, units = task.scaled(), hidden(task.x.shape[2])
    found = []
    for x, y, x_test in zip(scaled.x, scaled.y, scaled.x_test, strict=True):
        perceptron = MLPRegressor(
            hidden_layer_sizes=(units,),
            activation="tanh",
            solver="lbfgs",
            alpha=0,
            max_iter=budget.iterations,
            tol=1e-9,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it was stopped
            found.append(perceptron.set_params(random_state=seed).fit(x, y[:, 0]).predict(x_test))
    numbers = (task.x.shape[2] + 2) * units + 1
    return numbers, scaled.errors(np.stack(found)[..., None]) * np.var(task.y, axis=(1, 2))


def as_tinybig(name: str, task: Task, seed: int, budget: Budget) -> tuple:
    """The model of tinybig's pages, trained by arrayfab as there: in mini-batches, on data as they are."""
    layer = as_shown(name, task.x.shape[2])
    w = np.stack([xavier(layer, seed + i) for i in range(len(task.x))])
    training = Training(
        layer=layer,
        loss=mean_squared_error,
        optimizer=AdamW(weight_decay=1e-4),
        rate=Exponential(3e-3, 0.999),
        batch_size=100,
        epochs=budget.epochs,
        axis=1,
        seed=seed,
    )
    run = training.start(task.x.astype(w.dtype), task.y.astype(w.dtype), w).train()
    return layer.num_parameters(), task.errors(layer(task.x_test, run.w.astype(np.float64)))


@dataclass(frozen=True)
class Budget:
    """How long it is trained."""

    rows: int = 1000
    starts: int = 3
    first_steps: int = 25
    steps: int = 75
    iterations: int = 500  # of scikit-learn's
    epochs: int = 2000  # of tinybig's


QUICK = Budget(rows=40, starts=1, first_steps=2, steps=2, iterations=2, epochs=1)
TRAINED = {
    "rpn": partial(by_least_squares, rpn),
    "kan": partial(by_least_squares, kan),
    "mlp": partial(by_least_squares, mlp),
    "scikit-learn": by_scikit_learn,
    "tinybig": as_tinybig,
}


@dataclass(frozen=True)
class Job:
    """One batch: the functions of a list that have as many variables, one model, and one seed."""

    trained: str
    name: str
    variables: int
    seed: int
    budget: Budget

    @property
    def functions(self) -> list[Function]:
        return [f for f in LISTS[self.name] if len(f.ranges) == self.variables]

    def done(self) -> dict:
        """What came of it, and how many seconds of a core it took."""
        began = time.process_time()
        with np.errstate(all="ignore"):  # a start that goes astray is not the best
            task = Task.of(self.functions, self.budget.rows, self.seed)
            numbers, errors = TRAINED[self.trained](self.name, task, self.seed, self.budget)
        return {"learned numbers": numbers, "errors": errors.tolist(), "seconds": time.process_time() - began}


def jobs(trained: list[str], budget: Budget, seeds: range) -> list[Job]:
    """All batches."""
    return [
        Job(each, name, variables, seed, budget)
        for each in trained
        for seed in (seeds[:1] if each == "tinybig" else seeds)
        for name, functions in LISTS.items()
        for variables in sorted({len(f.ranges) for f in functions})
    ]


def results_of(done: list[tuple[Job, dict]]) -> dict:
    """For every list and function: how many numbers are learned, and the errors of all seeds."""
    found: dict[str, dict] = {name: {} for name in LISTS}
    for job, result in done:
        for function, error in zip(job.functions, result["errors"], strict=True):
            kept = found[job.name].setdefault(
                function.name, {"learned numbers": result["learned numbers"], "errors": []}
            )
            kept["errors"].append(error)
    return {"functions": found, "processor seconds": sum(result["seconds"] for _, result in done)}


def main(argv: list[str] | None = None) -> dict:
    """Train what is asked for, print the table and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"{', '.join(TRAINED)}; all if left out")
    parser.add_argument("--quick", action="store_true", help="40 rows, few steps and one seed")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="at a time; as many as cores")
    parser.add_argument("--out", type=Path, default=results_file("functions"), help="where to write the JSON")
    arguments = parser.parse_args(argv)
    if unknown := set(arguments.models) - TRAINED.keys():
        parser.error(f"unknown models {sorted(unknown)}; there are {list(TRAINED)}")
    results: dict[str, dict] = {}
    wanted, budget = arguments.models or list(TRAINED), QUICK if arguments.quick else Budget()
    for trained in wanted:
        batches, machine = jobs([trained], budget, SEEDS[:1] if arguments.quick else SEEDS), about()
        began = time.perf_counter()
        done = run(batches, 1 if arguments.quick else arguments.processes, NAMES[trained])
        results[trained] = results_of(done) | {"seconds": time.perf_counter() - began, "machine": machine}
        kept = written(arguments.out, results)
    print(table(kept))
    return results


def run(batches: list[Job], processes: int, text: str) -> list[tuple[Job, dict]]:
    """All batches, so many at a time, behind a bar."""
    with progress_bar(True, 0, len(batches)) as show, ProcessPoolExecutor(processes) as pool:
        found = map(Job.done, batches) if processes == 1 else pool.map(Job.done, batches)
        done = []
        for job, result in zip(batches, found, strict=True):
            done.append((job, result))
            show(len(done), text)
    return done


if __name__ == "__main__":
    main()
