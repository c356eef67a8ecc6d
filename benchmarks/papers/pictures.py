"""Draws the picture of the papers' functions from the results: ``python benchmarks/papers/pictures.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from function_lists import LISTS
from function_tables import NAMES
from reruns import results_file

FOLDER = Path(__file__).parents[2] / "docs" / "figures"


def draw_functions(results: dict[str, dict]) -> Any:
    """For every list the mean errors of all models, each model's from the least to the largest."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    style = {"svg.hashsalt": "arrayfab", "svg.fonttype": "none", "font.size": 8}
    with mpl.rc_context(style | {"axes.spines.top": False, "axes.spines.right": False}):
        figure, panels = plt.subplots(1, len(LISTS), figsize=(10, 2.8), layout="constrained")
        for panel, (name, functions) in zip(panels, LISTS.items(), strict=True):
            for trained, result in results.items():
                errors = [np.mean(result["functions"][name][f.name]["errors"]) for f in functions]
                panel.plot(np.arange(1, len(errors) + 1), np.sort(errors), label=NAMES[trained])
            panel.set(yscale="log", title=name, xlabel="functions")
        panels[0].set_ylabel("mean squared error")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(NAMES))
    return figure


def main(results: Path, folder: Path) -> None:
    """Draw the picture."""
    folder.mkdir(parents=True, exist_ok=True)
    figure = draw_functions(json.loads(results.read_text(encoding="utf-8")))
    figure.savefig(folder / "functions.svg", metadata={"Date": None})


if __name__ == "__main__":
    main(results_file("functions"), FOLDER)
