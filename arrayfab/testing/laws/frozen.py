"""Laws of frozen matrices and their seeds."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab.fabrications import Seeded
from arrayfab.fabrications.blueprint import blueprint
from arrayfab.frozen import Frozen
from arrayfab.testing.cases import Case
from arrayfab.testing.laws.registry import law
from arrayfab.testing.setting import LawBroken, short
from arrayfab.testing.trials import trials


@law("fabrication", namespaces=("numpy",))
def another_seed_gives_other_numbers(subject: Any, case: Case) -> None:
    """Every bit of the seed matters: where frozen blocks differ between two seeds, so does the matrix."""
    if not isinstance(subject, Seeded):
        return
    n, D = (size * -(-_LARGE // size) for size in (case.n, case.D))
    case = replace(case, n=n, D=D, batch=())
    # Neighbours, seeds alike in their lower half, and two that are one number in floating point.
    seeds = [subject.seed, *(subject.seed ^ 1 << bit for bit in (0, 32, 63)), 2**64 - 1, 2**64 - 2]
    try:
        W = {seed: _of_ones(replace(subject, seed=seed), case) for seed in seeds}
        laws = subject.frozen(n, D)
    except ValueError:  # the sizes do not fit
        return
    drawn = {s: [Frozen(s, name, law).draw() for name, law in laws.items()] for s in W}
    for one, two in combinations(W, 2):
        differ = any(not np.array_equal(a, b) for a, b in zip(drawn[one], drawn[two], strict=True))
        if differ and np.array_equal(W[one], W[two]):
            raise LawBroken(f"seeds {one} and {two}: expected different matrices, received one")


_LARGE = 24  # at so many rows and columns, no two seeds give one matrix by chance


def _of_ones(subject, case):
    trial = trials(subject, case)["W"]
    return _arrays.to_host(trial.call(case.asarray(np.ones(trial.shapes["w"]))))


@law("fabrication", namespaces=("numpy",))
def entries_do_not_depend_on_runs(subject: Any, case: Case) -> None:
    """An entry of a frozen block is the same in whatever run of entries it is drawn."""
    for name, block in _frozen_blocks(subject, case):
        words = _words(case, 64)
        expected = block.law.from_words(words.copy())
        for start, stop in ((4, 64), (0, 4), (8, 20), (32, 64)):
            received = block.law.from_words(words[start:stop].copy())
            if not np.array_equal(expected[start:stop], received):
                raise LawBroken(
                    f"block {name}, entries {start} to {stop} drawn alone\n"
                    f"expected {short(expected[start:stop])}\nreceived {short(received)}"
                )


@law("fabrication", namespaces=("numpy",))
def moment_is_that_of_the_entries(subject: Any, case: Case) -> None:
    """A law's ``moment`` is the mean square of its entries, as far as many draws tell."""
    for name, block in _frozen_blocks(subject, case):
        squares = block.law.from_words(_words(case, _MANY)) ** 2
        # Six standard errors, and room for entries too rare to be seen.
        room = 6 * np.std(squares) / _MANY**0.5 + 30 / _MANY * (np.max(squares) or 1.0)
        expected, received = float(np.mean(squares)), block.law.moment
        if not abs(received - expected) <= room:
            raise LawBroken(f"moment of block {name}: expected about {expected:.4g}, received {received:.4g}")


_MANY = 1 << 13


def _frozen_blocks(subject, case):
    frozen = blueprint(subject, case.n, case.D).frozen
    return [(name, block) for name, block in frozen.items() if isinstance(block, Frozen)]


def _words(case, count):
    return np.random.default_rng(case.seed).integers(0, 2**64, size=count, dtype=np.uint64)
