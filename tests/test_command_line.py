"""The command line, run as a person would."""

import subprocess
import sys

import numpy as np
import pytest

import arrayfab as af


def run(*arguments):
    command = [sys.executable, "-m", "arrayfab", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_list_prints_every_variant():
    result = run("list", "-n", "64", "-D", "32")
    assert result.returncode == 0, result.stderr
    for name in ("low rank (lorr)", "dual lphm", "random matrix hypernet"):
        assert name in result.stdout
    assert "192" in result.stdout  # l of low rank at rank two


def test_bench_times_every_variant_that_fits():
    result = run("bench", "-n", "6", "-D", "4", "--rows", "2")
    assert result.returncode == 0, result.stderr
    lines = {line[:27].strip(): line.split() for line in result.stdout.splitlines()[2:]}
    assert {"full", "low rank (lorr)", "random matrix hypernet"} <= lines.keys()
    assert all(float(line[-4]) > 0 for line in lines.values())


@pytest.mark.parametrize("size", ["0", "-3", "two"])
def test_a_size_that_is_none_is_refused(size):
    result = run("list", f"-n={size}")
    assert result.returncode == 2
    assert "whole number" in result.stderr


def test_demo_prints_the_table_and_draws_the_figure(tmp_path):
    for name in ("sklearn", "matplotlib", "rich"):
        pytest.importorskip(name)
    figure = tmp_path / "new" / "figure.png"
    result = run("demo", "--iterations", "2", "--figure", str(figure))
    assert result.returncode == 0, result.stderr
    assert "the five functions" in result.stdout
    assert f"figure: {figure}" in result.stdout
    assert figure.stat().st_size > 10_000


def test_a_missing_namespace_is_one_clear_line():
    try:
        import cupy  # noqa: F401
    except ImportError:
        result = run("demo", "--namespace", "cupy")
        assert result.returncode == 2
        assert result.stderr == "arrayfab: cupy is not installed; choose another --namespace\n"


@pytest.fixture
def checkpoint(tmp_path):
    """A file of an entry with a hostile name and another without a shape."""
    pytest.importorskip("safetensors")
    path = tmp_path / "model.safetensors"
    role = af.Reconciliation(fabrication=af.Eye() + 0.5 * af.RandomMatrixAdaption(seed=7), n=40, D=50)
    named = {"head": (role, role.init(rng=0)), "[red]\x1b[2J": (af.LowRank(r=1), np.ones(5))}
    af.save(path, named)
    return path


def test_inspect_tells_what_is_inside(checkpoint):
    result = run("inspect", str(checkpoint))
    assert result.returncode == 0, result.stderr
    for text in (
        "version 1 of the format, scheme philox4x64-v1",
        "Reconciliation(fabrication=Eye() + 0.5 * RandomMatrixAdaption(seed=7), n=40, D=50)",
        "40 × 50 42 47.6× 7 336 right: w and 2 frozen",
        "[red] [2J",
        "w is right; frozen blocks not checked: no shape",
    ):
        assert text in " ".join(result.stdout.split())


def test_inspect_prints_the_same_on_a_terminal(checkpoint, monkeypatch, capsys):
    pytest.importorskip("rich")
    from arrayfab.__main__ import main

    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["inspect", str(checkpoint)]) == 0
    printed = capsys.readouterr().out
    assert "━" in printed
    assert "[red] [2J" in printed


def test_inspect_of_a_wrong_checksum_is_status_one(checkpoint):
    file = bytearray(checkpoint.read_bytes())
    file[-1] ^= 1
    checkpoint.write_bytes(file)
    result = run("inspect", str(checkpoint))
    assert result.returncode == 1
    assert "WRONG: array 'head'" in result.stdout


def test_inspect_of_what_is_no_checkpoint_is_status_two(checkpoint, tmp_path):
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1])
    for path, message in (
        (checkpoint, "it is no whole safetensors file"),
        (tmp_path / "none", "No such file"),
    ):
        result = run("inspect", str(path))
        assert result.returncode == 2
        assert result.stdout == ""
        assert result.stderr.startswith("arrayfab: ")
        assert message in result.stderr
        assert result.stderr.count("\n") == 1
