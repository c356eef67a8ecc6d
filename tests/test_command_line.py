"""The command line, run as a person would."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from special_files import put

import arrayfab as af
from arrayfab import demo
from arrayfab.__main__ import main


def run(*arguments, encoding="utf-8", **more):
    """A command whose output has that encoding."""
    command = [sys.executable, "-m", "arrayfab", *arguments]
    environment = {**os.environ, "PYTHONIOENCODING": encoding, **more}
    return subprocess.run(
        command, capture_output=True, encoding=encoding, timeout=120, check=False, env=environment
    )


def assert_one_line(result, *texts):
    """A command that could not be carried out, and says so in one line."""
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("arrayfab: ")
    assert result.stderr.removesuffix("\n").isprintable()
    for text in texts:
        assert text in result.stderr


def test_list_prints_every_variant():
    result = run("list", "-n", "64", "-D", "32")
    assert result.returncode == 0, result.stderr
    for name in ("low rank (lorr)", "dual lphm", "random matrix hypernet"):
        assert name in result.stdout
    assert "192" in result.stdout  # l of low rank at rank two
    assert max(map(len, result.stdout.splitlines())) <= 132
    lines = {line[:27].strip(): line.split() for line in result.stdout.splitlines()[2:]}
    # Of products, dual lphm needs about as much as of the columns alone, low rank many times that.
    known = ("dual lphm", "low rank (lorr)")
    taken = {name: [int(cell.replace(",", "")) for cell in lines[name][-5:-3]] for name in known}
    assert taken["dual lphm"][1] < 4 * taken["dual lphm"][0]
    assert taken["low rank (lorr)"][1] > 8 * taken["low rank (lorr)"][0]


def test_bench_times_every_variant_that_fits():
    result = run("bench", "-n", "6", "-D", "4", "--rows", "2")
    assert result.returncode == 0, result.stderr
    lines = {line[:27].strip(): line.split() for line in result.stdout.splitlines()[2:]}
    assert {"full", "low rank (lorr)", "random matrix hypernet"} <= lines.keys()
    assert all(float(line[-4]) > 0 for line in lines.values())


@pytest.mark.parametrize("size", ["0", "-3", "two", "1.5", str(2**40 + 1), str(10**18 + 3), "9" * 5000])
@pytest.mark.parametrize("name", ["-n", "-D", "--rows", "--budget", "--each"])
def test_a_size_that_is_none_is_refused(name, size, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["plan", "--budget", "9", f"{name}={size}"])
    assert caught.value.code == 2
    printed = capsys.readouterr().err
    assert f"argument {name}: expected a whole number from 1 to {2**40}, got '{size[:40]}'" in printed


# The largest prime below 2**40, and the number below it that has the most divisors.
LARGE = [2**40 - 87, 963_761_198_400, 2**40]


@pytest.mark.parametrize("n", LARGE)
def test_large_sizes_are_listed_and_planned(n, capsys):
    assert main(["list", f"-n={n}", f"-D={n}"]) == 0
    assert main(["plan", f"-n={n}", f"-D={n}", "--budget=1000000", f"--each={min(n, 3)}"]) == 0
    assert "DuplicatedDiagonalPadding" in capsys.readouterr().out
    assert main(["plan", "-n=1000000007", "-D=4", "--budget=9", f"--each={n}"]) == 0
    assert "DuplicatedPadding(p=1000000007, q=4)" in capsys.readouterr().out


def test_what_memory_does_not_hold_is_one_line(capsys):
    assert main(["bench", f"-n={2**40}", f"-D={2**40}"]) == 2
    assert capsys.readouterr().err.startswith("arrayfab: Unable to allocate")


@pytest.mark.parametrize("encoding", ["ascii", "cp437", "latin-1"])
def test_letters_that_cannot_be_shown_are_replaced(encoding):
    for arguments in (["list", "-n", "64", "-D", "32"], ["plan", "--help"]):
        replaced, whole = run(*arguments, encoding=encoding), run(*arguments)
        assert (replaced.returncode, replaced.stderr) == (0, "")
        assert replaced.stdout == whole.stdout.encode(encoding, "replace").decode(encoding)


@pytest.mark.parametrize("columns", ["1", "0", "-5", "many"])
def test_a_narrow_terminal_gets_the_same_words(columns):
    for arguments in (["plan", "--help"], ["list", "-n", "4", "-D", "4"]):
        result = run(*arguments, COLUMNS=columns)
        assert (result.returncode, result.stderr) == (0, "")
        assert set(result.stdout.split()) >= {"of", "numbers"}


def status(*arguments, unbuffered="", **streams):
    """Exit status and standard error of a command with other streams."""
    command = [sys.executable, "-m", "arrayfab", *arguments]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    result = subprocess.run(
        command, check=False, timeout=120, env=environment, **{"stderr": subprocess.PIPE, **streams}
    )
    return result.returncode, result.stderr


LIST = ("list", "-n", "4", "-D", "4")


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_nothing_is_said_where_nobody_reads_on(unbuffered):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert status(*LIST, stdout=writing, unbuffered=unbuffered) == (141, b"")
        assert status("inspect", "none", stderr=writing) == (2, None)
    finally:
        os.close(writing)
    # That of the interpreter's own writing of help may pass unseen.
    assert status("plan", "--help", stdout=subprocess.DEVNULL) == (0, b"")


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_a_full_device_is_one_line(unbuffered):
    if not Path("/dev/full").is_char_device():
        pytest.skip("there is no /dev/full here")
    with open("/dev/full", "wb") as full:
        code, error = status(*LIST, stdout=full, unbuffered=unbuffered)
        assert code == 2
        assert error.startswith(b"arrayfab: [Errno 28]")
        assert error.count(b"\n") == 1
        assert status("inspect", "none", stderr=full) == (2, None)


@pytest.mark.skipif(os.name != "posix", reason="no streams are closed here")
@pytest.mark.parametrize(("arguments", "code"), [("list -n 4", 0), ("plan --help", 0), ("inspect none", 2)])
def test_closed_streams_are_no_fault(arguments, code):
    for closed in (">&-", "2>&-", ">&- 2>&-"):
        script = f"exec {sys.executable} -m arrayfab {arguments} {closed}"
        result = subprocess.run(["sh", "-c", script], capture_output=True, timeout=120, check=False)
        assert result.returncode == code
        assert b"Traceback" not in result.stderr
        assert not (closed == "2>&-" and code and result.stdout)


def test_an_interrupt_ends_quietly(monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(af, "plan", interrupted)
    assert main(["plan", "--budget", "9"]) == 130
    assert capsys.readouterr() == ("", "")


def test_demo_prints_the_table_and_draws_the_figure(tmp_path):
    for name in ("sklearn", "matplotlib", "rich"):
        pytest.importorskip(name)
    figure = tmp_path / "new" / "figure.png"
    result = run("demo", "--iterations", "2", "--figure", str(figure))
    assert result.returncode == 0, result.stderr
    assert "the five functions" in result.stdout
    assert f"figure: {figure}" in result.stdout
    assert figure.stat().st_size > 10_000


@pytest.mark.parametrize("variant", demo.VARIANTS, ids=lambda variant: variant.name)
def test_the_demo_trains_in_float32(variant):
    pytest.importorskip("sklearn")
    outcome = demo.train(variant, demo.digits(), np, iterations=30)
    assert outcome.fusion.dtype == np.float32
    assert outcome.train_accuracy > 0.8


PLAN = ["plan", "-n", "12", "-D", "18", "--budget", "100"]


def test_a_bar_is_drawn_on_a_terminal_alone(monkeypatch, capsys):
    pytest.importorskip("rich")
    assert main(PLAN) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert main(PLAN) == 0
    printed = capsys.readouterr()
    assert "━" in printed.err
    assert "━" not in printed.out


def test_a_plan_needs_no_rich(monkeypatch, capsys):
    for name in ("rich.console", "rich.progress"):
        monkeypatch.setitem(sys.modules, name, None)
    assert main(PLAN) == 0
    assert capsys.readouterr().err == ""


def test_a_missing_namespace_is_one_clear_line():
    try:
        import cupy  # noqa: F401
    except ImportError:
        result = run("bench", "--namespace", "cupy")
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
        assert_one_line(run("inspect", str(path)), message)


@pytest.mark.parametrize("command", [["inspect"], ["plan", "--budget", "9", "--target"]], ids=" ".join)
@pytest.mark.parametrize("kind", ["pipe", "link to a device", "directory"])
def test_only_regular_files_are_read(command, kind, tmp_path):
    put(tmp_path / "odd", kind)
    assert_one_line(run(*command, str(tmp_path / "odd")), "odd is no regular file")


HOSTILE = b"\xff\n\x1b[2J\xc3\x97"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp437"])
def test_names_of_files_are_no_commands_to_a_terminal(checkpoint, encoding):
    path = os.path.join(os.fsencode(checkpoint.parent), HOSTILE)
    os.rename(checkpoint, path)
    result = run("inspect", path, encoding=encoding)
    assert (result.returncode, result.stderr) == (0, "")
    assert "\x1b" not in result.stdout
    assert result.stdout.count("\n") == 4  # a title, a header and two entries
    for arguments in (["inspect"], ["plan", "--budget", "9", "--target"]):
        assert_one_line(run(*arguments, path + b"none", encoding=encoding), "No such file")
    with open(path, "wb") as file:
        file.write(b"none")
    assert_one_line(run("inspect", path, encoding=encoding), "it is no whole safetensors file")
    target = run("plan", "--budget", "9", "--target", path, encoding=encoding)
    assert_one_line(target, "no array in the .npy format")


HEADER = "{'descr': '<f8', 'fortran_order': False, 'shape': %s, }"


def npy(array):
    def write(path):
        with path.open("wb") as file:
            np.lib.format.write_array(file, array)

    return write


def described(header):
    def write(path):
        text = header.encode()
        path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)

    return write


TARGETS = {
    "nan": (npy(np.asarray([[1.0, np.nan]])), "expected finite numbers, got some that are infinite or NaN"),
    "infinite": (npy(np.asarray([[1.0, -np.inf]], np.float16)), "expected finite numbers"),
    "empty": (npy(np.ones((0, 3))), "expected one matrix of real numbers"),
    "complex": (npy(np.ones((2, 2), complex)), "expected one matrix of real numbers"),
    "boolean": (npy(np.ones((2, 2), bool)), "expected one matrix of real numbers"),
    "objects": (npy(np.asarray([[{}]], object)), "no array in the .npy format: Object arrays"),
    "no bytes": (lambda path: path.write_bytes(b""), "no array in the .npy format"),
    "an archive": (lambda path: path.write_bytes(b"PK\3\4junk"), "no array in the .npy format"),
    "nested": (described("(" * 9000), "no array in the .npy format"),
    "no end": (described(HEADER % "(4, 4)"), "no array in the .npy format"),
    "too large": (described(HEADER % f"({2**50}, {2**50})"), "no array in the .npy format"),
    "negative": (described(HEADER % "(-1, 2)"), ""),  # of which each NumPy thinks otherwise
    "boolean shape": (described(HEADER % "(True, 2)"), "no array in the .npy format"),
}


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_that_is_none_is_one_line(name, tmp_path, capsys):
    write, message = TARGETS[name]
    write(tmp_path / "target.npy")
    assert main(["plan", "--budget", "9", "--target", str(tmp_path / "target.npy")]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"arrayfab: {tmp_path}/target.npy: {message}")
    assert printed.err.count("\n") == 1
