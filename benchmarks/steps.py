"""Heads of the papers' models, and training steps of whole models, beside PyTorch eager by hand.

    python benchmarks/steps.py [--quick] [--out FILE]

Forward and gradient of every head in float32, for its data and its learned numbers; and steps of training
(forward, loss, gradient, AdamW), a mini-batch each. The formulas are those of `by_hand`; before anything is
timed, results, gradients and the learned numbers after an epoch are compared in float64. One thread each,
and the least processor time of many calls that take turns in one process. Where OPENBLAS_CORETYPE is set, a
second process measures without it. Prints both tables, and writes them as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from torch.nn import functional

from arrayfab.gradients import mean_squared_error
from arrayfab.losses import softmax_cross_entropy
from arrayfab.training import Training
from by_hand import Case, heads, whole_models
from session import clock, machine
from timing import Effort, medians

OURS, THEIRS, FUSED = "arrayfab", "PyTorch", "PyTorch, fused AdamW"
CORETYPE = "OPENBLAS_CORETYPE"
RATE = 1e-3


def gradients(case: Case, dtype: str) -> dict:
    """``y``, the gradient of the data and that of the learned numbers: a call for either library."""
    rng = np.random.default_rng(0)
    x = (0.5 * rng.standard_normal(case.shape)).astype(dtype)
    w = case.layer.init(rng=0).astype(dtype)
    g = rng.standard_normal(case.layer(x, w).shape).astype(dtype)
    leaves = [torch.tensor(array, requires_grad=True) for array in (x, *case.split(w))]
    cotangent = torch.tensor(g)

    def ours():
        y, pullback = case.layer.vjp(x, w)
        return y, *pullback(g)

    def theirs():
        y = case.by_hand(leaves[0], leaves[1:])
        return y, *torch.autograd.grad(y, leaves, cotangent)

    return {OURS: ours, THEIRS: theirs}


def epochs(case: Case, dtype: str) -> dict:
    """An epoch of training, and after it the learned numbers: a call for either library and optimizer."""
    rng = np.random.default_rng(0)
    rows = case.shape[0]
    x = (0.5 * rng.standard_normal((case.batches * rows, *case.shape[1:]))).astype(dtype)
    w = case.layer.init(rng=0).astype(dtype)
    target = rng.standard_normal(case.layer(x[:rows], w).shape).astype(dtype)
    target = np.tile(target, (case.batches, *(1,) * (target.ndim - 1)))
    if case.is_classifier:
        target = np.argmax(target, axis=-1)
    loss = softmax_cross_entropy if case.is_classifier else mean_squared_error
    training = Training(
        layer=case.layer, loss=loss, rate=RATE, batch_size=rows, epochs=sys.maxsize, shuffle=False
    )
    run = training.start(x, target, w)
    data, labels = torch.tensor(x), torch.tensor(target)

    def ours():
        return run.train(case.batches).w

    def theirs(fused):
        leaves = [torch.tensor(block, requires_grad=True) for block in case.split(w)]
        optimizer = torch.optim.AdamW(leaves, lr=RATE, fused=fused)

        def epoch():
            for rows_now in torch.arange(len(data)).split(rows):
                optimizer.zero_grad()
                y = case.by_hand(data[rows_now], leaves)
                value = _loss(y, labels[rows_now], case.is_classifier)
                value.backward()
                value.item()  # it is looked at, as arrayfab does
                optimizer.step()
            return leaves

        return epoch

    return {OURS: ours, THEIRS: theirs(None), FUSED: theirs(True)}


def _loss(y, target, is_classifier):
    if is_classifier:
        return functional.cross_entropy(y.reshape(-1, y.shape[-1]), target.reshape(-1))
    return functional.mse_loss(y, target)


def check(case: Case, calls: dict) -> None:
    """ValueError where the libraries do not give the same numbers."""
    found = {name: flat(call()) for name, call in calls.items()}
    expected = found.pop(OURS)
    for name, numbers in found.items():
        off = np.max(np.abs(numbers - expected)) / np.max(np.abs(expected))
        if not off < 1e-6:
            raise ValueError(f"{case.name}: {name} differs by {off:.1e} of the largest number")


def flat(arrays) -> np.ndarray:
    """All numbers of arrays or tensors, one after another."""
    arrays = arrays if isinstance(arrays, list | tuple) else [arrays]
    return np.concatenate([np.asarray(torch.as_tensor(array).detach()).reshape(-1) for array in arrays])


def measured(quick: bool) -> dict:
    """Milliseconds of every case, with the machine that they are of."""
    torch.set_num_threads(1)
    short = {"seconds": 0.002, "turns": 1} if quick else {"seconds": 1.0, "turns": 8}
    effort, rows = Effort(clock="cpu", **short), 4 if quick else 64
    about = machine(1, "cpu") | clock("cpu") | {"PyTorch": torch.__version__}
    found: dict = {"machine": about, "heads": {}, "steps": {}}
    for part, cases, made in (("heads", heads(rows), gradients), ("steps", whole_models(rows), epochs)):
        for case in cases:
            check(case, made(case, "float64"))
            ms = medians(made(case, "float32"), effort)
            steps = case.batches if part == "steps" else 1
            found[part][case.name] = {name: each / steps for name, each in ms.items()}
    return found


def table(runs: dict[str, dict], part: str) -> str:
    """Times and ratios of all runs as Markdown, and the geometric means."""
    names = list(next(iter(runs.values()))[part])
    peers = [name for name in next(iter(runs.values()))[part][names[0]] if name != OURS]
    columns = [
        (f"{title}, {kernels}", [times(run[part][name]) for name in names])
        for kernels, run in runs.items()
        for title, times in [(OURS, _of_ours), *((peer, _over(peer)) for peer in peers)]
    ]
    lines = [f"| {part} | {' | '.join(title for title, _ in columns)} |", f"|---|{'---:|' * len(columns)}"]
    cells = [[_shown(title, each) for each in column] for title, column in columns]
    lines += [f"| {' | '.join(row)} |" for row in zip(names, *cells, strict=True)]
    means = ["" if t.startswith(OURS) else f"{statistics.geometric_mean(c):.2f} ×" for t, c in columns]
    return "\n".join([*lines, f"| geometric mean | {' | '.join(means)} |"])


def _of_ours(ms):
    return ms[OURS]


def _over(peer):
    return lambda ms: ms[peer] / ms[OURS]


def _shown(title, value):
    return f"{value:.3f} ms" if title.startswith(OURS) else f"{value:.2f} ×"


def without_kernels(arguments: argparse.Namespace) -> dict:
    """What a process measures that OpenBLAS chooses its kernels in."""
    environment = {name: value for name, value in os.environ.items() if name != CORETYPE}
    command = [sys.executable, __file__, "--as-json", *["--quick"] * arguments.quick]
    child = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(child.stdout)


def main(argv: list[str] | None = None) -> dict:
    """Measure, print the tables and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="tiny data, and few calls")
    parser.add_argument("--as-json", action="store_true", help="print that of these kernels, and no more")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "steps.json")
    arguments = parser.parse_args(argv)
    here = measured(arguments.quick)
    if arguments.as_json:
        print(json.dumps(here))
        return here
    kernels = os.environ.get(CORETYPE)
    runs = {kernels: here, "own kernels": without_kernels(arguments)} if kernels else {"own kernels": here}
    arguments.out.write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")
    print("\n\n".join(table(runs, part) for part in ("heads", "steps")))
    return runs


if __name__ == "__main__":
    main()
