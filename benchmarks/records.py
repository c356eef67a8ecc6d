"""The figures of a run: how they are kept, and what is read off them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

FORWARD, GRADIENT = PASSES = ("forward", "forward + gradient")
OURS = "arrayfab"
# The same formula without checks or generality: it tells the overhead, and is no peer.
INLINE = "NumPy inline"
BY_HAND = {
    "PyTorch": ("PyTorch eager", "torch.compile"),
    "JAX": ("JAX by hand", "JAX einsum"),
}
# What must be the same in two runs for their figures to stand in one file.
SAME = ("processor", "threads", "device", "gpu", "numpy", "arrayfab", "clock", "kernels")


def read(path: Path) -> dict:
    """The figures in a file."""
    return json.loads(path.read_text(encoding="utf-8"))


def write(results: dict, path: Path) -> None:
    """Keep figures in a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def merged(known: dict, new: dict) -> dict:
    """Two pieces of a run as one, the newer figures in place of the older.

    Raises
    ------
    ValueError
        If the pieces come from different machines or versions.
    """
    if not known:
        return new
    usual = {"clock": "wall"}
    for name in SAME:
        ours, theirs = (run["machine"].get(name, usual.get(name)) for run in (new, known))
        if ours != theirs:
            raise ValueError(f"the file holds figures of another {name}: {theirs!r}, this run has {ours!r}")
    cells = dict(known["cells"])
    for name, cell in new["cells"].items():
        old = cells.get(name, {})
        both = {key: old.get(key, {}) | cell.get(key, {}) for key in ("mib",) if key in old or key in cell}
        cells[name] = {**old, **cell, **both}
    peers = {**known["peers"], **new["peers"]}
    return {"machine": {**known["machine"], **new["machine"]}, "peers": peers, "cells": cells}


def geometric_mean(values: Sequence[float]) -> float:
    """The geometric mean of positive numbers."""
    return math.exp(sum(map(math.log, values)) / len(values))


