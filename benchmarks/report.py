"""Figures as tables: in the terminal, in docs/performance.md and in benchmarks/results/tables.md."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from records import NOISE, OURS, PASSES, bars, changes, gap, geometric_mean, ratios, slower

ROOT = Path(__file__).parents[1]
#: The pages that tables are written into, the second one for all that the first leaves out.
PAGES = ("docs/performance.md", "benchmarks/results/tables.md")
Rows = list[list[str]]
MOST_ROWS = 40
# What parts of the page about expanded data are called, the second where OpenBLAS was told its kernels.
EXPANDED = ("expanded", "expanded, told kernels")


def text_table(rows: Rows) -> str:
    """Rows as aligned text, the first of them the heading, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def markdown_table(rows: Rows) -> str:
    """The same in Markdown."""
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([head, "|" + "|".join(["---", *["---:"] * (len(rows[0]) - 1)]) + "|", *body])


def shown(value: float | None, digits: int = 3) -> str:
    """A figure with that many significant digits, a dash where there is none."""
    if value is None:
        return "–"
    if value >= 10 ** (digits - 1):
        return f"{value:.0f}"
    return f"{value:.{digits}g}"


def measured_peers(results: dict) -> list[str]:
    """The peers that any cell has figures of, ours not among them."""
    found = {peer for cell in results["cells"].values() for label in PASSES for peer in _ms(cell, label)}
    return [peer for peer in results["peers"] if peer in found and peer != OURS]


def _ms(cell, label):
    return cell.get(label, {}).get("ms", {})


def machine_line(results: dict) -> str:
    """On what the figures were made."""
    versions = {name: peer["version"] for name, peer in results["peers"].items() if peer["version"]}
    return ", ".join(
        [
            *(f"{name} {value}" for name, value in results["machine"].items() if value is not None),
            *(f"{name} {value}" for name, value in versions.items() if name != OURS),
        ]
    )


def times_rows(results: dict, label: str, dtype: str) -> Rows:
    """arrayfab's time, the gap to the floor, and every peer's ratio, a line for each workload."""
    peers = measured_peers(results)
    rows = [[f"{label}, {dtype}", "ms", "floor", *peers]]
    for cell in results["cells"].values():
        ms = _ms(cell, label)
        if cell["dtype"] == dtype and OURS in ms:
            marks = {peer: "*" if peer in cell["differs"] else "" for peer in peers}
            row = [shown(ms[peer] / ms[OURS]) + marks[peer] if peer in ms else "–" for peer in peers]
            rows.append(
                [f"{cell['family']}, {cell['size']}", shown(ms[OURS]), f"{shown(gap(cell, label))} ×", *row]
            )
    return rows


def peer_rows(results: dict) -> Rows:
    """Each peer's ratios in sum."""
    rows = [["peer", "cells", "geometric mean", "lowest", "cells below 1.0"]]
    for peer in measured_peers(results):
        found = list(ratios(results, peer))
        lowest = min(found, key=lambda ratio: ratio.value)
        values = [ratio.value for ratio in found]
        rows.append(
            [
                peer,
                str(len(values)),
                f"{geometric_mean(values):.2f} ×",
                f"{lowest.value:.2f} × ({lowest.cell}, {lowest.label})",
                str(sum(value < 1 for value in values)),
            ]
        )
    return rows


def bar_rows(results: dict) -> Rows:
    """What was wanted and what was reached."""
    rows = [["what", "wanted", "reached", ""]]
    return rows + [
        [bar.what, bar.wanted, bar.reached, "met" if bar.is_met else "missed"] for bar in bars(results)
    ]


def slower_rows(results: dict) -> Rows:
    """The cells in which a peer is faster, the worst first."""
    rows = [["workload", "pass", "peer", "ratio"]]
    found = slower(results)
    rows += [[ratio.cell, ratio.label, ratio.peer, f"{ratio.value:.2f}"] for ratio in found[:MOST_ROWS]]
    return rows if len(found) <= MOST_ROWS else [*rows, [f"and {len(found) - MOST_ROWS} more", "", "", ""]]


def memory_rows(results: dict) -> Rows:
    """Peaks of forward + gradient in MiB, beside the matrix that need not be formed."""
    cells = [cell for cell in results["cells"].values() if cell.get("mib")]
    peers = [peer for peer in results["peers"] if any(cell["mib"].get(peer) for cell in cells)]
    rows = [["forward + gradient, MiB above the inputs", "dense", *peers]]
    for cell in cells:
        peaks = {peer: cell["mib"].get(peer, {}).get(PASSES[1]) for peer in peers}
        figures = [shown(peaks[peer]) for peer in peers]
        rows.append([f"{cell['family']}, {cell['size']}", shown(cell["dense_mib"]), *figures])
    return rows if cells else []


