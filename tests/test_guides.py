"""The guides say what the library does: lines of the cheat sheet, tables of the guide to choosing."""

import json
import math
import re
import shutil
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import arrayfab
import choosing
import choosing_page
import report
from arrayfab import Fabrication, expansions, interdependences

DOCS = Path(__file__).parent.parent / "docs"
SHEET = (DOCS / "cheat-sheet.md").read_text(encoding="utf-8")
FENCE = re.search(r"^```python\n(.*?)^```", SHEET, re.DOTALL | re.MULTILINE)[1]
NAMES: dict = {}
exec(FENCE, NAMES)
n, D, m, x = (NAMES[name] for name in ("n", "D", "m", "x"))
FORMULA = re.compile(r"`[^`]*`(?: or `[^`]*`)*")
AS_CODE = str.maketrans({"²": "**2", "₁": "1", "₂": "2", "⌈": "ceil(", "⌉": ")"})


def lines(*headings):
    """Of the tables under these headings: each line of code, and the cells beside it."""
    found = []
    for heading in headings:
        section = SHEET.split(f"\n## {heading}\n")[1].split("\n## ")[0]
        for row in re.findall(r"^\| (`.*) \|$", section, re.MULTILINE):
            code, *cells = row.split(" | ")
            found += [pytest.param(line, cells, id=line) for line in re.findall(r"`([^`]+)`", code)]
    return found


def fields_of(part):
    """The fields of a formula and of those inside it."""
    own, found = {each.name: getattr(part, each.name) for each in fields(part)}, {}
    for value in own.values():
        for each in value if isinstance(value, tuple) else (value,):
            found |= fields_of(each) if isinstance(each, Fabrication) else {}
    return found | {name: value for name, value in own.items() if value is not None}


def values(cell, known):
    """What the formulas in a cell are worth; none where it is not made of formulas alone."""
    if not FORMULA.fullmatch(cell):
        return []
    texts = [text.translate(AS_CODE) for text in re.findall("`([^`]*)`", cell)]
    texts = [re.sub(r"(?<=[\w)]) (?=[\w(])", " * ", text) for text in texts]
    return [eval(text, {"ceil": math.ceil, "sum": sum, "min": min} | known) for text in texts]


@pytest.mark.parametrize(("line", "cells"), lines("Fabrications of any shape", "Square fabrications"))
def test_a_fabrication_learns_and_multiplies_as_on_the_sheet(line, cells):
    made = eval(line, NAMES)
    is_square = line in {each.id for each in lines("Square fabrications")}
    shape = (n, n) if is_square else (n, D)
    known = {"n": shape[0], "D": shape[1], "m": min(shape)} | fields_of(made)
    if {"p", "q"} <= known.keys():
        known |= {"s": n // known["p"], "t": D // known["q"]}
    if "rows" in known:
        known |= dict(zip(("n1", "n2", "D1", "D2"), made.rows + made.columns, strict=True))
    assert values(cells[1], known) == [made.num_parameters(*shape)]
    many, more = (made.cost(*shape, rows=rows).multiplies for rows in (1024, 2048))
    costs = values(cells[2], known)
    assert not costs or (more - many) / 1024 in costs


@pytest.mark.parametrize(("line", "cells"), lines("Roles", "Fusions and remainders"))
def test_a_layer_learns_as_many_numbers_as_on_the_sheet(line, cells):
    made = eval(line, NAMES)
    known = {"n": n, "D": D, "m": m} | fields_of(made)
    known |= {"l": made.fabrication.num_parameters} if "fabrication" in known else {}
    assert values(cells[1], known) == [made.num_parameters()]


@pytest.mark.parametrize(("line", "cells"), lines("Expansions"))
def test_an_expansion_makes_as_many_features_as_on_the_sheet(line, cells):
    made = eval(line, NAMES)
    features = values(cells[1], {"m": m} | fields_of(made))
    assert made(x).shape == (3, features[0] if features else made.num_features(m))


@pytest.mark.parametrize(("line", "cells"), lines("Interdependences"))
def test_an_interdependence_of_the_sheet_learns_nothing(line, cells):
    made = eval(line, NAMES)
    assert made.num_parameters() == 0
    assert np.isfinite(made(x)).all()


def test_every_formula_is_on_the_sheet():
    parts = set(expansions.__all__) | set(interdependences.__all__) | set(arrayfab.__all__)
    whole = {"Expansion", "Fabrication", "Functions", "Seeded", "StructuredMatrix", "Interdependence"}
    models = {"Parallel", "Pointwise", "Reshape", "Sequential", "Softmax", "load", "models", "plan", "save"}
    naive = {f"Naive{name}" for name in expansions.__all__}
    named = set(re.findall(r"\w+", SHEET))
    assert parts - whole - models - naive - {"GridInterdependence", "remainders"} <= named


def test_the_guide_to_choosing_shows_what_was_measured():
    found = json.loads(choosing.RESULTS.read_text(encoding="utf-8"))
    page = (DOCS / "choosing.md").read_text(encoding="utf-8")
    for part, text in choosing_page.sections(found).items():
        assert f"<!-- {part} -->" in page
        assert report.replaced(page, part, text(report.markdown_table)) == page, "run choosing.py --report"
    assert {line["kind"] for lines in found["scores"].values() for line in lines} <= set(choosing_page.KINDS)


def test_choosing_measures_and_draws(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    found = choosing.main(["--quick"])
    assert "learned numbers at most" in capsys.readouterr().out
    for lines in found["scores"].values():
        assert all(len(line["scores"]) == 1 for line in lines)
    (tmp_path / "figures").mkdir()
    shutil.copy(DOCS / "choosing.md", tmp_path)
    choosing_page.write_page(found, tmp_path)
    assert "| 32 | `" in (tmp_path / "choosing.md").read_text(encoding="utf-8")
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        "choosing-scores.svg",
        "choosing-errors.svg",
    }
