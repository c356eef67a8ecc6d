"""Checkpoints: what is saved comes back, whole files only, and every refusal says why."""

import json
from dataclasses import dataclass, field

import numpy as np
import pytest

import arrayfab as af
from arrayfab.catalogue import VARIANTS
from arrayfab.fabrications import Scaled
from arrayfab.frozen import Gaussian
from arrayfab.io import CheckpointError, matrices

safetensors = pytest.importorskip("safetensors")

from checkpoint_fuzz import original, put_together, taken_apart  # noqa: E402

ROLE = af.Reconciliation(fabrication=af.RandomMatrixAdaption(r=2, seed=7), n=4, D=6)


@dataclass(frozen=True, kw_only=True)
class Centred(af.Seeded):
    """A third party's variant: fields of every kind that a file can hold."""

    scale: float | None = None
    sizes: tuple[int, ...] = ()
    pair: tuple[str, bool] = ("a", True)
    inner: af.Fabrication | None = None

    def frozen(self, n, D):
        return {"A": Gaussian(n, D)}

    def matrix(self, n, D, A):
        return (self.scale or 1.0) * A


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def there_and_back(path, value, w, *shape, known=()):
    af.save(path, {"it": (value, w, *shape)}, known=known)
    return af.load(path, known=known)["it"]


def forge(path, change):
    """The file as a hostile writer would leave it, with right checksums of the description."""
    header, text, data = taken_apart(path.read_bytes())
    made = json.loads(text)
    change(made)
    path.write_bytes(put_together(header, json.dumps(made), data))


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_comes_back_equal(name, path):
    variant = VARIANTS[name]
    shape = (64, 64 if variant.is_square else 32)
    w = variant.init(*shape, rng=0)
    again, v, *as_before = there_and_back(path, variant, w, *shape)
    assert (again, tuple(as_before)) == (variant, shape)
    assert np.array_equal(v, w)


def test_every_layer_comes_back_equal_in_its_order(path):
    entries = original()
    af.save(path, entries)
    loaded = af.load(path)
    assert list(loaded) == list(entries)
    for name in ("fused", "W", "free"):
        assert loaded[name][0] == entries[name][0]
    for name, (_, w, *shape) in entries.items():
        _, v, *again = loaded[name]
        assert (v.dtype, v.shape, v.tobytes(), again) == (w.dtype, w.shape, w.tobytes(), shape)
    model, w = entries["model"]
    x = np.ones((5, 4))
    assert np.array_equal(loaded["model"][0](x, w), model(x, w))


def test_saving_twice_gives_equal_bytes(path):
    af.save(path, original())
    first = path.read_bytes()
    af.save(path, af.load(path))
    assert path.read_bytes() == first


def test_any_reader_of_safetensors_finds_the_arrays_under_plain_names(path):
    from safetensors.numpy import load_file

    handed_in = af.RandomMatrixAdaption(r=1).with_frozen(A=np.ones((2, 1)), B=np.zeros((3, 1)))
    role = af.Reconciliation(fabrication=af.Eye() + 2.0 * handed_in, n=2, D=3)
    af.save(path, {"layer.1": (role, np.arange(3.0)), "free": (handed_in, np.ones(3))})
    found = load_file(path)
    place = "layer.1.fabrication.terms.1.inner."
    assert sorted(found) == sorted(["free", "free.A", "free.B", "layer.1", place + "A", place + "B"])
    assert found["layer.1"].tolist() == [0.0, 1.0, 2.0]


def test_arrays_handed_in_come_back_at_every_depth(path):
    rng = np.random.default_rng(0)
    A, B, mask = rng.random((4, 2)), rng.random((6, 2)), rng.random((4, 6)) < 0.5
    inner = af.RandomMatrixAdaption(r=2).with_frozen(A=A)
    total = (0.5 * inner.with_frozen(B=B) + af.Masked().with_frozen(mask=mask)).with_frozen(**{"0.A": 2 * A})
    w = rng.random(total.num_parameters(4, 6))
    again, v, *_ = there_and_back(path, total, w, 4, 6)
    assert np.array_equal(again.fabricate(v, 4, 6).to_dense(), total.fabricate(w, 4, 6).to_dense())
    assert again.inner.terms[1].arrays["mask"].dtype == bool


