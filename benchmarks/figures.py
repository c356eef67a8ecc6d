"""Four figures of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from records import BY_HAND, GRADIENT, OURS, PASSES, gap, ratios, slope

STYLE = Path(__file__).with_name("figures.mplstyle")
LINES = {OURS: "C0", "by hand, best": "C1", "tinybig": "C3"}


def draw_all(results: dict, folder: Path) -> None:
    """Write all figures into a folder."""
    import matplotlib as mpl

    mpl.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in {
        "ratios": draw_ratios,
        "time": draw_time,
        "memory": draw_memory,
        "floor": draw_floor,
    }.items():
        with mpl.rc_context(fname=STYLE):
            draw(results).savefig(folder / f"{name}.svg", metadata={"Date": None})


def _float32(results: dict) -> dict[str, dict]:
    cells = results["cells"].items()
    return {name: cell for name, cell in cells if cell["dtype"] == "float32" and GRADIENT in cell}


def draw_ratios(results: dict) -> Any:
    """Every peer's ratio, a row for each workload."""
    import matplotlib.pyplot as plt

    cells = _float32(results)
    places = {name: len(cells) - i for i, name in enumerate(cells)}
    found = [ratio for ratio in ratios(results) if ratio.cell in cells]
    figure, axes = plt.subplots(1, 2, sharey=True, figsize=(10, 1.5 + 0.16 * len(cells)))
    for ax, label in zip(axes, PASSES, strict=True):
        for i, peer in enumerate(dict.fromkeys(ratio.peer for ratio in found)):
            own = [ratio for ratio in found if ratio.peer == peer and ratio.label == label]
            ax.plot(
                [ratio.value for ratio in own],
                [places[ratio.cell] for ratio in own],
                linestyle="",
                markersize=4,
                **_look(i),
                label=peer,
            )
        ax.axvline(1, color="C7", linewidth=0.8)
        ax.set(xscale="log", title=label, xlabel="time of the peer / time of arrayfab")
        ax.grid(axis="y", linewidth=0.2)
    axes[0].set_yticks(list(places.values()), [name.removesuffix(", float32") for name in places])
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5)
    return figure


def _look(i: int) -> dict[str, str]:
    """Colour and marker of the i-th peer."""
    return {"color": f"C{i % 10}", "marker": "os^"[i // 10]}


def _curves(cells: dict, family: str, b: int) -> dict[str, dict[int, float]]:
    """Milliseconds against n: ours, the best by hand, tinybig."""
    hands = sum(BY_HAND.values(), ())
    curves: dict[str, dict[int, float]] = {name: {} for name in LINES}
    for cell in cells.values():
        if cell["family"] != family or cell["b"] != b:
            continue
        ms = cell[GRADIENT]["ms"]
        curves[OURS][cell["n"]] = ms[OURS]
        if by_hand := [ms[peer] for peer in hands if peer in ms]:
            curves["by hand, best"][cell["n"]] = min(by_hand)
        if "tinybig" in ms:
            curves["tinybig"][cell["n"]] = ms["tinybig"]
    return curves


def _grid(results: dict, wanted: str) -> tuple[Any, Any, list[str], int]:
    """Axes for the families that are measured at several sizes, and the batch that is shown."""
    import matplotlib.pyplot as plt

    cells = _float32(results) if wanted == "time" else results["cells"]
    families = list(
        dict.fromkeys(c["family"] for c in cells.values() if c["family"].endswith("reconciliation"))
    )
    batches = {cell["b"] for cell in cells.values() if cell["family"] in families}
    figure, axes = plt.subplots(1, max(len(families), 1), sharey=True, figsize=(10, 3.2), squeeze=False)
    return figure, axes[0], families, 32 if 32 in batches else max(batches, default=0)


def _label(ax: Any, family: str, b: int, results: dict) -> None:
    sizes = sorted({cell["n"] for cell in results["cells"].values() if cell["family"] == family})
    ax.set(xscale="log", yscale="log", title=f"{family}, b={b}", xlabel="n = D")
    ax.set_xticks(sizes, [str(n) for n in sizes])
    ax.minorticks_off()


def draw_time(results: dict) -> Any:
    """Time of forward and gradient against n, with the slopes."""
    figure, axes, families, b = _grid(results, "time")
    for ax, family in zip(axes, families, strict=False):
        for name, curve in _curves(_float32(results), family, b).items():
            if curve:
                sizes, values = zip(*sorted(curve.items()), strict=True)
                exponent = f", n^{slope(sizes, values):.1f}" if len(sizes) > 1 else ""
                ax.plot(sizes, values, marker="o", markersize=3, color=LINES[name], label=name + exponent)
        _label(ax, family, b, results)
        ax.legend()
    axes[0].set_ylabel("forward + gradient, ms")
    return figure


def draw_memory(results: dict) -> Any:
    """Peak memory against n, beside the matrix itself."""
    figure, axes, families, b = _grid(results, "memory")
    for ax, family in zip(axes, families, strict=False):
        cells = [
            cell
            for cell in results["cells"].values()
            if cell["family"] == family and cell["b"] == b and cell.get("mib")
        ]
        for i, peer in enumerate(results["peers"]):
            points = sorted(
                (cell["n"], cell["mib"][peer][GRADIENT])
                for cell in cells
                if cell["mib"].get(peer, {}).get(GRADIENT)
            )
            if points:
                width, dashes = (2, "-") if peer == OURS else (0.8, "--")
                line = {"linewidth": width, "linestyle": dashes, "markersize": 3}
                ax.plot(*zip(*points, strict=True), label=peer, **line, **_look(i))
        dense = sorted((cell["n"], cell["dense_mib"]) for cell in cells)
        if dense:
            ax.plot(*zip(*dense, strict=True), color="C7", linewidth=0.8, label="W itself")
        _label(ax, family, b, results)
    axes[0].set_ylabel("peak of forward + gradient, MiB")
    lines = {line.get_label(): line for ax in axes for line in ax.get_lines()}
    figure.legend(lines.values(), lines, loc="outside lower center", ncols=7)
    return figure


def draw_floor(results: dict) -> Any:
    """How far arrayfab is from the higher of its floors."""
    import matplotlib.pyplot as plt

    cells = _float32(results)
    places = {name: len(cells) - i for i, name in enumerate(cells)}
    figure, ax = plt.subplots(figsize=(7, 1 + 0.16 * len(cells)))
    for label, color in zip(PASSES, ("C0", "C1"), strict=True):
        gaps: list[Any] = [gap(cell, label) for cell in cells.values()]
        ax.plot(gaps, list(places.values()), linestyle="", marker="o", markersize=4, color=color, label=label)
    ax.axvline(1, color="C7", linewidth=0.8)
    ax.set(xscale="log", xlabel="time of arrayfab / higher floor")
    ax.set_yticks(list(places.values()), [name.removesuffix(", float32") for name in places])
    ax.grid(axis="y", linewidth=0.2)
    ax.legend()
    return figure
