"""A run: which cells are measured, in which order, and what is kept of them."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import arrayfab
from arrayfab._arrays import to_host
from floors import Floors
from memory import peaks
from passes import passes
from peers import BY_NAME, OURS, PEERS, Peer
from peers.base import NOT_OFFERED
from records import GRADIENT, PASSES, merged, read, write
from reference import disagreement, reference
from timing import Effort, medians
from workloads import DTYPES, Calls, Problem, Workload, workloads

GIB = 1 << 30
# Beyond this many copies of its matrices in memory a peer is not tried.
COPIES = 6


class Session:
    """One run of the command line."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.device = "cuda" if options.namespace == "cupy" else "cpu"
        short = {"seconds": 0.03, "turns": 2} if options.quick else {"seconds": options.seconds}
        self.effort = Effort(clock=options.clock, **short)
        self.errors: list[str] = []
        self.results: dict[str, Any] = {
            "machine": machine(options.threads, self.device) | clock(options.clock),
            "peers": {},
            "cells": {},
        }
        self.peers = self._present_peers()
        self.gpu = None
        if self.device == "cuda":
            from gpu import Gpu

            self.gpu = Gpu(self.effort)
            self.results["machine"] |= self.gpu.describe()
            self.floors = Floors(self.gpu.xp, self.gpu.seconds)
        else:
            self.floors = Floors()

    def run(self) -> dict:
        """Measure all that was asked for; the file is written after every cell."""
        dtypes = (*DTYPES, "float16") if self.gpu else DTYPES
        chosen = [
            w for w in workloads(quick=self.options.quick, dtypes=dtypes) if self.options.only in w.name
        ]
        if self.options.part != "memory":
            for i, workload in enumerate(chosen, start=1):
                start = time.perf_counter()
                cell = self.gpu_cell(workload) if self.gpu else self.cell(workload)
                self.keep(workload, cell)
                say(f"[{i}/{len(chosen)}] {workload.name}: {time.perf_counter() - start:.0f} s")
        if self.options.part != "time" and not self.gpu:
            self.memory([w for w in chosen if w.dtype == "float32"])
        return self.results

    def keep(self, workload: Workload, figures: dict) -> None:
        """Add figures to a cell, and write the file."""
        cell = self.results["cells"].setdefault(workload.name, described(workload))
        cell.update(figures)
        if path := self.options.json:
            known = read(path) if path.exists() else {}
            write(merged(known, self.results), path)

    # Time.

    def cell(self, workload: Workload) -> dict:
        """The times of all peers and the floors of one workload."""
        problem = Problem(workload)
        expected = reference(problem)
        calls: dict[str, Calls] = {}
        notes: dict[str, str] = {}
        for peer in self.peers:
            why = peer.skips(workload) or self.out_of_reach(peer, workload)
            made = None if why else self.checked(peer, problem, expected, notes)
            if made:
                calls[peer.name] = made
            elif why and why != NOT_OFFERED:
                notes[peer.name] = why
        del expected
        figures: dict[str, Any] = {"notes": notes}
        for label in PASSES:
            timed = {name: call for name, made in calls.items() if (call := made.of(label))}
            figures[label] = {"ms": medians(timed, self.effort), "floor": self.floors.of(workload, label)}
        notes |= {name: made.why for name, made in calls.items() if made.gradient is None}
        if workload.kind == "adaption bilinear":
            figures["passes"] = passes(problem)
        return figures

    def checked(self, peer: Peer, problem: Problem, expected: tuple, notes: dict) -> Calls | None:
        """A peer's calls, once they gave the right numbers; None, and a note, where they do not run."""
        try:
            start = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                calls = peer.prepare(problem, self.device)
                values = (calls.forward(), None, None)
                off = difference(peer, problem, values, expected)
                if calls.gradient and not off:
                    off = difference(peer, problem, calls.gradient(), expected)
        except Exception as error:
            notes[peer.name] = (
                f"fails: {type(error).__name__}: {str(error).strip().partition(chr(10))[0][:160]}"
            )
            return None
        if off:
            notes[peer.name] = f"other numbers: {off}"
            self.errors.append(f"{problem.workload.name}: {peer.name}: {off}")
            return None
        took = time.perf_counter() - start
        if peer is not OURS and peer.name != "torch.compile" and took > 4 * self.effort.longest:
            notes[peer.name] = f"left out, its first calls took {took:.0f} s"
            return None
        return calls

    def out_of_reach(self, peer: Peer, workload: Workload) -> str | None:
        """Why a peer that forms W is not tried on a large one."""
        if not peer.forms_matrix:
            return None
        needed = COPIES * workload.itemsize * sum(n * D for n, D in workload.formed)
        if needed > available_memory():
            return f"forms its matrices: about {needed / GIB:.0f} GiB"
        rows = min(workload.shapes[0]) if workload.shapes else 1
        seconds = 6 * rows * sum(n * D for n, D in workload.formed) / self.floors.rate(workload.dtype)
        if seconds > self.effort.longest:
            return f"forms its matrices: about {seconds:.0f} s a call"
        return None

    # Memory.

    def memory(self, chosen: list[Workload]) -> None:
        """The peaks of all peers, each workload in a process of its own."""
        by_name = {workload.name: workload for workload in chosen}
        for peer in [OURS] if self.options.quick else self.peers:
            fit = [w for w in chosen if not (peer.skips(w) or self.out_of_reach(peer, w))]
            say(f"memory of {peer.name}: {len(fit)} workloads")
            for name, peak in peaks(peer.name, [workload.name for workload in fit]):
                cell = self.results["cells"].get(name, {})
                self.keep(by_name[name], {"mib": cell.get("mib", {}) | {peer.name: peak}})

    # The GPU.

    def gpu_cell(self, workload: Workload) -> dict:
        """The same on the GPU: device events, inputs beyond the cache, launches and a captured graph."""
        assert self.gpu
        figures: dict[str, Any] = {"notes": {}}
        problems = self.gpu.copies(workload)
        expected = reference(problems[0])
        made: dict[str, list[Calls]] = {}
        for peer in self.peers:
            why = peer.skips(workload)
            if why:
                figures["notes"] |= {peer.name: why} if why != NOT_OFFERED else {}
            elif self.checked(peer, problems[0], expected, figures["notes"]):
                made[peer.name] = [peer.prepare(problem, self.device) for problem in problems]
        for label in PASSES:
            calls: dict[str, list[Callable]] = {
                name: [one.of(label) for one in many] for name, many in made.items() if many[0].of(label)
            }
            figures[label] = {"ms": self.gpu.medians(calls), "floor": self.floors.of(workload, label)}
        figures["mib"] = {name: self.gpu.peaks(BY_NAME[name], many[0]) for name, many in made.items()}
        if OURS.name in made:
            figures["launches"] = self.gpu.launches(made[OURS.name][0])
            figures["graph"] = self.gpu.captured(made[OURS.name][0].of(GRADIENT))
        return figures

    def _present_peers(self) -> list[Peer]:
        wanted = [text for text in self.options.peers.split(",") if text]
        present = []
        for peer in PEERS:
            if peer is not OURS and wanted and not any(text in peer.name for text in wanted):
                continue
            why = peer.missing(self.device)
            if self.options.quick and peer.name == "torch.compile":
                why = "compiles for longer than a quick run lasts"
            self.results["peers"][peer.name] = {"version": peer.version, "missing": why}
            if why:
                say(f"{peer.name} is left out: {why}")
            else:
                present.append(peer)
        if any("torch" in peer.modules for peer in present):
            import torch

            torch.set_num_threads(self.options.threads)
        return present


