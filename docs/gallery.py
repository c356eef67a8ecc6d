"""Runs the code of pages, and draws the gallery's pictures: ``python docs/gallery.py`` rewrites them.

The code of a gallery's page ends with a figure of Matplotlib. Its picture holds, beside what is drawn, a
record of what that is, so that a test can tell whether the code still shows the same without drawing it anew.
"""

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import numpy as np

FOLDER = Path(__file__).parent / "gallery"
PICTURES = Path(__file__).parent / "pictures" / "gallery"
BLOCK = re.compile(r"^(?:<!-- needs ([\w ]+) -->\n)?```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
POSITIVE, NEGATIVE, GREY = "#e07b00", "#2f7fd6", "#777777"
TOLERANCE = 0.05  # of the width or height of what is drawn


def names():
    """Those of the gallery's pages."""
    return sorted(page.stem for page in FOLDER.glob("*.md") if page.stem != "index")


def run(page):
    """The module that a page's code makes, and the libraries that blocks needed which did not run."""
    module = ModuleType(f"page_{page.stem}")  # a page may be called as a library is
    sys.modules[module.__name__] = module  # where pickle looks for classes
    missing = set()
    try:
        for needed, block in BLOCK.findall(page.read_text(encoding="utf-8")):
            absent = {name for name in needed.split() if importlib.util.find_spec(name) is None}
            missing |= absent
            if not absent:
                exec(compile(block, str(page), "exec"), vars(module))
    finally:
        del sys.modules[module.__name__]
    return module, missing


def record(figure):
    """What a figure shows: the words and the ends of each panel, and where some of its marks lie in it."""
    return [
        {
            "words": [text.get_text() for text in _texts(panel)],
            "ends": [[float(f"{end:.4g}") for end in ends] for ends in (panel.get_xlim(), panel.get_ylim())],
            "marks": [_some(marks) for marks in _marks(panel)],
        }
        for panel in figure.axes
    ]


def _texts(panel):
    legend = panel.get_legend()
    found = [panel.title, panel.xaxis.label, panel.yaxis.label, *panel.texts]
    return found + (legend.get_texts() if legend else [])


def _marks(panel):
    """Lines, points and bars in shares of the panel, images and colours in shares of their scale."""

    def inside(places):
        return panel.transAxes.inverted().transform(panel.transData.transform(places))

    yield from (inside(line.get_xydata()) for line in panel.lines)
    yield from (inside(patch.get_xy()) for patch in panel.patches)
    for points in panel.collections:
        yield inside(points.get_offsets())
    for coloured in (*panel.collections, *panel.images):
        if coloured.get_array() is not None:
            yield coloured.norm(coloured.get_array())


def _some(marks, count=24):
    numbers = np.asarray(marks, dtype=float).reshape(-1)
    places = np.linspace(0, len(numbers) - 1, min(count, len(numbers))).astype(int)
    return [len(numbers), *(round(float(number), 3) for number in numbers[places])]


def kept(name):
    """The record in a picture."""
    description = ElementTree.parse(PICTURES / f"{name}.svg").find(".//{*}description")
    return json.loads(description.text)


def differences(shown, was):
    """In what two records differ, by more than could be seen."""
    if len(shown) != len(was):
        return [f"{len(shown)} panels in place of {len(was)}"]
    found = []
    for k, (panel, old) in enumerate(zip(shown, was, strict=True)):
        if panel["words"] != old["words"]:
            found.append(f"panel {k}: {panel['words']} in place of {old['words']}")
        for ends, before in zip(panel["ends"], old["ends"], strict=True):
            if not np.allclose(ends, before, rtol=0, atol=TOLERANCE * abs(before[1] - before[0])):
                found.append(f"panel {k}: from {ends[0]} to {ends[1]} in place of {before}")
        if [marks[0] for marks in panel["marks"]] != [marks[0] for marks in old["marks"]]:
            found.append(f"panel {k}: other lines, points or images")
        elif not all(map(_alike, panel["marks"], old["marks"])):
            found.append(f"panel {k}: the marks lie elsewhere")
    return found


def _alike(marks, before):
    # Where a line is steep, one that is a little later is far off in one or two places.
    off = ~np.isclose(marks, before, rtol=0, atol=TOLERANCE, equal_nan=True)
    return np.count_nonzero(off) <= len(off) // 12


def look():
    """The pictures' style: no background, and colours that can be seen on light pages and on dark."""
    import matplotlib as mpl
    from cycler import cycler
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    colours = [(*to_rgb(NEGATIVE), 1), (*to_rgb(GREY), 0), (*to_rgb(POSITIVE), 1)]
    mpl.colormaps.register(LinearSegmentedColormap.from_list("signed", colours))
    return {
        "svg.hashsalt": "arrayfab",
        "svg.fonttype": "none",
        "font.size": 9,
        "savefig.transparent": True,
        "image.cmap": "signed",
        "image.interpolation": "none",
        "axes.prop_cycle": cycler(color=[POSITIVE, NEGATIVE, "#3a9a5b", "#9a5bc4", GREY]),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "figure.constrained_layout.use": True,
    } | dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), GREY)


def draw(chosen):
    """Write the pictures of these pages."""
    import matplotlib as mpl

    mpl.use("Agg")
    style = look()
    PICTURES.mkdir(exist_ok=True)
    for name in chosen:
        with mpl.rc_context(style):
            figure = run(FOLDER / f"{name}.md")[0].figure
            metadata = {"Date": None, "Description": json.dumps(record(figure), ensure_ascii=False)}
            figure.savefig(PICTURES / f"{name}.svg", metadata=metadata)


if __name__ == "__main__":
    draw(sys.argv[1:] or names())
