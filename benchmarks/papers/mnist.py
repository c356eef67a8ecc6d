"""The RPN paper's MNIST table, re-run: dual lphm over Taylor expansions, and beside it sums of grids.

    OMP_NUM_THREADS=1 python benchmarks/papers/mnist.py [--data mnist.npz] [--quick] [MODEL ...]
    OMP_NUM_THREADS=1 python benchmarks/papers/mnist.py --tinybig PYTHON

The published model (arXiv:2407.04819) has three layers, 784 -> 64 -> 64 -> 10, in tinybig's arrangement.
Its description normalises the expansion of all layers; in the run that was published the first one's was
ignored. Prints accuracies on the test images beside the published one, and writes them with times and
memory as JSON. The second command takes ten steps of the published model, by arrayfab and, with the
interpreter that is named, by tinybig.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import arrayfab as af
from arrayfab.expansions import RowNormalized, Taylor
from arrayfab.structures import Constant, Identity, Toeplitz, kron, side_by_side
from arrayfab.training import AdamW, Cosine, Exponential, Training, accuracy
from reruns import about, peak, results_file, written, xavier

PUBLISHED = 0.9807  # after the last epoch; 0.9814 after the best one
KAPPA = Taylor(d=2)
NORMALISED = RowNormalized(expansion=KAPPA, eps=1e-5)


@dataclass(frozen=True, kw_only=True)
class Grid(af.Fabrication):
    """``C ⊗ T(a) ⊗ T(b)``: channels, and correlations down and across a square at every so many pixels.

    ``T`` is a Toeplitz matrix. A sum of such is a convolution with kernels mixed from as many separable ones.
    """

    channels: int
    kernels: int
    taps: int = 5
    stride: int = 2

    def blocks(self, n, D):
        return {"C": (self.kernels, self.channels), "a": (1, self.taps), "b": (1, self.taps)}

    def matrix(self, n, D, C, a, b):
        outer, inner = math.isqrt(n // self.kernels), math.isqrt(D // self.channels)
        ones = Constant((1, 1), 1.0), *[Constant((1, 1), 0.0)] * (self.stride - 1)
        every = kron(Identity((outer, outer)), side_by_side(ones))

        def along(taps):
            return every @ Toeplitz(taps, inner, outer * self.stride, self.taps // 2).T

        return kron(C, kron(along(a), along(b)))


def published(first) -> af.Sequential:
    """The model of the paper, with an expansion for its first layer."""

    def layer(expansion, n, m, p, q):
        fabrication = af.DualLPHM(p=p, q=q, r=5, arrangement="reshaped")
        return af.Reconciliation(expansion=expansion, fabrication=fabrication, n=n, m=m)

    return af.Sequential(
        [layer(first, 64, 784, 8, 784), layer(NORMALISED, 64, 64, 8, 64), layer(NORMALISED, 10, 64, 2, 64)]
    )


def convolution(kernels: tuple[int, int], terms: tuple[int, int]) -> af.Sequential:
    """Two sums of grids, 28 -> 14 -> 7 pixels, and a full last layer."""
    first, second = kernels
    down = sum([Grid(channels=1, kernels=first)] * terms[0])
    down_again = sum([Grid(channels=first, kernels=second)] * terms[1])
    return af.Sequential(
        [
            af.Reconciliation(fabrication=down, n=first * 196, D=784),
            af.Pointwise("relu"),
            af.Reconciliation(fabrication=down_again, n=second * 49, D=first * 196),
            af.Pointwise("relu"),
            af.Reconciliation(fabrication=af.Full(), n=10, D=second * 49, bias=True),
        ]
    )


def prepare(x: np.ndarray, target: np.ndarray, step: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Bytes as the paper's numbers."""
    return (x.reshape(-1, 784) * np.float32(1 / (255 * 0.3081)) - np.float32(0.1307 / 0.3081)), target


def shifted(reach: int) -> Callable:
    """The same, and for training each image moved by up to so many pixels, at random by the step's number."""

    def prepare_shifted(x, target, step):
        if step is not None:
            moves = np.random.Generator(np.random.Philox(step)).integers(
                0, 2 * reach + 1, size=(2, len(x), 1)
            )
            padded = np.pad(x.reshape(-1, 28, 28), ((0, 0), (reach, reach), (reach, reach)))
            down, across = moves + np.arange(28)
            x = padded[np.arange(len(x))[:, None, None], down[:, :, None], across[:, None, :]]
        return prepare(x, target, step)

    return prepare_shifted


@dataclass(frozen=True)
class Recipe:
    """A model, how it starts, and how it is trained."""

    model: Callable[[], af.Sequential]
    start: Callable[[af.Sequential, int], np.ndarray]
    training: Callable[[int], dict]  # for so many epochs
    epochs: int
    published: float | None = None


def of_the_paper(epochs: int) -> dict:
    """How the published model was trained."""
    return {"optimizer": AdamW(weight_decay=2e-4), "rate": Exponential(2e-3, 0.9), "prepare": prepare}


def of_the_paper_shifted(epochs: int) -> dict:
    """The same, with images that are never quite the same."""
    return of_the_paper(epochs) | {"prepare": shifted(1)}


def by_a_wave(epochs: int) -> dict:
    """A rate that falls from step to step, and images that are never quite the same."""
    rate = Cosine(6e-3, epochs=epochs)
    return {"optimizer": AdamW(weight_decay=2e-4), "rate": rate, "smooth": True, "prepare": shifted(2)}


def scaled(model: af.Sequential, seed: int) -> np.ndarray:
    """arrayfab's own starting values."""
    return model.init(rng=seed).astype(np.float32)


