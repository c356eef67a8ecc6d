"""The GPU's side of a run: device events, inputs beyond the cache, launches, captured graphs.

Not yet run on a GPU: written against the documentation of CuPy, PyTorch and JAX.
"""

from __future__ import annotations

import ctypes
import itertools
import math
import statistics
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

from floors import moved
from peers.base import Peer
from records import GRADIENT, PASSES
from timing import Effort
from workloads import Calls, Problem, Workload

MIB = 1 << 20
MOST_COPIES = 64


class Gpu:
    """The current device, and how things are measured on it."""

    def __init__(self, effort: Effort):
        import cupy

        self.xp, self.effort = cupy, effort
        self.properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)

    def describe(self) -> dict:
        """On what the figures were made."""
        return {
            "gpu": self.properties["name"].decode(),
            "gpu memory MiB": self.properties["totalGlobalMem"] // MIB,
            "L2 cache MiB": self.properties["l2CacheSize"] // MIB,
            "cupy": self.xp.__version__,
            "cuda": self.xp.cuda.runtime.runtimeGetVersion(),
        }

    # Time.

    def copies(self, workload: Workload) -> list[Problem]:
        """Problems of four times the cache in sum, so that a call finds none of its inputs there."""
        size = moved(workload, GRADIENT) * workload.itemsize
        count = math.ceil(4 * self.properties["l2CacheSize"] / size)
        return [Problem(workload, seed) for seed in range(max(2, min(count, MOST_COPIES)))]

    def medians(self, calls: dict[str, list[Callable]]) -> dict[str, float]:
        """The milliseconds of each peer's calls, which rotate through its copies; the peers take turns."""
        rotations = {name: itertools.cycle(copies) for name, copies in calls.items()}
        counts = {name: self._count(rotation) for name, rotation in rotations.items()}
        turns: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(self.effort.turns):
            for name, rotation in rotations.items():
                turns[name].append(self._batch(rotation, counts[name]))
        return {name: statistics.median(durations) for name, durations in turns.items()}

    def seconds(self, call: Callable) -> float:
        """The duration of one call, for the floors."""
        rotation = itertools.repeat(call)
        count = self._count(rotation)
        return statistics.median(self._batch(rotation, count) for _ in range(self.effort.turns)) / 1e3

    def _count(self, rotation) -> int:
        """How many calls fill a turn."""
        share = 1e3 * self.effort.seconds / self.effort.turns
        return max(1, min(1000, round(share / max(self._batch(rotation, 3), 1e-3))))

    def _batch(self, rotation, count: int) -> float:
        """Milliseconds a call, warm, between two device events.

        CuPy and PyTorch put their work on the stream of the events. JAX has streams of its own: the host
        waits for the last of its results before the second event.
        """
        for _ in range(3):
            wait(next(rotation)())
        start, end = self.xp.cuda.Event(), self.xp.cuda.Event()
        self.xp.cuda.Device().synchronize()
        start.record()
        for _ in range(count):
            result = next(rotation)()
        wait(result)
        end.record()
        end.synchronize()
        return self.xp.cuda.get_elapsed_time(start, end) / count

    # Memory.

    def peaks(self, peer: Peer, calls: Calls) -> dict[str, float]:
        """MiB above the inputs, as CuPy's pool or PyTorch's allocator states them; JAX's cannot be reset."""
        measure = self._torch_peak if "torch" in peer.modules else self._pool_peak
        if "jax" in peer.modules:
            return {}
        return {label: measure(call) / MIB for label in PASSES if (call := calls.of(label))}

    def _pool_peak(self, call) -> int:
        with self._own_pool() as pool:
            kept = call()
            self.xp.cuda.Device().synchronize()
            del kept
            return pool.total_bytes()

    def _torch_peak(self, call) -> int:
        import torch

        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before, kept = torch.cuda.memory_allocated(), call()
        torch.cuda.synchronize()
        del kept
        return torch.cuda.max_memory_allocated() - before

    @contextmanager
    def _own_pool(self):
        """A memory pool that nothing else takes blocks from."""
        pool = self.xp.cuda.MemoryPool()
        with self.xp.cuda.using_allocator(pool.malloc):
            yield pool

    # Launches and graphs.

    def launches(self, calls: Calls) -> dict[str, int]:
        """What each pass of a call sends to the device: the nodes of its captured graph."""
        return {label: self._nodes(call) for label in PASSES if (call := calls.of(label))}

    def _nodes(self, call) -> int:
        runtime, count = self.xp.cuda.runtime, ctypes.c_size_t()
        with self._own_pool(), self.xp.cuda.Stream(non_blocking=True) as stream:
            warm(call, stream)
            runtime.streamBeginCapture(stream.ptr)
            kept = call()
            graph = runtime.streamEndCapture(stream.ptr)
            driver = ctypes.CDLL("libcuda.so.1")
            status = driver.cuGraphGetNodes(ctypes.c_void_p(graph), None, ctypes.byref(count))
            runtime.graphDestroy(graph)
            del kept
        if status:
            raise RuntimeError(f"cuGraphGetNodes gave status {status}")
        return count.value

    def captured(self, call: Callable) -> dict[str, Any]:
        """A whole call as one CUDA graph: its time beside the plain call's, once its numbers are the same."""
        with self._own_pool(), self.xp.cuda.Stream(non_blocking=True) as stream:
            warm(call, stream)
            plain = call()
            stream.begin_capture()
            kept = call()  # the replays write into these arrays
            graph = stream.end_capture()
            graph.launch()
            stream.synchronize()
            for a, b in zip(flat(plain), flat(kept), strict=True):
                self.xp.testing.assert_array_equal(a, b)
            ms = 1e3 * self.seconds(call)
            captured_ms = 1e3 * self.seconds(graph.launch)
        return {"ms": ms, "captured_ms": captured_ms, "gain": ms / captured_ms}


def warm(call: Callable, stream: Any) -> None:
    """Fill the pool and cuBLAS's workspace, so that a capture allocates nothing."""
    call()
    call()
    stream.synchronize()


def wait(result: Any) -> None:
    """Let the host wait for a result of JAX; others' events see their work."""
    first = result[0] if isinstance(result, tuple) else result
    if hasattr(first, "block_until_ready"):
        first.block_until_ready()


def flat(result: Any) -> list:
    """The arrays in a result, one after the other."""
    return [a for part in result for a in flat(part)] if isinstance(result, list | tuple) else [result]
