"""How fast and how large: arrayfab against tinybig on the CPU build of PyTorch.

Six reference workloads in float32, forward and forward with the gradients of x and w, then the peak memory
of three products whose matrices would not fit. Both libraries run in one process, on two threads each.

    python benchmarks/compare.py            # the whole table
    python benchmarks/compare.py --quick    # fewer turns

The peer: ``pip install torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu``, then
``pip install --no-deps tinybig==0.2.1`` and what it imports. Where it is missing its columns stay empty.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import platform
import statistics
import sys
import time
import tracemalloc
import types
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

# Read by the numerical libraries when they are loaded, hence before the imports below.
os.environ["OMP_NUM_THREADS"] = "2"
os.environ["OPENBLAS_NUM_THREADS"] = "2"
os.environ["MKL_NUM_THREADS"] = "2"

import numpy as np

import arrayfab
from arrayfab import (
    BilinearInterdependence,
    ConcatenationFusion,
    DualLPHM,
    Fabrication,
    Full,
    LowRank,
    ParameterizedInterdependence,
    RandomMatrixAdaption,
    RandomMatrixHypernet,
)
from arrayfab.frozen import Frozen

THREADS = int(os.environ["OMP_NUM_THREADS"])
MIB = 1 << 20
PASSES = ("forward", "forward + gradient")


# What is compared.


@dataclass(frozen=True, kw_only=True)
class DenseMatrix:
    """A fabrication at one shape in the manner of a role: the dense ``W``, from ``w`` and no data."""

    fabrication: Fabrication
    n: int
    D: int

    def init(self, **options):
        return self.fabrication.init(self.n, self.D, **options)

    def __call__(self, x, w):
        return self.fabrication.fabricate(w, self.n, self.D).to_dense()

    def vjp(self, x, w):
        W, pull = self.fabrication.vjp(w, self.n, self.D)

        def dense_matrix_pullback(grad_W):
            return x, pull(grad_W)

        return W, dense_matrix_pullback


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One row of the table.

    ``tinybig`` makes the peer's object from the package. ``inputs`` is the shape of ``x``, or a list of
    shapes; ``matrix`` is the shape of ``ψ(w)``. ``wanted`` are the least ratios of the two passes.
    """

    name: str
    role: Any
    tinybig: Callable[[types.ModuleType], Any]
    inputs: tuple[int, ...] | list[tuple[int, ...]]
    matrix: tuple[int, int]
    wanted: tuple[float, float]
    same_numbers: bool = True


WORKLOADS = [
    Workload(
        name="dual lphm, attribute, b=256, m=m'=4096, r=4, p=q=64",
        role=ParameterizedInterdependence(fabrication=DualLPHM(p=64, q=64, r=4), m=4096),
        tinybig=lambda tb: tb.interdependence.dual_lphm_parameterized_interdependence(
            b=256, m=4096, r=4, p=64, q=64
        ),
        inputs=(256, 4096),
        matrix=(4096, 4096),
        wanted=(150, 110),
        same_numbers=False,
    ),
    Workload(
        name="random matrix adaption, bilinear attribute, b=1024, m=4096, r=8",
        role=BilinearInterdependence(fabrication=RandomMatrixAdaption(r=8), b=1024),
        tinybig=lambda tb: tb.interdependence.random_matrix_adaption_parameterized_bilinear_interdependence(
            b=1024, m=4096, r=8, interdependence_type="attribute"
        ),
        inputs=(1024, 4096),
        matrix=(1024, 1024),
        wanted=(100, 90),
    ),
    Workload(
        name="low-rank fusion, three inputs 1024×2048 to 2048, r=8",
        role=ConcatenationFusion(fabrication=LowRank(r=8), dims=(2048, 2048, 2048), n=2048),
        tinybig=lambda tb: tb.fusion.lowrank_parameterized_concatenation_fusion(
            r=8, dims=[2048, 2048, 2048], n=2048
        ),
        inputs=[(1024, 2048), (1024, 2048), (1024, 2048)],
        matrix=(2048, 6144),
        wanted=(75, 60),
    ),
    Workload(
        name="random matrix hypernet, n=D=2048, r=2, l=64, hidden 128",
        role=DenseMatrix(fabrication=RandomMatrixHypernet(r=2, l=64, hidden_dim=128), n=2048, D=2048),
        tinybig=lambda tb: tb.reconciliation.random_matrix_hypernet_reconciliation(r=2, l=64, hidden_dim=128),
        inputs=[],
        matrix=(2048, 2048),
        wanted=(2, 2),
    ),
    Workload(
        name="full parameterized, b=256, m=2048",
        role=ParameterizedInterdependence(fabrication=Full(), m=2048),
        tinybig=lambda tb: tb.interdependence.parameterized_interdependence(b=256, m=2048),
        inputs=(256, 2048),
        matrix=(2048, 2048),
        wanted=(1, 1),
    ),
    Workload(
        name="dual lphm, b=8, m=16, r=2, p=4",
        role=ParameterizedInterdependence(fabrication=DualLPHM(p=4, q=4, r=2), m=16),
        tinybig=lambda tb: tb.interdependence.dual_lphm_parameterized_interdependence(b=8, m=16, r=2, p=4),
        inputs=(8, 16),
        matrix=(16, 16),
        wanted=(1.2, 1.5),
        same_numbers=False,
    ),
]


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """One line of the memory table: a role, and the matrix that its gradient must not form."""

    name: str
    role: Any
    inputs: tuple[int, ...]
    avoided: tuple[str, int]
    wanted_mib: float


