"""What adapters add, as roles, most of them from PEFT's files: against dense formulas and PEFT itself."""

import copy
import json
import math
import os
import sys
import warnings

import numpy as np
import pytest
from special_files import put

import arrayfab as af
from arrayfab.adapters import Adapter, Difference, DoRA, LoKr, LoRA, read_adapter, roles
from arrayfab.adapters.updates import IA3

safetensors = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")

BASE = "base_model.model."


def read_roles(folder, **options):
    return roles(read_adapter(folder), **options)


def normal(*shape, seed=0, dtype=np.float32):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def write(folder, config, tensors):
    (folder / "adapter_config.json").write_text(json.dumps(config))
    safetensors.save_file(tensors, folder / "adapter_model.safetensors")
    return folder


def lora(r=2, **more):
    return {"peft_type": "LORA", "r": r, "lora_alpha": 6, "bias": "none", "rank_pattern": {}} | more


def lora_tensors(module, n, D, r=2, **more):
    A, B = normal(r, D, **more), normal(n, r, seed=1, **more)
    return {f"{BASE}{module}.lora_A.weight": A, f"{BASE}{module}.lora_B.weight": B}


def vera(r=3, **more):
    return {"peft_type": "VERA", "r": r, "bias": "none", "save_projection": True} | more


def vera_tensors(sizes, n, D, r=3):
    tensors = {"base_model.vera_A": normal(r, D), "base_model.vera_B": normal(n, r, seed=1)}
    for module, rows in sizes.items():
        tensors[f"{BASE}{module}.vera_lambda_b"] = normal(rows, seed=2)
        tensors[f"{BASE}{module}.vera_lambda_d"] = normal(r, seed=3)
    return tensors


def lokr(r=2, **more):
    return {"peft_type": "LOKR", "r": r, "alpha": 6, "rank_pattern": {}, "alpha_pattern": {}} | more


def lokr_tensors(module, first, second, r=2):
    """A factor is full, or a product of two where its shape is a list."""
    tensors = {}
    for i, shape in ((1, first), (2, second)):
        name, (rows, columns) = f"{BASE}{module}.lokr_w{i}", shape
        if isinstance(shape, tuple):
            tensors[name] = normal(rows, columns, seed=i)
        else:
            tensors |= {f"{name}_a": normal(rows, r, seed=i), f"{name}_b": normal(r, columns, seed=i)}
    return tensors


def check(role, w, delta, rtol=1e-5):
    """That a role makes the dense product with `delta`, and the gradients that follow from it."""
    assert isinstance(role, af.Reconciliation)
    assert (role.n, role.D) == delta.shape
    x = normal(5, delta.shape[1], seed=7, dtype=w.dtype)
    expected = x.astype(np.float64) @ delta.T
    np.testing.assert_allclose(role(x, w), expected, rtol=rtol, atol=rtol * np.abs(expected).max())
    np.testing.assert_allclose(role.matrix(w), delta, rtol=rtol, atol=rtol * np.abs(delta).max())
    assert role(x, w).dtype == w.dtype


def test_lora_is_its_formula(tmp_path):
    config = lora(
        rank_pattern={"q": 3, "0.v": 4},
        alpha_pattern={"v": 5, "model.layers.1.q": 1.5, "k": 100},
        use_rslora=True,
    )
    expected = {}
    tensors = {}
    for module, n, D, r, alpha in (
        ("model.layers.0.q", 4, 6, 3, 6),
        ("model.layers.1.q", 7, 2, 3, 1.5),
        ("model.layers.0.v", 3, 3, 4, 5),
        ("model.layers.1.v", 1, 5, 2, 5),
        ("k_proj", 2, 2, 2, 6),
    ):
        tensors |= (made := lora_tensors(module, n, D, r))
        A, B = made.values()
        expected[module] = alpha / math.sqrt(r) * B.astype(np.float64) @ A
    adapter = read_roles(write(tmp_path, config, tensors))
    assert adapter.keys() == expected.keys()
    for module, (role, w) in adapter.items():
        check(role, w, expected[module])
    assert adapter["k_proj"][0].fabrication == 6 / math.sqrt(2) * af.LowRank(r=2)
    _, w = read_roles(write(tmp_path, lora(), lora_tensors("", 4, 3)))[""]
    assert (w.shape, w.dtype) == ((14,), np.float32)


def test_lora_without_rslora_divides_by_the_rank(tmp_path):
    tensors = lora_tensors("a", 4, 6)
    A, B = tensors.values()
    (role, w) = read_roles(str(write(tmp_path, lora(), tensors)))["a"]
    check(role, w, 3.0 * B @ A)
    np.testing.assert_array_equal(w, np.concatenate([B.ravel(), A.ravel()]))