def say(line: str) -> None:
    """A line of progress."""
    print(line, file=sys.stderr, flush=True)


def described(workload: Workload) -> dict:
    """What a figure or a table needs to know of a workload."""
    return {
        "family": workload.family,
        "size": workload.size,
        "dtype": workload.dtype,
        "n": workload.shapes[0][1] if workload.shapes else workload.matrix[0],
        "b": workload.rows,
        "structured": workload.is_structured,
        "expanded": workload.is_expanded,
        "wanted": workload.wanted,
        "differs": [peer.name for peer in PEERS if workload.kind in peer.differs],
        "dense_mib": max(n * D for n, D in workload.formed) * workload.itemsize / (1 << 20),
    }


def difference(peer: Peer, problem: Problem, values: tuple, expected: tuple) -> str | None:
    """What is wrong with a peer's numbers; shapes alone count where it is known to compute something else."""
    y, grad_xs, grad_w = values
    if grad_xs is not None:
        grad_xs = [to_host(grad) for grad in grad_xs]
        blocks = grad_w if isinstance(grad_w, list | tuple) else [grad_w]
        grad_w = np.concatenate([to_host(block).reshape(-1) for block in blocks])
    off = disagreement(problem, to_host(y), grad_xs, grad_w, expected)
    return None if problem.workload.kind in peer.differs else off


def available_memory() -> int:
    """Bytes that can be had without paging, as Linux states them; 8 GiB where it does not."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return 8 * GIB
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))


def machine(threads: int, device: str) -> dict:
    """On what, and with what, the figures were made."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "device": device,
        "load": load(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"],  # type: ignore[index]
        "arrayfab": arrayfab.__version__,
        "array-api-compat": importlib.metadata.version("array-api-compat"),
    }


def clock(name: str) -> dict:
    """Which times the figures are, and which of its kernels OpenBLAS was told to take."""
    kernels = os.environ.get("OPENBLAS_CORETYPE")
    return {"clock": name} | ({"kernels": kernels} if kernels else {})


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
