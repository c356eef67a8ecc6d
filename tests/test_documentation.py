"""Every Python block of the README and of the pages runs, top to bottom, as printed; pictures are current.

A block below the line ``<!-- needs library -->`` runs where that library is installed.
"""

import re
import runpy
import sys
from pathlib import Path

import pytest

import arrayfab
from arrayfab import expansions
from arrayfab.catalogue import VARIANTS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *(page for page in sorted(DOCS.rglob("*.md")) if "_build" not in page.parts)]
TEXTS = [
    *PAGES,
    *(ROOT / f"{name}.md" for name in ("CONTRIBUTING", "SECURITY", "CHANGELOG", "CODE_OF_CONDUCT")),
]
FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
PICTURES = runpy.run_path(str(DOCS / "pictures.py"))
GALLERY = runpy.run_path(str(DOCS / "gallery.py"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    made, missing = GALLERY["run"](page)
    if page.parent == GALLERY["FOLDER"] and hasattr(made, "figure"):
        shown, kept = GALLERY["record"](made.figure), GALLERY["kept"](page.stem)
        assert not GALLERY["differences"](shown, kept), f"run docs/gallery.py {page.stem}"
        sys.modules["matplotlib.pyplot"].close(made.figure)
    if missing:
        pytest.skip(f"the other blocks ran; not installed: {', '.join(sorted(missing))}")


def anchors(page):
    """Of the headings, as GitHub and Sphinx name them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text(encoding="utf-8"))):
        if not link.startswith("https://"):
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


def test_gallery_shows_every_page():
    index = (GALLERY["FOLDER"] / "index.md").read_text(encoding="utf-8")
    for name in GALLERY["names"]():
        picture, page = f"](../pictures/gallery/{name}.svg)", GALLERY["FOLDER"] / f"{name}.md"
        assert f"{picture}]({name}.md)" in index
        assert picture in page.read_text(encoding="utf-8")


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
