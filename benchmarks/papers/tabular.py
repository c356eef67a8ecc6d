"""The RPN paper's tables of tabular data, re-run: heads of one layer beside scikit-learn's classifiers.

    OMP_NUM_THREADS=1 python benchmarks/papers/tabular.py [--quick] [--pima FILE] [--banknote FILE]

Each model is trained on nine tenths of the rows and tried on the others, for twenty random splits; the
twenty are one batch. Iris, wine and breast cancer are scikit-learn's. The paper's Pima and banknote data
are read from files, the class in the last column. Without them others take their place: scikit-learn's
diabetes data, with classes by whether the disease went on faster than the median, and made-up rows, as many
as banknotes. Prints mean and spread of the accuracy, and writes those of every split as JSON.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn import datasets
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import SVC

from arrayfab import Head, LowRank, models
from arrayfab.expansions import GaussianRBF, Taylor
from arrayfab.layer import Layer
from arrayfab.remainders import linear
from arrayfab.training import AdamW, Cosine, Training
from arrayfab.training.history import progress_bar
from reruns import about, results_file, written

#: What tinybig's pages show, for a single split.
SHOWN = {"iris": 1.0, "pima": 0.8052, "banknote": 0.9710}


def naive_bayes(m: int, n: int) -> Layer:
    """Log densities of each attribute by itself, and the attributes."""
    return models.naive_bayes(m, n, remainder=linear(m, n))


def pairs(m: int, n: int) -> Layer:
    """Log densities of pairs too: what tinybig's pages take for Pima and banknotes."""
    return models.pgm(m, n, remainder=linear(m, n))


def kernel(m: int, n: int) -> Layer:
    """Ten bells along each attribute."""
    return models.kernel_svm(m, n, expansion=GaussianRBF(base_range=(-2.0, 2.0)))


def products(m: int, n: int) -> Layer:
    """Products of two attributes, and a matrix of low rank."""
    return Head(expansion=Taylor(d=2), fabrication=LowRank(r=2), n=n, m=m, bias=True)


HEADS: dict[str, Callable[[int, int], Layer]] = {
    "naive Bayes head": naive_bayes,
    "PGM head": pairs,
    "kernel SVM head": kernel,
    "Taylor head, low rank": products,
}
OTHERS: dict[str, Callable] = {
    "GaussianNB": GaussianNB,
    "SVC": SVC,
    "LogisticRegression": lambda: LogisticRegression(max_iter=1000),
}


def data_sets(pima: Path | None, banknote: Path | None) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Attributes and classes, by name."""
    found = {
        "iris": datasets.load_iris(return_X_y=True),
        "wine": datasets.load_wine(return_X_y=True),
        "breast cancer": datasets.load_breast_cancer(return_X_y=True),
    }
    if pima:
        found["pima"] = _read(pima)
    else:
        x, progression = datasets.load_diabetes(return_X_y=True)
        found["diabetes, above the median"] = x, (progression > np.median(progression)).astype(int)
    if banknote:
        found["banknote"] = _read(banknote)
    else:
        found["made up like banknotes"] = datasets.make_classification(
            1372, 4, n_informative=4, n_redundant=0, class_sep=1.5, flip_y=0.01, random_state=0
        )
    return found


def _read(path):
    numbers = np.loadtxt(path, delimiter=",")
    return numbers[:, :-1], numbers[:, -1].astype(int)


def splits(x: np.ndarray, t: np.ndarray, count: int) -> tuple[np.ndarray, ...]:
    """So many at random: rows and classes to learn from, and to be tried on, with a leading axis.

    Attributes have mean 0 and variance 1 on the rows to learn from.
    """
    rows = list(StratifiedShuffleSplit(count, test_size=0.1, random_state=0).split(x, t))
    train, test = (np.stack(each) for each in zip(*rows, strict=True))
    mean, spread = (f(x[train], axis=1, keepdims=True) for f in (np.mean, np.std))
    return (x[train] - mean) / spread, t[train], (x[test] - mean) / spread, t[test]


def head_accuracies(make: Callable, split: tuple[np.ndarray, ...], epochs: int) -> tuple[int, np.ndarray]:
    """How many numbers are learned, and the accuracies of all splits, trained as one batch."""
    x, t, x_test, t_test = split
    layer = make(x.shape[2], int(t.max()) + 1)
    training = Training(
        layer=layer,
        optimizer=AdamW(weight_decay=1e-2),
        rate=Cosine(0.03, epochs=epochs),
        batch_size=256,
        epochs=epochs,
        axis=1,
    )
    rng = np.random.default_rng(0)
    run = training.start(x, t, np.stack([layer.init(rng=rng) for _ in x])).train()
    return layer.num_parameters(), np.mean(np.argmax(layer(x_test, run.w), axis=2) == t_test, axis=1)


def other_accuracies(make: Callable, split: tuple[np.ndarray, ...]) -> np.ndarray:
    """The accuracies of all splits, one after another."""
    return np.asarray(
        [make().fit(x, t).score(x_test, t_test) for x, t, x_test, t_test in zip(*split, strict=True)]
    )


def table(results: dict[str, dict]) -> str:
    """The results as Markdown, a row for every data set."""
    names = [*HEADS, *OTHERS]
    lines = ["| data | rows | " + " | ".join(names) + " | tinybig's page |", "|---" * (len(names) + 3) + "|"]
    for data, result in results.items():
        cells = []
        for name in names:
            accuracies = result["accuracies"][name]
            cells.append(f"{np.mean(accuracies):.3f} ± {np.std(accuracies):.3f}")
        lines.append(f"| {data} | {result['rows']:,} | {' | '.join(cells)} | {SHOWN.get(data, '–')} |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> dict:
    """Train all of them, print the table and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three splits, and a tenth of the epochs")
    parser.add_argument("--pima", type=Path, help="a CSV file of the Pima diabetes data")
    parser.add_argument("--banknote", type=Path, help="a CSV file of the banknote data")
    parser.add_argument("--out", type=Path, default=results_file("tabular"), help="where to write the JSON")
    arguments = parser.parse_args(argv)
    count, epochs = (3, 20) if arguments.quick else (20, 200)
    found, results = data_sets(arguments.pima, arguments.banknote), {}
    with progress_bar(True, 0, len(found) * len(HEADS)) as show:
        for data, (x, t) in found.items():
            machine, began, split = about(), time.perf_counter(), splits(x, t, count)
            accuracies = {name: other_accuracies(make, split).tolist() for name, make in OTHERS.items()}
            numbers = {}
            for i, (name, make) in enumerate(HEADS.items()):
                numbers[name], head = head_accuracies(make, split, epochs)
                accuracies[name] = head.tolist()
                show(len(results) * len(HEADS) + i + 1, data)
            results[data] = {
                "rows": len(x),
                "learned numbers": numbers,
                "accuracies": accuracies,
                "seconds": time.perf_counter() - began,
                "machine": machine,
            }
    print(table(results))
    written(arguments.out, results)
    return results


if __name__ == "__main__":
    main()
