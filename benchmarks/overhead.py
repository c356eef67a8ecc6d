"""Where the time of a tiny call goes.

    python benchmarks/overhead.py

Each line is one stage of a call on inputs so small that the products take next to nothing: the least of
many rounds of calls in a loop, in microseconds, with one thread. The formula inline is what
benchmarks/formulas.py writes, with `w` split into its blocks.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np

from arrayfab.structures import Cotangents
from workloads import TABLE, TINY, Problem, Workload

ROUNDS, CALLS = 30, 1000


def microseconds(call: Callable) -> float:
    """What one call takes, undisturbed."""
    least = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(CALLS):
            call()
        least = min(least, time.perf_counter() - start)
    return 1e6 * least / CALLS


def stages(workload: Workload) -> dict[str, float]:
    """The stages of both passes of one workload, and what the formula takes inline."""
    problem, role, formula = Problem(workload), workload.role, workload.formula
    (x,), w, g = problem.xs, problem.w, problem.g
    call, numbers = role._bind(x, w)
    structure = call.blueprint.structure
    _, pull = structure.dense(numbers)

    def pulled():
        cotangents = Cotangents(numbers)
        pull(call.inner(g, numbers), cotangents)
        return cotangents

    def gathered():
        cotangents = pulled()
        cotangents.take(call.names[0], x.shape)
        call.blueprint.join(cotangents, numbers, w)

    def gradient():
        _, pullback = role.vjp(x, w)
        pullback(g)

    bound = microseconds(lambda: role._bind(x, w))
    formed = microseconds(lambda: structure.dense(numbers))
    forward, both = microseconds(lambda: role(x, w)), microseconds(gradient)
    back, joined = microseconds(pulled), microseconds(gathered)
    inline = microseconds(lambda: formula.by_hand(np, problem.xs, problem.named(w, {})))
    inline_both = microseconds(lambda: formula.gradient(np, problem.xs, problem.named(w, {}), g))
    return {
        "checks, the plan for these shapes, splitting w": bound,
        "the formula's products": formed,
        "the result's shape": forward - bound - formed,
        "forward": forward,
        "forward, inline": inline,
        "cotangents through the formula": back,
        "the gradients of x and of every block, and joining them": joined - back,
        "checks and closures": both - forward - joined,
        "forward + gradient": both,
        "forward + gradient, inline": inline_both,
    }


def main() -> None:
    """Print a table, in Markdown."""
    columns = {w.family: stages(w) for w in (TABLE[5], *TINY)}
    print(f"| µs | {' | '.join(columns)} |")
    print(f"|---|{'---:|' * len(columns)}")
    for stage in next(iter(columns.values())):
        print(f"| {stage} | {' | '.join(f'{column[stage]:.1f}' for column in columns.values())} |")


if __name__ == "__main__":
    main()
