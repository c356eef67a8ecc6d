"""Adapters that are made of models' differences and of other adapters."""

import math
import tracemalloc
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arrayfab.adapters import (
    IA3,
    Adapter,
    Difference,
    DoRA,
    LoHa,
    LoKr,
    LoRA,
    VeRA,
    combine,
    extract,
    extracting,
    factors,
    merge,
    read_adapter,
    resize,
    to_lora,
    unmerge,
    write_adapter,
)
from arrayfab.io.files import Content, TensorFile, write_tensors

pytest.importorskip("safetensors")
QUICK = settings(max_examples=12, deadline=None)


def written(path, tensors):
    """A safetensors file."""
    with path.open("wb") as file:
        write_tensors(file, {name: Content.of(array) for name, array in tensors.items()})
    return path


def tensors_of(path):
    return {name: tensor.read() for name, tensor in TensorFile(path).items()}


def adapter(**updates):
    return Adapter(layout="peft", updates=updates)


def distance(a, b):
    return np.linalg.norm(np.asarray(a, np.float64) - b) / np.linalg.norm(b)


def numbers(seed, *shape):
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


@st.composite
def updates(draw):
    """An update, and the matrix that it adds by NumPy's own functions."""
    seed, r = draw(st.integers(0, 999)), draw(st.integers(1, 3))
    n, D = 4 * draw(st.integers(2, 5)), 6 * draw(st.integers(1, 4))
    scale = draw(st.sampled_from([1.0, -0.5, 2.0]))
    family = draw(st.sampled_from(["LoRA", "LoHa", "LoKr", "LoKr of factors", "full"]))
    if family == "LoRA":
        B, A = numbers(seed, n, r), numbers(seed, r, D)
        return LoRA(tensors={"B": B, "A": A}, scale=scale), scale * B @ A
    if family == "LoHa":
        A1, B1, A2, B2 = (numbers(seed + i, *shape) for i, shape in enumerate([(n, r), (r, D)] * 2))
        return LoHa(tensors={"A1": A1, "B1": B1, "A2": A2, "B2": B2}, scale=scale), scale * (A1 @ B1) * (
            A2 @ B2
        )
    if family == "LoKr":
        C1, C2 = numbers(seed, 4, 3), numbers(seed, n // 4, D // 3)
        return LoKr(tensors={"C1": C1, "C2": C2}, scale=scale), scale * np.kron(C1, C2)
    if family == "LoKr of factors":
        C1, A2, B2 = numbers(seed, 2, 3), numbers(seed, n // 2, 1), numbers(seed, 1, D // 3)
        return LoKr(tensors={"C1": C1, "A2": A2, "B2": B2}, scale=scale), scale * np.kron(C1, A2 @ B2)
    delta = numbers(seed, n, D)
    return Difference(tensors={"delta": delta}, scale=scale), scale * delta


def as_lora(drawn, **options):
    """The new update, and the line on it."""
    made = to_lora(adapter(layer=drawn), **options)
    return made.adapter.updates["layer"], made.lines[0]


@given(updates(), st.integers(1, 4))
@QUICK
def test_no_matrix_of_the_rank_is_nearer(drawn, rank):
    update, delta = drawn
    near, line = as_lora(update, rank=rank)
    values = np.linalg.svd(delta, compute_uv=False)
    best = math.sqrt(np.sum(values[rank:] ** 2) / np.sum(values**2))
    assert near["A"].shape[0] == line.rank <= rank
    assert distance(near["B"] @ near["A"], delta) == pytest.approx(best, abs=1e-12)


@given(updates(), st.sampled_from(["float32", "float16", "float64"]))
@QUICK
def test_the_error_that_is_said_is_the_error(drawn, dtype):
    near, line = as_lora(drawn[0], rank=2, dtype=dtype)
    assert near["B"].dtype == near["A"].dtype == dtype
    W = near["B"].astype(np.float64) @ near["A"].astype(np.float64)
    assert line.error == pytest.approx(distance(W, drawn[1]), abs=1e-12)


@given(updates())
@QUICK
def test_without_a_limit_nothing_is_lost(drawn):
    near, line = as_lora(drawn[0])
    assert distance(near["B"] @ near["A"], drawn[1]) < 1e-12
    assert line.rank == np.linalg.matrix_rank(drawn[1])


@given(updates(), st.lists(st.floats(0.01, 0.9999), min_size=2, max_size=4))
@QUICK
def test_more_energy_is_no_lower_rank_and_no_larger_error(drawn, shares):
    lines = [as_lora(drawn[0], energy=share)[1] for share in sorted(shares)]
    assert [line.rank for line in lines] == sorted(line.rank for line in lines)
    for share, line in zip(sorted(shares), lines, strict=True):
        assert line.error**2 <= 1 - share + 1e-12
        if line.rank > 1:  # one less does not serve
            assert as_lora(drawn[0], rank=line.rank - 1)[1].error ** 2 > 1 - share - 1e-12


def test_resizing_to_the_rank_that_there_is_changes_nothing_but_rounding():
    update = LoRA(tensors={"B": numbers(0, 40, 8), "A": numbers(1, 8, 30)}, scale=-3.0)
    half = LoRA(tensors={"B": update["B"].astype(np.float16), "A": update["A"].astype(np.float16)})
    made = resize(adapter(wide=update, half=half), rank=8)
    assert [line.rank for line in made.lines] == [8, 8]
    assert made.lines[0].error < 1e-14
    assert 0 < made.lines[1].error < 2**-10
    assert made.adapter.updates["half"]["A"].dtype == np.float16


def low(n, D, r, seed=0, noise=0.0):
    return numbers(seed, n, r) @ numbers(seed + 1, r, D) + noise * numbers(seed + 2, n, D)


@pytest.mark.parametrize("cut", [{"rank": 5}, {"energy": 0.9}])
def test_random_products_come_near_to_the_nearest(cut):
    # A spectrum that hardly falls is the hardest.
    update = Difference(tensors={"delta": low(150, 120, 20, noise=0.5)})
    random, exact = (to_lora(adapter(layer=update), **cut, exact=exact).lines[0] for exact in (False, True))
    assert exact.error <= random.error <= 1.002 * exact.error
    assert random.rank - exact.rank in (0, 1)


def test_random_products_depend_on_the_seed_alone():
    update = Difference(tensors={"delta": low(150, 120, 20, noise=0.5)})
    first, same, other = (
        to_lora(adapter(layer=update), rank=5, seed=seed).adapter.updates["layer"]["B"] for seed in (0, 0, 1)
    )
    assert (first == same).all()
    assert (first != other).any()


@pytest.mark.parametrize("name", ["torch", "array_api_strict"])
def test_every_namespace_finds_the_same(name):
    xp = pytest.importorskip(name)
    big = LoHa(
        tensors={f"{k}{i}": numbers(i, *s) for i in (1, 2) for k, s in {"A": (90, 8), "B": (8, 100)}.items()}
    )
    held = adapter(
        big=big,
        lokr=LoKr(tensors={"C1": numbers(0, 3, 4), "C2": numbers(1, 5, 6)}),
    )
    ours, theirs = to_lora(held, rank=2), to_lora(held, rank=2, xp=xp)
    for here, there in zip(ours.lines, theirs.lines, strict=True):
        assert there.error == pytest.approx(here.error, abs=1e-6)
    assert all(
        type(array) is np.ndarray for update in theirs.adapter.updates.values() for array in update.arrays()
    )


def test_what_multiplies_the_base_needs_it(tmp_path):
    W0 = numbers(0, 6, 5)
    lora = LoRA(tensors={"B": numbers(1, 6, 2), "A": numbers(2, 2, 5)})
    frozen = {"A": numbers(0, 2, 9), "B": numbers(0, 6, 2)}
    scaled = IA3(tensors={"v": np.arange(1.0, 7.0)})  # its bias too
    modules = {
        "dora": DoRA(tensors={"m": np.arange(1.0, 7.0)}, inner=lora),
        "scaled": scaled,
        "vera": VeRA(tensors={**frozen, "b": np.ones(6), "d": np.ones(2)}),
    }
    held = Adapter(layout="peft", updates=modules, biases={"scaled": scaled})
    tensors = {f"{name}.weight": W0 for name in held.updates} | {"scaled.bias": np.ones(6)}
    base = written(tmp_path / "base.safetensors", tensors)
    with pytest.raises(
        ValueError, match=r"'dora': what LoRA with lengths adds is told by the base's weights"
    ):
        to_lora(held)
    out, ours = tmp_path / "out.safetensors", tmp_path / "ours.safetensors"
    merge(base, held, out)
    merge(base, to_lora(held, base=base).adapter, ours)
    for name, expected in tensors_of(out).items():
        np.testing.assert_allclose(tensors_of(ours)[name], expected, atol=1e-12)


def test_only_some_modules_are_reduced():
    update = LoRA(tensors={"B": numbers(0, 6, 3), "A": numbers(1, 3, 5)})
    made = resize(Adapter(layout="peft", updates={"a.q": update, "a.k": update}), rank=1, only="*.q")
    assert made.adapter.updates["a.q"]["A"].shape == (1, 5)
    assert made.adapter.updates["a.k"] is update


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "a rank or a share of energy must be given"),
        ({"rank": 0}, "rank must be a positive integer, got 0"),
        ({"energy": 1.5}, "energy must be a share, more than 0 and at most 1, got 1.5"),
        ({"rank": 1, "dtype": "int3"}, "unknown dtype 'int3'"),
    ],
)
def test_wrong_limits_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        resize(adapter(layer=LoRA(tensors={"B": np.ones((2, 1)), "A": np.ones((1, 2))})), **options)