def test_numbers_of_other_layouts_keep_their_values(path):
    w = np.arange(24.0).reshape(2, 12)
    for laid_out in (np.asfortranarray(w), w.astype(">f8"), w[:, ::-1][:, ::-1], w.astype("<f2")):
        assert np.array_equal(there_and_back(path, af.Full(), laid_out, 3, 4)[1], w)


def test_hyper_parameters_may_be_of_any_kind_of_number(path):
    for value in (af.Constant(c=2), af.Masked(p=np.float32(0.3)), af.Reshape((np.int64(4),), (2, 2))):
        w = np.ones(16 if isinstance(value, af.Masked) else 0)
        shape = (4, 4) if isinstance(value, af.Fabrication) else ()
        assert there_and_back(path, value, w, *shape)[0] == value


def test_a_class_handed_in_is_loaded_with_all_kinds_of_fields(path):
    value = Centred(scale=0.1, sizes=(1, 2), pair=("ü\n", False), inner=Centred(), seed=2**64 - 1)
    assert there_and_back(path, value, np.ones(0), 3, 4, known=[Centred])[0] == value
    with pytest.raises(CheckpointError, match=r"unknown class 'Centred'.*known="):
        af.load(path)


def test_a_fabrication_without_a_shape_is_kept_as_it_is(path):
    assert there_and_back(path, af.RandomMatrixAdaption(), np.ones(5))[0] == af.RandomMatrixAdaption()
    assert json.loads(taken_apart(path.read_bytes())[1])["entries"][0]["frozen"] == {}


