"""A typed program of a user's runs, and pyright finds nothing in it; mypy reads it in ``make lint``."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typed_program

PROGRAM = Path(typed_program.__file__)


def pyright(*arguments):
    return subprocess.run([sys.executable, "-m", "pyright", *arguments], capture_output=True, text=True)


def test_pyright_knows_every_type():
    if importlib.util.find_spec("pyright") is None or shutil.which("node") is None:
        pytest.skip("pyright or its node is not installed")
    if pyright("--version").returncode:
        pytest.skip("pyright has not been fetched, and cannot be")
    found = pyright("--pythonpath", sys.executable, str(PROGRAM))
    assert found.returncode == 0, found.stdout


def test_the_program_runs(tmp_path):
    pytest.importorskip("safetensors")
    pytest.importorskip("scipy")
    x, t = np.random.default_rng(0).normal(size=(5, 6)), np.arange(5) % 4
    layers = typed_program.layers()
    assert len(typed_program.matrices()) == 30
    for layer in layers:
        y, _ = typed_program.call(layer, x)
        assert np.all(np.isfinite(y))
    assert len(typed_program.by_roles(x)) == 13
    value, _ = typed_program.objective(layers[0], x, np.zeros((5, 4)))(layers[0].init(rng=0))
    assert np.isfinite(value)
    assert len(typed_program.train(layers[0], x, t, tmp_path / "run").epochs) == 3
    assert "LowRank" in typed_program.near(np.eye(8))
