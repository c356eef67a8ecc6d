"""What several Python threads gain that call the same role.

    python benchmarks/python_threads.py

Every BLAS call is on one thread; the calls, forward and gradient, are shared out among Python threads.
NumPy lets go of the interpreter while it multiplies, so large products run side by side and tiny ones wait.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

from peers import OURS
from workloads import TABLE, Problem

ROUNDS = 7


def main() -> None:
    """Print the time of as many calls on one thread and on all cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for workload in (TABLE[0], TABLE[1], TABLE[2], TABLE[5]):
        gradient = OURS.prepare(Problem(workload)).gradient

        def call(_, gradient=gradient):
            gradient()  # and let go of what it returns

        call(None)
        count = 4000 if workload.family.startswith("tiny") else 24
        took: dict[int, list[float]] = {1: [], cores: []}
        with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(cores) as many:
            for _ in range(ROUNDS):
                for threads, pool in ((1, one), (cores, many)):
                    start = time.perf_counter()
                    list(pool.map(call, range(count)))
                    took[threads].append(time.perf_counter() - start)
        alone, together = (1e3 * median(took[threads]) / count for threads in (1, cores))
        print(
            f"{workload.name}: {alone:.3g} ms a call on one thread, {together:.3g} ms on {cores}, "
            f"{alone / together:.2f} x"
        )


if __name__ == "__main__":
    main()