def left_out(results: dict) -> list[str]:
    """A line for each peer that was not run, and for each reason why one has no figure in some cells."""
    lines = [f"{name}: {peer['missing']}" for name, peer in results["peers"].items() if peer["missing"]]
    reasons: dict[tuple[str, str], int] = {}
    for cell in results["cells"].values():
        for peer, why in cell.get("notes", {}).items():
            reasons[peer, why] = reasons.get((peer, why), 0) + 1
    return lines + [f"{peer}, {count} cells: {why}" for (peer, why), count in reasons.items()]


def gpu_rows(results: dict) -> Rows:
    """Launches of a call, and what a captured graph gains."""
    rows = [["workload", *(f"launches, {label}" for label in PASSES), "ms", "captured ms", "gain"]]
    for name, cell in results["cells"].items():
        if graph := cell.get("graph"):
            launches = [str(cell["launches"][label]) for label in PASSES]
            figures = [shown(graph["ms"]), shown(graph["captured_ms"]), f"{graph['gain']:.2f} ×"]
            rows.append([name, *launches, *figures])
    return rows if len(rows) > 1 else []


def is_of_expansions(results: dict) -> bool:
    """Whether a file holds workloads of expanded data alone, for which the page has parts of their own."""
    cells = results["cells"].values()
    return bool(cells) and all(cell.get("expanded") for cell in cells)


def sections(results: dict) -> dict[str, Callable[[Callable[[Rows], str]], str]]:
    """The parts of a report by name, each given how to write a table."""
    dtypes = list(dict.fromkeys(cell["dtype"] for cell in results["cells"].values()))

    def times(table):
        tables = [times_rows(results, label, dtype) for dtype in dtypes for label in PASSES]
        return "\n\n".join(table(rows) for rows in tables if len(rows) > 1)

    def optional(rows):
        return lambda table: table(rows) if len(rows) > 1 else "None."

    return {
        "machine": lambda table: machine_line(results) + ".",
        "bars": optional(bar_rows(results)),
        "peers": optional(peer_rows(results)),
        "slower": optional(slower_rows(results)),
        "times": times,
        "memory": optional(memory_rows(results)),
        "gpu": optional(gpu_rows(results)),
        "left out": lambda table: "\n".join(f"- {line}" for line in left_out(results)) or "None.",
    }


def printed(results: dict) -> str:
    """A run as text."""
    parts = sections(results)
    names = ["machine", "times", "memory", "peers", "left out", "bars"]
    if results["machine"]["device"] == "cuda":
        names.insert(3, "gpu")
    return "\n\n".join(filter(None, (parts[name](text_table) for name in names)))


def compared(results: dict, baseline: dict) -> str:
    """What has changed since a baseline, as text."""
    found = changes(results, baseline)
    rows = [["cell", "pass", "× floor then", "now", "change", ""]]
    for change in found:
        says = "slower" if change.factor > NOISE else "faster" if change.factor < 1 / NOISE else ""
        figures = [shown(change.then), shown(change.now), f"{change.factor:.2f} ×"]
        rows.append([change.cell, change.label, *figures, says])
    slower = sum(change.factor > NOISE for change in found)
    said = f"{slower} of {len(found)} passes take more than {NOISE} times as long as in the baseline"
    return "\n\n".join([text_table(rows), f"{said} ({baseline['machine']['arrayfab']})."])


def write_pages(results: dict, name: str, root: Path = ROOT) -> None:
    """Put a run's tables between the marks in the pages, and draw the figures."""
    from figures import draw_all

    before = f"{EXPANDED['kernels' in results['machine']]}, " if is_of_expansions(results) else ""
    parts = {part: text(markdown_table) for part, text in sections(results).items()}
    parts["source"] = f"From `benchmarks/results/{name}.json`."
    for path in (root / page for page in PAGES):
        page = path.read_text(encoding="utf-8")
        for part, text in parts.items():
            page = replaced(page, before + part, text)
        path.write_text(page, encoding="utf-8")
    if not before:
        draw_all(results, root / "docs" / "figures")


def replaced(page: str, part: str, text: str) -> str:
    """The page with ``text`` between the marks of a part; as it was where it has no such part."""
    pattern = rf"(<!-- {part} -->\n).*?(<!-- end of {part} -->)"
    return re.sub(pattern, lambda match: f"{match[1]}\n{text}\n\n{match[2]}", page, flags=re.DOTALL)
