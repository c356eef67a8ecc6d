"""The command line, run as a person would."""

import subprocess
import sys

import pytest


def run(*arguments):
    command = [sys.executable, "-m", "arrayfab", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_list_prints_every_variant():
    pytest.importorskip("rich")
    result = run("list", "-n", "64", "-D", "32")
    assert result.returncode == 0, result.stderr
    for name in ("low rank (lorr)", "dual lphm", "random matrix hypernet"):
        assert name in result.stdout
    assert "192" in result.stdout  # l of low rank at rank two


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
