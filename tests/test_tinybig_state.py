"""tinybig's state dicts: read with functions of either library, against dense formulas and tinybig itself."""

import importlib
import importlib.util
import os
import sys
import types
import warnings

import numpy as np
import pytest
from special_files import put

import arrayfab as af
import arrayfab.tinybig as door
from arrayfab.io import read_tinybig
from arrayfab.io.files import Content, write_tensors

N, D, B, R, L, HIDDEN = 3, 4, 6, 2, 5, 7
HYPER = {
    "identity": {},
    "lorr": {"r": R},
    "hm": {"p": 3, "q": 2},
    "lphm": {"p": 1, "q": 2, "r": R},
    "dual_lphm": {"p": 3, "q": 1, "r": R},
    "random_matrix_adaption": {"r": R},
    "random_matrix_hypernet": {"r": R, "l": L, "hidden_dim": HIDDEN},
    "hypernet": {"l": L, "hidden_dim": HIDDEN},
}
KINDS = ("", "lowrank_", "random_matrix_adaption_")


def normal(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def network(place="parameter_fabrication."):
    return {
        f"{place}net.0.weight": normal(HIDDEN, L),
        f"{place}net.0.bias": normal(HIDDEN),
        f"{place}net.2.weight": normal(N * D, HIDDEN),
        f"{place}net.2.bias": normal(N * D),
    }


def made(key):
    """A reconciliation of this library with the frozen matrices that tinybig's would have."""
    psi = getattr(door, f"{key}_reconciliation")(**HYPER[key])
    shapes = {"A": (N, R), "B": (D, R), "P": (L, R), "Q": (HIDDEN, R), "S": (HIDDEN, R), "T": (N * D, R)}
    for name in {"random_matrix_adaption": "AB", "random_matrix_hypernet": "PQST"}.get(key, ""):
        setattr(psi, name, normal(*shapes[name], seed=ord(name)))
    return psi


def reshaped_outer(key, psi, w):
    """The products of all entries of two factors, in the order in which tinybig lays them out."""
    p, q, s, t = psi.p, psi.q, N // psi.p, D // psi.q
    shapes = {
        "hm": [[(p, q)], [(s, t)]],
        "lphm": [[(p, q)], [(s, R), (R, t)]],
        "dual_lphm": [[(p, R), (R, q)], [(s, R), (R, t)]],
    }[key]
    factors = []
    for parts in shapes:
        cut = []
        for shape in parts:
            size = int(np.prod(shape))
            cut.append(w[:size].reshape(shape))
            w = w[size:]
        factors.append(cut[0] if len(cut) == 1 else cut[0] @ cut[1])
    return np.outer(*(factor.reshape(-1) for factor in factors)).reshape(N, D)


def dense(key, psi, w, net):
    if key == "identity":
        return w.reshape(N, D)
    if key == "lorr":
        return w[: N * R].reshape(N, R) @ w[N * R :].reshape(R, D)
    if "hm" in key:
        return reshaped_outer(key, psi, w)
    if key == "random_matrix_adaption":
        return np.diag(w[:N]) @ psi.A @ np.diag(w[N:]) @ psi.B.T
    if key == "random_matrix_hypernet":
        return (sigmoid(w @ psi.P @ psi.Q.T) @ psi.S @ psi.T.T).reshape(N, D)
    weight, bias, weight_2, bias_2 = net.values()
    return (weight_2 @ sigmoid(weight @ w + bias) + bias_2).reshape(N, D)


@pytest.mark.parametrize("as_file", [False, True], ids=["mapping", "file"])
@pytest.mark.parametrize("has_bias", [False, True], ids=["", "bias"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("prefix", ["", "layers.0.heads.1."])
@pytest.mark.parametrize("key", HYPER)
def test_reconciliation_is_its_formula(tmp_path, key, prefix, channels, has_bias, as_file):
    psi, net = made(key), network() if key == "hypernet" else {}
    w = normal(channels, psi.calculate_l(N, D), seed=1)
    state = {"w": w, **({"b": normal(N, seed=2)} if has_bias else {}), **net}
    state = {prefix + name: array for name, array in state.items()} | {"else": np.ones(3, np.int64)}
    if as_file:
        safetensors = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
        safetensors.save_file(state, tmp_path / "state.safetensors")
    given = tmp_path / "state.safetensors" if as_file else state
    adapter = read_tinybig(given, {prefix + "w": (psi, N, D)})
    ((name, (role, read)),) = adapter.items()
    assert (name, role.n, role.D, role.bias) == (prefix + "w", N, D, has_bias)
    assert read.shape == (*((channels,) if channels > 1 else ()), w.shape[1] + (N if has_bias else 0))
    x, W = normal(2, D), np.stack([dense(key, psi, row, net) for row in w])
    expected = x @ W.mT + (state[prefix + "b"] if has_bias else 0.0)
    np.testing.assert_allclose(role(x, read), expected if channels > 1 else expected[0], atol=1e-12)


def test_what_stands_beside_another_name_is_no_bias():
    psi = made("identity")
    state = {"alpha": normal(1, N * D), "b": normal(N)}
    assert read_tinybig(state, {"alpha": (psi, N, D)})["alpha"][0].bias is False


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("base", ["parameterized_interdependence", "parameterized_bilinear_interdependence"])
@pytest.mark.parametrize("instance", [False, True], ids=["attribute", "instance"])
def test_interdependence_is_that_of_the_function(kind, base, instance):
    more = {"r": R} if kind else {}
    kept = "instance" if instance else "attribute"
    xi = getattr(door, kind + base)(b=B, m=D, interdependence_type=kept, **more)
    if kind.startswith("random"):
        n = B if instance == (base == "parameterized_interdependence") else D
        xi.parameter_fabrication.A, xi.parameter_fabrication.B = normal(n, R), normal(n, R, seed=1)
    w, x = normal(1, xi.calculate_l()), normal(B, D)
    role, read = read_tinybig({"w_x": w}, {"w_x": xi})["w_x"]
    assert type(role).__name__ == base.title().replace("_", "").replace("ParameterizedBil", "Bil")
    np.testing.assert_array_equal(role(x, read), xi(x, w))


@pytest.mark.parametrize("kind", KINDS)
def test_fusion_is_that_of_the_function(kind):
    fused = getattr(door, f"{kind}parameterized_concatenation_fusion")(
        dims=[2, 5], n=N, **({"r": R} if kind else {})
    )
    if kind.startswith("random"):
        fused.parameter_fabrication.A, fused.parameter_fabrication.B = normal(N, R), normal(7, R)
    w, xs = normal(1, fused.calculate_l()), [normal(B, 2), normal(B, 5)]
    role, read = read_tinybig({"heads.0.w_channel_fusion": w}, {"heads.0.w_channel_fusion": fused}).popitem()[
        1
    ]
    np.testing.assert_array_equal(role(xs, read), fused(xs, w))


def test_numbers_live_where_they_are_asked_for():
    strict = pytest.importorskip("array_api_strict")
    far = strict.Device("device1")
    psi, state = made("random_matrix_adaption"), {"w": normal(1, N + R, dtype=np.float32)}
    where = {"xp": strict, "dtype": strict.float32, "device": far}
    role, w = read_tinybig(state, {"w": (psi, N, D)}, **where)["w"]
    y = role(strict.ones((2, D), dtype=strict.float32, device=far), w)
    assert (w.dtype, w.device, y.device) == (strict.float32, far, far)
    role, w = read_tinybig(state, {"w": (psi, N, D)})["w"]  # in the widest dtype that takes part
    assert role(normal(2, D), w).dtype == np.float64


@pytest.mark.parametrize("name", ["torch", "jax.numpy", "array_api_strict"])
def test_the_dtype_of_the_state_holds_in_every_namespace(name):
    xp = pytest.importorskip(name)
    psi = made("random_matrix_adaption")
    psi.A, psi.B = psi.A.astype(np.float32), psi.B.astype(np.float32)
    state = {"w": xp.ones((2, N + R), dtype=xp.float32)}
    role, w = read_tinybig(state, {"w": (psi, N, D)}, xp=xp)["w"]
    assert w.dtype == xp.float32
    assert role(xp.ones((4, D), dtype=xp.float32), w).shape == (2, 4, N)


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
@pytest.mark.parametrize("name", ["torch", "jax.numpy"])
def test_dtypes_that_numpy_does_not_have_come_as_float32(name, dtype):
    xp = pytest.importorskip(name)
    narrow = getattr(xp, dtype)
    exact = np.asarray([[1.0, -2.5, 0.0625, 3.5, 448.0]], np.float32)  # each of three bits

    def made(numbers):
        array = xp.asarray(np.asarray(numbers, np.float32))
        return array.to(narrow) if name == "torch" else array.astype(narrow)

    psi = door.random_matrix_adaption_reconciliation(r=R)
    psi.A, psi.B = made(np.full((N, R), 1.5)), made(np.full((D, R), -0.25))
    role, w = read_tinybig({"w": made(exact), "b": made([0.5, 1.0, 3.0])}, {"w": (psi, N, D)})["w"]
    assert w.dtype == np.float32
    np.testing.assert_array_equal(w, [*exact[0], 0.5, 1.0, 3.0])
    W = np.outer(exact[0, :N], np.full(D, 1.5 * -0.25 * exact[0, N:].sum()))
    np.testing.assert_allclose(role.matrix(w), W, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e5m2"])
def test_files_of_such_dtypes_come_as_float32(tmp_path, dtype):
    narrow = getattr(pytest.importorskip("ml_dtypes"), dtype)
    pytest.importorskip("safetensors")
    numbers = np.full((1, N * D), -2.5).astype(narrow)
    with (tmp_path / "state.safetensors").open("wb") as file:
        write_tensors(file, {"w": Content.of(numbers)})
    _, w = read_tinybig(tmp_path / "state.safetensors", {"w": (made("identity"), N, D)})["w"]
    assert w.dtype == np.float32
    np.testing.assert_array_equal(w, np.full(N * D, -2.5, np.float32))


def test_bfloat16_stays_so_where_it_is_asked_for():
    torch = pytest.importorskip("torch")
    state = {"w": torch.nn.Parameter(torch.full((1, N * D), 1.5, dtype=torch.bfloat16))}
    _, w = read_tinybig(state, {"w": (made("identity"), N, D)}, xp=torch, dtype=torch.bfloat16)["w"]
    assert w.dtype == torch.bfloat16
    assert bool((w == 1.5).all())


def test_bfloat16_on_numpy_is_refused_by_name():
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    state = {"w": np.ones((1, N * D), bfloat16)}
    assert "bfloat16" in error_of(state, (made("identity"), N, D), TypeError)


@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_is_named(number):
    state = {"w": normal(1, N + R), "b": normal(N)}
    for name, array in state.items():
        bad = array.copy()
        bad.flat[-1] = number
        message = error_of(state | {name: bad}, (made("random_matrix_adaption"), N, D))
        assert message.startswith(f"{name} must hold finite numbers")
    psi = made("random_matrix_adaption")
    psi.B[1, 1] = number
    assert error_of(state, (psi, N, D)).startswith("w: B must hold finite numbers")
    net = network() | {"w": normal(1, L)}
    net["parameter_fabrication.net.2.bias"][3] = number
    assert error_of(net, (made("hypernet"), N, D)).startswith("parameter_fabrication.net.2.bias must hold")


def test_numbers_too_large_for_the_dtype_are_no_infinities():
    state, psi = {"w": np.full((1, N * D), 1e300)}, (made("identity"), N, D)
    with pytest.raises(ValueError, match="w: numbers are too large for float32, ask for a wider dtype"):
        read_tinybig(state, {"w": psi}, dtype=np.float32)
    with pytest.raises(TypeError, match="read_tinybig: w must hold real floating numbers, got dtype int32"):
        read_tinybig({"w": np.ones((1, N * D))}, {"w": psi}, dtype=np.int32)


@pytest.mark.parametrize("kind", ["pipe", "link to a device", "directory"])
def test_only_regular_files_are_read(tmp_path, kind):
    pytest.importorskip("safetensors", reason="safetensors is not installed")
    put(tmp_path / "state", kind)
    with pytest.raises(OSError, match="state is no regular file"):
        read_tinybig(tmp_path / "state", {"w": (made("identity"), N, D)})


def test_a_file_may_be_named_by_bytes_that_are_no_text(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    path, w = os.fsencode(tmp_path) + b"/\xff\n", normal(1, N * D)
    with open(path, "wb") as file:
        file.write(safetensors.save({"w": w}))
    _, read = read_tinybig(path, {"w": (made("identity"), N, D)})["w"]
    np.testing.assert_array_equal(read, w[0])
    with open(path, "wb") as file:
        file.write(safetensors.save({"\x1b[2J": np.ones(2, bool)}))
    assert error_of_file(path).isprintable()
    with open(path, "wb"):
        pass
    assert "is no safetensors file" in error_of_file(path)


def error_of_file(path):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - what it says is looked at
        read_tinybig(path, {"w": (made("identity"), N, D)})
    return str(caught.value)


class duplicated_padding_reconciliation:  # of tinybig
    p, q = 3, 3


def error_of(state, function, kind=ValueError):
    with pytest.raises(kind) as caught:
        read_tinybig(state, {"w": function})
    return str(caught.value)


def test_what_cannot_be_read_is_an_error():
    w = {"w": normal(1, N + R)}
    bare = door.random_matrix_adaption_reconciliation(r=R)
    misfit = made("random_matrix_adaption")
    misfit.A = normal(N + 1, R)
    padding = duplicated_padding_reconciliation()
    assert "w: duplicated_padding_reconciliation cannot be read" in error_of(w, (padding, N, D))
    assert "w: the frozen A of random_matrix_adaption_reconciliation is missing" in error_of(w, (bare, N, D))
    bare(N, D, w["w"])  # which shows the draws of its seed from now on
    assert "w: the frozen A of random_matrix_adaption_reconciliation is missing" in error_of(w, (bare, N, D))
    assert "w: RandomMatrixAdaption(seed=0, r=2): A must have shape (3, 2), got (4, 2)" in error_of(
        w, (misfit, N, D)
    )
    assert "w is not in the state dict, which has ['v']" in error_of({"v": w["w"]}, (made("lorr"), N, D))
    assert "w must have shape (channels, l), got (5,)" in error_of({"w": normal(5)}, (made("lorr"), N, D))
    assert "w must hold 14 numbers for Reconciliation(" in error_of(w, (made("lorr"), N, D))
    assert "w: functions must hold (function, n, D) for lorr_reconciliation" in error_of(w, made("lorr"))
    xi = door.parameterized_interdependence(b=2, m=2)
    assert "w: functions must hold the function alone for parameterized_inter" in error_of(w, (xi, N, D))
    xi = door.parameterized_interdependence(b=2, m=2, postprocess_functions=abs)
    assert "w: pre- and postprocess functions are no part" in error_of({"w": normal(1, 4)}, xi)
    state = {"w": normal(1, N * D), "b": normal(N + 1)}
    assert "b must have shape (3,), got (4,)" in error_of(state, (made("identity"), N, D))
    state = {"w": np.ones((1, N * D), np.int64)}
    assert "read_tinybig: w must hold real floating" in error_of(state, (made("identity"), N, D), TypeError)
    state = {"w": normal(1, L)}
    assert "w: the frozen U of hypernet_reconciliation is missing" in error_of(
        state, (made("hypernet"), N, D)
    )


# Against the library itself.

# What tinybig imports for its data sets, which take no part here.
NOT_NEEDED = (
    *("torchvision", "torchvision.datasets", "torchvision.transforms", "torchdata", "torchdata.datapipes"),
    *("torchtext", "torchtext.data", "torchtext.data.utils", "torchtext.datasets", "torchtext.vocab"),
    *("tinybig.data", "tinybig.data.base_data", "tinybig.data.time_series_dataloader"),
    "tinybig.data.text_dataloader_torchtext",
)


class StandIn(types.ModuleType):
    """A module that has a class of any name in it."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


@pytest.fixture(scope="module")
def tinybig():
    if importlib.util.find_spec("tinybig") is None:
        pytest.skip("tinybig is not installed")
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, and those of what it imports
        for name in NOT_NEEDED:
            patch.setitem(sys.modules, name, StandIn(name))
        package = importlib.import_module("tinybig")
    torch.manual_seed(0)
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield package
    torch.set_default_dtype(default)


@pytest.mark.filterwarnings("ignore:In hypernet based reconciliation:UserWarning")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
@pytest.mark.parametrize("key", HYPER)
def test_a_head_against_tinybig(tinybig, key, kind, channels, bias):
    """A whole head: dependence among attributes, expansion, reconciliation and fusion of the channels."""
    import torch

    hyper = {"r": R} if kind else {}
    xi = getattr(tinybig.interdependence, f"{kind}parameterized_interdependence")(b=B, m=D, **hyper)
    fused = getattr(tinybig.fusion, f"{kind}parameterized_concatenation_fusion")(
        dims=[N] * channels, n=N, **hyper
    )
    psi = getattr(tinybig.reconciliation, f"{key}_reconciliation")(enable_bias=bias, **HYPER[key])
    head = tinybig.module.base_head.head(
        **{"m": D, "n": N, "channel_num": channels, "attribute_interdependence": xi},
        **{"parameter_fabrication": psi, "channel_fusion": fused},
        data_transformation=tinybig.expansion.identity_expansion(),
        remainder=tinybig.remainder.zero_remainder(),
    )
    x = torch.randn(B, D)
    with torch.no_grad():
        expected = head(x).numpy()
    state = torch.nn.ModuleDict({"head": head}).state_dict()
    functions = {"w": (psi, N, D), "w_attribute_interdependence": xi, "w_channel_fusion": fused}
    adapter = read_tinybig(state, {f"head.{name}": function for name, function in functions.items()})
    (inner, w), (among, w_among), (fusion, w_fusion) = adapter.values()
    assert isinstance(fusion, af.ConcatenationFusion)
    y = inner(among(x.numpy(), w_among), w)
    parts = list(y) if channels > 1 else [y]
    np.testing.assert_allclose(fusion(parts, w_fusion), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.filterwarnings("ignore:The interdependence_type is not about:UserWarning")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("base", ["parameterized_interdependence", "parameterized_bilinear_interdependence"])
@pytest.mark.parametrize("kept", ["instance", "attribute"])
def test_interdependence_against_tinybig(tinybig, kind, base, kept):
    import torch

    xi = getattr(tinybig.interdependence, kind + base)(
        b=B, m=D, interdependence_type=kept, **({"r": R} if kind else {})
    )
    x, w = torch.randn(B, D), torch.randn(1, xi.calculate_l())
    expected = xi(x, w).numpy()
    role, read = read_tinybig({"w": torch.nn.Parameter(w)}, {"w": xi})["w"]
    np.testing.assert_allclose(role(x.numpy(), read), expected, rtol=1e-10, atol=1e-10)


def test_frozen_matrices_are_missing_before_tinybig_draws_them(tinybig):
    import torch

    psi = tinybig.reconciliation.random_matrix_adaption_reconciliation(r=R)
    state = {"w": torch.randn(1, N + R)}
    assert "the frozen A of random_matrix_adaption_reconciliation is missing" in error_of(state, (psi, N, D))
    padding = tinybig.reconciliation.duplicated_padding_reconciliation(p=1, q=2)
    assert "duplicated_padding_reconciliation cannot be read" in error_of(state, (padding, N, D))


@pytest.mark.parametrize("key", ["hm", "lphm", "dual_lphm"])
@pytest.mark.parametrize("d", [1, 2])
def test_a_head_with_an_expansion_against_tinybig(tinybig, key, d):
    """Its arrangement of factors, on expanded data that are never formed here."""
    import torch

    m, n = 6, 4
    features = sum(m**i for i in range(1, d + 1))
    hyper = {"p": 2, "q": 6} | ({} if key == "hm" else {"r": R})
    psi = getattr(tinybig.reconciliation, f"{key}_reconciliation")(**hyper)
    x, w = torch.randn(B, m), torch.randn(1, psi.calculate_l(n=n, D=features))
    kappa = tinybig.expansion.taylor_expansion(d=d)
    expected = (kappa(x) @ psi(n=n, D=features, w=w).T).numpy()
    role, read = read_tinybig({"w": w}, {"w": (psi, n, features)})["w"]
    expanded = af.Reconciliation(expansion=af.Taylor(d=d), fabrication=role.fabrication, n=n, m=m)
    np.testing.assert_allclose(expanded(x.numpy(), read), expected, rtol=1e-10, atol=1e-10)