FOOTPRINTS = [
    Footprint(
        name="dual lphm, attribute, b=64, m=m'=16384, r=4, p=q=128",
        role=ParameterizedInterdependence(fabrication=DualLPHM(p=128, q=128, r=4), m=16384),
        inputs=(64, 16384),
        avoided=("W", 16384),
        wanted_mib=64,
    ),
    Footprint(
        name="random matrix adaption, bilinear attribute, b=64, m=16384, r=8",
        role=BilinearInterdependence(fabrication=RandomMatrixAdaption(r=8), b=64),
        inputs=(64, 16384),
        avoided=("m×m", 16384),
        wanted_mib=1024,
    ),
    Footprint(
        name="random matrix adaption, bilinear attribute, b=16384, m=64, r=8",
        role=BilinearInterdependence(fabrication=RandomMatrixAdaption(r=8), b=16384),
        inputs=(16384, 64),
        avoided=("b×b", 16384),
        wanted_mib=1024,
    ),
]


# The two libraries, each as a pair of calls without arguments, one for each pass.


def each(function, x):
    """``function`` of an array, or of every array in a list."""
    return [function(a) for a in x] if isinstance(x, list) else function(x)


def drawn(role, inputs) -> tuple:
    """Random data, learned numbers and a cotangent of the result."""
    normal = partial(np.random.default_rng(0).standard_normal, dtype=np.float32)
    x, w = each(normal, inputs), role.init(rng=1, dtype=np.float32)
    return x, w, normal(role(x, w).shape)


def arrayfab_calls(role, x, w, g):
    """Both passes of a role, on NumPy."""

    def forward():
        return role(x, w)

    def forward_and_gradient():
        _, pullback = role.vjp(x, w)
        return pullback(g)

    return forward, forward_and_gradient


def tinybig_calls(tinybig, workload, x, w, g):
    """Both passes of tinybig's object for the same data and the same frozen matrices."""
    import torch

    module = workload.tinybig(tinybig)
    hand_over_frozen(workload, module)
    x = each(lambda a: torch.tensor(a, requires_grad=True), x)
    w = torch.tensor(w[None], requires_grad=True)
    leaves = [*x, w] if isinstance(x, list) else [x, w]
    # A fabrication takes sizes where the others take data.
    first = workload.matrix if isinstance(workload.role, DenseMatrix) else (x,)
    g = torch.tensor(g)

    def forward():
        with torch.no_grad():
            return module.forward(*first, w)

    def forward_and_gradient():
        return torch.autograd.grad(module.forward(*first, w), leaves, g)

    return forward, forward_and_gradient


def hand_over_frozen(workload, module):
    """Give tinybig's object the frozen matrices of arrayfab, row by row in memory, as it draws its own."""
    import torch

    fabrication = workload.role.fabrication
    holder = getattr(module, "parameter_fabrication", None) or module
    for name, law in fabrication.frozen(*workload.matrix).items():
        matrix = Frozen(fabrication.seed, name, law).draw(np.float32)
        setattr(holder, name, torch.from_numpy(np.ascontiguousarray(matrix)))


