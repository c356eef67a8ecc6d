"""The classes that a checkpoint may name: built in, installed, or handed in."""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import arrayfab as af
from arrayfab.io import CheckpointError

pytest.importorskip("safetensors")

from checkpoint_fuzz import put_together, taken_apart  # after the check: it needs safetensors


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def there_and_back(path, fabrication, w):
    af.save(path, {"it": (fabrication, w, 2, 3)})
    return af.load(path)["it"][0]


def installed(monkeypatch, directory: Path, package: str, code: str, points: dict[str, str]):
    """A package on the path that registers classes, as pip would leave it."""
    (directory / f"{package}.py").write_text(code)
    info = directory / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[arrayfab.fabrications]", *lines, ""]))
    monkeypatch.syspath_prepend(directory)
    monkeypatch.delitem(sys.modules, package, raising=False)


PLUGIN = """
from dataclasses import dataclass
import arrayfab

@dataclass(frozen=True, kw_only=True)
class Mine(arrayfab.LowRank):
    bonus: float = 0.5

number = 3
"""


def test_an_installed_class_is_found_by_its_registered_name(monkeypatch, tmp_path, path):
    installed(
        monkeypatch, tmp_path, "fab_plugin", PLUGIN, {"mine": "fab_plugin:Mine", "bad": "fab_none:Mine"}
    )
    af.save(path, {"a": (af.Eye(), np.ones(0))})
    af.load(path)
    assert "fab_plugin" not in sys.modules  # nothing is imported that no file names
    import fab_plugin

    value = fab_plugin.Mine(r=1, bonus=2.0)
    assert there_and_back(path, 2.0 * value, np.ones(5)) == 2.0 * value
    assert '"class": "mine"' in taken_apart(path.read_bytes())[1]


@pytest.mark.parametrize(
    ("points", "name", "message"),
    [
        ({"bad": "fab_none:Mine"}, "bad", "'bad' cannot be imported from 'fab_none:Mine'"),
        ({"bad": "fab_plugin2:number"}, "bad", "is no dataclass"),
    ],
)
def test_an_installed_class_that_cannot_be_had_is_an_error(
    monkeypatch, tmp_path, path, points, name, message
):
    installed(monkeypatch, tmp_path, "fab_plugin2", PLUGIN, points)
    af.save(path, {"a": (af.Eye(), np.ones(0))})
    header, text, data = taken_apart(path.read_bytes())
    path.write_bytes(put_together(header, text.replace('"Eye"', f'"{name}"'), data))
    with pytest.raises(CheckpointError, match=message):
        af.load(path)


def test_two_classes_under_one_name_are_an_error(monkeypatch, tmp_path, path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    installed(monkeypatch, one, "fab_one", PLUGIN, {"same": "fab_one:Mine", "LowRank": "fab_one:Mine"})
    installed(monkeypatch, two, "fab_two", PLUGIN, {"same": "fab_two:Mine"})
    import fab_two

    with pytest.raises(ValueError, match="two installed classes are registered as 'same'"):
        af.save(path, {"a": (fab_two.Mine(), np.ones(5))})

    @dataclass(frozen=True, kw_only=True)
    class LowRank(af.LowRank):
        pass

    af.save(path, {})
    with pytest.raises(ValueError, match="two classes are called 'LowRank'"):
        af.load(path, known=[LowRank])
    with pytest.raises(TypeError, match="expected dataclasses, got"):
        af.load(path, known=["LowRank"])


def test_the_built_in_class_of_a_name_is_never_replaced(monkeypatch, tmp_path, path):
    installed(monkeypatch, tmp_path, "fab_thief", PLUGIN, {"LowRank": "fab_thief:Mine"})
    assert type(there_and_back(path, af.LowRank(), np.ones(10))) is af.LowRank
    import fab_thief

    with pytest.raises(ValueError, match="registered as 'LowRank', which is another class's name"):
        af.save(path, {"a": (fab_thief.Mine(), np.ones(5))})