# Sums.


def loras(seed, scales, r=2, n=7, D=5):
    return [
        adapter(
            layer=LoRA(
                tensors={"B": numbers(seed + i, n, r), "A": numbers(100 + seed + i, r, D)}, scale=scale
            )
        )
        for i, scale in enumerate(scales)
    ]


def dense(held, name="layer"):
    update = held.updates[name]
    return update.scale * update["B"] @ update["A"]


WEIGHTS = st.lists(st.floats(-2, 2).filter(lambda weight: abs(weight) > 0.1), min_size=2, max_size=3)


@given(st.integers(9, 99), WEIGHTS)
@QUICK
def test_side_by_side_is_the_sum(seed, weights):
    held = loras(seed, [0.5, -1.0, 2.0][: len(weights)])
    made = combine(held, weights)
    expected = sum(weight * dense(each) for weight, each in zip(weights, held, strict=True))
    np.testing.assert_allclose(dense(made.adapter), expected, atol=1e-12)
    assert made.adapter.updates["layer"]["A"].shape[0] == 2 * len(weights)
    assert made.lines[0].error < 1e-14
    whole = combine(held, weights, how="svd", energy=1.0)
    np.testing.assert_allclose(dense(whole.adapter), expected, atol=1e-12)
    least = combine(held, weights, how="svd")
    assert least.adapter.updates["layer"]["A"].shape[0] == 2
    tail = np.linalg.svd(expected, compute_uv=False)[2:]
    assert least.lines[0].error * np.linalg.norm(expected) == pytest.approx(np.linalg.norm(tail), abs=1e-10)