def check_agreement(workload, ours, theirs):
    """ValueError unless both compute the same; only shapes are compared where the formulas differ."""
    for label, mine, other in zip(PASSES, ours, theirs, strict=True):
        for a, b in zip(flat(mine()), flat(other()), strict=True):
            a, b = np.asarray(a), np.asarray(b)
            if a.size != b.size:
                raise ValueError(f"{workload.name}, {label}: arrayfab gives {a.shape}, tinybig {b.shape}")
            error = np.max(np.abs(a - b.reshape(a.shape))) / np.max(np.abs(b))
            if workload.same_numbers and not error < 1e-4:
                raise ValueError(f"{workload.name}, {label}: the results differ by {error:.1e}")


def flat(result):
    """The arrays in a result of either library, one after the other."""
    return [a for part in result for a in flat(part)] if isinstance(result, list | tuple) else [result]


class StandIn(types.ModuleType):
    """A module that has a class of any name in it."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


# What tinybig imports for its data sets, which take no part here: packages that no longer install
# next to its other needs, and modules of its own that do not compile on Python 3.11.
NOT_NEEDED = [
    *("torchvision", "torchvision.datasets", "torchvision.transforms"),
    *("torchtext", "torchtext.data", "torchtext.data.utils", "torchtext.datasets", "torchtext.vocab"),
    *("torchdata", "torchdata.datapipes"),
    *("tinybig.data", "tinybig.data.base_data", "tinybig.data.time_series_dataloader"),
    "tinybig.data.text_dataloader_torchtext",
]


def load_tinybig() -> types.ModuleType | None:
    """The package tinybig; None, and a line that says why, where it cannot be imported."""
    try:
        import torch

        importlib.metadata.version("tinybig")
        sys.modules.update({name: StandIn(name) for name in NOT_NEEDED})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tinybig = importlib.import_module("tinybig")
    except ImportError as error:
        print(f"tinybig is left out, it is not installed or lacks what it imports: {error}\n")
        return None
    torch.set_num_threads(THREADS)
    return tinybig


# Time and memory.


@dataclass(frozen=True)
class Effort:
    """How long one pass of one workload is measured: ``rounds`` at least, and ``seconds`` where more fit."""

    rounds: int
    seconds: float


FULL, QUICK = Effort(rounds=3, seconds=5.0), Effort(rounds=2, seconds=0.6)


def medians(calls: list[Callable], effort: Effort) -> list[float]:
    """The median duration of each call in milliseconds, the calls taking turns."""
    durations: list[list[float]] = [[] for _ in calls]
    end, rounds = time.perf_counter() + effort.seconds, 0
    while rounds < effort.rounds or time.perf_counter() < end:
        for call, known in zip(calls, durations, strict=True):
            known.extend(turn(call, repeats(known, effort)))
        rounds += 1
    return [1e3 * statistics.median(known) for known in durations]


def repeats(known: list[float], effort: Effort) -> int:
    """How many timed calls make a turn of a twentieth of the time; one as long as nothing is known."""
    if not known:
        return 1
    return min(500, max(1, round(effort.seconds / 20 / statistics.median(known))))


def turn(call: Callable, count: int) -> list[float]:
    """The durations of a number of calls in seconds."""
    # The other library's threads go on spinning for some milliseconds and would disturb this one's.
    time.sleep(0.02)
    call()
    call()
    durations = []
    for _ in range(count):
        start = time.perf_counter()
        call()
        durations.append(time.perf_counter() - start)
    return durations


def timed(workload: Workload, tinybig: types.ModuleType | None, effort: Effort) -> dict:
    """The figures of one workload; those of tinybig are None where it is left out."""
    x, w, g = drawn(workload.role, workload.inputs)
    ours, theirs = arrayfab_calls(workload.role, x, w, g), None
    if tinybig:
        theirs = tinybig_calls(tinybig, workload, x, w, g)
        check_agreement(workload, ours, theirs)
    figures: dict[str, Any] = {"name": workload.name, "same_numbers": workload.same_numbers}
    for i, (label, wanted) in enumerate(zip(PASSES, workload.wanted, strict=True)):
        calls = [theirs[i], ours[i]] if theirs else [ours[i]]
        *peer, own = medians(calls, effort)
        figures[label] = {
            "tinybig_ms": peer[0] if peer else None,
            "arrayfab_ms": own,
            "ratio": peer[0] / own if peer else None,
            "wanted": wanted,
        }
    return figures


def peak(footprint: Footprint) -> dict:
    """What a first forward + gradient allocates at its peak, above its inputs; the results count."""
    x, w, g = drawn(footprint.role, footprint.inputs)
    _, forward_and_gradient = arrayfab_calls(footprint.role, x, w, g)
    arrayfab.frozen.cache.clear()
    tracemalloc.start()
    forward_and_gradient()
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    what, size = footprint.avoided  # a square matrix
    return {
        "name": footprint.name,
        "peak_mib": peak_bytes / MIB,
        "wanted_mib": footprint.wanted_mib,
        "avoided": what,
        "avoided_mib": size**2 * x.itemsize / MIB,
    }


# What is shown.


def machine() -> dict:
    """On what, and with what, the figures were made."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": THREADS,
        "load": load(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": version("torch"),
        "tinybig": version("tinybig"),
        "arrayfab": arrayfab.__version__,
    }


