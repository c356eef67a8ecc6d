"""Draws the papers' pictures from the results: ``python benchmarks/papers/pictures.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from function_lists import LISTS
from function_tables import NAMES
from reruns import results_file

FOLDER = Path(__file__).parents[2] / "docs" / "figures"
STYLE = Path(__file__).parents[1] / "figures.mplstyle"


def pyplot() -> Any:
    """Matplotlib, drawing to files."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    plt.style.use(STYLE)
    return plt


def draw_functions(results: dict[str, dict]) -> Any:
    """For every list the mean errors of all models, each model's from the least to the largest."""
    figure, panels = pyplot().subplots(1, len(LISTS), figsize=(10, 2.8))
    for panel, (name, functions) in zip(panels, LISTS.items(), strict=True):
        for trained, result in results.items():
            errors = [np.mean(result["functions"][name][f.name]["errors"]) for f in functions]
            panel.plot(np.arange(1, len(errors) + 1), np.sort(errors), label=NAMES[trained])
        panel.set(yscale="log", title=name, xlabel="functions")
    panels[0].set_ylabel("mean squared error")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(NAMES))
    return figure


def draw_mnist(results: dict[str, dict]) -> Any:
    """What a step of the published model takes, and what it takes of memory, beside tinybig."""
    steps = results["ten steps"]
    names = ["tinybig", "arrayfab"]
    figures = {
        "milliseconds of the processor for a step": [
            1e3 * steps[n]["processor seconds per step"] for n in names
        ],
        "MiB at the most, the whole process": [steps[n]["peak MiB of the process"] for n in names],
    }
    figure, panels = pyplot().subplots(2, 1, figsize=(4.2, 2))
    for panel, (title, values) in zip(panels, figures.items(), strict=True):
        bars = panel.barh(names, values, color=["C7", "C1"])
        panel.bar_label(bars, [f"{value:,.0f}" for value in values], padding=3)
        panel.set(title=title, xticks=[], xlim=(0, 1.12 * max(values)))
        panel.spines["bottom"].set_visible(False)
        panel.tick_params(left=False)
    return figure


#: What is drawn of which results.
PICTURES = {"functions": draw_functions, "mnist": draw_mnist}


def main(folder: Path = FOLDER) -> None:
    """Draw the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in PICTURES.items():
        figure = draw(json.loads(results_file(name).read_text(encoding="utf-8")))
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