def test_factors_added_up_are_no_sum():
    first, second = loras(0, [1.0, -2.0])
    made = combine([first, second], [0.5, 3.0], how="linear")
    (B1, A1), (B2, A2) = (
        (each.updates["layer"]["B"], each.updates["layer"]["A"]) for each in (first, second)
    )
    # The terms of which PEFT's is made: every factor meets every other.
    mixed = math.sqrt(0.5 * 6.0) * (B2 @ A1 - B1 @ A2)
    expected = 0.5 * B1 @ A1 - 6.0 * B2 @ A2
    np.testing.assert_allclose(dense(made.adapter), expected + mixed, atol=1e-12)
    assert made.lines[0].error == pytest.approx(np.linalg.norm(mixed) / np.linalg.norm(expected))


def test_what_some_adapters_lack_is_made_of_the_others():
    first, second = adapter(q=loras(0, [1.0])[0].updates["layer"]), loras(5, [2.0])[0]
    for how in ("cat", "linear", "svd"):
        made = combine([first, second], [-3.0, 0.5], how=how)
        np.testing.assert_allclose(dense(made.adapter, "q"), -3.0 * dense(first, "q"), atol=1e-12)
        np.testing.assert_allclose(dense(made.adapter), 0.5 * dense(second), atol=1e-12)


