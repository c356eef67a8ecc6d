"""A data-parallel gradient step on `dask.distributed`, without MPI, for one worker and for two.

Rows lie on the workers and stay there; what travels in a step is ``w`` and the gradient in it. Two ways:

- *arrays*: Dask arrays of rows, passed to the library as they are;
- *futures*: every worker applies NumPy code to the shards that it holds, and a tree of futures adds up.

Times are medians, in milliseconds, of the whole step as the caller sees it; workers have one thread each. In
brackets stands the mean processor time of the busiest worker, which depends less on the machine's load.

    OMP_NUM_THREADS=1 python benchmarks/data_parallel.py
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable

import numpy as np

import arrayfab as af
from arrayfab.gradients import mean_squared_error, scipy_objective, value_and_grad

ROWS, SHARDS, COLUMNS, STEPS = 1 << 15, 8, 1024, 9

ROLES = {
    "low rank, r=8": af.LowRank(r=8),
    "dual lphm, p=q=32, r=4": af.DualLPHM(p=32, q=32, r=4),
}


def objective_of_futures(client, layer, loss: Callable, shards: list, rows: int) -> Callable:
    """``objective(w) → (value, grad_w)`` of a mean loss over shards, futures of ``(x, target)``."""
    objective = value_and_grad(layer, loss)

    def share(shard, w):
        x, target = shard
        value, grad = objective(w, x, target)
        return len(x) / rows * value, len(x) / rows * grad

    def whole_objective(w):
        parts = client.map(share, shards, w=client.scatter(w, broadcast=True))
        while len(parts) > 1:  # a tree: pairs add up where they lie
            left = parts[len(parts) // 2 * 2 :]
            parts = client.map(added, parts[0::2], parts[1::2]) + left
        return parts[0].result()

    return whole_objective


def added(a: tuple, b: tuple) -> tuple:
    """The sums of two pairs."""
    return a[0] + b[0], a[1] + b[1]


def shard(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Some rows of data and their targets, made on the worker that will hold them."""
    rng = np.random.default_rng(seed)
    shape = (ROWS // SHARDS, COLUMNS)
    return rng.standard_normal(shape, dtype=np.float32), rng.standard_normal(shape, dtype=np.float32)


def gathered(shards: list, i: int):
    """The data (0) or the targets (1) of shards that lie on workers, as one Dask array."""
    import dask.array as da
    from dask import delayed

    rows = (ROWS // SHARDS, COLUMNS)
    return da.concatenate([da.from_delayed(delayed(s)[i], rows, dtype=np.float32) for s in shards])


def timed(objective: Callable, w: np.ndarray, clocks: Callable) -> str:
    """The median time of a step, which moves ``w``, and the processor time of the busiest process."""
    times = []
    for step in range(STEPS + 2):
        if step == 2:
            before = clocks()
        begin = time.perf_counter()
        _, grad = objective(w)
        times.append(time.perf_counter() - begin)
        w = w - np.asarray(1e-3 * grad, dtype=w.dtype)
    busiest = max(clock - before[process] for process, clock in clocks().items()) / STEPS
    return f"{1e3 * statistics.median(times[2:]):.0f} ({1e3 * busiest:.0f})".rjust(14)


def main() -> None:
    """Print a table, and the load under which it was measured."""
    print(f"{ROWS} rows of {COLUMNS} columns in {SHARDS} shards, float32; ", end="")
    print(f"cores {os.cpu_count()}, load before {os.getloadavg()[0]:.1f}")
    print(f"{'role':<26}{'workers':>8}{'arrays':>14}{'futures':>14}{'no cluster':>14}")
    for name, fabrication in ROLES.items():
        role = af.ParameterizedInterdependence(fabrication=fabrication, m=COLUMNS)
        w = role.init(rng=0, dtype=np.float32)
        local = timed(local_objective(role), w, lambda: {"here": time.process_time()})
        for workers in (1, 2):
            print(f"{name:<26}{workers:>8}", *on_cluster(role, w, workers), local, sep="", flush=True)
    print(f"load after {os.getloadavg()[0]:.1f}")


def on_cluster(role, w: np.ndarray, workers: int) -> tuple[str, str]:
    """Times by arrays and by futures."""
    from dask.distributed import Client, LocalCluster, wait

    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):

        def clocks():
            return client.run(time.process_time)

        shards = client.map(shard, range(SHARDS))
        wait(shards)
        by_futures = timed(objective_of_futures(client, role, mean_squared_error, shards, ROWS), w, clocks)
        x, target = client.persist([gathered(shards, i) for i in (0, 1)])
        wait([x, target])
        by_arrays = timed(scipy_objective(role, mean_squared_error, x, target), w, clocks)
    return by_arrays, by_futures


def local_objective(role) -> Callable:
    """The same step by NumPy in this process, shard by shard."""
    objective, shards = value_and_grad(role, mean_squared_error), [shard(seed) for seed in range(SHARDS)]

    def whole_objective(w):
        parts = [objective(w, *s) for s in shards]
        return sum(value for value, _ in parts) / SHARDS, sum(grad for _, grad in parts) / SHARDS

    return whole_objective


if __name__ == "__main__":
    main()
