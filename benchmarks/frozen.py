"""What frozen matrices take: drawing them, and streaming them instead of holding them.

    python benchmarks/frozen.py

Draws take turns with NumPy's own normal numbers; the ratios are of the medians. The streamed calls print
their peak of memory above inputs and outputs, as tracemalloc counts NumPy's allocations.
"""

from __future__ import annotations

import statistics
import time
import tracemalloc

import numpy as np

import arrayfab
from arrayfab import RandomMatrixAdaption, RandomMatrixHypernet, Reconciliation
from arrayfab.frozen import Frozen, Gaussian

MIB = 1 << 20


def seconds(call) -> float:
    """What one call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def medians(calls: dict, turns: int) -> dict[str, float]:
    """Seconds of every call, all of them taking turns."""
    taken = [{name: seconds(call) for name, call in calls.items()} for _ in range(turns)]
    return {name: statistics.median(turn[name] for turn in taken) for name in calls}


def draws(n: int = 4096) -> None:
    """A float32 Gaussian matrix beside NumPy's generator on the same bits."""
    generator = np.random.Generator(np.random.Philox(0))
    took = medians(
        {
            "arrayfab": lambda: Frozen(0, "A", Gaussian(n, n)).draw(np.float32),
            "float32": lambda: generator.standard_normal((n, n), dtype=np.float32),
            "float64": lambda: generator.standard_normal((n, n)),
        },
        turns=5,
    )
    print(f"a float32 Gaussian matrix of {n} x {n}: {took['arrayfab'] * 1e3:.0f} ms")
    for dtype in ("float32", "float64"):
        ratio = took["arrayfab"] / took[dtype]
        print(f"    {ratio:.2f} x Generator(Philox).standard_normal in {dtype}, {took[dtype] * 1e3:.0f} ms")


def reconciliation(fabrication, n: int):
    """A forward and backward pass on eight rows, and all that goes in and comes out."""
    role = Reconciliation(fabrication=fabrication, n=n, D=n)
    x = np.random.default_rng(0).standard_normal((8, n), dtype=np.float32)
    w = role.init(rng=0, dtype=np.float32)

    def call():
        y, pullback = role.vjp(x, w)
        return y, pullback(y)

    return call


def memory(title: str, call) -> None:
    """The peak of a call above what it returns, and what it takes."""
    took = seconds(call)
    tracemalloc.start()
    y, (grad_x, grad_w) = call()
    peak = tracemalloc.get_traced_memory()[1] - y.nbytes - grad_x.nbytes - grad_w.nbytes
    tracemalloc.stop()
    print(f"{title}, forward and gradients: peak {peak / MIB:.1f} MiB above inputs and outputs, {took:.1f} s")


def streamed_beside_cached(n: int = 2048) -> None:
    """The time of a hypernet's call either way, and how far apart the results are."""
    calls = {
        storage: reconciliation(RandomMatrixHypernet(r=4, storage=storage), n)
        for storage in ("cached", "streamed")
    }
    took = medians(calls, turns=3)
    (y, (grad_x, grad_w)), (v, (grad_v, grad_u)) = calls["cached"](), calls["streamed"]()
    apart = max(
        np.abs(a - b).max() / np.abs(a).max() for a, b in ((y, v), (grad_x, grad_v), (grad_w, grad_u))
    )
    print(
        f"hypernet at n = D = {n}, r = 4: cached {took['cached'] * 1e3:.0f} ms, "
        f"streamed {took['streamed'] * 1e3:.0f} ms, results {apart:.0e} apart"
    )


if __name__ == "__main__":
    draws()
    streamed_beside_cached()
    arrayfab.frozen.cache.clear()
    memory(
        "adaption streamed at n = D = 2^20, r = 8",
        reconciliation(RandomMatrixAdaption(r=8, storage="streamed"), 1 << 20),
    )
    memory("hypernet streamed at n = D = 16384, r = 4", reconciliation(RandomMatrixHypernet(r=4), 1 << 14))
