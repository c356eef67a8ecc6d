"""Rows over several JAX devices. The processor plays two, which JAX must be told before it starts."""

import importlib.util
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")

SCRIPT = """
import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import arrayfab as af
from arrayfab.interop.jax import function

jax.config.update("jax_enable_x64", True)
assert len(jax.devices()) == 2
mesh = Mesh(np.asarray(jax.devices()), ("rows",))
by_rows, everywhere = NamedSharding(mesh, PartitionSpec("rows", None)), NamedSharding(mesh, PartitionSpec())

m = 24
fabrications = {
    "low rank": af.LowRank(r=2),
    "dual lphm": af.DualLPHM(p=4, q=4, r=2),
    "adaption": af.RandomMatrixAdaption(r=2),
}
for name, fabrication in fabrications.items():
    role = af.ParameterizedInterdependence(fabrication=fabrication, m=m)
    f = function(role, sys.argv[1])
    rng = np.random.default_rng(0)
    x_host, w_host = (rng.integers(-3, 4, shape).astype(float) for shape in ((60, m), role.num_parameters()))
    x, w = jax.device_put(x_host, by_rows), jax.device_put(w_host, everywhere)

    step = jax.jit(jax.grad(lambda x, w: jnp.sum(f(x, w) ** 2) / 2, argnums=(0, 1))).lower(x, w).compile()
    y, (grad_x, grad_w) = jax.jit(f)(x, w), step(x, w)
    for array in (y, grad_x):
        assert [shard.data.shape for shard in array.addressable_shards] == [(30, m)] * 2, name
    assert grad_w.sharding.is_fully_replicated, name
    program = step.as_text()
    assert "all-reduce" in program, name
    for moving in ("all-gather", "all-to-all", "collective-permute"):
        assert moving not in program, (name, moving)

    expected, pullback = role.vjp(x_host, w_host)
    pairs = zip((y, grad_x, grad_w), (expected, *pullback(expected)), strict=True)
    for array, numbers in pairs:
        scale = 1e-12 * np.abs(numbers).max()
        np.testing.assert_allclose(array, numbers, rtol=1e-12, atol=scale, err_msg=name)
    print(name)
"""


def run_on_two_devices(script, *arguments, monkeypatch):
    flags = os.environ.get("XLA_FLAGS", "")
    monkeypatch.setenv("XLA_FLAGS", f"{flags} --xla_force_host_platform_device_count=2")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_rows_stay_where_they_are_and_only_sums_travel(mode, monkeypatch):
    run = run_on_two_devices(SCRIPT, mode, monkeypatch=monkeypatch)
    assert run.stdout == "low rank\ndual lphm\nadaption\n", run.stderr


FROZEN = """
import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import arrayfab as af
from arrayfab import frozen
from arrayfab.interop.jax import function

jax.config.update("jax_enable_x64", True)
mesh = Mesh(np.asarray(jax.devices()), ("rows",))
by_rows, everywhere = PartitionSpec("rows", None), PartitionSpec()
check_vma, mode = sys.argv[1] == "checked", sys.argv[2]


def mapped(f, out):
    return jax.shard_map(f, mesh=mesh, in_specs=(by_rows, everywhere), out_specs=out, check_vma=check_vma)


def assert_alike(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())


rng = np.random.default_rng(0)
x = rng.standard_normal((4, 6))
for fabrication in (af.RandomMatrixAdaption(r=2), 2.0 * af.Eye()):
    role = af.Reconciliation(fabrication=fabrication, n=4, D=6, bias=True)
    w = rng.standard_normal(role.num_parameters())
    y, pullback = role.vjp(x, w)
    grad_x, grad_w = pullback(y)
    f = function(role, mode)

    frozen.cache.clear()
    assert_alike(mapped(f, by_rows)(x, w), y)  # operation by operation
    assert_alike(jax.jit(role.__call__)(jnp.asarray(x), jnp.asarray(w)), y)
    assert not any(isinstance(held, jax.core.Tracer) for held in frozen.cache._held.values())

    def total(x, w):
        return jnp.sum(mapped(f, by_rows)(x, w) ** 2) / 2

    def local(x, w):
        grad_x, grad_w = jax.grad(lambda x, w: jnp.sum(f(x, w) ** 2) / 2, argnums=(0, 1))(x, w)
        # Where JAX keeps the books it adds up by itself.
        return grad_x, grad_w if check_vma else jax.lax.psum(grad_w, "rows")

    for gradients in (jax.grad(total, argnums=(0, 1)), mapped(local, (by_rows, everywhere))):
        for found, expected in zip(jax.jit(gradients)(x, w), (grad_x, grad_w), strict=True):
            assert_alike(found, expected)

first, sharded = role.init(rng=0, xp=jnp), jax.device_put(jnp.asarray(x), NamedSharding(mesh, by_rows))
assert_alike(jax.jit(f)(sharded, first), role(x, role.init(rng=0)))
print("equal")
"""


@pytest.mark.parametrize(
    ("check_vma", "mode"), [("checked", "reverse"), ("checked", "forward"), ("unchecked", "reverse")]
)
def test_shard_map_traced_or_not(check_vma, mode, monkeypatch):
    run = run_on_two_devices(FROZEN, check_vma, mode, monkeypatch=monkeypatch)
    assert run.stdout.endswith("equal\n"), run.stderr
