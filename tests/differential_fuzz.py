"""Random layers and fabrications against dense formulas, in random namespaces, dtypes, layouts and shapes.

``python tests/differential_fuzz.py --seconds N --seed S`` tries as many cases as it can, and prints the seed
of each that fails with what was wrong; ``--cases 1 --seed S`` tries that one alone.
"""

from __future__ import annotations

import argparse
import random
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import differential_checks as checks
import differential_misuse as misuse
from differential_cases import SHARES, LeftOut

from arrayfab.structures import streamed

KINDS = {
    "layer": (5, checks.check_layer),
    "matrix": (3, checks.check_matrix),
    "rows": (1, checks.check_rows),
    "copies": (1, checks.check_copies),
    "losses": (1, checks.check_losses),
    "not finite": (1, checks.check_not_finite),
    "misuse": (1, misuse.check_misuse),
    "matrix misuse": (1, misuse.check_matrix_misuse),
    "misfits": (1, misuse.check_misfits),
}


@contextmanager
def tiles(size):
    """Streamed matrices in tiles of that many numbers."""
    before, streamed.TILE = streamed.TILE, size
    try:
        yield
    finally:
        streamed.TILE = before


def one(seed: int, chosen=tuple(SHARES)) -> str:
    """One case; its kind."""
    rng = random.Random(seed * 7 + 1)
    (kind,) = rng.choices(list(KINDS), [share for share, _ in KINDS.values()])
    with tiles(rng.choice([5, 16, 64, 1 << 20])):
        KINDS[kind][1](seed, chosen)
    return kind


def run(
    first: int,
    count: int | None = None,
    seconds: float | None = None,
    report: Callable | None = None,
    chosen=tuple(SHARES),
) -> Counter:
    """Cases by kind; failures go to ``report``, or raise where there is none."""
    met: Counter = Counter()
    until = None if seconds is None else time.monotonic() + seconds
    seed = first
    while (count is None or seed < first + count) and (until is None or time.monotonic() < until):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                met[one(seed, chosen)] += 1
        except Exception as error:
            if isinstance(error, LeftOut) or "Dask's reshape only supports" in str(error):
                met["left out"] += 1
            elif report is None:
                error.add_note(f"python tests/differential_fuzz.py --cases 1 --seed {seed}")
                raise
            else:
                met["failed"] += 1
                report(seed, error)
        seed += 1
    return met


def printed(seed, error):
    at = traceback.extract_tb(error.__traceback__)[-1]
    lines = str(error).splitlines() or [""]
    print(
        f"seed {seed}: {type(error).__name__}: {lines[0][:400]} ({Path(at.filename).name}:{at.lineno})",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--cases", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for kind, times in sorted(run(options.seed, options.cases, options.seconds, report=printed).items()):
        print(kind, times)