@pytest.mark.parametrize(
    ("second", "options", "message"),
    [
        (loras(0, [1.0], n=6)[0], {}, r"updates have shapes \[\(6, 5\), \(7, 5\)\]"),
        (loras(0, [1.0], r=3)[0], {"how": "linear"}, r"'linear' needs equal ranks, got \[2, 3\]"),
        (
            adapter(layer=Difference(tensors={"delta": np.ones((7, 5))})),
            {},
            "full is no product of two factors",
        ),
        (loras(0, [1.0])[0], {"how": "ties"}, "how must be one of"),
        (loras(0, [1.0])[0], {"weights": [1.0]}, "expected a weight for each of 2 adapters"),
        (loras(0, [1.0])[0], {"weights": [1.0, math.nan]}, "weights must be finite"),
        (loras(0, [1.0])[0], {"rank": 2}, "'cat' takes no rank"),
    ],
)
def test_what_cannot_be_added_up_is_refused(second, options, message):
    with pytest.raises(ValueError, match=message):
        combine([loras(1, [1.0])[0], second], **options)


def test_a_tensor_that_two_replace_is_refused():
    held = [
        Adapter(layout="peft", updates=each.updates, replaced={"n": np.ones(2)}) for each in loras(0, [1, 1])
    ]
    with pytest.raises(ValueError, match="two adapters replace n"):
        combine(held)


# Differences of models.


@pytest.fixture
def models(tmp_path):
    """Two models that differ by a matrix of rank 3, a kernel of rank 2, and tensors of one axis."""
    base = {
        "q.weight": numbers(0, 60, 50),
        "conv.weight": numbers(1, 12, 5, 3, 3),
        "norm.weight": np.ones(7),
        "q.bias": np.zeros(60),
        "same.weight": numbers(2, 4, 4),
        "steps": np.asarray([3]),
    }
    base = {
        name: array.astype(np.float32) if array.dtype.kind == "f" else array for name, array in base.items()
    }
    tuned = dict(base)
    tuned["q.weight"] = base["q.weight"] + low(60, 50, 3).astype(np.float32)
    tuned["conv.weight"] = base["conv.weight"] + low(12, 45, 2).reshape(12, 5, 3, 3).astype(np.float32)
    tuned["norm.weight"], tuned["q.bias"] = base["norm.weight"] * 2, base["q.bias"] + 1
    tuned["steps"] = np.asarray([5])
    paths = [
        written(tmp_path / name, each) for name, each in (("a.safetensors", base), ("b.safetensors", tuned))
    ]
    return *paths, tuned


@pytest.mark.parametrize("exact", [False, True])
def test_what_is_extracted_makes_the_one_model_of_the_other(models, tmp_path, monkeypatch, exact):
    for module in (extracting, factors):
        monkeypatch.setattr(module, "_RUN", 400)
    base, tuned, expected = models
    made = extract(base, tuned, rank=4, exact=exact)
    assert {line.module: (line.what, line.shape) for line in made.lines} == {
        "q": ("LoRA", (60, 50)),
        "conv": ("LoRA", (12, 45)),
        "norm.weight": ("replaced", (7,)),
        "q.bias": ("replaced", (60,)),
    }
    assert made.adapter.kernels == {"conv": (3, 3)}
    assert made.unmatched == ["steps"]
    assert max(line.error for line in made.lines) < 1e-6
    merge(base, made.adapter, tmp_path / "out.safetensors")
    expected["steps"] = np.asarray([3])  # what is counted is no matter of adapters
    for name, array in tensors_of(tmp_path / "out.safetensors").items():
        np.testing.assert_allclose(array, expected[name], atol=2e-5, err_msg=name)


