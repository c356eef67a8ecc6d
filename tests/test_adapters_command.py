"""``python -m arrayfab adapters``, run as a person would."""

import json
import subprocess
import sys

import numpy as np
import pytest

from arrayfab.__main__ import main
from arrayfab.adapters import Adapter, LoKr, LoRA, merging, read_adapter, write_adapter
from arrayfab.io.files import Content, TensorFile, write_tensors

pytest.importorskip("safetensors")
RNG = np.random.default_rng(0)
BASE = {
    name: RNG.standard_normal(shape).astype(np.float32)
    for name, shape in {"model.q.weight": (8, 6), "model.k.weight": (4, 6), "model.norm.weight": (6,)}.items()
}


def written(path, tensors):
    with path.open("wb") as file:
        write_tensors(file, {name: Content.of(array) for name, array in tensors.items()})


def tensors_of(path):
    return {name: tensor.read() for name, tensor in TensorFile(path).items()}


def lora(n, D, r=2, seed=0):
    random = np.random.default_rng(seed).standard_normal((n + D, r)).astype(np.float32)
    return LoRA(tensors={"B": random[:n], "A": random[n:].T}, scale=0.5)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A base, one more, two adapters for it, and one with a module that it does not have."""
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "base.safetensors", BASE)
    written(tmp_path / "tuned.safetensors", {name: array + 1 for name, array in BASE.items()})
    modules = {"model.q": lora(8, 6), "model.k": lora(4, 6)}
    write_adapter(Adapter(layout="peft", updates=modules), "adapter")
    write_adapter(Adapter(layout="peft", updates={"model.q": lora(8, 6, seed=1)}), "second")
    write_adapter(Adapter(layout="peft", updates={**modules, "model.v": lora(4, 6)}), "odd")
    kron = LoKr(tensors={"C1": np.diag([3.0, 1.0]).astype(np.float32), "C2": np.ones((4, 3), np.float32)})
    write_adapter(Adapter(layout="peft", updates={"model.q": kron}), "lokr")
    return tmp_path


def run(text):
    return main(["adapters", *text.split()])


def everything(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


COMMANDS = {
    "merge base.safetensors adapter": 0,
    "merge base.safetensors adapter second --strength 0.5 -2 --dtype bfloat16": 0,
    "merge base.safetensors odd": 1,
    "merge base.safetensors adapter --only *.none": 1,
    "unmerge base.safetensors adapter": 0,
    "extract base.safetensors tuned.safetensors --rank 1": 0,
    "extract base.safetensors tuned.safetensors --energy 0.9 --exact --only *.q.weight": 0,
    "convert lokr --family lora --rank 1 --dtype float16": 0,
    "convert adapter --dtype bfloat16": 0,
    "resize adapter --rank 1": 0,
    "combine adapter second --weights 0.5 2": 0,
    "combine adapter second --how svd --rank 3": 0,
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_dry_run_writes_nothing_and_says_the_same(command, folder, capsys):
    before = everything(folder)
    assert run(f"{command} --dry-run --out {folder}/out") == COMMANDS[command]
    said = capsys.readouterr()
    assert everything(folder) == before
    assert run(f"{command} --out {folder}/out") == COMMANDS[command]
    assert capsys.readouterr().err == said.err
    assert (folder / "out").exists() == ("none" not in command)


WRONG = {
    "merge base.safetensors": "the following arguments are required: ADAPTER",
    "merge base.safetensors adapter": "say where to write with --out, or --dry-run",
    "merge none.safetensors adapter -o out": "No such file",
    "merge base.safetensors none -o out": "none",
    "merge base.safetensors adapter second --strength 1 2 3 -o out": "expected 2 strengths",
    "merge base.safetensors adapter --dtype int3 -o out": "unknown dtype",
    "merge base.safetensors adapter --namespace fortran -o out": "invalid choice: 'fortran'",
    "extract base.safetensors tuned.safetensors -o out": "lora takes a rank, or energy",
    "extract base.safetensors base.safetensors --rank 1 -o out": "no tensor differs",
    "extract base.safetensors tuned.safetensors --rank 0 -o out": "expected a whole number from 1",
    "convert adapter --rank 1 -o out": "--rank is for a change of --family",
    "convert adapter --layout stone -o out": "invalid choice: 'stone'",
    "resize adapter -o out": "a rank or a share of energy must be given",
    "resize adapter --energy 2 -o out": "energy must be a share",
    "combine adapter second --weights 1 -o out": "expected a weight for each of 2",
    "combine adapter lokr -o out": "convert it to LoRA first",
    "resize adapter --rank 1 --only *.none -o out": "no module of the adapter is named like '*.none'",
    "inspect none": "none",
}


@pytest.mark.parametrize("command", WRONG)
def test_what_cannot_be_done_is_status_two(command, folder, capsys):
    try:
        code = run(command)
    except SystemExit as end:  # of argparse
        code = end.code
    assert code == 2
    assert WRONG[command] in capsys.readouterr().err
    assert not (folder / "out").exists()


def test_names_that_match_nothing_are_said(folder, capsys):
    assert run("merge base.safetensors odd -o out") == 1
    printed = capsys.readouterr()
    assert printed.err == "arrayfab: model.v.weight matches no tensor of the base\n"
    assert "2 tensors changed" in printed.out
    assert (tensors_of("out")["model.q.weight"] != BASE["model.q.weight"]).any()


def test_a_dry_run_shows_what_would_change(folder, capsys):
    assert run("merge base.safetensors adapter --strength 0.5 --dry-run") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["model.q.weight", "8", "×", "6", "LoRA", "×", "0.5"] in lines
    assert not [line for line in lines if "model.norm.weight" in line]


def test_merged_and_unmerged_is_the_base(folder):
    assert run("merge base.safetensors adapter second --strength 0.5 2 -o merged") == 0
    assert run("unmerge merged adapter second --strength 0.5 2 -o back") == 0
    update = read_adapter("adapter").updates["model.k"]
    expected = BASE["model.k.weight"] + 0.5 * 0.5 * update["B"] @ update["A"]
    np.testing.assert_allclose(tensors_of("merged")["model.k.weight"], expected, atol=1e-6)
    for name, array in tensors_of("back").items():
        np.testing.assert_allclose(array, BASE[name], atol=2e-6)


def test_what_is_extracted_is_merged_again(folder, capsys):
    assert run("extract base.safetensors tuned.safetensors --rank 1 -o made") == 0
    assert [line.split()[:5] for line in capsys.readouterr().out.splitlines()][2][1:] == [
        "8",
        "×",
        "6",
        "LoRA",
    ]
    assert run("merge base.safetensors made -o again") == 0
    for name, array in tensors_of("again").items():
        np.testing.assert_allclose(array, BASE[name] + 1, atol=1e-5)


def test_convert_says_how_far_it_went(folder, capsys):
    assert run("convert lokr --family lora --rank 1 -o made") == 0
    # Of two singular values, in the ratio of 3 to 1, one is left.
    assert f"{1 / np.sqrt(10):.3g}" in capsys.readouterr().out
    assert read_adapter("made").updates["model.q"]["A"].shape == (1, 6)
    assert run("convert adapter --dtype float16 -o half") == 0
    before, after = (read_adapter(name).updates["model.q"] for name in ("adapter", "half"))
    assert after["A"].dtype == np.float16
    assert (after["A"] == before["A"].astype(np.float16)).all()


def test_combined_adapters_do_what_both_do(folder):
    assert run("combine adapter second --weights 0.5 2 -o both") == 0
    assert run("merge base.safetensors adapter second --strength 0.5 2 -o one") == 0
    assert run("merge base.safetensors both -o other") == 0
    for name, array in tensors_of("one").items():
        np.testing.assert_allclose(tensors_of("other")[name], array, atol=1e-6)


def test_inspect_shows_modules_and_settings(folder, capsys):
    assert run("inspect adapter") == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[0] == "adapter: peft, LoRA, 2 modules, 48 learned numbers"
    assert ["model.q", "LoRA", "8", "×", "6", "2", "0.5", "float32", "28"] in map(
        str.split, printed.splitlines()
    )
    assert "peft_type: 'LORA'" in printed
    assert run("inspect lokr") == 0
    assert ["model.q", "LoKr", "8", "×", "6", "–", "1", "float32", "16"] in [
        line.split() for line in capsys.readouterr().out.splitlines()
    ]


def test_inspect_shows_all_of_several_adapters(folder, capsys):
    path = folder / "adapter" / "adapter_model.safetensors"
    held = tensors_of(path)
    both = {name.replace(".weight", f".{which}.weight"): held[name] for which in ("b", "a") for name in held}
    written(path, both)
    assert run("inspect adapter") == 0
    titles = [line for line in capsys.readouterr().out.splitlines() if line.startswith("adapter, ")]
    assert titles == [f"adapter, {which}: peft, LoRA, 2 modules, 48 learned numbers" for which in "ab"]
    assert run("inspect adapter --name a") == 0
    assert capsys.readouterr().out.startswith("adapter: peft")
    assert run("resize adapter --rank 1 -o out") == 2
    assert "say which by name: ['a', 'b']" in capsys.readouterr().err


def test_a_file_with_underscores_becomes_one_with_dots(folder):
    assert run("convert adapter --layout lycoris -o flat.safetensors") == 0
    assert run("convert flat.safetensors --layout peft --base base.safetensors -o again") == 0
    before, after = read_adapter("adapter"), read_adapter("again")
    assert set(before.updates) == set(after.updates)
    for name, update in before.updates.items():
        np.testing.assert_allclose(
            after.updates[name].delta(*update.shape), update.delta(*update.shape), atol=1e-6
        )


def test_another_namespace_merges_the_same(folder):
    pytest.importorskip("torch")
    assert run("merge base.safetensors adapter -o ours") == 0
    assert run("merge base.safetensors adapter --namespace torch -o theirs") == 0
    for tensor, array in tensors_of("ours").items():
        np.testing.assert_allclose(tensors_of("theirs")[tensor], array, atol=1e-6)


def test_an_error_in_the_middle_leaves_the_old_file(folder, monkeypatch, capsys):
    (folder / "out").write_bytes(b"old")
    calls = []

    def failing(owner, numbers, dtype):
        calls.append(dtype)
        if len(calls) > 2:
            raise ValueError("the disk is on fire")
        return numbers.astype(dtype)

    monkeypatch.setattr(merging, "rounded", failing)
    before = everything(folder)
    assert run("merge base.safetensors adapter -o out") == 2
    assert capsys.readouterr().err == "arrayfab: the disk is on fire\n"
    assert len(calls) == 3
    assert everything(folder) == before


def test_a_bar_moves_on_a_terminal_alone(folder, monkeypatch, capsys):
    pytest.importorskip("rich")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert run("merge base.safetensors adapter -o out") == 0
    assert "━" in capsys.readouterr().err


def test_other_commands_do_not_read_what_adapters_need():
    script = (
        "import sys; from arrayfab.__main__ import main; main(['list', '-n', '4', '-D', '4']); "
        "assert not [name for name in sys.modules if name.startswith('arrayfab.adapters')]"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=60)


def test_hostile_names_are_no_commands_to_a_terminal(folder, capsys):
    config = json.loads((folder / "adapter" / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "\x1b[2Jmodel"
    (folder / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    assert run("inspect adapter") == 0
    assert "\x1b" not in capsys.readouterr().out
