"""The tables and figures of docs/choosing.md, from what ``choosing.py`` measured."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from figures import STYLE
from report import ROOT, Rows, markdown_table, replaced

MNIST = Path(__file__).parent / "results" / "papers" / "mnist.json"
SHOWN_BUDGET = 512
KINDS = ("linear", "hidden layer", "products", "functions", "patches, rows")
#: The variants that have a line in the figure.
DRAWN = ("LowRank", "TensorTrain", "CP", "Monarch", "DualLPHM", "Circulant", "BlockDiagonal")

# The recorded models of MNIST: of which kind they are, and what they are.
RECORDED = {
    "as-run": ("products", "three layers of `Taylor(d=2)`, `DualLPHM(r=5)`"),
    "shifted": ("products", "the same, images shifted by up to a pixel"),
    "grid": ("patches, rows", "two sums of `C ⊗ T(a) ⊗ T(b)`, `Full()`; images shifted by up to two pixels"),
}

WHOLE, ROWS = "`Full()`, 64 hidden", "ParameterizedInterdependence"
FROZEN = ("`RandomMatrixAdaption(r=32)`, 64 hidden", "`RandomMatrixHypernet(r=8, l=64)`, 64 hidden")
PAIRED = ("DualLPHM(p=2, q=64, r=4)", "2 × Hypercomplex(p=10, q=64)", "LowRank(r=1)")
CURVES = ("BSpline()", "Chebyshev(d=3)")

# A job, what to take for it, and where that was measured: first what is taken, then others beside it.
DECISIONS = (
    (
        "a table of columns in no order, few rows",
        "a linear `Full()`, and a hidden layer of `LowRank(r=1)`",
        ("breast cancer", "`Full()`", "`LowRank(r=1)`, 16 hidden", "`Full()`, 16 hidden"),
    ),
    (
        "a dense layer, with a quarter of its numbers",
        "a sum of some `Hypercomplex`",
        ("digits", "`4 × Hypercomplex(p=8, q=8)`, 64 hidden", "`LowRank(r=4)`, 64 hidden", WHOLE),
    ),
    (
        "a dense layer, with hardly any numbers",
        "one `Hypercomplex`, `Circulant`; not what is made of frozen random matrices",
        ("digits", "`Hypercomplex(p=8, q=8)`, 64 hidden", "`Circulant(b=64)`, 64 hidden", *FROZEN, WHOLE),
    ),
    (
        "columns that mean the same: pixels of a row, steps of a series",
        "`ParameterizedInterdependence` on `Reshape`d rows, before a small layer",
        ("digits", f"`{ROWS}(m=8, m_prime=4)` of every row, `Full()`", "`LowRank(r=4)`", "`LowRank(r=6)`"),
    ),
    (
        "images",
        "filters over patches",
        ("digits", "`models.cnn((8, 8), (1, 8), (10,))`", WHOLE),
    ),
    (
        "products of attributes",
        "`Taylor(d=2)` with `DualLPHM` or some `Hypercomplex`, `q = m`; not with `LowRank`",
        ("digits", *(f"`Taylor(d=2)`, `{each}`" for each in PAIRED), "`Full()`"),
    ),
    (
        "a curve of every attribute",
        "`BSpline`, `Chebyshev`, `GaussianRBF`",
        ("digits", *(f"`{each}`, `Hypercomplex(p=10, q=64)`" for each in CURVES), "`Full()`"),
    ),
    (
        "a smooth matrix: kernels, covariances",
        "`LowRank`",
        ("smooth", "LowRank", "CP", "TensorTrain", "Constant"),
    ),
    (
        "a matrix whose blocks resemble each other",
        "`TensorTrain`, which is a sum of `Hypercomplex`; one of these if that will do",
        ("Kronecker-like", "TensorTrain", "Hypercomplex", "CP", "LowRank"),
    ),
    (
        "a matrix without structure",
        "`Full()`: with fewer numbers no variant comes near",
        ("random", "CP", "LowRank", "Monarch", "BlockDiagonal"),
    ),
    ("the same along diagonals: filters, series in equal steps", "`Toeplitz`, `Circulant`", ()),
    ("a frozen matrix to adapt", "`Base(W0) + LowRank(r=4)` and [others](fabrications/base.md)", ()),
    ("a rotation", "`Cayley`, `Householder`, `Butterfly`", ()),
)


def sections(found: dict) -> dict[str, Callable]:
    """Parts of the page by name, each a function of how rows become a table."""
    machine = found["machine"]
    threads = f"OMP_NUM_THREADS={machine['OMP_NUM_THREADS']}"
    about_it = f"{machine['processor']}, {machine['cores']} cores, {threads}, NumPy {machine['numpy']}."
    tables = {f"scores of {name}": score_rows(lines) for name, lines in found["scores"].items()}
    tables |= {"scores of MNIST": mnist_rows(), "nearest": nearest_rows(found), "errors": error_rows(found)}
    return {
        "decisions": lambda table: table(decision_rows(found)).replace("---:", "---"),  # all are words
        "machine": lambda table: about_it,
    } | {name: lambda table, rows=rows: table(rows) for name, rows in tables.items()}


def decision_rows(found: dict) -> Rows:
    """What to take for each job, and what it came to."""
    rows = [["job", "take", "measured"]]
    return rows + [[job, take, evidence(found, *where) if where else "–"] for job, take, where in DECISIONS]


def evidence(found: dict, where: str, *names: str) -> str:
    """What some models came to on a data set, or some variants on a kind of matrix."""
    if where in found["errors"]:
        least = least_errors(found["errors"][where], SHOWN_BUDGET)
        errors = (f"`{name}` misses {percent(min(least[name].values()))}" for name in names)
        return f"{where}, at most {SHOWN_BUDGET} numbers: {', '.join(errors)}"
    known = {line["model"]: line for line in found["scores"][where]}
    scores = (
        f"{name} {np.mean(known[name]['scores']):.3f} with {known[name]['learned numbers']:,}"
        for name in names
    )
    return f"{where}: {'; '.join(scores)}"


def score_rows(lines: list[dict]) -> Rows:
    """A row for every model, and whether none with as few learned numbers has a higher score."""
    rows, best = [["model", "kind", "learned numbers", "score", "best so far", "s"]], -np.inf
    for line in sorted(lines, key=lambda line: (line["learned numbers"], -np.mean(line["scores"]))):
        mean, spread = np.mean(line["scores"]), np.std(line["scores"])
        mark, best = "✓" if mean > best else "", max(mean, best)
        figures = [
            f"{line['learned numbers']:,}",
            f"{mean:.3f} ± {spread:.3f}",
            mark,
            f"{line['seconds']:.2f}",
        ]
        rows.append([line["model"], line["kind"], *figures])
    return rows


def recorded() -> Iterator[tuple[str, str, dict]]:
    """The kind, the name and the figures of the recorded models of MNIST."""
    found = json.loads(MNIST.read_text(encoding="utf-8"))
    for key, (kind, name) in RECORDED.items():
        yield kind, name, found[key]


def mnist_rows() -> Rows:
    """A row for every recorded model."""
    rows = [["model", "kind", "learned numbers", "accuracy", "s/epoch"]]
    for kind, name, line in recorded():
        figures = [f"{line['accuracy']:.4f}", f"{line['processor seconds per epoch']:.1f}"]
        rows.append([name, kind, f"{line['learned numbers']:,}", *figures])
    return rows


def nearest_rows(found: dict) -> Rows:
    """What comes nearest to each kind of matrix within each budget."""
    budgets = list(next(iter(found["errors"].values())))
    rows = [["learned numbers at most", *found["errors"]]]
    for budget in budgets:
        lines = [plans[budget][0] for plans in found["errors"].values()]
        rows.append(
            [f"{int(budget):,}", *(f"`{line['fabrication']}` {percent(line['error'])}" for line in lines)]
        )
    return rows


def percent(share: float) -> str:
    """With three digits."""
    return f"{100 * share:.3g}%"


def least_errors(plans: dict[str, list[dict]], most: float = np.inf) -> dict[str, dict[int, float]]:
    """For every variant, the least error with so many learned numbers or fewer."""
    lines = [line for plan in plans.values() for line in plan if line["learned numbers"] <= most]
    found: dict[str, dict[int, float]] = {}
    for line in sorted(lines, key=lambda line: line["learned numbers"]):
        curve = found.setdefault(line["variant"], {})
        curve[line["learned numbers"]] = min(line["error"], *curve.values(), np.inf)
    return found


def error_rows(found: dict) -> Rows:
    """Every variant's least error on each kind of matrix within one of the budgets."""
    kinds = {kind: least_errors(plans, SHOWN_BUDGET) for kind, plans in found["errors"].items()}
    least = {
        variant: [min(kinds[kind].get(variant, {0: np.nan}).values()) for kind in kinds]
        for variant in dict.fromkeys(variant for curves in kinds.values() for variant in curves)
    }
    rows = [["fabrication", *kinds]]
    for variant, each in sorted(least.items(), key=lambda item: min(item[1])):
        rows.append([f"`{variant}`", *map(percent, each)])
    return rows


