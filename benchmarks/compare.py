"""How fast, how large, how near the floor: arrayfab beside the libraries that compute the same.

    python benchmarks/compare.py --quick                 # under two minutes
    python benchmarks/compare.py --json results.json     # everything; --only TEXT runs a piece and merges it
    python benchmarks/compare.py --against results.json  # what has changed since a run
    python benchmarks/compare.py --report results.json   # the pages, figures and tables, from a file

A peer that is not installed is left out with a line that says so; benchmarks/requirements.txt lists them all.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        description="Time arrayfab beside other libraries, and measure peak memory.",
        epilog="Medians of interleaved calls; nothing here is a test, a missed bar is shown and no more. "
        "The exit status is 1 where a library's numbers differ from the dense reference.",
    )
    parser.add_argument("--quick", action="store_true", help="few sizes, float32, no torch.compile")
    parser.add_argument("--only", metavar="TEXT", default="", help="only workloads with TEXT in their name")
    parser.add_argument(
        "--peers", metavar="TEXT,…", default="", help="only peers with such a text in their name"
    )
    parser.add_argument("--part", choices=("time", "memory", "both"), default="both", help="what to measure")
    parser.add_argument("--namespace", choices=("numpy", "cupy"), default="numpy", help="arrayfab's arrays")
    parser.add_argument("--threads", type=int, default=2, help="threads for every library (2)")
    parser.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        help="medians of wall time, or the least CPU time",
    )
    parser.add_argument("--seconds", type=float, default=0.5, help="for one call of one workload (0.5)")
    parser.add_argument(
        "--json", metavar="FILE", type=Path, help="write the figures, merged into what FILE holds"
    )
    parser.add_argument(
        "--against",
        metavar="FILE",
        type=Path,
        help="show what has changed since the run in FILE",
    )
    parser.add_argument(
        "--report", metavar="FILE", type=Path, help="measure nothing; write the page and figures"
    )
    return parser.parse_args(arguments)


def bind(threads: int, namespace: str) -> None:
    """Give every library that many threads, and JAX its device; they read this when they are loaded."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    if hasattr(os, "sched_setaffinity"):  # XLA takes a thread for each core that it sees
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    if namespace == "cupy":  # else XLA takes most of the GPU's memory at once
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    else:
        os.environ["JAX_PLATFORMS"] = "cpu"


def main(arguments: list[str] | None = None) -> int:
    """Measure and print, or write the page of a run that was kept."""
    options = parse_arguments(arguments)
    bind(options.threads, options.namespace)
    from records import read
    from report import compared, printed, write_pages

    if options.report:
        write_pages(read(options.report), options.report.stem)
        return 0
    from session import Session  # imports NumPy, hence after the threads are set

    session = Session(options)
    results = session.run()
    print(compared(results, read(options.against)) if options.against else printed(results))
    for line in session.errors:
        print(f"error: {line}", file=sys.stderr)
    return 1 if session.errors else 0


if __name__ == "__main__":
    sys.exit(main())
