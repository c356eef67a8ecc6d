"""The house: who imports whom, and how large its rooms are."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import arrayfab

ROOT = Path(arrayfab.__file__).parent
FILES = {
    ".".join(("arrayfab", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in ROOT.rglob("*.py")
}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}

#: Optional libraries stand behind these modules, which are read when someone asks for them.
LATER = {"arrayfab", "arrayfab.__main__", "arrayfab._arrays", "arrayfab.nearest", "arrayfab.interop.torch"}


def imported(node):
    """The modules of arrayfab that an import reads."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [each for alias in node.names for each in (f"{node.module}.{alias.name}", node.module)]
        # A module of a package, or what a module holds.
        names = [
            full if full in FILES else module for full, module in zip(names[::2], names[1::2], strict=True)
        ]
    else:
        return []
    return [name for name in names if name in FILES]


def test_no_modules_import_each_other():
    graph = {
        name: {each for node in ast.walk(tree) for each in imported(node) if each != name}
        for name, tree in TREES.items()
    }
    graph["arrayfab"] = set()  # the package itself reads everything, and nothing in it reads the package
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(" → ".join(circle.args[1]))


@pytest.mark.parametrize("name", sorted(FILES.keys() - LATER))
def test_imports_stand_at_the_top(name):
    inner = [
        ast.unparse(node)
        for function in ast.walk(TREES[name])
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if imported(node)
    ]
    assert not inner


@pytest.mark.parametrize("name", sorted(FILES))
def test_files_are_short(name):
    lines = len(FILES[name].read_text(encoding="utf-8").splitlines())
    assert lines <= 350


@pytest.mark.parametrize("name", sorted(FILES))
def test_private_names_stay_within_their_package(name):
    """``from arrayfab.package.module import _name`` only within that package."""
    foreign = [
        f"{node.module}.{alias.name}"
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("arrayfab.")
        for alias in node.names
        if alias.name.startswith("_") and f"{node.module}.{alias.name}" not in FILES
    ]
    assert not foreign
