"""Layouts of adapters' files: what is written is read again, files mean what their formulas say, and bad ones
are refused."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

ml_dtypes = pytest.importorskip("ml_dtypes")
safetensors = pytest.importorskip("safetensors.numpy")

from arrayfab.adapters import read_adapter, write_adapter  # noqa: E402
from arrayfab.adapters.adapter import Adapter, renamed  # noqa: E402
from arrayfab.adapters.files import dtype_of  # noqa: E402
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
@settings(max_examples=4)
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
    assert (found.layout, list(found.updates)) == (layout, names)
    assert found.kernels.keys() == kernels.keys()
    for name, update in made.items():
        assert_same(update, found.updates[name])
        if family not in ("ia3-results", "ia3-inputs", "ia3-inputs-conv") and "oft" not in family:
            assert {each.dtype for each in found.updates[name].arrays()} == {
                each.dtype for each in update.arrays()
            }
