"""Every Python block of the README and of the pages runs, top to bottom, as printed.

A block below the line ``<!-- needs library -->`` runs where that library is installed.
"""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^(?:<!-- needs (\w+) -->\n)?```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
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