def slope(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The exponent ``a`` of the power law ``value ∝ sizeᵃ`` that fits best, in logarithms."""
    xs, ys = list(map(math.log, sizes)), list(map(math.log, values))
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    over = sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True))
    return over / sum((a - x) ** 2 for a in xs)


class Ratio(NamedTuple):
    """How many times as long a peer takes as arrayfab, in one pass of one cell."""

    cell: str
    label: str
    peer: str
    value: float


def ratios(results: dict, *peers: str) -> Iterator[Ratio]:
    """The ratios of these peers, of all if none is named."""
    for name, cell in results["cells"].items():
        for label in PASSES:
            ms = cell.get(label, {}).get("ms", {})
            if OURS not in ms:
                continue
            for peer, time in ms.items():
                if peer != OURS and (not peers or peer in peers):
                    yield Ratio(name, label, peer, time / ms[OURS])


def slower(results: dict) -> list[Ratio]:
    """Where a peer is faster than arrayfab, the worst first."""
    behind = [ratio for ratio in ratios(results) if ratio.value < 1 and ratio.peer != INLINE]
    return sorted(behind, key=lambda ratio: ratio.value)


def best_by_hand(results: dict, *peers: str) -> list[float]:
    """The ratio of the fastest of these peers in every pass of every structured cell."""
    fastest: dict[tuple[str, str], float] = {}
    for ratio in ratios(results, *peers):
        cell = results["cells"][ratio.cell]
        if cell["structured"] and not cell.get("expanded"):
            key = (ratio.cell, ratio.label)
            fastest[key] = min(ratio.value, fastest.get(key, math.inf))
    return list(fastest.values())


def gap(cell: dict, label: str) -> float | None:
    """How many times as long arrayfab takes as the higher of the two floors."""
    figures = cell.get(label, {})
    ours = figures.get("ms", {}).get(OURS)
    return None if ours is None else ours / max(figures["floor"].values())


class Change(NamedTuple):
    """How far arrayfab is from the floor in one pass of one cell, in a baseline and now."""

    cell: str
    label: str
    then: float
    now: float

    @property
    def factor(self) -> float:
        """How many times as long it takes, beside what the machine can do at all."""
        return self.now / self.then


#: A change that is no larger is the machine's: medians of quiet runs differ by a tenth to a third.
NOISE = 1.5


def changes(results: dict, baseline: dict) -> list[Change]:
    """Both runs' gaps where both have one, the worst change first.

    They are relative to floors that each run has measured for itself, so that the baseline may be another
    machine's.
    """
    found = []
    for name, cell in results["cells"].items():
        for label in PASSES:
            now, then = (gap(each, label) for each in (cell, baseline["cells"].get(name, {})))
            if now is not None and then is not None:
                found.append(Change(name, label, then, now))
    return sorted(found, key=lambda change: -change.factor)


class Bar(NamedTuple):
    """Something that was wanted, and what was reached."""

    what: str
    wanted: str
    reached: str
    is_met: bool


def bars(results: dict) -> list[Bar]:
    """All that this file can judge."""
    return [
        *_peer_bars(results),
        *_tinybig_bars(results),
        *_floor_bars(results),
        *_expanded_bars(results),
        *_overhead_bars(results),
    ]


def _peer_bars(results):
    found = [ratio for ratio in ratios(results) if ratio.peer != INLINE]
    if not found:
        return
    lowest, behind = min(found, key=lambda ratio: ratio.value), slower(results)
    yield Bar(
        "every peer in every cell",
        "≥ 1.0 ×",
        f"{len(found) - len(behind)} of {len(found)}; lowest {lowest.value:.2f} × ({lowest.peer})",
        not behind,
    )
    groups = {"PyTorch and JAX": sum(BY_HAND.values(), ()), **BY_HAND}
    for name, peers in groups.items():
        if best := best_by_hand(results, *peers):
            mean = geometric_mean(best)
            yield Bar(
                f"best of {name} by hand, structured workloads, geometric mean",
                "≥ 1.5 ×",
                f"{mean:.2f} ×",
                mean >= 1.5,
            )


def _tinybig_bars(results):
    if found := list(ratios(results, "tinybig")):
        lowest = min(found, key=lambda ratio: ratio.value)
        reached = f"lowest {lowest.value:.2f} × ({lowest.cell}, {lowest.label})"
        yield Bar("tinybig in every cell", "≥ 1.0 ×", reached, lowest.value >= 1)
    for ratio in ratios(results, "tinybig"):
        cell = results["cells"][ratio.cell]
        if cell["wanted"]:
            wanted = cell["wanted"][PASSES.index(ratio.label)]
            if wanted is None:
                continue
            what = f"tinybig: {cell['family']}, {ratio.label}"
            yield Bar(what, f"≥ {wanted:g} ×", f"{ratio.value:.1f} ×", ratio.value >= wanted)


# The greatest multiples of the copy of what must be read and written, by family, forward and with gradient.
COPIES = {"dual lphm": (3, 6), "low-rank fusion": (1.5, 3)}


def _floor_bars(results):
    for name, cell in results["cells"].items():
        is_stated = cell["dtype"] == "float32" and cell["family"] in COPIES
        for label, most in zip(PASSES, COPIES[cell["family"]] if is_stated else (), strict=False):
            if label in cell:
                times = cell[label]["ms"][OURS] / cell[label]["floor"]["copy_ms"]
                yield Bar(f"{cell['family']}, {label}", f"≤ {most:g} × copy", f"{times:.1f} ×", times <= most)
        if cell["dtype"] == "float32" and "passes" in cell and name.startswith("bilinear"):
            yield Bar("bilinear adaption, passes over x", "≤ 8", f"{cell['passes']}", cell["passes"] <= 8)


def _expanded_bars(results):
    hands = sum(BY_HAND.values(), ())
    for name, cell in results["cells"].items():
        if not cell.get("expanded"):
            continue
        least = 1.5 if cell["family"].startswith(FUNCTIONS) else 1.0
        for label in PASSES:
            found = [ratio for ratio in ratios(results, *hands) if (ratio.cell, ratio.label) == (name, label)]
            if found:
                best = min(found, key=lambda ratio: ratio.value)
                reached = f"{best.value:.2f} × ({best.peer})"
                what = f"best by hand: {cell['family']}, {label}"
                yield Bar(what, f"≥ {least} ×", reached, best.value >= least)
        peaks = cell.get("mib", {})
        if cell["family"].endswith(", dual lphm") and {OURS, "tinybig"} <= peaks.keys():
            ours, theirs = (peaks[peer].get(GRADIENT) for peer in (OURS, "tinybig"))
            if ours and theirs:
                what = f"tinybig's peak: {cell['family']}, {GRADIENT}"
                yield Bar(what, "≥ 100 ×", f"{theirs / ours:.0f} ×", theirs >= 100 * ours)


# Of functions of single attributes 1.5 times the speed of the best by hand is wanted.
FUNCTIONS = ("expanded: splines", "expanded: chebyshev")


def _overhead_bars(results):
    for ratio in ratios(results, INLINE):
        cell = results["cells"][ratio.cell]
        if cell["family"].startswith("tiny") and cell["dtype"] == "float32":
            ms = cell[ratio.label]["ms"]
            most, over = (12, 30)[PASSES.index(ratio.label)], 1e3 * (ms[OURS] - ms[INLINE])
            what = f"over NumPy inline: {cell['family']}, {ratio.label}"
            yield Bar(what, f"≤ {most} µs", f"{over:.0f} µs", over <= most)
