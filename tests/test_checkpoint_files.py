"""Checkpoints as files: whole at any moment, and the same in other processes and namespaces."""

import os
import subprocess
import sys

import numpy as np
import pytest
from special_files import directory_of_nobody, put

import arrayfab as af
from arrayfab.catalogue import VARIANTS
from arrayfab.io import CheckpointError
from arrayfab.io.inspection import inspect
from arrayfab.testing import namespaces

pytest.importorskip("safetensors")

ROLE = af.Reconciliation(fabrication=af.RandomMatrixAdaption(r=2, seed=7), n=4, D=6)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def test_a_file_that_cannot_be_read_is_an_os_error(path, tmp_path):
    with pytest.raises(FileNotFoundError):
        af.load(path)
    with pytest.raises(OSError, match="no regular file"):
        af.load(tmp_path)
    with pytest.raises(FileNotFoundError):
        af.save(tmp_path / "none" / "model", {})


@pytest.mark.parametrize(
    "call", [af.load, inspect, lambda path: af.save(path, {})], ids=["load", "inspect", "save"]
)
@pytest.mark.parametrize("kind", ["pipe", "link to a device", "directory"])
def test_only_regular_files_are_read_or_replaced(path, call, kind):
    put(path, kind)
    with pytest.raises(OSError, match=r"model.safetensors is no regular file|/dev/zero is no regular file"):
        call(path)


def test_a_file_that_may_not_be_read_is_no_missing_one():
    with directory_of_nobody() as directory:
        af.save(directory / "model", {})
        (directory / "model").chmod(0o200)
        for call in (af.load, inspect):
            with pytest.raises(PermissionError, match="Permission denied"):
                call(directory / "model")


def test_a_directory_that_may_not_be_read_may_be_written_to():
    with directory_of_nobody() as directory:
        directory.chmod(0o300)
        af.save(directory / "model", {})
        af.save(directory / "model", {"w": (af.Full(), np.ones(1), 1, 1)})
        assert af.load(directory / "model").keys() == {"w"}
        directory.chmod(0o500)
        with pytest.raises(PermissionError):
            af.save(directory / "other", {})
        directory.chmod(0o700)
        assert os.listdir(directory) == ["model"]


def assert_read_only_is_kept(place):
    af.save(place, {})
    before = place.read_bytes()
    place.chmod(0o444)
    link = place.with_name("link")
    link.symlink_to(place)
    for name in (place, link):
        with pytest.raises(PermissionError, match=f"Permission denied.*{place.name}"):
            af.save(name, {"w": (af.Full(), np.ones(1), 1, 1)})
    assert place.read_bytes() == before
    assert sorted(os.listdir(place.parent)) == sorted(["link", place.name])


def test_a_read_only_file_is_not_replaced(path):
    assert_read_only_is_kept(path)  # by root either, to whom nothing is forbidden
    with directory_of_nobody() as directory:
        assert_read_only_is_kept(directory / "model")


def test_a_file_of_others_is_not_replaced():
    with directory_of_nobody() as directory:
        if os.getuid():
            pytest.skip("there is no one else")
        theirs = directory / "model"
        os.seteuid(0)
        theirs.touch()
        os.seteuid(65534)
        with pytest.raises(PermissionError):
            af.save(theirs, {})
        assert theirs.read_bytes() == b""


NAMES = {"letters of four bytes": "𝄞" * 60, "bytes that are no text": b"\xff\xfe\n\x1b[2J", "one letter": "m"}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_any_name_that_a_file_can_have_will_do(tmp_path, name):
    path = os.path.join(os.fsencode(tmp_path), name if isinstance(name, bytes) else os.fsencode(name))
    entries = {"a": (ROLE, np.arange(6.0))}
    for place in (path, os.fsdecode(path)):
        af.save(place, entries)
        assert np.array_equal(af.load(place)["a"][1], np.arange(6.0))
        assert inspect(place).title.isprintable()
    assert os.listdir(os.fsencode(tmp_path)) == [os.path.basename(path)]
    with open(path, "wb") as file:
        file.write(b"none")
    with pytest.raises(CheckpointError, match="no whole safetensors file") as caught:
        af.load(path)
    assert str(caught.value).isprintable()


def test_a_path_is_no_number(path):
    for call in (af.load, inspect, lambda path: af.save(path, {})):
        with pytest.raises(TypeError, match="int"):
            call(3)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_checkpoint_holds_what_is_not_finite(path, dtype):
    w = np.asarray([np.nan, np.inf, -np.inf, -0.0, 5e-8, 1.0], dtype)
    handed_in = af.RandomMatrixAdaption(r=2).with_frozen(A=np.full((4, 2), np.nan, dtype))
    af.save(path, {"a": (ROLE, w), "b": (handed_in, w, 4, 6)})
    loaded = af.load(path)
    assert loaded["a"][1].tobytes() == w.tobytes()
    assert np.isnan(loaded["b"][0].arrays["A"]).all()
    assert inspect(path).is_sound


def test_the_permissions_are_those_of_open(path):
    old = os.umask(0o027)
    try:
        af.save(path, {})
        assert path.stat().st_mode & 0o777 == 0o640
        path.chmod(0o604)
        af.save(path, {})
        assert path.stat().st_mode & 0o777 == 0o604
    finally:
        os.umask(old)


def test_a_symbolic_link_stays_one(path, tmp_path):
    link = tmp_path / "latest"
    link.symlink_to(path.name)
    af.save(link, {})
    assert link.is_symlink()
    assert af.load(path) == {}


