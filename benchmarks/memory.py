"""Peak memory of a call above its inputs, measured in a process of its own.

The parent starts this file once for a peer; it imports the peer's libraries, and forks a child for every
workload. On NumPy's arrays tracemalloc counts; for the other libraries, whose allocations it does not see,
the growth of the resident set does. Each call runs once before it is measured, so that compilation, thread
pools and frozen matrices do not count; results do.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

MIB = 1 << 20
SECONDS = 60  # for one workload; a child that takes longer is ended


def peaks(peer: str, names: list[str]) -> Iterator[tuple[str, dict]]:
    """The peaks of a peer in MiB by workload, then by pass."""
    environment = os.environ | {
        # Freed memory goes back at once, so that the resident set follows what is held.
        "MALLOC_MMAP_THRESHOLD_": str(1 << 17),
        "MALLOC_TRIM_THRESHOLD_": str(1 << 17),
    }
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", __file__, peer, *names],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        for line in process.stdout or ():
            yield tuple(json.loads(line))


def resident(field: str) -> int:
    """A figure of this process in bytes, as Linux states it."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return 1024 * int(line.split()[1])


def resident_growth(call) -> float:
    """By how much the resident set grows at most while the call runs, in bytes."""
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    before = resident("VmRSS")
    kept = call()
    grown = resident("VmHWM") - before
    del kept
    return max(0, grown)


def traced(call) -> float:
    """What NumPy allocates at its peak while the call runs, in bytes."""
    tracemalloc.start()
    kept = call()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del kept
    return peak


def measure(peer, workload, answer) -> None:
    """Send the peaks of both passes in MiB, in a child."""
    from records import PASSES
    from workloads import Problem

    calls = peer.prepare(Problem(workload))
    figures = {}
    for label in PASSES:
        if call := calls.of(label):
            call()
            gc.collect()
            figures[label] = (traced if peer.on_numpy else resident_growth)(call) / MIB
    answer.send(figures)


def main(peer_name: str, names: list[str]) -> None:
    """Measure in children, and print a line of JSON for each workload."""
    from peers import BY_NAME
    from workloads import workloads

    peer, context = BY_NAME[peer_name], multiprocessing.get_context("fork")
    peer.missing()  # imports what it needs, and computes nothing
    known = {workload.name: workload for workload in workloads()}
    for name in names:
        receive, send = context.Pipe(duplex=False)
        child = context.Process(target=measure, args=(peer, known[name], send))
        child.start()
        send.close()
        figures = {}
        if receive.poll(SECONDS):
            try:
                figures = receive.recv()
            except EOFError:  # the child ended without a word
                figures = {}
        child.kill()
        child.join()
        print(json.dumps([name, figures]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
