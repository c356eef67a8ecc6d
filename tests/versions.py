"""The suite on the lowest versions that pyproject.toml allows and on the newest, each in its own environment.

``make versions`` tries all of them, ``make versions VERSIONS="lowest-3.11 newest-3.13"`` some; with
``TESTS="tests/test_roles.py"`` not the whole suite. It prints the table of docs/versions.md.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "versions"
ALL = ("lowest-3.11", "newest-3.11", "newest-3.12", "newest-3.13", "newest-3.14")
SHOWN = ("numpy", "array-api-compat", "scipy", "scikit-learn", "matplotlib", "dask")

#: scikit-learn's own checks are those of the newest; and what old versions of others say of newer ones is no
#: error.
OLD = ["-W", "default::DeprecationWarning", "-k", "not scikit_learns_own_checks"]


def uv(*arguments):
    return subprocess.run([sys.executable, "-m", "uv", *arguments], cwd=ROOT, capture_output=True, text=True)


def outcome(name, tests):
    """A row of the table: the versions that were installed, and what the suite came to."""
    resolution, python = name.split("-")
    folder = FOLDER / name
    run = folder / "bin" / "python"
    if uv("venv", "--quiet", "--clear", "--python", python, str(folder)).returncode:
        return [python, resolution, *("–" for _ in SHOWN), "no such Python here"]
    options = ["--resolution", {"lowest": "lowest-direct", "newest": "highest"}[resolution]]
    made = uv("pip", "install", "--quiet", "--python", str(run), *options, "--editable", ".[demo,test]")
    if made.returncode:
        print(made.stderr, file=sys.stderr)
        return [python, resolution, *("–" for _ in SHOWN), "could not be installed"]
    lines = uv("pip", "freeze", "--python", str(run)).stdout.splitlines()
    found = dict(line.split("==") for line in lines if "==" in line)
    setting, more = dict(os.environ), []
    if resolution == "lowest":
        setting |= {"SCIPY_ARRAY_API": "1"}  # else an old SciPy takes NumPy's arrays alone
        more = OLD
    suite = [run, "-m", "pytest", "-n", "auto", "-q", *more, *tests]
    said = subprocess.run(suite, cwd=ROOT, env=setting, capture_output=True, text=True)
    if said.returncode:
        print(name, said.stdout[-6000:], said.stderr[-2000:], sep="\n", file=sys.stderr)
    counts = re.findall(r"\d+ (?:failed|passed|skipped|errors?)", said.stdout.strip().rpartition("\n")[2])
    exact = subprocess.run([run, "--version"], capture_output=True, text=True).stdout.split()[-1]
    return [exact, resolution, *(found.get(each, "–") for each in SHOWN), ", ".join(counts) or "nothing ran"]


def main():
    names, tests = os.environ.get("VERSIONS", "").split() or ALL, os.environ.get("TESTS", "").split()
    if unknown := set(names) - set(ALL):
        sys.exit(f"VERSIONS must be some of {', '.join(ALL)}, got {', '.join(sorted(unknown))}")
    rows = [["Python", "versions", *SHOWN, "suite"], ["---"] * (len(SHOWN) + 3)]
    for name in names:
        rows.append(outcome(name, tests))
        print(f"{name}: {rows[-1][-1]}", file=sys.stderr, flush=True)
    print("\n".join(f"| {' | '.join(row)} |" for row in rows))
    return any(bad in row[-1] for row in rows for bad in ("failed", "error", "could not", "nothing ran"))


if __name__ == "__main__":
    sys.exit(main())