# What save refuses: the entry, the error and its message.
REFUSED = {
    "length of w": ((ROLE, np.ones(5)), ValueError, "w must hold 6 numbers along its last axis, got shape"),
    "length of w, by shape": ((af.LowRank(), np.ones(5), 2, 3), ValueError, "w must hold 10 numbers"),
    "w without an axis": ((af.LowRank(), np.ones(())), ValueError, "w must hold some numbers"),
    "sizes that do not fit": ((af.LPHM(p=2), np.ones(5), 3, 3), ValueError, "p=2 does not divide n=3"),
    "no tuple": (ROLE, TypeError, r"expected \(role, w\), \(fabrication, w\) or \(fabrication, w, n, D\)"),
    "shape of a role": ((ROLE, np.ones(6), 4, 6), TypeError, "expected a fabrication where n and D"),
    "no role": (("LowRank", np.ones(6)), TypeError, "expected a layer or a fabrication, got 'LowRank'"),
    "a list": ((ROLE, [1.0] * 6), TypeError, "w must be an array"),
    "integers": ((ROLE, np.ones(6, dtype=int)), TypeError, "w must hold real floating numbers"),
    "long floats": ((ROLE, np.ones(6, dtype=np.longdouble)), TypeError, "convert it first"),
    "size": ((af.Eye(), np.ones(0), 0, 3), ValueError, "n must be a positive integer, got 0"),
    "huge size": ((af.Eye(), np.ones(0), 3, 2**41), ValueError, "n and D must be at most 4294967296"),
    "huge field": ((af.LowRank(r=2**41), np.ones(1)), ValueError, r"it\.r: expected int \(whole numbers to"),
    "infinite float": ((af.Constant(c=np.inf), np.ones(0)), ValueError, r"it\.c: expected float, got inf"),
    "field of no kind": (
        (af.Constant(c=1j), np.ones(0)),
        ValueError,
        r"it\.c: a file holds numbers, texts, .* and registered dataclasses, got 1j",
    ),
    "class unknown to load": ((Centred(), np.ones(0)), ValueError, r"known=\[Centred\]"),
    "block handed in": (
        (af.RandomMatrixAdaption(r=2).with_frozen(A=np.ones((4, 2), dtype=complex)), np.ones(6), 4, 6),
        TypeError,
        r"it\.A has dtype complex128, a checkpoint holds float16, float32, float64, bool",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_could_not_be_loaded_again_is_refused_and_the_old_file_stays(name, path):
    entry, error, message = REFUSED[name]
    path.write_bytes(b"old")
    with pytest.raises(error, match=message) as caught:
        af.save(path, {"it": entry})
    assert "'it'" in str(caught.value)
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_a_name_that_is_none_is_refused(path):
    for name in ("", "__metadata__", 3):
        with pytest.raises(ValueError, match="a name must be some text"):
            af.save(path, {name: (ROLE, np.ones(6))})


def test_two_arrays_under_one_name_are_refused(path):
    handed_in = af.RandomMatrixAdaption().with_frozen(A=np.ones((4, 2)))
    with pytest.raises(ValueError, match=r"two arrays would be called 'a\.A'; give it another name"):
        af.save(path, {"a": (handed_in, np.ones(6)), "a.A": (ROLE, np.ones(6))})


def test_a_sum_of_many_terms_comes_back(path):
    many = sum([af.LowRank(r=1)] * 40)
    loaded, _ = there_and_back(path, many, np.ones(many.num_parameters(2, 2)), 2, 2)[:2]
    assert loaded == many


def test_nesting_that_no_file_holds_is_refused(path):
    deep = af.Eye()
    for _ in range(31):
        deep = Scaled(inner=deep, scale=1.0)
    assert there_and_back(path, deep, np.ones(0))[0] == deep
    for _ in range(500):
        deep = Scaled(inner=deep, scale=1.0)
    with pytest.raises(ValueError, match="nested more than 32 deep"):
        af.save(path, {"it": (deep, np.ones(0))})


def test_a_class_that_hides_what_it_is_made_of_is_refused(path):
    @dataclass(frozen=True, kw_only=True)
    class Hiding(af.LowRank):
        factor: float = field(default=1.0, init=False)

    hiding = Hiding()
    object.__setattr__(hiding, "factor", 2.0)
    with pytest.raises(ValueError, match=r"factor=2\.0\) would come back as .*factor=1\.0\)"):
        af.save(path, {"it": (hiding, np.ones(5))}, known=[Hiding])


# What a hostile writer may change in the description, and what load says to it.
FORGED = {
    "version": (lambda d: d.update(version=2), "expected version 1 of the format, got 2"),
    "version that is a boolean": (lambda d: d.update(version=True), "expected version 1"),
    "scheme": (lambda d: d.update(scheme="mt19937"), "drawn by the scheme 'mt19937', this is"),
    "more": (lambda d: d.update(more=1), "the description: expected an object with"),
    "class": (lambda d: configuration(d).update({"class": "os.system"}), "unknown class 'os.system'"),
    "class that is no text": (lambda d: configuration(d).update({"class": 1}), 'an object with a "class"'),
    "abstract class": (lambda d: configuration(d).update({"class": "Fabrication"}), "unknown class"),
    "missing field": (lambda d: configuration(d).pop("n"), "Reconciliation has the fields .*'n'"),
    "more fields": (lambda d: configuration(d).update(z=1), "Reconciliation has the fields"),
    "type": (lambda d: configuration(d).update(n=4.0), r"a\.n: expected int, got 4\.0"),
    "boolean for a size": (lambda d: configuration(d).update(n=True), r"a\.n: expected int, got True"),
    "number for a boolean": (lambda d: configuration(d).update(bias=0), r"a\.bias: expected bool, got 0"),
    "huge size": (lambda d: configuration(d).update(n=2**32 + 1), r"a\.n: expected int"),
    "seed": (lambda d: configuration(d)["fabrication"].update(seed=2**64), r"\.seed: expected int"),
    "another seed": (lambda d: configuration(d)["fabrication"].update(seed=8), "block 'fabrication.A'"),
    "a value that the class refuses": (lambda d: configuration(d).update(n=0), "a: .*positive integer"),
    "other length": (lambda d: configuration(d).update(n=5), "entry 'a': w must hold 7 numbers"),
    "a role for a fabrication": (
        lambda d: configuration(d).update(fabrication=dict(configuration(d))),
        r"a\.fabrication: expected Fabrication, got an object",
    ),
    "shape of a role": (lambda d: d["entries"][0].update(shape=[4, 6]), "its shape must be two sizes"),
    "the same entry twice": (lambda d: d["entries"].append(d["entries"][0]), "there is no w of its own"),
    "an array of nobody": (lambda d: d["entries"].clear(), "array 'a' belongs to no entry"),
    "an array that is not there": (lambda d: d["tensors"].update(b=d["tensors"]["a"]), "array 'b'"),
    "other dtype": (lambda d: d["tensors"]["a"].update(dtype="float32"), "another dtype or shape"),
    "other shape": (lambda d: d["tensors"]["a"].update(shape=[2, 3]), "another dtype or shape"),
    "shape in floats": (lambda d: d["tensors"]["a"].update(shape=[6.0]), "another dtype or shape"),
    "checksum of w": (lambda d: d["tensors"]["a"].update(sha256="0"), "entry 'a': array 'a' is not what"),
    "checksum of a block": (
        lambda d: d["entries"][0]["frozen"].update({"fabrication.B": "0"}),
        "entry 'a': frozen block 'fabrication.B' is not what was saved, by its checksum; verify=False",
    ),
    "a block left out": (lambda d: d["entries"][0]["frozen"].popitem(), "frozen block 'fabrication.B'"),
}  # fmt: skip


def configuration(description):
    return description["entries"][0]["configuration"]


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_description_is_refused(name, path):
    change, message = FORGED[name]
    af.save(path, {"a": (ROLE, np.ones(6))})
    forge(path, change)
    with pytest.raises(CheckpointError, match=message) as caught:
        af.load(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    "text",
    ["NaN", '{"version": 1, "version": 1}', "[" * 100_000, "9" * 5000, "", "null", '"' + "x" * (1 << 24)],
)
def test_a_description_that_is_no_plain_json_is_refused(text, path):
    af.save(path, {})
    header, _, data = taken_apart(path.read_bytes())
    path.write_bytes(put_together(header, text, data))
    with pytest.raises(CheckpointError):
        af.load(path)


def test_a_wrong_checksum_can_be_overridden(path):
    af.save(path, {"a": (ROLE, np.ones(6))})
    file = bytearray(path.read_bytes())
    file[-1] ^= 1
    path.write_bytes(file)
    with pytest.raises(CheckpointError, match="entry 'a': array 'a'"):
        af.load(path)
    role, w = af.load(path, verify=False)["a"]
    assert role == ROLE
    assert (w != 1.0).sum() == 1


def test_frozen_blocks_that_come_out_otherwise_are_an_error_that_names_them(path, monkeypatch):
    af.save(path, {"a": (af.Sequential([ROLE, af.Pointwise("relu")]), np.ones(6))})
    draw = matrices.first_tile

    def slightly_off(frozen, xp, device):
        tile = draw(frozen, xp, device)
        return np.nextafter(tile, 9.0) if frozen.name == "B" else tile

    monkeypatch.setattr("arrayfab.io.entry.first_tile", slightly_off)
    with pytest.raises(
        CheckpointError, match=r"frozen block 'layers\.0\.fabrication\.B' is not what was saved"
    ):
        af.load(path)
    assert af.load(path, verify=False)["a"][1].shape == (6,)


def test_a_boolean_that_is_neither_is_refused(path):
    af.save(path, {"a": (af.Masked().with_frozen(mask=np.ones((1, 1), dtype=bool)), np.ones(1), 1, 1)})
    file = path.read_bytes()
    assert file[-1:] == b"\1"
    path.write_bytes(file[:-1] + b"\2")
    with pytest.raises(CheckpointError, match=r"array 'a\.mask': a boolean is neither 0 nor 1"):
        af.load(path, verify=False)


def test_another_safetensors_file_is_refused(path):
    from safetensors.numpy import save_file

    save_file({"a": np.ones(3)}, path)
    with pytest.raises(CheckpointError, match="it is no checkpoint of arrayfab"):
        af.load(path)