@pytest.mark.parametrize("family", ["full", "lokr"])
def test_other_families_are_extracted(models, tmp_path, family):
    base, tuned, expected = models
    kron = np.kron(numbers(5, 6, 5), numbers(6, 10, 10))
    expected["q.weight"] = (tensors_of(base)["q.weight"] + kron).astype(np.float32)
    made = extract(base, written(tuned, expected), family=family, only="q.weight")
    assert [line.module for line in made.lines] == ["q"]
    # The sides of Kronecker factors are those nearest to square, which here are others.
    assert made.lines[0].error < (1e-6 if family == "full" else 1.0)
    delta = made.adapter.updates["q"].delta(60, 50)
    aim = expected["q.weight"] - tensors_of(base)["q.weight"]
    assert made.lines[0].error == pytest.approx(distance(delta, aim), abs=1e-6)


def test_a_tensor_of_another_shape_is_kept_whole(tmp_path):
    base = written(tmp_path / "a.safetensors", {"head.weight": np.zeros((4, 3)), "x": np.ones((2, 2))})
    grown = {"head.weight": np.ones((5, 3)), "x": np.ones((2, 2))}
    made = extract(base, written(tmp_path / "b.safetensors", grown), rank=1)
    merge(base, made.adapter, tmp_path / "out.safetensors")
    np.testing.assert_array_equal(tensors_of(tmp_path / "out.safetensors")["head.weight"], np.ones((5, 3)))


@pytest.mark.parametrize(("pattern", "expected"), [(None, {"h.embed_tokens"}), ("*.table", {"h.table"})])
def test_embeddings_are_told_by_their_names(tmp_path, pattern, expected):
    names = ("h.embed_tokens", "h.table", "h.embed_tokens.proj")
    base, tuned = (
        written(tmp_path / f"{i}.safetensors", {f"{name}.weight": np.full((3, 2), i) for name in names})
        for i in (1.0, 2.0)
    )
    assert extract(base, tuned, rank=1, embeddings=pattern).adapter.embeddings == expected


def test_only_some_tensors_are_compared(models):
    assert [line.module for line in extract(*models[:2], rank=1, only="*.bias").lines] == ["q.bias"]
    with pytest.raises(ValueError, match=r"no tensor differs between the two among same\.\*"):
        extract(*models[:2], rank=1, only="same.*")


def test_tensors_of_one_model_alone_are_named(models):
    base, tuned, expected = models
    written(
        tuned, {**{name: array for name, array in expected.items() if name != "steps"}, "new": np.ones(2)}
    )
    assert extract(base, tuned, rank=1).unmatched == ["new", "steps"]


def test_a_difference_that_is_not_finite_is_refused(models):
    base, tuned, expected = models
    expected["q.weight"][3, 4] = np.inf
    with pytest.raises(ValueError, match=r"the difference of q\.weight must hold finite numbers"):
        extract(base, written(tuned, expected), rank=1)


@pytest.mark.parametrize("options", [{}, {"family": "full", "rank": 2}, {"family": "dora", "rank": 2}])
def test_wrong_wishes_are_refused(models, options):
    with pytest.raises(ValueError, match="extract: "):
        extract(*models[:2], **options)


def test_no_more_than_twice_the_largest_tensor_is_in_memory(tmp_path, monkeypatch):
    for module in (extracting, factors):
        monkeypatch.setattr(module, "_RUN", 1 << 14)
    W = np.zeros((1024, 512), np.float16)
    base = written(tmp_path / "base.safetensors", {"a": W, "b": W})
    tuned = written(tmp_path / "tuned.safetensors", {"a": low(1024, 512, 2).astype(np.float16), "b": W + 1})
    extract(base, tuned, rank=2)  # what is kept for the next time
    tracemalloc.start()
    try:
        extract(base, tuned, rank=2)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * 4 * W.size


