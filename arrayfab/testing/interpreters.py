"""Where a fabrication's blocks lie in ``w``, as interpreters see them that order sets in other ways."""

from __future__ import annotations

import atexit
import os
import pickle
import subprocess
import sys
from functools import lru_cache
from typing import Any

#: Each orders the strings of a set in its own way: together they tell two names apart seven times in eight.
_HASH_SEEDS = ("1", "2", "3")

# Each request is the path on which modules are found, and what is asked, pickled by itself: so the next
# request is found also where this one cannot be read.
_PROGRAM = """
import pickle, sys
while True:
    try:
        sys.path[:], asked = pickle.load(sys.stdin.buffer)
    except EOFError:
        break
    try:
        fabrication, n, D = pickle.loads(asked)
        from arrayfab.fabrications.blueprint import blueprint
        answer = [(name, run.start, run.stop) for name, run, _ in blueprint(fabrication, n, D).blocks]
    except Exception:
        answer = None
    pickle.dump(answer, sys.__stdout__.buffer)
    sys.__stdout__.flush()
"""


def blocks_elsewhere(fabrication: Any, n: int, D: int) -> list[list[tuple[str, int, int]]]:
    """Name, start and stop of every block in every interpreter that can import the fabrication's class."""
    try:
        request = pickle.dumps((sys.path, pickle.dumps((fabrication, n, D))))
    except (pickle.PicklingError, AttributeError, TypeError):
        return []
    started = _interpreters()
    for process in started:
        process.stdin.write(request)
        process.stdin.flush()
    answers = [pickle.load(process.stdout) for process in started]
    return [answer for answer in answers if answer is not None]


@lru_cache
def _interpreters() -> list[Any]:
    """The interpreters, started when they are first needed; they end with this one."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        for seed in _HASH_SEEDS
    ]
    atexit.register(_end, started)
    return started


def _end(started):
    for process in started:
        process.communicate()
