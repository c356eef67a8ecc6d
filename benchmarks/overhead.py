"""Where the time of a tiny call goes.

    python benchmarks/overhead.py

Each line is one stage of a call on inputs so small that the products take next to nothing: the least of
many rounds, in which the stages take turns, in microseconds, with one thread. The formula inline is what
benchmarks/formulas.py writes, with `w` split into its blocks.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

from peers import BY_NAME
from workloads import TABLE, TINY, Problem, Workload

ROUNDS, CALLS = 100, 200


def microseconds(calls: dict[str, Callable]) -> dict[str, float]:
    """What each call takes, undisturbed."""
    least = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS):
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(CALLS):
                call()
            least[name] = min(least[name], (time.perf_counter() - start) / CALLS)
    return {name: 1e6 * seconds for name, seconds in least.items()}


def stages(workload: Workload) -> dict[str, float]:
    """The stages of both passes of one workload, and what the formula takes inline."""
    problem, role = Problem(workload), workload.role
    ours, inline = (BY_NAME[name].prepare(problem) for name in ("arrayfab", "NumPy inline"))
    (x,), w, g = problem.xs, problem.w, problem.g
    # What is met once is interpreted.
    forward, both = ([role._enter(kind, x, w) for _ in range(2)][1] for kind in ("value", "xw"))
    program, arrays = both.program, both.arrays
    _, kept = program.linearize(*arrays)

    took = microseconds(
        {
            "entered": lambda: role._enter("value", x, w),
            "value": lambda: forward.program.value(*forward.arrays),
            "forward": ours.forward,
            "inline": inline.forward,
            "linearize": lambda: program.linearize(*arrays),
            "pullback": lambda: program.pullback(*kept, g),
            "both": ours.gradient,
            "both inline": inline.gradient,
        }
    )
    return {
        "checks, and the program for these shapes": took["entered"],
        "the program": took["value"],
        "**forward**": took["forward"],
        "forward, inline": took["inline"],
        "the program that keeps what the pullback needs": took["linearize"],
        "the pullback's program": took["pullback"],
        "checks and closures": took["both"] - took["linearize"] - took["pullback"],
        "**forward + gradient**": took["both"],
        "forward + gradient, inline": took["both inline"],
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
