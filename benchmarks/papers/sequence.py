"""A recurrent network of RPN heads on a chaotic series, beside an autoregression.

    OMP_NUM_THREADS=1 python benchmarks/papers/sequence.py [--quick]

RPN 2 (arXiv:2411.11162) makes recurrent networks of heads whose instances depend on one another along a
chain. Here the instances are moments of the series of M. C. Mackey and L. Glass (1977), and what comes six
moments later is to be found from all that came before. Every head adds what was 1, 2, 4 or 8 moments ago.
Prints the error on later moments, in parts of the series' own spread, and writes it as JSON.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

import arrayfab as af
from arrayfab.gradients import mean_squared_error
from arrayfab.interdependences import MultihopChain
from arrayfab.remainders import linear
from arrayfab.training import AdamW, Cosine, Training
from reruns import about, results_file, written

AHEAD = 6
LAGS = 16  # that the autoregression sees, and the network
WINDOW = 64


def mackey_glass(length: int, seed: int) -> np.ndarray:
    """``s' = 0.2 s(t − 17) / (1 + s(t − 17)¹⁰) − 0.1 s``, by steps of a tenth of a moment; standardised."""
    delay, per_moment = 170, 10
    s = np.empty((length + 100) * per_moment + delay)
    s[:delay] = np.random.default_rng(seed).uniform(0.5, 1.3, size=delay)
    for i in range(delay, len(s)):
        late = s[i - delay]
        s[i] = s[i - 1] + 0.1 * (0.2 * late / (1 + late**10) - 0.1 * s[i - 1])
    series = s[-length * per_moment :: per_moment]
    return (series - series.mean()) / series.std()


def network(width: int = 16) -> af.Sequential:
    """Heads that see 1, 2, 4 and 8 moments back, each beside a linear map of what is now."""

    def head(m, hops):
        ago = MultihopChain(hops=hops, self_loops=0.0, interdependence_type="instance")
        return af.Head(
            fabrication=af.Full(), instance=ago, remainder=linear(m, width), n=width, m=m, bias=True
        )

    heads = [head(1, 1), head(width, 2), head(width, 4), head(width, 8)]
    layers = [layer for each in heads for layer in (each, af.Pointwise("tanh"))]
    return af.Sequential([*layers, af.Head(fabrication=af.Full(), n=1, m=width, bias=True)])


def by_network(series: np.ndarray, later: np.ndarray, epochs: int, seed: int) -> tuple[int, np.ndarray]:
    """How many numbers are learned, and what is found for the later series."""
    starts = np.arange(0, len(series) - WINDOW - AHEAD, 8)[:, None] + np.arange(WINDOW)
    layer = network()
    training = Training(
        layer=layer,
        loss=mean_squared_error,
        optimizer=AdamW(),
        rate=Cosine(0.01, epochs=epochs),
        smooth=True,
        batch_size=16,
        epochs=epochs,
        seed=seed,
    )
    run = training.start(series[starts][..., None], series[starts + AHEAD][..., None]).train(progress=True)
    return layer.num_parameters(), layer(later[:-AHEAD, None], run.w)[LAGS - 1 :, 0]


def by_autoregression(
    series: np.ndarray, later: np.ndarray, epochs: int, seed: int
) -> tuple[int, np.ndarray]:
    """Linear in the last values, by least squares."""
    x, t = lagged(series)
    ones, ones_later = (np.column_stack([each, np.ones(len(each))]) for each in (x, lagged(later)[0]))
    return LAGS + 1, ones_later @ np.linalg.lstsq(ones, t)[0]


def by_perceptron(series: np.ndarray, later: np.ndarray, epochs: int, seed: int) -> tuple[int, np.ndarray]:
    """scikit-learn's, of the last values."""
    from sklearn.neural_network import MLPRegressor

    units = round((network().num_parameters() - 1) / (LAGS + 2))
    perceptron = MLPRegressor(hidden_layer_sizes=(units,), max_iter=5 * epochs, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it was stopped
        perceptron.fit(*lagged(series))
    return (LAGS + 2) * units + 1, perceptron.predict(lagged(later)[0])


def by_persistence(series: np.ndarray, later: np.ndarray, epochs: int, seed: int) -> tuple[int, np.ndarray]:
    """What is now."""
    return 0, lagged(later)[0][:, -1]


MODELS: dict[str, Callable] = {
    "chain of heads": by_network,
    "scikit-learn's perceptron, 16 lags": by_perceptron,
    "linear autoregression, 16 lags": by_autoregression,
    "persistence": by_persistence,
}


def lagged(series: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The last values at every moment, and the one to be found."""
    windows = np.lib.stride_tricks.sliding_window_view(series[:-AHEAD], LAGS)
    return windows, series[LAGS - 1 + AHEAD :]


def table(results: dict[str, dict]) -> str:
    """The results as Markdown."""
    lines = ["| model | learned numbers | error / spread | seconds |", "|---|---|---|---|"]
    for name, result in results.items():
        errors = result["errors"]
        lines.append(
            f"| {name} | {result['learned numbers']} | {np.mean(errors):.4f} ± {np.std(errors):.4f} "
            f"| {result['seconds']:.1f} |"
        )
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> dict:
    """Train all of them, print the table and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a short series, two epochs, one seed")
    parser.add_argument("--out", type=Path, default=results_file("sequence"), help="where to write the JSON")
    arguments = parser.parse_args(argv)
    moments, epochs, seeds = (300, 2, 1) if arguments.quick else (3000, 100, 5)
    results: dict[str, dict] = {}
    for seed in range(seeds):
        series, later = np.split(mackey_glass(moments + moments // 3, seed), [moments])
        target = lagged(later)[1]
        for name, find in MODELS.items():
            machine, began = about(), time.perf_counter()
            numbers, found = find(series, later, epochs, seed)
            kept = results.setdefault(
                name, {"learned numbers": numbers, "errors": [], "seconds": 0.0, "machine": machine}
            )
            kept["errors"].append(float(np.sqrt(np.mean((found - target) ** 2)) / np.std(target)))
            kept["seconds"] += time.perf_counter() - began
    print(table(results))
    written(arguments.out, results)
    return results


if __name__ == "__main__":
    main()