@given(st.integers(0, 99))
@settings(max_examples=5, deadline=None)
def test_merged_and_unmerged_is_the_base(tmp_path_factory, seed):
    folder = tmp_path_factory.mktemp("unmerged")
    base = written(folder / "base.safetensors", {"layer.weight": numbers(seed, 7, 5).astype(np.float32)})
    held = loras(seed, [0.5])[0]
    merge(base, held, folder / "merged.safetensors", strengths=[0.3])
    unmerge(folder / "merged.safetensors", held, folder / "back.safetensors", strengths=[0.3])
    before, after = tensors_of(base), tensors_of(folder / "back.safetensors")
    np.testing.assert_allclose(after["layer.weight"], before["layer.weight"], atol=2e-6)
    assert (tensors_of(folder / "merged.safetensors")["layer.weight"] != before["layer.weight"]).any()


# Beside PEFT.


@pytest.mark.parametrize("how", ["cat", "svd", "linear"])
def test_sums_are_those_of_peft(how, tmp_path):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    peft = pytest.importorskip("peft", reason="needs PEFT")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(12, 10), torch.nn.ReLU(), torch.nn.Linear(10, 8))
    names, weights = ["first", "second", "third"], [0.7, -0.4, 1.5]
    wrapped = None
    for i, name in enumerate(names):
        config = peft.LoraConfig(r=3, lora_alpha=2 + i, target_modules=["0", "2"], init_lora_weights=False)
        if wrapped:
            wrapped.add_adapter(name, config)
        else:
            wrapped = peft.get_peft_model(model, config, adapter_name=name)
    wrapped.save_pretrained(tmp_path)
    wrapped.add_weighted_adapter(names, weights, "sum", combination_type=how)
    made = combine([read_adapter(tmp_path / name) for name in names], weights, how=how)
    for name, update in made.adapter.updates.items():
        layer = wrapped.base_model.model[int(name)]
        expected = layer.get_delta_weight("sum").detach().numpy()
        np.testing.assert_allclose(update.delta(*update.shape), expected, atol=2e-6)
        assert update["A"].shape == layer.lora_A["sum"].weight.shape


@pytest.mark.parametrize("family", ["LoHa", "LoKr"])
@pytest.mark.parametrize("cut", [{"rank": 3}, {"energy": 0.8}])
def test_conversions_are_as_near_as_those_of_peft(family, cut, tmp_path):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    peft = pytest.importorskip("peft", reason="needs PEFT")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(12, 10))
    config = getattr(peft, f"{family}Config")(r=2, alpha=3, target_modules=["0"], init_weights=False)
    wrapped = peft.get_peft_model(model, config)
    wrapped.save_pretrained(tmp_path)
    _, theirs = peft.convert_to_lora(wrapped, *cut.values())
    (B,), (A,) = ([theirs[key].numpy() for key in theirs if f"lora_{side}" in key] for side in "BA")
    made = to_lora(read_adapter(tmp_path), **cut)
    update = made.adapter.updates["0"]
    assert update["A"].shape == A.shape
    np.testing.assert_allclose(update.delta(10, 12), B @ A, atol=1e-5)
    whole = wrapped.base_model.model[0].get_delta_weight("default").detach().numpy()
    assert made.lines[0].error == pytest.approx(distance(B @ A, whole), abs=1e-6)


def test_what_is_extracted_loads_in_peft(tmp_path):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    peft = pytest.importorskip("peft", reason="needs PEFT")
    torch.manual_seed(0)

    def model():
        parts = {"wte": torch.nn.Embedding(7, 12), "up": torch.nn.Linear(12, 10), "n": torch.nn.LayerNorm(10)}
        return torch.nn.Sequential(OrderedDict(parts))

    models = [model(), model()]
    paths = [
        written(
            tmp_path / f"{i}.safetensors", {key: part.numpy() for key, part in model.state_dict().items()}
        )
        for i, model in enumerate(models)
    ]
    write_adapter(extract(*paths, rank=10).adapter, tmp_path / "adapter")
    x = torch.arange(7)
    expected = models[1](x)
    loaded = peft.PeftModel.from_pretrained(models[0], tmp_path / "adapter")
    torch.testing.assert_close(loaded(x), expected, atol=1e-5, rtol=1e-5)
