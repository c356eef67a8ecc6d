"""A graph convolutional network of RPN heads on Zachary's karate club, from few labelled members.

    OMP_NUM_THREADS=1 python benchmarks/papers/graph.py [--quick]

RPN 2 (arXiv:2411.11162) makes such a network of heads whose instances depend on one another along a graph.
In the club (W. W. Zachary, 1977) 34 members took one of two sides. Some of each side are labelled, and the
sides of the others are to be found from the 78 friendships alone, by the network and by scikit-learn's
label spreading. Prints mean and spread of the accuracy over random choices of who is labelled, and writes
all of them as JSON.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from arrayfab import models
from arrayfab.interdependences import Graph
from arrayfab.training import AdamW, Training
from arrayfab.training.history import progress_bar
from reruns import about, results_file, written

#: For every member, friends with a higher number.
FRIENDS = {
    0: [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 17, 19, 21, 31],
    1: [2, 3, 7, 13, 17, 19, 21, 30],
    2: [3, 7, 8, 9, 13, 27, 28, 32],
    3: [7, 12, 13],
    4: [6, 10],
    5: [6, 10, 16],
    6: [16],
    8: [30, 32, 33],
    9: [33],
    13: [33],
    14: [32, 33],
    15: [32, 33],
    18: [32, 33],
    19: [33],
    20: [32, 33],
    22: [32, 33],
    23: [25, 27, 29, 32, 33],
    24: [25, 27, 31],
    25: [31],
    26: [29, 33],
    27: [33],
    28: [31, 33],
    29: [32, 33],
    30: [32, 33],
    31: [32, 33],
    32: [33],
}
LINKS = tuple((member, friend) for member, friends in FRIENDS.items() for friend in friends)
#: Who went with the officers, member 33, and not with the teacher, member 0.
SIDES = np.isin(np.arange(34), [9, 14, 15, 18, 20, *range(22, 34)]).astype(int)
LABELLED = (1, 2, 4)


def choices(count: int, each: int) -> np.ndarray:
    """Who is labelled, so many of each side, at random: booleans ``(count, 34)``."""
    rng = np.random.default_rng(each)
    chosen = np.zeros((count, 34), dtype=bool)
    for row in chosen:
        for side in (0, 1):
            row[rng.choice(np.flatnonzero(side == SIDES), each, replace=False)] = True
    return chosen


def network(labelled: np.ndarray, epochs: int) -> tuple[int, np.ndarray]:
    """How many numbers are learned, and the sides found, ``(count, 34)``: one batch of networks.

    A member's only attribute is who it is. Where nobody says which side, all probabilities are zero, and
    nothing is added to the loss.
    """
    layer = models.gcn((34, 8, 2), Graph.of(34, LINKS), activation="tanh")
    x = np.tile(np.eye(34), (len(labelled), 1, 1))
    target = np.eye(2)[SIDES] * labelled[..., None]
    rng = np.random.default_rng(0)
    training = Training(
        layer=layer,
        optimizer=AdamW(weight_decay=0.1),
        rate=0.02,
        batch_size=34,
        epochs=epochs,
        shuffle=False,
        axis=1,
    )
    run = training.start(x, target, np.stack([layer.init(rng=rng) for _ in labelled])).train()
    return layer.num_parameters(), np.argmax(layer(x, run.w), axis=2)


def spreading(labelled: np.ndarray) -> np.ndarray:
    """The sides that scikit-learn's label spreading finds along the friendships."""
    from sklearn.semi_supervised import LabelSpreading

    matrix = np.zeros((34, 34))
    matrix[tuple(np.asarray(LINKS).T)] = 1
    members = np.arange(34)[:, None]
    found = []
    for mask in labelled:
        model = LabelSpreading(kernel=lambda x, y: matrix + matrix.T, alpha=0.9, max_iter=1000)
        found.append(model.fit(members, np.where(mask, SIDES, -1)).transduction_)
    return np.stack(found)


def accuracies(found: np.ndarray, labelled: np.ndarray) -> list[float]:
    """The shares of right sides among members that nobody labelled."""
    return [float(np.mean(row[~mask] == SIDES[~mask])) for row, mask in zip(found, labelled, strict=True)]


def table(results: dict[str, dict]) -> str:
    """The results as Markdown."""
    lines = ["| labelled | learned numbers | graph network of heads | label spreading |", "|---|---|---|---|"]
    for labelled, result in results.items():
        both = [result["network"], result["label spreading"]]
        cells = " | ".join(f"{np.mean(each):.3f} ± {np.std(each):.3f}" for each in both)
        lines.append(f"| {labelled} | {result['learned numbers']} | {cells} |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> dict:
    """Train all of them, print the table and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three choices, and 20 epochs")
    parser.add_argument("--out", type=Path, default=results_file("graph"), help="where to write the JSON")
    arguments = parser.parse_args(argv)
    count, epochs = (3, 20) if arguments.quick else (50, 200)
    asked = {"the teacher and the officer": np.isin(np.arange(34), [0, 33])[None]}
    asked |= {f"{each} of each side, {count} choices": choices(count, each) for each in LABELLED}
    results: dict[str, dict] = {}
    with progress_bar(True, 0, len(asked)) as show:
        for name, labelled in asked.items():
            machine, began = about(), time.perf_counter()
            numbers, found = network(labelled, epochs)
            results[name] = {
                "learned numbers": numbers,
                "network": accuracies(found, labelled),
                "label spreading": accuracies(spreading(labelled), labelled),
                "seconds": time.perf_counter() - began,
                "machine": machine,
            }
            show(len(results), name)
    print(table(results))
    written(arguments.out, results)
    return results


if __name__ == "__main__":
    main()
