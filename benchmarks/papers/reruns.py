"""What the scripts that re-run the papers' tables share."""

from __future__ import annotations

import json
import math
import os
import platform
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np

import arrayfab as af


def results_file(name: str) -> Path:
    """Where the results of a script are written."""
    return Path(__file__).parent.parent / "results" / "papers" / f"{name}.json"


def written(path: Path, results: dict[str, dict]) -> dict[str, dict]:
    """Write results as JSON, beside those of other models, which stay; all of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.write_text(json.dumps(before | results, indent=1) + "\n", encoding="utf-8")
    return before | results


def xavier(model: af.Sequential, seed: int) -> np.ndarray:
    """tinybig's starting values: uniform up to ``√(6 / (l + 1))`` for the ``l`` numbers of a layer."""
    rng = np.random.default_rng(seed)
    lengths = [layer.num_parameters() for layer in model.layers]
    parts = [rng.uniform(-1, 1, size=length) * math.sqrt(6 / (length + 1)) for length in lengths]
    return np.concatenate(parts).astype(np.float32)


def peak() -> float:
    """The most memory that the process has held so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def about() -> dict:
    """The machine."""
    try:
        lines = subprocess.run(["lscpu"], capture_output=True, text=True, check=True).stdout.splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("Model name")]
    except (OSError, subprocess.CalledProcessError):
        names = []
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
        "load when it began": load,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "arrayfab": af.__version__,
    }
