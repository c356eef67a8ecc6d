"""Adapters merged into weights, beside dense sums and products."""

import json
import math
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

ml_dtypes = pytest.importorskip("ml_dtypes")
pytest.importorskip("safetensors")

from arrayfab.adapters import merging, updates  # noqa: E402
from arrayfab.adapters.adapter import Adapter  # noqa: E402
from arrayfab.adapters.merging import merge, unmerge  # noqa: E402
from arrayfab.adapters.weights import Weights  # noqa: E402
from arrayfab.io.files import Content, TensorFile, dtype_of, write_tensors  # noqa: E402

CODES = {"float32": "F32", "float16": "F16", "float64": "F64", "bfloat16": "BF16", "float8_e4m3fn": "F8_E4M3"}


def normal(*shape, seed=0, scale=1.0):
    return scale * np.random.default_rng(seed).standard_normal(shape)


def write(path, tensors):
    """A safetensors file by its specification: a length, a header of JSON, and numbers."""
    header, numbers = {}, b""
    for name, array in tensors.items():
        end = len(numbers) + array.nbytes
        code = CODES.get(array.dtype.name, "I64")
        header[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": [len(numbers), end]}
        numbers += array.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + numbers)
    return path


def read(path):
    return {name: np.array(tensor.read()) for name, tensor in TensorFile(path).items()}


def sharded(folder, tensors, parts=2):
    folder.mkdir()
    names = list(tensors)
    places = {name: f"model-{i % parts}.safetensors" for i, name in enumerate(names)}
    for file in set(places.values()):
        write(folder / file, {name: tensors[name] for name in names if places[name] == file})
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def adapter(updates, **options):
    return Adapter(layout="peft", updates=updates, **options)