def test_vera_is_its_formula(tmp_path):
    sizes = {"up": 6, "down": 4}
    tensors = vera_tensors(sizes, 6, 8)
    D = {"up": 5, "down": 8, "elsewhere": 3}
    adapter = read_roles(write(tmp_path, vera(), tensors), D=D)
    for module, n in sizes.items():
        A, B = tensors["base_model.vera_A"][:, : D[module]], tensors["base_model.vera_B"][:n]
        b, d = (tensors[f"{BASE}{module}.vera_lambda_{name}"] for name in "bd")
        check(*adapter[module], np.diag(b) @ B @ np.diag(d) @ A)
        assert adapter[module][0].num_parameters() == n + 3
    role, w = read_roles(tmp_path, D=8)["up"]
    assert (role.D, w.size) == (8, 9)


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        ((2, 3), (4, 2), af.Hypercomplex),
        ((2, 3), [4, 5], af.LPHM),
        ([3, 4], [4, 5], af.DualLPHM),
        ([6, 5], (2, 3), af.MirroredLPHM),
    ],
)
def test_lokr_is_its_formula(tmp_path, first, second, kind):
    config = lokr(alpha_pattern={r"layers\.\d": 5})
    tensors = lokr_tensors("layers.3", first, second) | lokr_tensors("other", first, second)
    adapter = read_roles(write(tmp_path, config, tensors))
    for module, scale in (("layers.3", 2.5), ("other", 3.0)):
        factors, numbers = [], []
        for i, shape in ((1, first), (2, second)):
            name = f"{BASE}{module}.lokr_w{i}"
            full = isinstance(shape, tuple)
            parts = [tensors[name]] if full else [tensors[f"{name}_a"], tensors[f"{name}_b"]]
            factors.append(parts[0] if full else parts[0] @ parts[1])
            numbers += parts
        check(*adapter[module], scale * np.kron(*factors))
        assert isinstance(adapter[module][0].fabrication.inner, kind)
        np.testing.assert_array_equal(adapter[module][1], np.concatenate([each.ravel() for each in numbers]))


def test_convolutions_act_on_unfolded_patches(tmp_path):
    A, B = normal(2, 6, 3, 1), normal(4, 2, 1, 1)
    tensors = {f"{BASE}a.lora_A.weight": A, f"{BASE}a.lora_B.weight": B}
    check(*read_roles(write(tmp_path, lora(), tensors))["a"], 3.0 * B[:, :, 0, 0] @ A.reshape(2, 18))
    w1, w2 = normal(2, 3), normal(4, 2, 3, 1)
    tensors = {f"{BASE}a.lokr_w1": w1, f"{BASE}a.lokr_w2": w2}
    check(*read_roles(write(tmp_path, lokr(), tensors))["a"], 3.0 * np.kron(w1, w2.reshape(4, 6)))


def test_loha_is_its_formula(tmp_path):
    shapes = {"w1_a": (4, 2), "w1_b": (2, 6), "w2_a": (4, 2), "w2_b": (2, 6)}
    tensors = {name: normal(*shape, seed=i) for i, (name, shape) in enumerate(shapes.items())}
    config = {"peft_type": "LOHA", "r": 2, "alpha": 3}
    named = {f"{BASE}a.hada_{name}": tensor for name, tensor in tensors.items()}
    role, w = read_roles(write(tmp_path, config, named))["a"]
    w1_a, w1_b, w2_a, w2_b = tensors.values()
    check(role, w, 1.5 * (w1_a @ w1_b) * (w2_a @ w2_b))
    np.testing.assert_array_equal(w, np.concatenate([tensor.ravel() for tensor in tensors.values()]))


def added(update, **options):
    return Adapter(layout="lycoris", updates={"a": update}, **options)


def test_whole_differences_are_products():
    delta = normal(4, 6)
    role, w = roles(added(Difference(tensors={"delta": delta}, scale=0.5)))["a"]
    check(role, w, 0.5 * delta)
    np.testing.assert_array_equal(w, delta.ravel())


@pytest.mark.parametrize("ranks", [(2, 3), (3, 1)])
@pytest.mark.parametrize("name", ["numpy", "torch", "array_api_strict"])
def test_factors_of_two_ranks_are_held_exactly(ranks, name):
    """In half precision 45² + 32 is 2056 in place of 2057: nothing is multiplied out before it is cast."""
    xp, (r1, r2) = pytest.importorskip(name), ranks
    A1 = np.asarray([[45.0, 32.0, 0.0][:r1]] * 2, np.float16)
    B1 = np.asarray([[45.0] * 3, [1.0] * 3, [0.0] * 3][:r1], np.float16)
    A2, B2 = normal(4, r2, dtype=np.float16), normal(r2, 5, dtype=np.float16)
    update = LoKr(tensors={"A1": A1, "B1": B1, "A2": A2, "B2": B2})
    role, w = roles(added(update), xp=xp, dtype=xp.float64)["a"]
    factors = [A.astype(np.float64) @ B for A, B in ((A1, B1), (A2, B2))]
    assert factors[0][0, 0] == 2057
    np.testing.assert_allclose(np.asarray(role.matrix(w)), np.kron(*factors), rtol=1e-14, atol=1e-11)
    held = {float(number) for number in w}
    assert held - {0.0} == {float(n) for each in (A1, B1, A2, B2) for n in each.ravel()} - {0.0}


