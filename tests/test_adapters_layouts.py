"""Layouts of adapters' files: what is written is read again, files mean what their formulas say, and bad ones
are refused."""

import json
import math
import pickle
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

ml_dtypes = pytest.importorskip("ml_dtypes")
safetensors = pytest.importorskip("safetensors.numpy")

from arrayfab.adapters import LAYOUTS, read_adapter, write_adapter  # noqa: E402
from arrayfab.adapters.adapter import Adapter, matched, renamed  # noqa: E402
from arrayfab.adapters.updates import (  # noqa: E402
    BOFT,
    IA3,
    OFT,
    Difference,
    DoRA,
    LoHa,
    LoKr,
    LoRA,
    VeRA,
)
from arrayfab.io.files import TensorFile, dtype_of  # noqa: E402

R = 2


def normal(*shape, seed=0, dtype="float32"):
    numbers = np.random.default_rng([seed, *shape]).standard_normal(shape)
    return numbers.astype(dtype_of(dtype))


class Draw:
    """Arrays of one dtype, no two of them the same."""

    def __init__(self, seed, dtype):
        self.seed, self.dtype = seed, dtype

    def __call__(self, *shape):
        self.seed += 1
        return normal(*shape, seed=self.seed, dtype=self.dtype)


def lora(draw, n, D, scale, **_):
    return LoRA(tensors={"B": draw(n, R), "A": draw(R, D)}, scale=scale)


def loha(draw, n, D, scale, **_):
    return LoHa(
        tensors={f"{a}{i}": draw(*shape) for i in (1, 2) for a, shape in (("A", (n, R)), ("B", (R, D)))},
        scale=scale,
    )


