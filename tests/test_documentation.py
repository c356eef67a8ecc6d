"""Every Python block of the README and of the pages runs, top to bottom, as printed."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    module = ModuleType(f"page_{page.stem}")  # a page may be called as a library is
    monkeypatch.setitem(sys.modules, module.__name__, module)  # where pickle looks for classes
    for block in blocks:
        exec(compile(block, str(page), "exec"), vars(module))
