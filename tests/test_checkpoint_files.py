"""Checkpoints as files: whole at any moment, and the same in other processes and namespaces."""

import os
import subprocess
import sys

import numpy as np
import pytest

import arrayfab as af
from arrayfab.catalogue import VARIANTS
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
    for key, variant in {
        **VARIANTS,
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