def orthogonal(skew, size):
    """The block-diagonal matrix of (I + A)(I - A)⁻¹, entry by entry."""
    side = next(s for s in range(1, size + 1) if s * (s - 1) // 2 == skew.shape[1])
    R = np.zeros((size, size))
    for k in range(size // side):
        A = np.zeros((side, side))
        A[np.triu_indices(side, 1)] = skew[k]
        A -= A.T
        R[k * side :, k * side :][:side, :side] = (np.eye(side) + A) @ np.linalg.inv(np.eye(side) - A)
    return R


def lengths(V, axis):
    return np.linalg.norm(V, axis=axis, keepdims=True)


# An update of 6 × 4 numbers, and what it makes of a matrix.
A, B = normal(2, 4, seed=1), normal(6, 2, seed=2)
A2, B2 = normal(6, 2, seed=3), normal(2, 4, seed=4)
C1, C2, D1, E1 = normal(2, 2, seed=5), normal(3, 2, seed=6), normal(2, 1, seed=7), normal(1, 2, seed=8)
v, d, m = np.abs(normal(6, seed=9)) + 0.5, normal(2, seed=10), np.abs(normal(6, seed=11))
skew, wide_skew = normal(2, 1, seed=12), normal(2, 3, seed=13)
LORA = updates.LoRA(tensors={"A": A, "B": B}, scale=0.5)
FAMILIES = {
    "LoRA": (LORA, lambda W: W + 0.5 * B @ A),
    "LoHa": (
        updates.LoHa(tensors={"A1": B, "B1": A, "A2": A2, "B2": B2}, scale=2.0),
        lambda W: W + 2.0 * (B @ A) * (A2 @ B2),
    ),
    "LoKr": (updates.LoKr(tensors={"C1": C1, "C2": C2}), lambda W: W + np.kron(C1, C2)),
    "LoKr of two ranks": (
        updates.LoKr(tensors={"A1": D1, "B1": E1, "A2": normal(3, 2, seed=14), "B2": C1}, scale=3.0),
        lambda W: W + 3.0 * np.kron(D1 @ E1, normal(3, 2, seed=14) @ C1),
    ),
    "VeRA": (
        updates.VeRA(tensors={"A": normal(2, 9, seed=15), "B": B, "b": v, "d": d}),
        lambda W: W + np.diag(v) @ B @ np.diag(d) @ normal(2, 9, seed=15)[:, :4],
    ),
    "full": (updates.Difference(tensors={"delta": B @ A}), lambda W: W + B @ A),
    "DoRA": (
        updates.DoRA(tensors={"m": m}, inner=LORA),
        lambda W: m[:, None] * (W + 0.5 * B @ A) / lengths(W + 0.5 * B @ A, 1),
    ),
    "DoRA of columns": (
        updates.DoRA(tensors={"m": m[:4]}, inner=LORA, per="column"),
        lambda W: m[:4] * (W + 0.5 * B @ A) / lengths(W + 0.5 * B @ A, 0),
    ),
    "(IA)³": (updates.IA3(tensors={"v": v}), lambda W: np.diag(v) @ W),
    "(IA)³ of data": (updates.IA3(tensors={"v": v[:4]}, of_results=False), lambda W: W @ np.diag(v[:4])),
    "OFT": (updates.OFT(tensors={"skew": skew}), lambda W: W @ orthogonal(skew, 4)),
    "OFT of results": (
        updates.OFT(tensors={"skew": wide_skew, "v": v}, of_results=True),
        lambda W: np.diag(v) @ orthogonal(wide_skew, 6) @ W,
    ),
    "OFT of one block": (
        updates.OFT(tensors={"skew": skew[:1]}, is_shared=True),
        lambda W: W @ orthogonal(np.repeat(skew[:1], 2, axis=0), 4),
    ),
    "BOFT": (
        # (R − Rᵀ) / 2 of one factor and of blocks of two is skew-symmetric with this number.
        updates.BOFT(tensors={"R": np.stack([[[0, 2 * s], [0, 0]] for s in skew[:, 0]])[None], "v": v}),
        lambda W: np.diag(v) @ W @ orthogonal(skew, 4),
    ),
}
GONE = {"DoRA", "DoRA of columns"}
ADDED = {"LoRA", "LoHa", "LoKr", "LoKr of two ranks", "VeRA", "full"}


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("run", [1, 9, 1 << 20])
def test_merged_weights_are_those_of_the_dense_formula(tmp_path, monkeypatch, name, run):
    monkeypatch.setattr(merging, "_RUN", run)
    update, formula = FAMILIES[name]
    W, other = normal(6, 4), normal(3)
    base = write(tmp_path / "base", {"a.weight": W, "b": other})
    merge(base, adapter({"a": update}), tmp_path / "out")
    out = read(tmp_path / "out")
    np.testing.assert_allclose(out["a.weight"], formula(W), rtol=1e-12)
    assert np.array_equal(out["b"], other)


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_merged_is_taken_back(tmp_path, name):
    base = write(tmp_path / "base", {"a.weight": normal(6, 4)})
    made = [adapter({"a": FAMILIES[name][0]}), adapter({"a": LORA})]
    merge(base, made, tmp_path / "out")
    if name in GONE:
        with pytest.raises(ValueError, match="LoRA with lengths cannot be taken back"):
            unmerge(tmp_path / "out", made, tmp_path / "back")
        return
    unmerge(tmp_path / "out", made, tmp_path / "back")
    np.testing.assert_allclose(read(tmp_path / "back")["a.weight"], normal(6, 4), rtol=1e-12)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_strength_multiplies_what_is_added(tmp_path, name):
    update, formula = FAMILIES[name]
    W = normal(6, 4)
    base = write(tmp_path / "base", {"a.weight": W})
    if name not in ADDED:
        with pytest.raises(ValueError, match=r"strength must be 1, got 0\.5"):
            merge(base, adapter({"a": update}), tmp_path / "out", strengths=[0.5])
        return
    merge(base, adapter({"a": update}), tmp_path / "out", strengths=[0.5])
    np.testing.assert_allclose(read(tmp_path / "out")["a.weight"], 0.5 * W + 0.5 * formula(W), rtol=1e-12)


@settings(max_examples=30)
@given(
    held=st.sampled_from(["float32", "float16", "bfloat16", "float8_e4m3fn"]),
    written=st.sampled_from([None, "float32", "float16", "bfloat16"]),
    seed=st.integers(0, 99),
)
def test_numbers_are_rounded_once(tmp_path_factory, held, written, seed):
    folder = tmp_path_factory.mktemp("it")
    # Powers of two and halves of small integers: sums in single precision are exact.
    rng = np.random.default_rng(seed)
    W = (rng.integers(-8, 9, (6, 4)) / 8).astype(dtype_of(held))
    A, B = (rng.integers(-4, 5, shape).astype(np.float32) / 64 for shape in ((2, 4), (6, 2)))
    base = write(folder / "base", {"a.weight": W, "count": np.arange(3)})
    made = adapter({"a": updates.LoRA(tensors={"A": A, "B": B})})
    merge(base, made, folder / "out", dtype=written)
    out = read(folder / "out")
    exact = W.astype(np.float64) + B.astype(np.float64) @ A
    expected = exact.astype(dtype_of(written or held))
    assert out["a.weight"].dtype == expected.dtype
    assert np.array_equal(out["a.weight"].astype(np.float64), expected.astype(np.float64))
    assert out["count"].dtype == np.int64


def test_numbers_too_large_for_a_dtype_are_no_infinities(tmp_path):
    base = write(tmp_path / "base", {"a.weight": np.full((6, 4), 1e300)})
    for narrow in ("float32", "bfloat16", "float8_e4m3fn"):
        with pytest.raises(ValueError, match=f"merge: a.weight: numbers are too large for {narrow}, ask"):
            merge(base, adapter({}), tmp_path / "out", dtype=narrow)
    base = write(tmp_path / "base", {"a.weight": np.full((6, 4), 1e5, np.float32)})
    with pytest.raises(ValueError, match=r"merge: a\.weight: numbers are too large for float16, ask"):
        merge(base, adapter({}), tmp_path / "out", dtype="float16")
    assert not (tmp_path / "out").exists()


def test_numbers_of_an_adapter_too_large_for_the_base_are_an_error(tmp_path):
    base = write(tmp_path / "base", {"a.weight": np.ones((6, 4), np.float32)})
    large = updates.LoRA(tensors={"A": 1e200 * A, "B": B})
    with pytest.raises(ValueError, match="LoRA: numbers are too large for float32"):
        merge(base, adapter({"a": large}), tmp_path / "out")


def test_not_a_number_stays_one(tmp_path):
    W = normal(6, 4)
    W[2, 1] = np.nan
    merge(write(tmp_path / "base", {"a.weight": W}), adapter({"a": LORA}), tmp_path / "out")
    assert np.array_equal(np.isnan(read(tmp_path / "out")["a.weight"]), np.isnan(W))


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_shards_are_merged_as_one_file_is(tmp_path, parts):
    tensors = {f"{name}.weight": normal(6, 4, seed=i) for i, name in enumerate("abc")}
    made = adapter({"a": LORA, "c": FAMILIES["OFT"][0]})
    merge(write(tmp_path / "base", tensors), made, tmp_path / "one")
    merge(sharded(tmp_path / "many", tensors, parts), made, tmp_path / "out", dtype="float32")
    expected, weights = read(tmp_path / "one"), Weights(tmp_path / "out")
    for name, tensor in weights.items():
        assert np.array_equal(tensor.read(), expected[name].astype(np.float32))
    assert weights.index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in weights.values())


def test_kernels_of_convolutions_are_unfolded(tmp_path):
    W = normal(6, 2, 1, 2).astype(np.float32)
    merge(write(tmp_path / "base", {"a.weight": W}), adapter({"a": LORA}), tmp_path / "out")
    expected = W + (0.5 * B @ A).reshape(W.shape)
    np.testing.assert_allclose(read(tmp_path / "out")["a.weight"], expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["LoRA", "OFT", "DoRA"])
def test_weights_may_lie_transposed(tmp_path, monkeypatch, name):
    monkeypatch.setattr(merging, "_RUN", 4)
    update, formula = FAMILIES[name]
    W = normal(6, 4)
    base = write(tmp_path / "base", {"a.weight": np.ascontiguousarray(W.T)})
    merge(base, adapter({"a": update}, may_be_transposed=True), tmp_path / "out")
    np.testing.assert_allclose(read(tmp_path / "out")["a.weight"].T, formula(W), rtol=1e-12)


def test_biases_and_whole_tensors(tmp_path):
    base = write(tmp_path / "base", {"a.bias": normal(6), "head.weight": normal(3, 4)})
    head = normal(2, 4, seed=5)
    shift = updates.Difference(tensors={"delta": v[:, None]})
    made = adapter({}, biases={"a": shift}, replaced={"head.weight": head})
    merge(base, made, tmp_path / "out", strengths=[2.0])
    out = read(tmp_path / "out")
    np.testing.assert_allclose(out["a.bias"], normal(6) + 2.0 * v)
    assert np.array_equal(out["head.weight"], head)


def test_names_are_found_behind_prefixes_and_underscores(tmp_path):
    base = write(tmp_path / "base", {"model.a_b.c.weight": normal(6, 4), "model.d.c.weight": normal(6, 4)})
    for made in (adapter({"a_b.c": LORA}), adapter({"top.model.a_b.c": LORA})):
        assert [line.tensor for line in merge(base, made, None).lines] == ["model.a_b.c.weight"]
    flat = adapter({"unet_model_a_b_c": LORA}, is_flattened=True)
    assert [line.tensor for line in merge(base, flat, None).lines] == ["model.a_b.c.weight"]
    assert merge(base, adapter({"x": LORA, "d.c": LORA}), None).unmatched == ["x.weight"]
    with pytest.raises(ValueError, match=r"c may be any of model\.a_b\.c\.weight, model\.d\.c\.weight"):
        merge(base, adapter({"c": LORA}), None)


def test_only_what_is_wanted_changes(tmp_path):
    tensors = {f"{name}.weight": normal(6, 4) for name in "ab"}
    made = adapter({"a": LORA, "b": LORA})
    merged = merge(write(tmp_path / "base", tensors), made, tmp_path / "out", only="a.*")
    assert ([line.tensor for line in merged.lines], merged.unmatched) == (["a.weight"], [])
    assert np.array_equal(read(tmp_path / "out")["b.weight"], tensors["b.weight"])


def test_nothing_is_written_unless_asked_for(tmp_path):
    base = write(tmp_path / "base", {"a.weight": normal(6, 4)})
    merge(base, adapter({"a": LORA}), None)
    assert [path.name for path in tmp_path.iterdir()] == ["base"]


def test_no_tensor_is_held_whole(tmp_path):
    n, D = 2048, 2048
    base = write(tmp_path / "base", {"a.weight": np.zeros((n, D), np.float16)})
    A, B = np.ones((2, D), np.float32), np.ones((n, 2), np.float32)
    made = adapter({"a": updates.LoRA(tensors={"A": A, "B": B})})
    merge(base, made, tmp_path / "out")
    tracemalloc.start()
    merge(base, made, tmp_path / "out")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * n * D * 2


def test_a_failure_in_the_middle_leaves_what_was_there(tmp_path):
    folder = sharded(tmp_path / "base", {f"{name}.weight": np.full((6, 4), 1e5, np.float32) for name in "ab"})
    merge(folder, adapter({}), tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    with pytest.raises(ValueError, match="too large for float16"):
        merge(folder, adapter({"a": LORA}), tmp_path / "out", dtype="float16")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


@pytest.mark.parametrize("name", ["array_api_strict", "torch"])
def test_products_run_where_they_are_asked_to(tmp_path, name):
    xp = pytest.importorskip(name)
    W = normal(6, 4).astype(np.float32)
    base = write(tmp_path / "base", {"a.weight": W})
    made = adapter({"a": FAMILIES["DoRA"][0]})
    merge(base, made, tmp_path / "out", xp=xp)
    np.testing.assert_allclose(read(tmp_path / "out")["a.weight"], FAMILIES["DoRA"][1](W), rtol=1e-5)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (
            {"a.weight": normal(6, 5)},
            r"a.weight has shape \(6, 5\), .* for a matrix of 6 × 4",
        ),
        ({"a.weight": np.arange(24).reshape(6, 4)}, "a.weight holds int64, no real floating numbers"),
        ({"a.weight": normal(6, 4), "b.a.weight": normal(6, 4), "x": normal(1)}, None),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, tensors, message):
    base = write(tmp_path / "base", tensors)
    if message is None:
        assert [line.tensor for line in merge(base, adapter({"a": LORA}), None).lines] == ["a.weight"]
        return
    with pytest.raises(ValueError, match=message):
        merge(base, adapter({"a": LORA}), None)


def test_two_names_of_one_tensor_are_refused(tmp_path):
    base = write(tmp_path / "base", {"model.a.weight": normal(6, 4)})
    with pytest.raises(ValueError, match=r"two of its names match model\.a\.weight"):
        merge(base, adapter({"a": LORA, "model.a": LORA}), None)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({}, "has no weight_map"),
        ({"weight_map": {"a": 3}}, "has no weight_map"),
        ({"weight_map": {"a": "../base"}}, "'../base' is no file beside it"),
        ({"weight_map": {"a": ".."}}, "'..' is no file beside it"),
        ({"weight_map": {"b": "part.safetensors"}}, "do not agree on where tensors are, such as a"),
    ],
)
def test_an_index_is_not_trusted(tmp_path, index, message):
    write(tmp_path / "part.safetensors", {"a": normal(2)})
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(json.dumps(index))
    with pytest.raises(ValueError, match=message):
        Weights(path)


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected one safetensors file, or several with one index"):
        Weights(tmp_path)


