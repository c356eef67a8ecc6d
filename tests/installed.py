"""What a new user does first, for an environment that holds the wheel alone.

``python tests/installed.py`` runs the README's blocks and holds a few variants to the laws of the kit.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main():
    import arrayfab
    from arrayfab.testing import check_fabrication

    installed = Path(arrayfab.__file__).resolve().parent
    assert installed != ROOT / "arrayfab", f"{installed} is the checkout's"
    assert (installed / "py.typed").exists()
    assert (installed / "frozen" / "philox.cu").exists()
    page, names = (ROOT / "README.md").read_text(encoding="utf-8"), {}
    for block in re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        exec(compile(block, "README.md", "exec"), names)
    for variant in (arrayfab.LowRank(r=2), arrayfab.DualLPHM(p=1, q=1), arrayfab.RandomMatrixAdaption(r=1)):
        check_fabrication(variant, namespaces=["numpy"])
    print(f"arrayfab {arrayfab.__version__} from {sys.prefix}: the README runs, the laws hold")


if __name__ == "__main__":
    main()