REFUSED = {
    "lengths": (
        added(DoRA(tensors={"m": normal(4)}, inner=LoRA(tensors={"B": normal(4, 2), "A": normal(2, 6)}))),
        r"module 'a': LoRA with lengths changes the weights themselves; merge it",
    ),
    "scales": (
        added(IA3(tensors={"v": normal(4)})),
        r"module 'a': \(IA\)³ changes the weights themselves; merge it",
    ),
    "an embedding": (
        added(LoRA(tensors={"B": normal(4, 2), "A": normal(2, 6)}), embeddings={"a"}),
        r"module 'a' is an embedding",
    ),
    "a norm": (added(Difference(tensors={"delta": normal(4, 1)})), r"module 'a': weights of one column"),
    "a bias": (
        added(LoRA(tensors={"B": normal(4, 2), "A": normal(2, 6)}), biases={"b" * 10**6: None}),
        r"changes biases, .*\['bbb",
    ),
    "a new layer": (
        added(LoRA(tensors={"B": normal(4, 2), "A": normal(2, 6)}), replaced={"head\x1b.weight": normal(2)}),
        r"replaces tensors, .*\['head\\x1b\.weight'\]",
    ),
    "an attention": (
        Adapter(
            layout="peft",
            updates={"x.base_layer.out_proj": LoRA(tensors={"B": normal(4, 2), "A": normal(2, 6)})},
        ),
        r"'x\.base_layer\.out_proj' is the output projection of a torch\.nn\.MultiheadAttention",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_product_beside_the_module_is_refused(name):
    adapter, message = REFUSED[name]
    with pytest.raises(ValueError, match=f"^roles: .*{message}") as caught:
        roles(adapter)
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_numbers_keep_the_widest_dtype_of_the_file(tmp_path, dtype):
    tensors = lora_tensors("a", 4, 6, dtype=np.float16)
    tensors[f"{BASE}a.lora_A.weight"] = A = normal(2, 6, dtype=dtype)
    write(tmp_path, lora(), tensors)
    _, w = read_roles(tmp_path)["a"]
    assert w.dtype == dtype
    np.testing.assert_array_equal(w[8:], A.ravel())
    assert read_roles(tmp_path, dtype=np.float64)["a"][1].dtype == np.float64


def test_bfloat16_comes_as_float32(tmp_path):
    numbers = np.asarray([1.5, -2.0, 3.0e38, 2.0**-133], np.float32).view(np.uint32) >> 16
    rows = normal(1, 3)
    header = {
        f"{BASE}a.lora_B.weight": {"dtype": "BF16", "shape": [4, 1], "data_offsets": [0, 8]},
        f"{BASE}a.lora_A.weight": {"dtype": "F32", "shape": [1, 3], "data_offsets": [8, 20]},
    }
    text = json.dumps(header).encode()
    parts = [len(text).to_bytes(8, "little"), text, numbers.astype("<u2").tobytes(), rows.tobytes()]
    write(tmp_path, lora(r=1), {})
    (tmp_path / "adapter_model.safetensors").write_bytes(b"".join(parts))
    _, w = read_roles(tmp_path)["a"]
    assert w.dtype == np.float32
    np.testing.assert_array_equal(w.view(np.uint32)[:4], numbers << 16)
    np.testing.assert_array_equal(w[4:], rows[0])


def test_narrow_floats_come_as_float32():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    for name in ("bfloat16", "float8_e4m3fn", "float8_e5m2"):
        B, A = (normal(*shape).astype(getattr(ml_dtypes, name)) for shape in ((4, 2), (2, 6)))
        _, w = roles(added(LoRA(tensors={"B": B, "A": A})))["a"]
        assert w.dtype == np.float32
        np.testing.assert_array_equal(w, np.concatenate([B.ravel(), A.ravel()]).astype(np.float32))


def test_numbers_live_where_they_are_asked_for(tmp_path):
    strict = pytest.importorskip("array_api_strict")
    far = strict.Device("device1")
    write(tmp_path, vera(), vera_tensors({"up": 6}, 6, 8))
    role, w = read_roles(tmp_path, D=5, xp=strict, dtype=strict.float64, device=far)["up"]
    y = role(strict.ones((2, 5), dtype=strict.float64, device=far), w)
    assert (w.dtype, w.device, y.device) == (strict.float64, far, far)
    with pytest.raises(TypeError, match="w must hold real floating numbers"):
        read_roles(tmp_path, D=5, dtype=np.int32)


@pytest.mark.parametrize("name", ["torch", "jax.numpy", "array_api_strict"])
def test_the_dtype_of_the_file_holds_in_every_namespace(tmp_path, name):
    xp = pytest.importorskip(name)
    role, w = read_roles(write(tmp_path, vera(), VERA), D=5, xp=xp)["a"]
    assert w.dtype == xp.float32
    assert role(xp.ones((2, 5), dtype=xp.float32), w).shape == (2, 4)


def changed(tensors, **changes):
    """Tensors of the module `a` changed, or taken away by None."""
    tensors = tensors | {f"{BASE}a.{name}": tensor for name, tensor in changes.items()}
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


LORA, LOKR, VERA = lora_tensors("a", 4, 6), lokr_tensors("a", (2, 3), [4, 5]), vera_tensors({"a": 4}, 6, 8)
ESCAPE = "\x1b[2J\n"
KINDS = "peft_type must be one of ['BOFT', 'IA3', 'LOHA', 'LOKR', 'LORA', 'OFT', 'VERA'], got "
BAD = [
    (lora(peft_type=["LORA"]), LORA, f"{KINDS}['LORA']"),
    (lora(peft_type={}), LORA, f"{KINDS}{{}}"),
    (lora(peft_type="x" * 10**6), LORA, f"{KINDS}'xxx"),
    (lora(peft_type="P_TUNING"), LORA, f"{KINDS}'P_TUNING'"),
    (lora(peft_type=None), LORA, f"{KINDS}None"),
    (lora(**{ESCAPE: 1}), LORA, " [2J =1 cannot be read"),
    (lora(), LORA | {f"{BASE}{ESCAPE}.odd": normal(2)}, "tensor base_model.model. [2J .odd cannot"),
    (lora(r=ESCAPE), LORA, r"r must be a positive integer, got '\x1b[2J\n'"),
    (lora(r="x" * 10**6), LORA, "r must be a positive integer, got 'xxx"),
    (lora(rank_pattern=["x" * 10**6]), LORA, "rank_pattern must be a mapping, got ['xxx"),
    (lora(alpha_pattern={"(" * 10**5: 1}), LORA, "alpha_pattern has '((("),
    (lora(use_rslora="x" * 10**6), LORA, "use_rslora must be true or false, got 'xxx"),
    (lora(bias="x" * 10**6), LORA, "bias='xxx"),
    (lokr(r=10**400), lokr_tensors("a", (2, 3), (4, 2)), "r must be a positive integer, got 1000"),
    (
        lora(),
        LORA | {"a.lora_A.weight": normal(2, 6)},
        "a.lora_A.weight is there twice, under two spellings",
    ),
    (
        lora(),
        LORA | {"head.weight": normal(2), f"{BASE}head.weight": normal(2)},
        "head.weight is there twice, under two spellings",
    ),
    ({}, LORA, "none of the layouts"),
    (lora(use_dora=True), LORA, "module 'a': tensor lora_magnitude_vector is missing"),
    (lora(bias="vera_only"), LORA, "bias='vera_only' cannot be read"),
    (lora(modules_to_save=["head"]), LORA, "modules_to_save=['head'] has no tensors in the file"),
    (lora(modules_to_save="head"), LORA, "modules_to_save must be a list of names, got 'head'"),
    (lora(lora_bias=True), LORA, "module 'a': tensor lora_B.bias is missing"),
    (lora(lora_bias="no"), LORA, "module 'a': lora_bias must be true or false, got 'no'"),
    (
        lora(use_dora=False),
        changed(LORA, lora_magnitude_vector=normal(4)),
        "module 'a': tensors ['lora_magnitude_vector'] are one too many",
    ),
    (
        lora(lora_bias=False),
        changed(LORA, **{"lora_B.bias": normal(4)}),
        "module 'a': tensors ['lora_B.bias'] are one too many",
    ),
    (vera(rank_pattern={"a": 2}), VERA, "rank_pattern={'a': 2} cannot be read"),
    (lora(init_lora_weights="pissa_niter_4"), LORA, "init_lora_weights='pissa_niter_4' cannot be read"),
    (lora(init_lora_weights=["eva"]), LORA, "init_lora_weights=['eva'] cannot be read"),
    (lora(), {}, "the file has no module with ['lora_A.weight', 'lora_B.weight', "),
    (lora(rank_pattern={"a": 3}), LORA, "tensor lora_B.weight must have shape (any, 3), got (4, 2)"),
    (lora(r="2"), LORA, "module 'a': r must be a positive integer, got '2'"),
    (lora(r=True), LORA, "module 'a': r must be a positive integer, got True"),
    (lora(lora_alpha="6"), LORA, "module 'a': lora_alpha must be a finite number, got '6'"),
    (lora(lora_alpha=None), LORA, "module 'a': lora_alpha must be a finite number, got None"),
    (lora(lora_alpha=True), LORA, "module 'a': lora_alpha must be a finite number, got True"),
    (lora(lora_alpha=math.nan), LORA, "module 'a': lora_alpha must be a finite number, got nan"),
    (lora(lora_alpha=10**400), LORA, "module 'a': lora_alpha must be a finite number, got 1"),
    (lora(use_rslora="no"), LORA, "module 'a': use_rslora must be true or false, got 'no'"),
    (lora(rank_pattern=[3]), LORA, "module 'a': rank_pattern must be a mapping, got [3]"),
    (lora(alpha_pattern={"(": 3}), LORA, "module 'a': alpha_pattern has '(': "),
    (lora(), changed(LORA, **{"lora_A.weight": None}), "tensor lora_A.weight is missing, got []"),
    (
        lora(),
        changed(LORA, **{"lora_B.weight": normal(4, 2, 3, 1)}),
        "tensor lora_B.weight must have shape (any, 2), got (4, 6)",
    ),
    (
        lora(),
        changed(LORA, **{"lora_A.weight": normal(2, 0)}),
        "tensor lora_A.weight must have shape (2, any), got (2, 0)",
    ),
    (
        lora(),
        changed(LORA, **{"lora_A.weight": np.ones((2, 6), np.int64)}),
        "module 'a': tensor lora_A.weight must hold real floating numbers, got int64",
    ),
    (
        lora(),
        changed(LORA, **{"lora_A.weight": np.ones((2, 6), bool)}),
        "module 'a': tensor lora_A.weight must hold real floating numbers, got bool",
    ),
    (
        lora(),
        changed(LORA, lora_magnitude_vector=normal(5)),
        "module 'a': tensor lora_magnitude_vector must have shape (4), got (5,)",
    ),
    (
        lora(),
        changed(LORA, lora_embedding_A=normal(2, 6), lora_embedding_B=normal(4, 2)),
        "module 'a': tensors ['lora_A.weight', 'lora_B.weight'] are one too many",
    ),
    (lora(), changed(LORA, lora_C=normal(4)), f"tensor {BASE}a.lora_C cannot be read, a module may have"),
    (lora(), LORA | {"base_model.vera_A": normal(2, 2)}, "tensor base_model.vera_A cannot be read"),
    (
        lokr(),
        changed(LOKR, lokr_t2=normal(2, 2, 3, 3)),
        "module 'a': tensor lokr_w2_a must have shape (2, any), got (4, 2)",
    ),
    (lokr(), changed(LOKR, lokr_w2=normal(4, 5)), "tensors ['lokr_w2_a', 'lokr_w2_b'] are one too many"),
    (lokr(), changed(LOKR, lokr_w2_b=None), "tensor lokr_w2_b is missing, got []"),
    (lokr(), changed(LOKR, lokr_w1=None), "tensor lokr_w1_a is missing, got ['lokr_w2_a', 'lokr_w2_b']"),
    (lokr(r=3), LOKR, "tensor lokr_w2_a must have shape (any, 3), got (4, 2)"),
    (
        lokr(),
        changed(LOKR, lokr_w1=normal(2, 3, 1, 1)),
        "tensor lokr_w1 must have shape (any, any), got (2, 3, 1, 1)",
    ),
    (lokr(alpha=None), LOKR, "module 'a': alpha must be a finite number, got None"),
    (
        vera(save_projection=False),
        {name: tensor for name, tensor in VERA.items() if "lambda" in name},
        "module 'a': the projections vera_A and vera_B must be in the file, got []; "
        "save the adapter with save_projection=True",
    ),
    (
        vera(),
        VERA | {"base_model.vera_A": normal(2, 8)},
        "module 'a': vera_A must have 3 rows, got shape (2, 8)",
    ),
    (vera(), VERA | {"other.vera_A": normal(3, 8)}, "tensor other.vera_A cannot be read"),
    (
        vera(),
        VERA | {"base_model.vera_B": normal(3, 3)},
        "module 'a': vera_B must have shape (4 or more, 3), got (3, 3)",
    ),
    (vera(), VERA | {"base_model.vera_B": normal(6, 4)}, "vera_B must have shape (4 or more, 3), got (6, 4)"),
    (
        vera(),
        VERA | {"base_model.vera_B": normal(6)},
        "base_model.vera_B must have shape (any, any), got (6,)",
    ),
    (
        vera(),
        changed(VERA, vera_lambda_d=normal(4)),
        "tensor vera_lambda_d must have shape (3), got (4,)",
    ),
]


@pytest.mark.parametrize(("config", "tensors", "message"), BAD, ids=[message for *_, message in BAD])
def test_what_cannot_be_read_is_an_error(tmp_path, config, tensors, message):
    write(tmp_path, config, tensors)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        read_roles(tmp_path, D=8 if config.get("peft_type") == "VERA" else None)
    assert message in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1500


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(
    ("config", "tensors"),
    [(lora(), LORA), (lokr(), LOKR), (lokr(), lokr_tensors("a", [6, 5], (2, 3))), (vera(), VERA)],
    ids=["lora", "lokr", "lokr multiplied out", "vera"],
)
def test_a_tensor_that_is_not_finite_is_named(tmp_path, config, tensors, dtype, number):
    tensors = {name: tensor.astype(dtype) for name, tensor in tensors.items()}
    for name, tensor in tensors.items():
        bad = tensor.copy()
        bad.flat[-1] = number
        write(tmp_path, config, tensors | {name: bad})
        with pytest.raises(ValueError, match=f"tensor .*{name.removeprefix(BASE + 'a.')} must hold finite"):
            read_roles(tmp_path, D=8 if config["peft_type"] == "VERA" else None)


@pytest.mark.parametrize("name", ["numpy", "torch", "jax.numpy", "array_api_strict"])
def test_numbers_too_large_for_the_dtype_are_no_infinities(tmp_path, name):
    xp = pytest.importorskip(name)
    narrow = getattr(xp, "float16", None)
    write(tmp_path, lora(), lora_tensors("a", 4, 6) | {f"{BASE}a.lora_A.weight": np.full((2, 6), 1e300)})
    with pytest.raises(ValueError, match=r"module 'a': A: numbers are too large for .*float32, ask for"):
        read_roles(tmp_path, xp=xp, dtype=xp.float32)
    if narrow is not None:
        with pytest.raises(ValueError, match=r"module 'a': A: numbers are too large for .*float16"):
            read_roles(tmp_path, xp=xp, dtype=narrow)
    write(tmp_path, vera(), VERA | {"base_model.vera_B": np.full((6, 3), 1e300)})
    with pytest.raises(ValueError, match="module 'a': B: numbers are too large"):
        read_roles(tmp_path, D=8, xp=xp, dtype=xp.float32)


def test_numbers_multiplied_out_beyond_float32_name_the_module(tmp_path):
    """Those of a convolution's core, which come as float32."""
    tensors = {
        f"{BASE}a.hada_{name}": np.full(shape, 1e15, np.float32)
        for i in "12"
        for name, shape in ((f"t{i}", (2, 2, 3, 3)), (f"w{i}_a", (2, 4)), (f"w{i}_b", (2, 6)))
    }
    tensors[f"{BASE}a.hada_t1"] *= np.float32(1e15)
    write(tmp_path, {"peft_type": "LOHA", "r": 2, "alpha": 3}, tensors)
    with pytest.raises(
        ValueError, match="module 'a': its numbers, multiplied out, are too large for float32"
    ):
        read_roles(tmp_path)


def test_the_first_pattern_in_the_file_counts(tmp_path):
    tensors = lora_tensors("layers.0.q", 4, 6, 3)
    patterns = {"rank_pattern": {"q": 3, r"0\.q": 2}, "alpha_pattern": {r".*\.q": 5, "layers.0.q": 7}}
    for config, scale in (
        (lora(**patterns), 5 / 3),
        (lora(**patterns | {"alpha_pattern": {"layers.0.q": 7, "q": 5}}), 7 / 3),
    ):
        (role, _) = read_roles(write(tmp_path, config, tensors))["layers.0.q"]
        assert role.fabrication == scale * af.LowRank(r=3)
    with pytest.raises(ValueError, match=r"lora_B.weight must have shape \(any, 2\), got \(4, 3\)"):
        read_roles(write(tmp_path, lora(rank_pattern={r"0\.q": 2, "q": 3}), tensors))


@pytest.mark.parametrize(
    ("shape", "size"), [([1 << 63, 0], 0), ([0, 1 << 62, 1 << 62], 0), ([1] * 100, 1)], ids=str
)
def test_a_shape_that_numpy_cannot_have_names_the_tensor(tmp_path, shape, size):
    header = {f"{BASE}a.lora_B.weight": {"dtype": "F32", "shape": shape, "data_offsets": [0, 4 * size]}}
    text = json.dumps(header).encode()
    write(tmp_path, lora(r=1), {})
    data = len(text).to_bytes(8, "little") + text + bytes(4 * size)
    (tmp_path / "adapter_model.safetensors").write_bytes(data)
    with pytest.raises(
        ValueError, match=r"tensors: tensor base_model.model.a.lora_B.weight has a shape that cannot"
    ):
        read_roles(tmp_path)


@pytest.mark.parametrize("file", ["adapter_config.json", "adapter_model.safetensors"])
@pytest.mark.parametrize("kind", ["pipe", "link to a device", "directory"])
def test_only_regular_files_are_read(tmp_path, file, kind):
    (write(tmp_path, lora(), LORA) / file).unlink()
    put(tmp_path / file, kind)
    with pytest.raises(OSError, match=f"{file} is no regular file"):
        read_roles(tmp_path)


def test_a_link_to_a_regular_file_and_bytes_are_read(tmp_path):
    write(tmp_path, lora(), LORA)
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / file).rename(tmp_path / f"kept-{file}")
        (tmp_path / file).symlink_to(f"kept-{file}")
    assert read_roles(os.fsencode(tmp_path)).keys() == {"a"}
    with pytest.raises(TypeError, match="int"):
        read_roles(3)


def test_a_configuration_without_end_is_not_read_whole(tmp_path):
    with (write(tmp_path, lora(), LORA) / "adapter_config.json").open("r+b") as file:
        file.truncate(1 << 40)  # with a hole, which takes no room
    with pytest.raises(ValueError, match="is no JSON file: it is longer than"):
        read_roles(tmp_path)
    write(tmp_path, lora(), LORA)
    with (tmp_path / "adapter_model.safetensors").open("r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(ValueError, match="is no safetensors file"):
        read_roles(tmp_path)


@pytest.mark.parametrize(
    ("D", "message"),
    [
        (None, "module 'a': D is needed, VeRA does not hold the columns of the data"),
        ({"b": 3}, "module 'a': D has no entry for it, got ['b']"),
        (9, "module 'a': A has 8 columns, fewer than D=9"),
        (0, "module 'a': D must be a positive integer, got 0"),
        ({"a": 2.0}, "module 'a': D must be a positive integer, got 2.0"),
    ],
)
def test_the_columns_of_a_vera_module_must_be_told(tmp_path, D, message):
    write(tmp_path, vera(), VERA)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        read_roles(tmp_path, D=D)
    assert message in str(caught.value)


def test_columns_that_the_file_tells_are_not_taken(tmp_path):
    with pytest.raises(ValueError, match="module 'a': D must be left out, its numbers tell it; got 6"):
        read_roles(write(tmp_path, lora(), LORA), D=6)


def test_files_that_are_none(tmp_path):
    with pytest.raises(ValueError, match=f"{tmp_path} is an adapter in none of the layouts"):
        read_roles(tmp_path)
    config, weights = write(tmp_path, lora(), LORA) / "adapter_config.json", tmp_path / "adapter_model"
    for text in ("{", "\xff", "[" * 100_000):
        config.write_text(text, encoding="latin-1")
        with pytest.raises(ValueError, match="is no JSON file"):
            read_roles(tmp_path)
    config.write_text("[1]")
    with pytest.raises(ValueError, match="must hold an object, got list"):
        read_roles(tmp_path)
    config.write_text(json.dumps(lora()))
    whole = weights.with_suffix(".safetensors").read_bytes()
    for data in (b"", whole[:-1], whole + b"x", b"\xff" * 64):
        weights.with_suffix(".safetensors").write_bytes(data)
        with pytest.raises(ValueError, match="is no safetensors file"):
            read_roles(tmp_path)
    weights.with_suffix(".safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="adapter_model"):
        read_roles(tmp_path)
    weights.with_suffix(".bin").write_bytes(b"never opened")
    with pytest.raises(ValueError, match=r"adapter_model.bin is a pickle.*convert it"):
        read_roles(tmp_path)


def test_the_missing_library_is_named(tmp_path, monkeypatch):
    write(tmp_path, lora(), LORA)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ImportError, match=r"arrayfab\[io\]"):
        read_roles(tmp_path)


# Against the library itself.

SIZES = {"first": (6, 8), "second": (12, 6), "third": (16, 24)}  # n and D


@pytest.fixture(scope="module")
def peft():
    pytest.importorskip("torch", reason="PyTorch is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, and those of what it imports
        return pytest.importorskip("peft", reason="PEFT is not installed", exc_type=ImportError)


def saved(peft, config, folder, layers):
    """An adapter of PEFT with random numbers, saved, and what each of its modules adds, with data."""
    import torch

    torch.manual_seed(0)
    base = torch.nn.ModuleDict(layers)
    model = peft.get_peft_model(base, config)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert {"LOHA": "hada"}.get(config.peft_type, config.peft_type.lower()) in name
            torch.nn.init.normal_(parameter)
    model.save_pretrained(folder)
    added = {}
    for name in layers:
        adapted = model.base_model.model[name].eval()
        x = torch.randn(5, adapted.in_features, dtype=next(adapted.parameters()).dtype)
        with torch.no_grad():
            added[name] = x.numpy(), (adapted(x) - adapted.base_layer(x)).numpy()
    return added


def compare(adapter, added):
    assert adapter.keys() == added.keys()
    for name, (role, w) in adapter.items():
        x, expected = added[name]
        assert np.abs(expected).max() > 0.1
        np.testing.assert_allclose(role(x, w), expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())


def linear(n, D):
    import torch

    return torch.nn.Linear(D, n, dtype=torch.float64)


def linears():
    return {name: linear(*shape) for name, shape in SIZES.items()}


@pytest.mark.parametrize("r", [1, 4])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_rslora": True, "lora_alpha": 3},
        {"rank_pattern": {"second": 5, "^third": 2}, "alpha_pattern": {"first|third": 7, "s.cond": 9}},
        {"rank_pattern": {"second": 5}, "alpha_pattern": {"third": 7}, "use_rslora": True},
        {"init_lora_weights": "gaussian", "lora_dropout": 0.5},
        {"init_lora_weights": "orthogonal"},
    ],
    ids=str,
)
def test_lora_against_peft(peft, tmp_path, r, options):
    if options.get("init_lora_weights") == "orthogonal":
        r = 2 * r  # which PEFT wants even
    config = peft.LoraConfig(r=r, target_modules=list(SIZES), **options)
    added = saved(peft, config, tmp_path, linears())
    compare(read_roles(tmp_path), added)


def test_transposed_base_weights_change_nothing(peft, tmp_path):
    conv1d = pytest.importorskip("transformers.pytorch_utils", reason="transformers is not installed").Conv1D
    for config, options in (
        (peft.LoraConfig(r=2, target_modules=["first"], fan_in_fan_out=True), {}),
        (peft.VeraConfig(r=2, target_modules=["first"], fan_in_fan_out=True), {"D": 8}),
    ):
        layer = conv1d(6, 8).double()
        layer.in_features = 8
        added = saved(peft, config, tmp_path, {"first": layer})
        compare(read_roles(tmp_path, **options), added)


@pytest.mark.parametrize("r", [1, 5])
def test_vera_against_peft(peft, tmp_path, r):
    config = peft.VeraConfig(r=r, target_modules=list(SIZES), projection_prng_key=3)
    added = saved(peft, config, tmp_path, linears())
    compare(read_roles(tmp_path, D={name: D for name, (_, D) in SIZES.items()}), added)


@pytest.mark.filterwarnings("ignore:Specified to not save vera_A and vera_B:UserWarning")
def test_vera_without_its_projections(peft, tmp_path):
    config = peft.VeraConfig(r=2, target_modules=["first"], save_projection=False)
    saved(peft, config, tmp_path, {"first": linear(6, 8)})
    with pytest.raises(ValueError, match="save_projection=True"):
        read_roles(tmp_path, D=8)


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        ({"r": 8}, (af.Hypercomplex,) * 3),
        ({"r": 1}, (af.LPHM,) * 3),
        ({"r": 1, "alpha": 3, "decompose_both": True}, (af.LPHM, af.DualLPHM, af.DualLPHM)),
        ({"r": 2, "decompose_factor": 2}, (af.Hypercomplex, af.LPHM, af.LPHM)),
        (
            {"r": 2, "decompose_factor": 8, "decompose_both": True},
            (af.MirroredLPHM, af.Hypercomplex, af.MirroredLPHM),
        ),
        ({"r": 8, "rank_pattern": {"third": 2}, "alpha_pattern": {"s.*": 5}}, None),
        ({"r": 2, "init_weights": "lycoris", "rank_dropout": 0.5, "module_dropout": 0.5}, None),
    ],
    ids=str,
)
def test_lokr_against_peft(peft, tmp_path, options, kinds):
    config = peft.LoKrConfig(target_modules=list(SIZES), **options)
    added = saved(peft, config, tmp_path, linears())
    adapter = read_roles(tmp_path)
    compare(adapter, added)
    if kinds:
        assert tuple(type(adapter[name][0].fabrication.inner) for name in SIZES) == kinds


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("Lora", {"r": 3}),
        ("LoHa", {"r": 2}),
        ("LoHa", {"r": 2, "use_effective_conv2d": True}),
        ("LoKr", {"r": 8}),
        ("LoKr", {"r": 1}),  # looks like a linear layer's
        ("LoKr", {"r": 1, "use_effective_conv2d": True}),
    ],
    ids=str,
)
def test_convolutions_against_peft(peft, tmp_path, family, options):
    import torch

    start = "init_lora_weights" if family == "Lora" else "init_weights"
    config = getattr(peft, f"{family}Config")(target_modules=["first"], **{start: False}, **options)
    model = peft.get_peft_model(torch.nn.ModuleDict({"first": torch.nn.Conv2d(8, 6, 3)}).double(), config)
    model.double().save_pretrained(tmp_path)
    adapted, x = model.base_model.model["first"].eval(), torch.randn(2, 8, 5, 5, dtype=torch.float64)
    role, w = read_roles(tmp_path)["first"]
    with torch.no_grad():
        expected = (adapted(x) - adapted.base_layer(x)).flatten(2).mT.numpy()
        patches = torch.nn.functional.unfold(x, 3).mT.numpy()
    np.testing.assert_allclose(role(patches, w), expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize("r", [1, 4])
def test_loha_against_peft(peft, tmp_path, r):
    config = peft.LoHaConfig(r=r, alpha=3, target_modules=list(SIZES), alpha_pattern={"third": 7})
    added = saved(peft, config, tmp_path, linears())
    compare(read_roles(tmp_path), added)


def refused(peft, config, folder, layers, message):
    peft.get_peft_model(layers, config).save_pretrained(folder)
    with pytest.raises(ValueError, match=message):
        read_roles(folder)


@pytest.mark.filterwarnings("ignore:Adapter 'default'. 1 LoRA tensor:UserWarning")  # of a bias
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"use_dora": True}, "roles: module 'first': LoRA with lengths changes"),
        ({"bias": "lora_only"}, r"roles: the adapter changes biases.*\['first.bias'\]"),
        ({"lora_bias": True}, r"roles: the adapter changes biases.*\['first'\]"),
        ({"modules_to_save": ["second"]}, r"replaces tensors.*\['second.bias', 'second.weight'\]"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights='pissa' cannot be read"),
        ({"init_lora_weights": "olora"}, "init_lora_weights='olora' cannot be read"),
        (
            {"target_modules": [], "target_parameters": ["second.weight"]},
            "target_parameters=.* cannot be read",
        ),
    ],
    ids=str,
)
def test_what_peft_does_beside_a_product_is_refused(peft, tmp_path, options, message):
    import torch

    config = peft.LoraConfig(**{"r": 2, "target_modules": ["first"]} | options)
    layers = torch.nn.ModuleDict({name: layer.float() for name, layer in linears().items()})
    refused(peft, config, tmp_path, layers, message)