@pytest.mark.parametrize("damage", ["shorter", "header", "overlap", "dtype"])
def test_files_that_are_none_are_refused(tmp_path, damage):
    path = write(tmp_path / "it.safetensors", {"a": normal(2, 3), "b": normal(2)})
    content = path.read_bytes()
    changed = {
        "shorter": content[:-8],
        "header": content[:8] + b"[" + content[9:],
        "overlap": content.replace(b"[48, 64]", b"[40, 56]"),
        "dtype": content.replace(b"F64", b"Q64"),
    }[damage]
    assert changed != content
    path.write_bytes(changed)
    with pytest.raises(ValueError, match=r"it\.safetensors"):
        TensorFile(path)


@settings(max_examples=30)
@given(
    shapes=st.lists(st.lists(st.integers(0, 5), max_size=3).map(tuple), max_size=4),
    dtype=st.sampled_from(list(CODES)),
)
def test_what_is_written_is_read(tmp_path_factory, shapes, dtype):
    path = tmp_path_factory.mktemp("it") / "it"
    arrays = {
        f"t{i}": np.arange(math.prod(s)).reshape(s).astype(dtype_of(dtype)) for i, s in enumerate(shapes)
    }
    with open(path, "wb") as file:
        write_tensors(file, {name: Content.of(array) for name, array in arrays.items()}, {"k": "v"})
    found = TensorFile(path)
    assert found.metadata == {"k": "v"}
    for name, array in arrays.items():
        assert found[name].read().tobytes() == array.tobytes()
        assert (found[name].shape, found[name].dtype) == (array.shape, array.dtype)
        runs = list(found[name].runs(3))
        assert b"".join(run.tobytes() for run in runs) == array.tobytes()
