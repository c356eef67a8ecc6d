"""Where a fabrication's blocks lie in ``w``, here and in interpreters that order sets in other ways."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from typing import Any

#: Each orders the strings of a set in its own way: together they tell two names apart seven times in eight.
_HASH_SEEDS = ("1", "2", "3")

_PROGRAM = """
import pickle, sys
fabrication, n, D = pickle.load(sys.stdin.buffer)
from arrayfab.fabrications.blueprint import blueprint
print([(name, run.start, run.stop) for name, run, _ in blueprint(fabrication, n, D).blocks])
"""


def blocks_elsewhere(fabrication: Any, n: int, D: int) -> set[str]:
    """Names and places of the blocks, as text, as other interpreters see them.

    Empty where they cannot: the fabrication cannot be pickled, or its class be imported.
    """
    try:
        asked = pickle.dumps((fabrication, n, D))
    except (pickle.PicklingError, AttributeError, TypeError):
        return set()
    path = os.pathsep.join(sys.path)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": seed},
        )
        for seed in _HASH_SEEDS
    ]
    told = [process.communicate(asked)[0].decode().strip() for process in started]
    return {text for text in told if text}