RECIPES = {
    "as-described": Recipe(lambda: published(NORMALISED), xavier, of_the_paper, 20, PUBLISHED),
    "as-run": Recipe(lambda: published(KAPPA), xavier, of_the_paper, 20, PUBLISHED),
    "shifted": Recipe(lambda: published(KAPPA), xavier, of_the_paper_shifted, 20),
    "grid": Recipe(lambda: convolution((8, 16), (3, 2)), scaled, by_a_wave, 15),
}
NAMES = {
    "as-described": "published model, every expansion normalised",
    "as-run": "published model, the first expansion as it is",
    "shifted": "the same model, images shifted by up to a pixel",
    "grid": "sums of grids, images shifted by up to two pixels",
}


def load(path: Path | None) -> tuple[np.ndarray, ...]:
    """Training images and labels, test images and labels: from a file, or by scikit-learn from OpenML."""
    if path is not None:
        with np.load(path) as file:
            x, t, x_test, t_test = (file[name] for name in ("x_train", "y_train", "x_test", "y_test"))
    else:
        from sklearn.datasets import fetch_openml

        images, labels = fetch_openml("mnist_784", version=1, as_frame=False, return_X_y=True)
        images, labels = images.astype(np.uint8), labels.astype(np.int64)
        x, t, x_test, t_test = images[:60000], labels[:60000], images[60000:], labels[60000:]
    return *_flat(x, t), *_flat(x_test, t_test)


def _flat(images, labels):
    return images.reshape(len(images), 784), labels.astype(np.int64)


def measure(recipe: Recipe, data: tuple[np.ndarray, ...], epochs: int, seed: int) -> dict:
    """Train a model, and say what came of it."""
    x, t, x_test, t_test = data
    model = recipe.model()
    training = Training(
        layer=model, metric=accuracy, batch_size=64, epochs=epochs, seed=seed, **recipe.training(epochs)
    )
    run = training.start(x, t, recipe.start(model, seed), validation=(x_test, t_test))
    began, used = time.perf_counter(), time.process_time()
    run.train(progress=True)
    wall, cpu = time.perf_counter() - began, time.process_time() - used
    return {
        "learned numbers": model.num_parameters(),
        "epochs": epochs,
        "accuracy": run.history.column("metric")[-1],
        "best accuracy": max(run.history.column("metric")),
        "published accuracy": recipe.published,
        "seconds per epoch": wall / epochs,
        "processor seconds per epoch": cpu / epochs,
        "peak MiB of the process": peak(),
        "seed": seed,
        "history": {name: run.history.column(name) for name in HISTORY},
    }


HISTORY = ("loss", "rate", "validation_loss", "metric")


def table(results: dict[str, dict]) -> str:
    """The results as Markdown."""
    lines = [
        "| model | learned numbers | epochs | test accuracy | best | published | s/epoch (processor) | MiB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, found in results.items():
        theirs = found["published accuracy"]
        lines.append(
            f"| {NAMES[name]} | {found['learned numbers']:,} | {found['epochs']} | {found['accuracy']:.4f} "
            f"| {found['best accuracy']:.4f} | {theirs or '–'} | {found['seconds per epoch']:.1f} "
            f"({found['processor seconds per epoch']:.1f}) | {found['peak MiB of the process']:.0f} |"
        )
    return "\n".join(lines)


def ten_steps(python: str) -> dict[str, dict]:
    """What steps of the published model take: arrayfab's, and tinybig's with another interpreter."""
    script = str(Path(__file__).with_name("ten_steps.py"))

    def taken(interpreter, library):
        child = subprocess.run([interpreter, script, library], capture_output=True, text=True)
        if child.returncode:
            return {"error": child.stderr.strip()}
        return json.loads(child.stdout.splitlines()[-1])

    return {"arrayfab": taken(sys.executable, "arrayfab"), "tinybig": taken(python, "tinybig")}


def steps_table(found: dict[str, dict]) -> str:
    """The steps as Markdown; in place of numbers, why there are none."""
    lines = ["| library | s/step (processor) | MiB |", "|---|---|---|"]
    for library, taken in found.items():
        if "error" in taken:
            lines.append(f"| {library} | {taken['error'].splitlines()[-1]} | – |")
        else:
            seconds, processor, held = taken.values()
            lines.append(f"| {library} | {seconds:.4f} ({processor:.4f}) | {held:.0f} |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> dict:
    """Train what is asked for, print the table and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"{', '.join(RECIPES)}; all if left out")
    parser.add_argument("--data", type=Path, help="mnist.npz; else OpenML's, by scikit-learn")
    parser.add_argument("--quick", action="store_true", help="2,000 images and 2 epochs")
    parser.add_argument("--epochs", type=int, help="instead of each model's own")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--tinybig", metavar="PYTHON", help="take ten steps alone; an interpreter with tinybig"
    )
    parser.add_argument("--out", type=Path, default=results_file("mnist"), help="where to write the JSON")
    arguments = parser.parse_args(argv)
    if unknown := set(arguments.models) - RECIPES.keys():
        parser.error(f"unknown models {sorted(unknown)}; there are {list(RECIPES)}")
    if arguments.tinybig:
        found = ten_steps(arguments.tinybig)
        print(steps_table(found))
        written(arguments.out, {"ten steps": found | {"machine": about()}})
        return found
    data = load(arguments.data)
    if arguments.quick:
        data = tuple(array[:2000] for array in data)
    results: dict[str, dict] = {}
    for name in arguments.models or RECIPES:
        recipe, machine = RECIPES[name], about()
        epochs = arguments.epochs or (2 if arguments.quick else recipe.epochs)
        results[name] = measure(recipe, data, epochs, arguments.seed) | {"machine": machine}
        results[name]["images"] = len(data[0])
    print(table(results))
    written(arguments.out, results)
    return results


if __name__ == "__main__":
    main()