def lokr(draw, n, D, scale, full=(True, True), kernel=(), **_):
    """Of factors that PEFT's default splits rows and channels into."""
    n1, D1 = split(n), split(D // math.prod(kernel))
    tensors = {}
    for i, (rows, columns) in enumerate(((n1, D1), (n // n1, D // D1)), 1):
        if full[i - 1]:
            tensors[f"C{i}"] = draw(rows, columns)
        else:
            tensors |= {f"A{i}": draw(rows, 1), f"B{i}": draw(1, columns)}
    return LoKr(tensors=tensors, scale=scale)


def split(size):
    return max(length for length in range(1, math.isqrt(size) + 1) if size % length == 0)


def dora(inner, per="row"):
    def build(draw, n, D, scale, **more):
        m = draw(n if per == "row" else D)
        return DoRA(tensors={"m": np.abs(m)}, inner=inner(draw, n, D, scale, **more), per=per)

    return build


def vera(draw, n, D, **_):
    shared = {"A": normal(R, 16, seed=77), "B": normal(n, R, seed=78)}
    return VeRA(tensors={**shared, "b": draw(n), "d": draw(R)})


def ia3(of_results, is_by_channel=False):
    def build(draw, n, D, kernel=(), **_):
        size = n if of_results else D // math.prod(kernel)
        # Of numbers near one, v - 1 is exact.
        v = (1.0 + 0.1 * np.tanh(draw(size).astype(np.float32))).astype(np.float32)
        return IA3(tensors={"v": v}, of_results=of_results, is_by_channel=is_by_channel)

    return build


def oft(of_results, **options):
    def build(draw, n, D, **_):
        blocks = 1 if options.get("is_shared") else (n if of_results else D) // 4
        tensors = {"skew": draw(blocks, 6)} | ({"v": draw(n)} if of_results else {})
        return OFT(tensors=tensors, of_results=of_results, **options)

    return build


def boft(of_results):
    def build(draw, n, D, **_):
        size = n if of_results else D
        tensors = {"R": draw(2, size // 4, 4, 4), "v": draw(n)}
        return BOFT(tensors=tensors, of_results=of_results, is_riffled=of_results)

    return build


def difference(draw, n, D, scale, **_):
    return Difference(tensors={"delta": draw(n, D)}, scale=1.0)


def kronecker(*full):
    return lambda draw, n, D, scale, kernel=(), **_: lokr(draw, n, D, scale, full, kernel)


#: Every layout and family that it expresses, with the kernel of a convolution where there is one.
CASES = {
    "peft": {
        "lora": (lora, ()),
        "lora-conv": (lora, (2, 2)),
        "dora": (dora(lora), ()),
        "dora-conv": (dora(lora), (2, 2)),
        "loha": (loha, ()),
        "lokr": (kronecker(True, True), ()),
        "lokr-half": (kronecker(True, False), ()),
        "lokr-conv": (kronecker(True, True), (2, 2)),
        "vera": (vera, ()),
        "ia3-inputs": (ia3(False), ()),
        "ia3-inputs-conv": (ia3(False, True), (2, 2)),
        "oft": (oft(False), ()),
        "oft-neumann": (oft(False, terms=4), ()),
        "oft-shared": (oft(False, is_shared=True), ()),
        "boft": (boft(False), ()),
    },
    "lycoris": {
        "lora": (lora, ()),
        "lora-conv": (lora, (2, 2)),
        "dora": (dora(lora), ()),
        "dora-columns": (dora(lora, "column"), ()),
        "dora-conv": (dora(lora), (2, 2)),
        "loha": (loha, ()),
        "doha": (dora(loha), ()),
        "lokr": (kronecker(True, True), ()),
        "lokr-half": (kronecker(True, False), ()),
        "lokr-conv": (kronecker(True, True), (2, 2)),
        "dokr": (dora(kronecker(False, False)), ()),
        "ia3-inputs": (ia3(False), ()),
        "ia3-results": (ia3(True), ()),
        "ia3-inputs-conv": (ia3(False, True), (2, 2)),
        "full": (difference, ()),
        "full-conv": (difference, (2, 2)),
        "norm": (lambda draw, n, D, scale, **_: difference(draw, n, 1, scale), ()),
        "oft": (oft(True), ()),
        "boft": (boft(True), ()),
    },
    "diffusers": {
        "lora": (lora, ()),
        "lora-conv": (lora, (2, 2)),
        "dora": (dora(lora), ()),
    },
    "mlx": {"lora": (lora, ()), "dora": (dora(lora), ())},
}


def at(path, layout):
    return path / ("adapter" if layout in ("peft", "mlx") else "adapter.safetensors")


def assert_same(update, other):
    """Two updates have the same numbers, up to those that were computed, and make the same of a matrix."""
    assert (type(other), other.shape) == (type(update), update.shape)
    n, D = (size or other or 16 for size, other in zip(update.shape, (16, 16), strict=True))
    W0 = normal(n, D, seed=9, dtype="float64")
    placed, others = update.placed(W0), other.placed(W0)
    np.testing.assert_allclose(others.changed(W0), placed.changed(W0), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize(
    ("layout", "family"), [(layout, family) for layout, each in CASES.items() for family in each]
)
@settings(max_examples=3)
@given(
    seed=st.integers(0, 1 << 20),
    dtype=st.sampled_from(["float32", "bfloat16", "float16", "float64"]),
    scale=st.sampled_from([1.0, 0.5, 2.0, 1 / 3, math.sqrt(2.0)]),
    modules=st.integers(1, 2),
)
def test_what_is_written_is_read(tmp_path_factory, layout, family, seed, dtype, scale, modules):
    build, kernel = CASES[layout][family]
    draw, D = Draw(seed, dtype), 16 * math.prod(kernel)
    if layout != "lycoris" and layout != "peft":
        modules = 1 if layout == "mlx" else modules
    names = ["unet.block.0.to_q", "unet.block.1.to_v"][:modules]
    made = {name: build(draw, 16, D, scale=scale, kernel=kernel) for name in names}
    if "lokr" in family and family.count("-half") == 0 and layout == "lycoris":
        made = {name: build(draw, 16, D, scale=1.0, kernel=kernel) for name in names}
    kernels = dict.fromkeys(names, kernel) if kernel else {}
    path = at(tmp_path_factory.mktemp("written"), layout)
    write_adapter(Adapter(layout=layout, updates=made, kernels=kernels), path)
    found = read_adapter(path)
    if found.is_flattened:
        found = renamed(found, [f"{name}.weight" for name in names])
    assert (found.layout, found.updates.keys()) == (layout, set(names))
    assert found.kernels.keys() == kernels.keys()
    for name, update in made.items():
        assert_same(update, found.updates[name])
        if family not in ("ia3-results", "ia3-inputs", "ia3-inputs-conv") and "oft" not in family:
            assert {each.dtype for each in found.updates[name].arrays()} == {
                each.dtype for each in update.arrays()
            }


def file_of(path, tensors, **metadata):
    tensors = {key: np.array(each, order="C") for key, each in tensors.items()}
    safetensors.save_file(tensors, path, metadata or None)
    return path


def folder_of(path, config, tensors, name="adapter_model.safetensors"):
    path.mkdir(exist_ok=True)
    (path / "adapter_config.json").write_text(json.dumps(config))
    file_of(path / name, tensors)
    return path


def tucker(rows, core, columns):
    """Of LyCORIS: (out, r), (r, s, kernel) and (s, in), to (out, in · kernel)."""
    return np.einsum("pi,ijkl,jr->prkl", rows, core, columns).reshape(rows.shape[0], -1)


def turned(blocks, W):
    """``(I + Q)⁻¹ (I - Q)`` of every block, on its rows."""
    k, s, _ = blocks.shape
    Q = blocks - blocks.transpose(0, 2, 1)
    R = np.linalg.solve(np.eye(s) + Q, np.eye(s) - Q)
    return np.einsum("kij,kj...->ki...", R, W.reshape(k, s, -1)).reshape(W.shape)


def shuffled(blocks, W):
    """The butterfly of LyCORIS: at each step places at half a run's distance meet."""
    _, _, b, _ = blocks.shape
    for i, each in enumerate(blocks):
        run = b << i
        dealt = W.reshape(-1, 2, run // 2, W.shape[1]).transpose(0, 2, 1, 3).reshape(W.shape)
        back = turned(each.transpose(0, 2, 1), dealt).reshape(-1, run // 2, 2, W.shape[1])
        W = back.transpose(0, 2, 1, 3).reshape(W.shape)
    return W


up, down, mid = normal(8, 2), normal(2, 6, seed=1), normal(2, 2, 3, 3, seed=2)
w1a, w1b, w2a, w2b = (normal(*shape, seed=i) for i, shape in enumerate([(8, 2), (2, 6), (8, 2), (2, 6)], 3))
C1, C2, c2a, c2b = normal(2, 3), normal(4, 2), normal(4, 1), normal(1, 2)
blocks, stages, rescale = 0.3 * normal(2, 4, 4), 0.3 * normal(2, 2, 4, 4), normal(8, 1)
v, half = normal(8), np.float32(3.0)
ONE = np.asarray(1)

#: The tensors of a module in LyCORIS's layout, and what they make of its weight.
FORMULAS = {
    "alpha is the rank": (
        {"lora_up.weight": up, "lora_down.weight": down},
        lambda W: W + up @ down,
    ),
    "alpha is zero": (
        {"lora_up.weight": up, "lora_down.weight": down, "alpha": np.float32(0.0)},
        lambda W: W + up @ down,
    ),
    "lora": (
        {"lora_up.weight": up, "lora_down.weight": down, "alpha": half},
        lambda W: W + 1.5 * up @ down,
    ),
    "dora": (
        {"lora_up.weight": up, "lora_down.weight": down, "dora_scale": np.abs(v)[:, None]},
        lambda W: (W + up @ down) * (np.abs(v) / np.linalg.norm(W + up @ down, axis=1))[:, None],
    ),
    "dora by columns": (
        {"lora_up.weight": up, "lora_down.weight": down, "dora_scale": np.abs(v[None, :6])},
        lambda W: (W + up @ down) * (np.abs(v[:6]) / np.linalg.norm(W + up @ down, axis=0)),
    ),
    "tucker": (
        {
            "lora_up.weight": up[..., None, None],
            "lora_down.weight": down[..., None, None],
            "lora_mid.weight": mid,
        },
        lambda W: W + tucker(up, mid, down),
    ),
    "loha": (
        {"hada_w1_a": w1a, "hada_w1_b": w1b, "hada_w2_a": w2a, "hada_w2_b": w2b, "alpha": half},
        lambda W: W + 1.5 * (w1a @ w1b) * (w2a @ w2b),
    ),
    "loha of tucker": (
        {
            **{"hada_w1_a": w1a.T, "hada_w1_b": w1b, "hada_t1": mid},
            **{"hada_w2_a": w2a.T, "hada_w2_b": w2b, "hada_t2": -mid},
        },
        lambda W: W - tucker(w1a, mid, w1b) * tucker(w2a, mid, w2b),
    ),
    "lokr": (
        {"lokr_w1": C1, "lokr_w2_a": c2a, "lokr_w2_b": c2b, "alpha": half},
        lambda W: W + 3.0 * np.kron(C1, c2a @ c2b),
    ),
    "lokr of full factors": (
        {"lokr_w1": C1, "lokr_w2": C2, "alpha": half},
        lambda W: W + np.kron(C1, C2),
    ),
    "ia3": ({"weight": v, "on_input": 0 * ONE}, lambda W: W * (1.0 + v)[:, None]),
    "ia3 of inputs": ({"weight": v[:6], "on_input": ONE}, lambda W: W * (1.0 + v[:6])),
    "ia3 of channels": (
        {"weight": v[None, :6, None, None], "on_input": ONE},
        lambda W: W * np.repeat(1.0 + v[:6], W.shape[1] // 6),
    ),
    "full": ({"diff": normal(8, 6)}, lambda W: W + normal(8, 6)),
    "oft": ({"oft_blocks": blocks, "alpha": np.float32(0.0)}, lambda W: turned(blocks, W)),
    "oft with lengths": (
        {"oft_blocks": blocks, "rescale": rescale},
        lambda W: rescale * turned(blocks, W),
    ),
    "oft within bounds": (
        {"oft_blocks": blocks, "alpha": np.float32(0.01)},
        lambda W: turned(blocks * (0.08 / np.linalg.norm(blocks - blocks.transpose(0, 2, 1))), W),
    ),
    "boft": (
        {"oft_blocks": stages, "rescale": rescale},
        lambda W: rescale * shuffled(stages, W),
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_files_of_lycoris_mean_what_their_formulas_say(tmp_path, name):
    tensors, formula = FORMULAS[name]
    file = file_of(
        tmp_path / "a.safetensors",
        {f"lora_unet_a_b.{key}": np.asarray(each) for key, each in tensors.items()},
    )
    found = read_adapter(file)
    assert (found.layout, list(found.updates), found.is_flattened) == ("lycoris", ["unet.a_b"], True)
    W = normal(8, 54 if "tucker" in name or "channels" in name else 6, seed=5, dtype="float64")
    update = found.updates["unet.a_b"].placed(W)
    np.testing.assert_allclose(update.changed(W), formula(W), rtol=1e-6, atol=1e-6)


def test_norms_and_biases_of_lycoris(tmp_path):
    file = file_of(
        tmp_path / "a.safetensors",
        {
            "lora_unet_norm.w_norm": normal(4),
            "lora_unet_norm.b_norm": normal(4, seed=1),
            "lora_unet_a.diff_b": normal(3),
        },
    )
    found = read_adapter(file)
    changes, unmatched = matched(found, ["norm.weight", "norm.bias", "a.bias"])
    assert (changes.keys(), unmatched) == ({"norm.weight", "norm.bias", "a.bias"}, [])
    write_adapter(found, tmp_path / "b.safetensors")
    again = safetensors.load_file(tmp_path / "b.safetensors")
    assert {key: each.tolist() for key, each in again.items()} == {
        key: each.tolist() for key, each in safetensors.load_file(file).items()
    }


OLD = "unet.down.0.attn1.processor"
SPELLINGS = {
    "unet.a.to_q": ("unet.a.to_q.lora_A.weight", "unet.a.to_q.lora_B.weight"),
    "unet.a.to_k": ("unet.a.to_k.lora.down.weight", "unet.a.to_k.lora.up.weight"),
    "unet.down.0.attn1.to_q": (f"{OLD}.to_q_lora.down.weight", f"{OLD}.to_q_lora.up.weight"),
    "unet.down.0.attn1.to_out.0": (f"{OLD}.to_out_lora.down.weight", f"{OLD}.to_out_lora.up.weight"),
    "text_encoder.a.q_proj": (
        "text_encoder.a.q_proj.lora_linear_layer.down.weight",
        "text_encoder.a.q_proj.lora_linear_layer.up.weight",
    ),
    "text_encoder.a.out_proj": (
        "text_encoder.a.to_out_lora.down.weight",
        "text_encoder.a.to_out_lora.up.weight",
    ),
}


@pytest.mark.parametrize("module", SPELLINGS)
def test_spellings_of_diffusers(tmp_path, module):
    a, b = SPELLINGS[module]
    tensors = {a: normal(2, 4), b: normal(4, 2), f"{module}.alpha": np.float32(1.0)}
    found = read_adapter(file_of(tmp_path / "a.safetensors", tensors))
    update = found.updates[module]
    assert (found.layout, update.scale) == ("diffusers", 0.5)
    np.testing.assert_array_equal(update.delta(4, 4), 0.5 * (tensors[b] @ tensors[a]))


def test_settings_of_diffusers_are_those_of_each_part(tmp_path):
    tensors = {
        f"{module}.lora_{letter}.weight": normal(2, 2)
        for module in ("unet.a.to_q", "unet.to_q", "text_encoder.q")
        for letter in "AB"
    }
    metadata = {
        **{"unet.r": 2, "unet.lora_alpha": 6, "unet.alpha_pattern": {"^to_q": 1}},
        **{"text_encoder.r": 2, "text_encoder.lora_alpha": 4, "text_encoder.use_rslora": True},
    }
    path = file_of(tmp_path / "a.safetensors", tensors, lora_adapter_metadata=json.dumps(metadata))
    scales = {name: update.scale for name, update in read_adapter(path).updates.items()}
    assert scales == {"unet.a.to_q": 3.0, "unet.to_q": 0.5, "text_encoder.q": 4 / math.sqrt(2)}
    assert list(read_adapter(path, "text_encoder").updates) == ["text_encoder.q"]


def test_parts_of_a_pipeline_by_their_prefixes(tmp_path):
    modules = ["lora_unet_a_to_q", "lora_te1_a_q", "lora_te2_a_q", "lycoris_x_y", "lora_other_z"]
    tensors = {f"{module}.{key}": each for module in modules for key, each in FORMULAS["lora"][0].items()}
    path = file_of(tmp_path / "a.safetensors", tensors)
    found = read_adapter(path)
    names = ["unet.a_to_q", "text_encoder.a_q", "text_encoder_2.a_q", "x_y", "lora_other_z"]
    assert found.updates.keys() == set(names)
    base = [
        "unet.a.to_q.weight",
        "text_encoder.a.q.weight",
        "text_encoder_2.a.q.weight",
        "x.y.weight",
        "z.weight",
    ]
    changes, unmatched = matched(found, base)
    assert (changes.keys(), unmatched) == (set(base), [])
    # Other names for a part, as in one file of all parts.
    single = "model.diffusion_model.a.to_q.weight"
    assert list(matched(read_adapter(path, "unet"), [single, "b.weight"])[0]) == [single]
    write_adapter(read_adapter(path, "text_encoder_2"), tmp_path / "b.safetensors", "kohya")
    assert all(key.startswith("lora_te2_a_q.") for key in TensorFile(tmp_path / "b.safetensors"))


def peft_lora(**more):
    return {"peft_type": "LORA", "r": 2, "lora_alpha": 2} | more


def peft_tensors(*modules, adapter=""):
    return {
        f"base_model.model.{module}.lora_{letter}{adapter}.weight": normal(*shape)
        for module in modules
        for letter, shape in (("A", (2, 6)), ("B", (8, 2)))
    }


def test_several_adapters_in_a_file_of_peft(tmp_path):
    tensors = peft_tensors("a", adapter=".one") | peft_tensors("a", "b", adapter=".two")
    path = folder_of(tmp_path / "a", peft_lora(), tensors)
    assert {name: list(read_adapter(path, name).updates) for name in ("one", "two")} == {
        "one": ["a"],
        "two": ["a", "b"],
    }
    for name in (None, "three"):
        with pytest.raises(ValueError, match=r"several adapters.*'one', 'two'|named 'three'"):
            read_adapter(path, name)


def test_what_peft_saves_beside_its_own_tensors(tmp_path):
    prefix = "base_model.model."
    tensors = {
        f"{prefix}emb.lora_embedding_A": normal(2, 9),
        f"{prefix}emb.lora_embedding_B": normal(4, 2),
        f"{prefix}emb.base_layer.weight": normal(9, 4),
        f"{prefix}q.lora_A.weight": normal(2, 4),
        f"{prefix}q.lora_B.weight": normal(4, 2),
        f"{prefix}q.base_layer.bias": normal(4),
        f"{prefix}norm.bias": normal(4),
        f"{prefix}head.weight": normal(3, 4),
    }
    path = folder_of(tmp_path / "a", peft_lora(bias="all", modules_to_save=["head"]), tensors)
    found = read_adapter(path)
    assert found.updates.keys() == {"emb", "q"}
    assert found.replaced.keys() == {"q.bias", "norm.bias", "head.weight"}
    write_adapter(found, tmp_path / "b")
    again = safetensors.load_file(tmp_path / "b" / "adapter_model.safetensors")
    assert again.keys() == tensors.keys() - {f"{prefix}emb.base_layer.weight"}
    assert all(np.array_equal(each, tensors[key]) for key, each in again.items())
    config = json.loads((tmp_path / "b" / "adapter_config.json").read_text())
    assert (config["bias"], config["modules_to_save"]) == ("all", ["head"])


def test_results_are_scaled_with_their_biases(tmp_path):
    config = {"peft_type": "IA3", "feedforward_modules": ["b"], "target_modules": ["a", "b"]}
    tensors = {"base_model.model.a.ia3_l": normal(4, 1), "base_model.model.b.ia3_l": normal(1, 4)}
    found = read_adapter(folder_of(tmp_path / "a", config, tensors))
    changes, unmatched = matched(found, ["a.weight", "a.bias", "b.weight", "b.bias"])
    assert (list(changes), unmatched) == (["a.weight", "b.weight", "a.bias"], [])
    bias = normal(4, seed=4)[:, None]
    np.testing.assert_array_equal(changes["a.bias"].update.changed(bias), normal(4, 1) * bias)
    assert matched(found, ["a.weight", "b.weight"])[1] == []  # no bias, nothing to be scaled
    assert renamed(found, ["a.weight", "b.weight"]).biases == {}


LORA = {"a": LoRA(tensors={"B": normal(4, 2), "A": normal(2, 4)})}
REFUSED = {
    "families": ("peft", {"updates": LORA | {"b": ia3(False)(Draw(0, "float32"), 4, 4)}}, "'b'.*one family"),
    "full in PEFT": ("peft", {"updates": {"a": difference(Draw(0, "float32"), 4, 4, 1.0)}}, "'a'.*no such"),
    "two ranks in mlx": (
        "mlx",
        {"updates": LORA | {"b": LoRA(tensors={"B": normal(4, 1), "A": normal(1, 4)})}},
        "'b': LoRA.*one rank",
    ),
    "loha in mlx": ("mlx", {"updates": {"a": loha(Draw(0, "float32"), 4, 4, 1.0)}}, "'a': LoHa.*LoRA alone"),
    "loha in diffusers": (
        "diffusers",
        {"updates": {"u.a": loha(Draw(0, "float32"), 4, 4, 1.0)}},
        "'u.a': LoHa",
    ),
    "no part": ("diffusers", {"updates": LORA}, "'a': LoRA.*part in front"),
    "vera in lycoris": ("lycoris", {"updates": {"a": vera(Draw(0, "float32"), 4, 4)}}, "'a': VeRA.*no such"),
    "turned inputs": ("lycoris", {"updates": {"a": oft(False)(Draw(0, "float32"), 8, 8)}}, "'a': OFT.*turns"),
    "embeddings": ("lycoris", {"updates": LORA, "embeddings": {"a"}}, "'a': LoRA.*no embeddings"),
    "underscores": ("peft", {"updates": LORA, "is_flattened": True}, "give names="),
    "same names": (
        "lycoris",
        {"updates": {"a.b": LORA["a"], "a_b": LORA["a"]}},
        r"'a_b': LoRA.*the same as a\.b",
    ),
    "results without biases": (
        "peft",
        {"updates": {"a": ia3(True)(Draw(0, "float32"), 4, 4)}},
        r"'a': \(IA\)³.*bias",
    ),
    "replaced": ("lycoris", {"updates": LORA, "replaced": {"head.weight": normal(2, 2)}}, "head.weight"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_layout_cannot_express_is_refused(tmp_path, name):
    layout, adapter, message = REFUSED[name]
    with pytest.raises(ValueError, match=f"written.*{message}") as caught:
        write_adapter(Adapter(layout=layout, **adapter), tmp_path / "written")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "written").exists()


def test_a_dtype_is_asked_for_and_alpha_keeps_its_own(tmp_path):
    adapter = Adapter(layout="lycoris", updates={"a": LoRA(tensors=LORA["a"].tensors, scale=1 / 3)})
    write_adapter(adapter, tmp_path / "a.safetensors", dtype="bfloat16")
    dtypes = {key: tensor.dtype.name for key, tensor in TensorFile(tmp_path / "a.safetensors").items()}
    assert dtypes.pop("lycoris_a.alpha") == "float64"
    assert set(dtypes.values()) == {"bfloat16"}
    assert read_adapter(tmp_path / "a.safetensors").updates["a"].scale == pytest.approx(1 / 3, rel=1e-15)
    with pytest.raises(ValueError, match="layout must be one of"):
        write_adapter(adapter, tmp_path / "b", "other")
    assert list(LAYOUTS) == ["peft", "mlx", "diffusers", "lycoris", "kohya"]


def lycoris(**tensors):
    return {f"lora_unet_a.{key.replace('__', '.')}": each for key, each in tensors.items()}


GOOD = {"lora_up__weight": up, "lora_down__weight": down}
NAN = np.full((2, 6), np.nan, np.float32)
MLX = {"fine_tune_type": "lora", "lora_parameters": {"rank": 2, "scale": 1.0}}
BAD = {
    "an unknown key": (lycoris(**GOOD, lora_x=up), r"lora_unet_a\.lora_x cannot be read"),
    "one too many": (lycoris(**GOOD, diff=up), r"'unet\.a'.*\['diff'\] are one too many"),
    "one is missing": (lycoris(lora_up__weight=up), r"'unet\.a'.*lora_down\.weight is missing"),
    "half a family": (lycoris(lora_down__weight=down), r"'unet\.a'.*expected a tensor of"),
    "another rank": (
        lycoris(**GOOD | {"lora_up__weight": w1b}),
        r"lora_up\.weight must have shape \(any, 2\)",
    ),
    "empty": (
        lycoris(**GOOD | {"lora_down__weight": down[:0]}),
        r"lora_up\.weight must have shape|lora_down",
    ),
    "empty kernels": (
        lycoris(**GOOD | {"lora_down__weight": np.zeros((2, 0, 3, 3), np.float32)}),
        r"lora_down\.weight must have shape",
    ),
    "NaN": (lycoris(**GOOD | {"lora_down__weight": NAN}), r"lora_down\.weight must hold finite"),
    "integers": (
        lycoris(**GOOD | {"lora_up__weight": up.astype(np.int32)}),
        "real floating numbers, got int32",
    ),
    "two alphas": (lycoris(**GOOD, alpha=up), "alpha must be one number"),
    "an alpha that is NaN": (lycoris(**GOOD, alpha=np.float32(np.nan)), "alpha must hold finite"),
    "lengths of channels": (
        lycoris(
            lora_up__weight=up[..., None, None],
            lora_down__weight=normal(2, 6, 3, 3),
            dora_scale=normal(1, 6, 1, 1),
        ),
        "lengths of rows or of columns",
    ),
    "lengths of a rotation": (lycoris(oft_blocks=blocks, dora_scale=rescale), "dora_scale.* one too many"),
    "too many steps": (lycoris(oft_blocks=normal(3, 2, 4, 4)), "oft_blocks.*more steps"),
    "blocks with sides": (lycoris(oft_blocks=normal(2, 4, 3)), r"oft_blocks must have shape \(any, any, 4\)"),
    "two shapes": (
        lycoris(hada_w1_a=w1a, hada_w1_b=w1b, hada_w2_a=w1a[:4], hada_w2_b=w1b),
        r"two shapes, \(8, 6\) and \(4, 6\)",
    ),
    "numbers of a block": (
        ({"peft_type": "OFT"}, {"base_model.model.a.oft_R.weight": normal(2, 5)}),
        "no block has 5 numbers",
    ),
    "flat blocks": (lycoris(oft_blocks=up), "oft_blocks must have three or four axes"),
    "two spellings": (
        {
            **{f"unet.a.lora.{end}.weight": up for end in ("up", "down")},
            "unet.a.lora_A.weight": up,
        },
        "is there twice",
    ),
    "settings of diffusers": (
        ({"unet.a.lora_A.weight": up}, {"lora_adapter_metadata": "{"}),
        "lora_adapter_metadata cannot be read",
    ),
    "a hostile name": (lycoris(**GOOD, **{"x\n" * 400: up}), "cannot be read"),
    "PEFT without its settings": (peft_tensors("a"), "adapter_config.json beside it"),
    "LoHa of PEFT without its settings": (
        {f"base_model.model.a.hada_w{i}_{end}": up for i in (1, 2) for end in "ab"},
        "adapter_config.json beside it",
    ),
    "no adapter": ({"a.b": up}, "none of the layouts"),
    "a scale of mlx": ((MLX | {"lora_parameters": {}}, {"a.lora_a": up}), "must have a finite scale"),
    "a kind of mlx": ((MLX | {"fine_tune_type": "x"}, {"a.lora_a": up}), "fine_tune_type must be"),
    "a key of mlx": ((MLX, {"a.lora_c": up}), r"tensor a\.lora_c cannot be read"),
    "half of mlx": ((MLX, {"a.lora_a": up}), "module 'a'.*lora_b is missing"),
    "a kind of PEFT": (({"peft_type": "x"}, {"a": up}), "peft_type must be one of"),
    "a key of PEFT": ((peft_lora(), peft_tensors("a") | {"a.lora_C": up}), r"a\.lora_C cannot be read"),
    "a setting of PEFT": ((peft_lora(use_x=3), peft_tensors("a")), "use_x=3 cannot be read"),
    "a pattern of PEFT": ((peft_lora(rank_pattern={"(": 1}), peft_tensors("a")), "rank_pattern has"),
    "a rank of PEFT": ((peft_lora(r=3), peft_tensors("a")), r"lora_B\.weight must have shape \(any, 3\)"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_on_one_line(tmp_path, name):
    held, message = BAD[name]
    first, second = held if isinstance(held, tuple) else (held, {})
    if any(setting in first for setting in ("peft_type", "fine_tune_type")):
        kind = "adapter_model" if "peft_type" in first else "adapters"
        path = folder_of(tmp_path / "bad", first, second, f"{kind}.safetensors")
    else:
        path = file_of(tmp_path / "bad.safetensors", first, **second)
    with pytest.raises(ValueError, match=message) as caught:
        read_adapter(path)
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text
    assert len(text) < 1000


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("it was unpickled",)


@pytest.mark.parametrize("suffix", [".bin", ".pt", ".pth", ".ckpt", ".pkl", ".safetensors"])
def test_nothing_is_unpickled(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match=r"is a pickle|is no safetensors file"):
        read_adapter(path)


@pytest.mark.parametrize("content", [b"", b"\x08", struct.pack("<Q", 1 << 62), struct.pack("<Q", 2) + b"{}x"])
def test_broken_files_are_refused(tmp_path, content):
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="is no safetensors file"):
        read_adapter(tmp_path / "a.safetensors")
    with pytest.raises(FileNotFoundError):
        read_adapter(tmp_path / "b.safetensors")


@pytest.mark.parametrize("layout", ["peft", "diffusers", "lycoris"])
def test_each_module_has_its_rank_and_scale(tmp_path, layout):
    """Where the name of one is the end of another's, and a dot in it would match what is no dot."""
    names = ["u.a.b", "u.x.a.b", "u.axb", "u.c.x.a.b"]
    ranks, scales = (1, 2, 3, 1), (0.5, 3.0, 1 / 3, 1.0)
    made = {
        name: LoRA(tensors={"B": normal(4, r), "A": normal(r, 4)}, scale=scale)
        for name, r, scale in zip(names, ranks, scales, strict=True)
    }
    write_adapter(Adapter(layout=layout, updates=made), at(tmp_path, layout))
    found = renamed(read_adapter(at(tmp_path, layout)), [f"{name}.weight" for name in names]).updates
    assert {name: update["A"].shape[0] for name, update in found.items()} == dict(
        zip(names, ranks, strict=True)
    )
    assert {name: update.scale for name, update in found.items()} == pytest.approx(
        dict(zip(names, scales, strict=True)), rel=1e-15
    )


def test_scales_that_lycoris_has_no_place_for_are_multiplied(tmp_path):
    draw = Draw(0, "bfloat16")
    made = {"a": Difference(tensors={"delta": draw(4, 4)}, scale=0.5), "b": lokr(draw, 16, 16, 0.5)}
    made["c"] = Difference(tensors={"delta": draw(4, 1)}, scale=3.0)
    adapter = Adapter(layout="lycoris", updates=made, biases={"c": made["c"]})
    write_adapter(adapter, tmp_path / "a.safetensors")
    found = read_adapter(tmp_path / "a.safetensors")
    for name, update in made.items():
        assert_same(update, found.updates[name])
    assert_same(made["c"], found.biases["c"])


def test_dots_may_stay_in_names_of_lycoris(tmp_path):
    tensors = {f"diffusion_model.a.b.{key}": each for key, each in FORMULAS["lokr"][0].items()}
    found = read_adapter(file_of(tmp_path / "a.safetensors", tensors))
    assert (list(found.updates), found.is_flattened) == (["diffusion_model.a.b"], False)


def test_what_is_added_to_a_bias_needs_one():
    shift = Difference(tensors={"delta": normal(4, 1)})
    assert matched(Adapter(layout="peft", updates={}, biases={"a": shift}), ["a.weight"])[1] == ["a.bias"]
    assert IA3(tensors={"v": normal(4)}, of_results=False).shape == (None, 4)
