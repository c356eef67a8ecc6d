"""Every Python block of the README and of the pages runs, top to bottom, as printed; pictures are current.

A block below the line ``<!-- needs library -->`` runs where that library is installed.
"""

import importlib.util
import re
import runpy
import sys
from pathlib import Path
from types import ModuleType

import pytest

import arrayfab
from arrayfab import expansions
from arrayfab.catalogue import VARIANTS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *(page for page in sorted(DOCS.rglob("*.md")) if "_build" not in page.parts)]
PICTURES = runpy.run_path(str(DOCS / "pictures.py"))
BLOCK = re.compile(r"^(?:<!-- needs (\w+) -->\n)?```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = ModuleType(f"page_{page.stem}")  # a page may be called as a library is
    monkeypatch.setitem(sys.modules, module.__name__, module)  # where pickle looks for classes
    missing = set()
    for needed, block in BLOCK.findall(page.read_text(encoding="utf-8")):
        if needed and importlib.util.find_spec(needed) is None:
            missing.add(needed)
        else:
            exec(compile(block, str(page), "exec"), vars(module))
    if missing:
        pytest.skip(f"the other blocks ran; not installed: {', '.join(sorted(missing))}")


@pytest.mark.parametrize("name", PICTURES["PICTURES"])
def test_picture_is_drawn_from_the_library(name):
    kept = (PICTURES["FOLDER"] / f"{name}.svg").read_text(encoding="utf-8")
    assert PICTURES["svg"](PICTURES["PICTURES"][name]) == kept, "run docs/pictures.py"


def test_every_fabrication_has_its_page():
    pages = [page.read_text(encoding="utf-8") for page in (DOCS / "fabrications").glob("*.md")]
    titles = {text.splitlines()[0].removeprefix("# ") for text in pages}
    assert {type(variant).__name__ for variant in VARIANTS.values()} <= titles
    assert all(hasattr(arrayfab, title) for title in titles - {"Fabrications", "Sums and multiples"})


def test_every_expansion_has_its_page():
    pages = [page.read_text(encoding="utf-8") for page in (DOCS / "expansions").glob("*.md")]
    named = set(re.findall(r"`(\w+)", "\n".join(pages)))
    assert set(expansions.__all__) - {"Expansion", "Functions", "RowNormalized"} <= named