def write_page(found: dict, docs: Path = ROOT / "docs") -> None:
    """Put the tables between the marks in choosing.md, and draw the figures."""
    path = docs / "choosing.md"
    page = path.read_text(encoding="utf-8")
    for part, text in sections(found).items():
        page = replaced(page, part, text(markdown_table))
    path.write_text(page, encoding="utf-8")
    draw(found, docs / "figures")


def draw(found: dict, folder: Path) -> None:
    """Scores, and errors, against learned numbers."""
    import matplotlib as mpl

    mpl.use("Agg")
    with mpl.rc_context(fname=STYLE):
        for name, draw_one in {"scores": draw_scores, "errors": draw_errors}.items():
            figure = draw_one(found)
            figure.savefig(folder / f"choosing-{name}.svg", metadata={"Date": None})


def panels(titles: Iterable[str], **options) -> tuple[Any, Any]:
    """A figure with panels beside each other, each for some learned numbers."""
    import matplotlib.pyplot as plt

    names = list(titles)
    figure, axes = plt.subplots(1, len(names), figsize=(10, 3.2), **options)
    for ax, name in zip(axes, names, strict=True):
        ax.set(title=name, xlabel="learned numbers", xscale="log")
    return figure, axes


def finish(figure: Any, axes: Any) -> Any:
    """Put round numbers along the panels, and the legend below."""
    for ax in axes:
        low, high = ax.get_xlim()
        low, high = low / 1.3, high * 1.3
        ticks = [tick for tick in (10, 30, 100, 300, 1000, 3000, 10_000) if low < tick < high]
        ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        ax.minorticks_off()
        ax.set_xlim(low, high)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def draw_scores(found: dict) -> Any:
    """For every data set the scores of all models, in the colour of their kind."""
    points = {
        name: [(line["kind"], line["learned numbers"], line["scores"]) for line in lines]
        for name, lines in found["scores"].items()
    }
    points["MNIST"] = [(kind, line["learned numbers"], [line["accuracy"]]) for kind, _, line in recorded()]
    figure, axes = panels(points)
    for ax, (name, lines) in zip(axes, points.items(), strict=True):
        for i, kind in enumerate(KINDS):
            own = [(numbers, np.mean(scores), np.std(scores)) for of, numbers, scores in lines if of == kind]
            if own:
                x, y, spread = zip(*own, strict=True)
                ax.errorbar(
                    x, y, spread, fmt="os^Dv"[i], color=f"C{i}", markersize=4, elinewidth=0.5, label=kind
                )
        ax.set_ylabel("R²" if name == "diabetes" else "accuracy")
    return finish(figure, axes)


def draw_errors(found: dict) -> Any:
    """For every kind of matrix the least errors of some variants."""
    figure, axes = panels(found["errors"], sharey=True)
    for ax, plans in zip(axes, found["errors"].values(), strict=True):
        curves = least_errors(plans)
        for i, variant in enumerate(DRAWN):
            x, y = zip(*sorted(curves.get(variant, {np.nan: np.nan}).items()), strict=True)
            ax.plot(x, y, marker="os^Dv<>"[i], color=f"C{i}", markersize=3, linewidth=1, label=variant)
    axes[0].set(ylabel="error / norm of the matrix", yscale="log")
    return finish(figure, axes)