# Saves in turns until it is killed; the one who kills it looks what is left. A process of its own, since one
# that holds threads cannot be forked.
KILLED = """
import os, random, signal, sys, time
import numpy as np
import arrayfab as af

path, rounds, size = sys.argv[1], int(sys.argv[2]), 20_000
contents = [{"it": (af.Full(), np.full(size, value), 1, size)} for value in (1.0, 2.0)]
af.save(path, contents[0])
rng = random.Random(0)
for _ in range(rounds):
    worker = os.fork()
    if not worker:
        while True:
            for content in contents:
                af.save(path, content)
    time.sleep(0.06 * rng.random())
    os.kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)
    w = af.load(path)["it"][1]
    assert w.shape == (size,) and w[0] in (1.0, 2.0) and np.all(w == w[0])
    print(int(w[0]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_process_killed_while_it_saves_leaves_one_of_the_two_contents(path):
    command = [sys.executable, "-c", KILLED, str(path), os.environ.get("ARRAYFAB_KILLS", "40")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert result.returncode == 0, result.stderr
    assert set(result.stdout.split()) == {"1", "2"}


LOADED_ELSEWHERE = """
import importlib, sys
import numpy as np
import arrayfab as af
from arrayfab import _arrays

name, path, out = sys.argv[1:]
if name == "jax":
    import jax
    jax.config.update("jax_enable_x64", True)
xp = importlib.import_module({"jax": "jax.numpy"}.get(name, name))
made = {}
for entry, (value, w, *shape) in af.load(path, xp=xp).items():
    W = value.fabricate(w, *shape).to_dense() if shape else value.matrix(w)
    assert type(W) is type(w) is type(xp.asarray(np.ones(1)))
    made[entry], made["w of " + entry] = _arrays.to_host(W), _arrays.to_host(w)
np.savez(out, **made)
"""


@pytest.mark.parametrize("name", ["numpy", "torch", "jax", pytest.param("cupy", marks=pytest.mark.gpu)])
def test_another_process_loads_the_same_matrix_into_its_namespace(name, path, tmp_path):
    if reason := namespaces.why_not(name):
        pytest.skip(reason)
    rng, entries, expected = np.random.default_rng(0), {}, {}
    handed_in = af.RandomMatrixAdaption(r=2).with_frozen(A=rng.standard_normal((8, 2)))
    variants = VARIANTS
    if name == "jax":  # which compiles everything: of the families, those that draw something
        variants = dict(list(VARIANTS.items())[:13]) | {
            key: VARIANTS[key] for key in ("randlora", "fourierft")
        }
    for key, variant in {
        **variants,
        "handed in": handed_in,
        "sum": af.Eye() + 0.1 * VARIANTS["hypernet"],
    }.items():
        w = variant.init(8, 8, rng=rng, dtype=np.float64)
        entries[key], expected[key] = (variant, w, 8, 8), variant.fabricate(w, 8, 8).to_dense()
        role = af.Reconciliation(fabrication=variant, n=8, D=8)
        if key != "handed in":
            w = w.astype(np.float32)
            entries["role " + key], expected["role " + key] = (role, w), role.matrix(w)
    af.save(path, entries)
    out = tmp_path / "W.npz"
    command = [sys.executable, "-c", LOADED_ELSEWHERE, name, str(path), str(out)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    with np.load(out) as received:
        for key, W in expected.items():
            assert received["w of " + key].tobytes() == entries[key][1].tobytes()
            assert received[key].dtype == W.dtype
            scale = 64 * np.finfo(W.dtype).eps * max(np.abs(W).max(), 1.0)
            np.testing.assert_allclose(received[key], W, rtol=0, atol=scale, err_msg=key)


def test_arrays_of_every_namespace_are_saved_and_loaded(namespace, path):
    if namespace.name == "cupy":
        pytest.skip("in a process of its own")
    w = namespace.asarray(np.arange(6.0))
    handed_in = af.RandomMatrixAdaption(r=2, seed=7).with_frozen(A=namespace.asarray(np.ones((4, 2))))
    af.save(path, {"a": (ROLE, w), "b": (handed_in, w, 4, 6)})
    loaded = af.load(path, xp=namespace.xp, device=namespace.device)
    for _, v, *_ in loaded.values():
        assert namespace.owns(v)
        assert v.dtype == w.dtype
        assert np.array_equal(namespace.to_numpy(v), np.arange(6.0))
    assert namespace.owns(loaded["b"][0].arrays["A"])
    assert loaded["b"][0].fabricate(loaded["b"][1], 4, 6).to_dense().shape == (4, 6)


def test_a_dtype_that_a_file_does_not_hold_is_refused(path):
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"w has dtype torch\.bfloat16.*convert it first"):
        af.save(path, {"w": (ROLE, torch.ones(6, dtype=torch.bfloat16))})


def test_a_dtype_that_the_namespace_does_not_keep_is_an_error(path):
    af.save(path, {"a": (ROLE, np.ones(6))})
    pytest.importorskip("jax")
    script = "import sys, jax.numpy, arrayfab; arrayfab.load(sys.argv[1], xp=jax.numpy)"
    result = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=False)
    assert "TypeError: array 'a' has dtype float64, which jax.numpy does not keep here" in result.stderr


def test_importing_the_library_imports_no_reader_of_files():
    script = "import sys, arrayfab; print({'safetensors', 'importlib.metadata'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


def test_where_safetensors_is_missing_the_extra_is_named(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    for call in (lambda: af.save(path, {}), lambda: af.load(path)):
        with pytest.raises(ImportError, match=r"pip install 'arrayfab\[io\]'"):
            call()