def load() -> float | None:
    """What else the machine is doing, as well as it can tell: the load average of the last minute."""
    return round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None


def processor() -> str:
    """The processor's name, as the system knows it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def version(package: str) -> str | None:
    """The installed version of a package, None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def table(rows: list[list[str]]) -> str:
    """Rows as aligned text, the first of them the heading, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def shown(value: float | None, form: str) -> str:
    """A figure as text, a dash where there is none."""
    return "-" if value is None else format(value, form)


def times_table(label: str, results: list[dict]) -> str:
    """All workloads in one of the passes."""
    rows = [[label, "tinybig ms", "arrayfab ms", "ratio", "wanted"]]
    for result in results:
        figures = result[label]
        rows.append(
            [
                result["name"] + (" *" if figures["ratio"] and not result["same_numbers"] else ""),
                shown(figures["tinybig_ms"], ".3f"),
                shown(figures["arrayfab_ms"], ".3f"),
                shown(figures["ratio"], ".1f"),
                f"≥ {figures['wanted']:g}",
            ]
        )
    return table(rows)


def memory_table(results: list[dict]) -> str:
    """The peaks, beside the matrix that is not formed."""
    rows = [["forward + gradient, memory above the inputs", "peak MiB", "wanted", "not formed MiB"]]
    for result in results:
        rows.append(
            [
                result["name"],
                f"{result['peak_mib']:.1f}",
                f"< {result['wanted_mib']:g}",
                f"{result['avoided']} {result['avoided_mib']:g}",
            ]
        )
    return table(rows)


FOOTNOTE = (
    "* tinybig's dual lphm reshapes an outer product, arrayfab computes the documented Kronecker product:\n"
    "  the shapes were compared. Elsewhere both gave the same numbers before they were timed."
)


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        description="Time arrayfab against tinybig on six workloads, and measure its peak memory.",
        epilog="Medians in milliseconds, float32, two threads for each library. Nothing here is a test: "
        "a ratio below the wanted one is shown and no more.",
    )
    parser.add_argument("--quick", action="store_true", help="fewer turns: half a minute, not two minutes")
    parser.add_argument("--only", metavar="TEXT", default="", help="only workloads with TEXT in their name")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures and the machine to FILE")
    return parser.parse_args(arguments)


def chosen(entries: list, text: str) -> Iterator:
    """The entries with ``text`` in their name, and a line of progress for each."""
    found = [entry for entry in entries if text in entry.name]
    for i, entry in enumerate(found, start=1):
        print(f"[{i}/{len(found)}] {entry.name}", file=sys.stderr)
        yield entry


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the tables, and write the figures where wanted."""
    options = parse_arguments(arguments)
    about = machine()  # before the load is our own
    tinybig = load_tinybig()
    effort = QUICK if options.quick else FULL
    times = [timed(workload, tinybig, effort) for workload in chosen(WORKLOADS, options.only)]
    memory = [peak(footprint) for footprint in chosen(FOOTPRINTS, options.only)]
    print(", ".join(f"{name} {value}" for name, value in about.items() if value is not None))
    for label in PASSES:
        print(f"\n{times_table(label, times)}")
    if tinybig:
        print(f"\n{FOOTNOTE}")
    print(f"\n{memory_table(memory)}")
    if options.json:
        figures = {"machine": about, "times": times, "memory": memory}
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