def test_embeddings_of_peft_are_refused(peft, tmp_path):
    import torch

    layers = torch.nn.ModuleDict({"first": torch.nn.Embedding(8, 6)})
    config = peft.LoraConfig(r=2, target_modules=["first"])
    refused(peft, config, tmp_path, layers, "roles: module 'first' is an embedding")


def test_of_overlapping_patterns_the_one_counts_with_which_peft_loads_the_file(peft, tmp_path):
    """PEFT sorts the patterns when it saves them, and takes the first that matches."""
    import torch

    layers = linears()
    base = torch.nn.ModuleDict(copy.deepcopy(layers))
    # While it is trained, "third" comes first; in the file "f.*|third" does.
    patterns = {"third": 7, "f.*|third": 3, "second": 9, "s.*": 4}
    config = peft.LoraConfig(r=2, target_modules=list(SIZES), alpha_pattern=patterns)
    saved(peft, config, tmp_path, layers)
    loaded = peft.PeftModel.from_pretrained(base, tmp_path)
    added = {}
    for name in SIZES:
        adapted = loaded.base_model.model[name].eval()
        x = torch.randn(5, adapted.in_features, dtype=torch.float64)
        with torch.no_grad():
            added[name] = x.numpy(), (adapted(x) - adapted.base_layer(x)).numpy()
    adapter = read_roles(tmp_path)
    compare(adapter, added)
    assert [adapter[name][0].fabrication.scale for name in SIZES] == [1.5, 2.0, 1.5]


def test_adapters_of_an_attention_with_its_own_projection_are_refused(peft, tmp_path):
    import torch

    layers = torch.nn.ModuleDict({"attn": torch.nn.MultiheadAttention(8, 2), "lin": torch.nn.Linear(8, 8)})
    config = peft.LoraConfig(r=2, target_modules=["attn", "lin"])
    refused(peft, config, tmp_path, layers, r"module 'attn.base_layer.out_proj' is the output projection of")
