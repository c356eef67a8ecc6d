"""The door to PyTorch: derivatives of both orders, transformations, what is kept, and the module."""

import copy
import io
import pickle
from dataclasses import dataclass

import numpy as np
import pytest
from dense_reference import (
    assert_equal,
    by_fabrication,
    by_lead,
    by_name,
    by_role,
    example,
    integers,
)
from hypothesis import given
from hypothesis import strategies as st

import arrayfab as af
from arrayfab import _arrays as arrays
from arrayfab import frozen
from arrayfab.structures import streamed

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from arrayfab.interop import torch as door  # noqa: E402

# PyTorch's forward mode, on its first use.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")


def made(role_case, case):
    return role_case.build(case.build(*role_case.matrix_shape, torch.from_numpy))


def leaves(data):
    return [torch.tensor(x, requires_grad=True) for x in (*data.xs, data.w)]


def flat(role_case, role):
    """The role as a function of tensors, the last of which is ``w``."""
    return lambda *tensors: door.apply(role, role_case.packed(tensors[:-1]), tensors[-1])


# Derivatives.


@by_lead
@by_role
@by_fabrication
def test_gradients_are_those_of_the_dense_formula(role_case, case, w_lead):
    data = example(role_case, case, (), w_lead)
    *xs, w = leaves(data)
    y = flat(role_case, made(role_case, case))(*xs, w)
    assert_equal(y.detach(), data.y, case.is_exact)
    y.backward(torch.from_numpy(data.u))
    assert_equal(w.grad, data.grad_w, case.is_exact)
    for x, expected in zip(xs, data.grad_xs, strict=True):
        assert_equal(x.grad, expected, case.is_exact)


@by_name
def test_directional_derivatives_are_those_of_the_dense_formula(role_case, case):
    data = example(role_case, case)
    f = flat(role_case, made(role_case, case))
    tensors = tuple(tensor.detach() for tensor in leaves(data))
    directions = tuple(torch.from_numpy(d) for d in (*data.dxs, data.dw))
    y, dy = torch.func.jvp(f, tensors, directions)
    assert_equal(y, data.y, case.is_exact)
    assert_equal(dy, data.dy, case.is_exact)


@by_name
@by_lead
def test_gradcheck_of_both_orders_and_modes(role_case, case, w_lead):
    f, tensors = flat(role_case, made(role_case, case)), leaves(example(role_case, case, (), w_lead))
    assert torch.autograd.gradcheck(f, tensors, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(f, tensors, check_fwd_over_rev=True)


@by_name
def test_some_inputs_may_need_no_gradient(role_case, case):
    data = example(role_case, case)
    *xs, w = leaves(data)
    fixed = [x.detach() for x in xs]
    y = flat(role_case, made(role_case, case))(*fixed, w)
    y.backward(torch.from_numpy(data.u))
    assert_equal(w.grad, data.grad_w, case.is_exact)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(w.detach(), torch.from_numpy(data.dw))
        _, dy = torch.autograd.forward_ad.unpack_dual(flat(role_case, made(role_case, case))(*fixed, dual))
    still = role_case.packed([np.zeros_like(x) for x in data.xs])
    role = role_case.build(case.build(*role_case.matrix_shape))
    expected = role.jvp(role_case.packed(data.xs), data.w, still, data.dw)[1]
    assert_equal(dy, expected, case.is_exact)


@by_name
def test_transformations_agree_with_those_of_the_array_code(role_case, case):
    data, role = example(role_case, case), made(role_case, case)
    *xs, w = (tensor.detach() for tensor in leaves(data))
    f, several, func = flat(role_case, role), torch.stack([w, 2 * w, -w]), torch.func

    def plain(*tensors):
        return role(role_case.packed(tensors[:-1]), tensors[-1])

    def results(f):
        def loss(w):
            return torch.sum(f(*xs, w) ** 2)

        yield func.vmap(lambda w: f(*xs, w))(several)
        yield func.vmap(func.grad(loss))(several)
        yield func.jacrev(lambda w: f(*xs, w))(w)
        yield func.jacfwd(lambda w: f(*xs, w))(w)
        yield func.hessian(loss)(w)
        yield func.jacrev(func.jacrev(loss))(w)
        yield func.jacfwd(func.jacfwd(loss))(w)

    for ours, theirs in zip(results(f), results(plain), strict=True):
        assert_equal(ours, theirs.numpy(), case.is_exact)


LAYERS = {
    "pointwise": (af.Pointwise("tanh"), [(3, 4)]),
    "reshape": (af.Reshape((4,), (2, 2)), [(3, 4)]),
    "reshape to itself": (af.Reshape((4,), (4,)), [(3, 4)]),
    "concatenation": (af.Concatenation(dims=(2, 3)), [(3, 2), (3, 3)]),
    "parallel": (af.Parallel([af.Reconciliation(fabrication=af.LowRank(), n=2, D=4)] * 2), [(3, 4)]),
    "parallel on lists": (af.Parallel([af.Concatenation(dims=(2, 3))] * 2), [(3, 2), (3, 3)]),
    "sequential": (
        af.Sequential([af.Reconciliation(fabrication=af.LowRank(), n=2, D=4), af.Pointwise("sigmoid")]),
        [(3, 4)],
    ),
}


@pytest.mark.parametrize(("layer", "shapes"), LAYERS.values(), ids=LAYERS)
def test_layers_of_every_kind(layer, shapes):
    def total(*tensors):
        *xs, w = tensors
        y = door.apply(layer, xs if len(xs) > 1 else xs[0], w)
        return sum(torch.sum(each**2) for each in y) if isinstance(y, list) else torch.sum(y**2)

    w = layer.init(rng=0, dtype=np.float64)
    tensors = [torch.tensor(integers(i, *shape), requires_grad=True) for i, shape in enumerate(shapes)]
    assert torch.autograd.gradcheck(total, (*tensors, torch.tensor(w, requires_grad=True)))
    if not w.size:
        total(*tensors, None).backward()
        assert tensors[0].grad is not None


def test_a_product_with_an_identity_has_a_gradient():
    role = af.Reconciliation(fabrication=af.Eye(), n=4, D=4)
    x, w, u = torch.ones(3, 4, requires_grad=True), torch.zeros(0), torch.arange(12.0).reshape(3, 4)
    (door.apply(role, x, w) * u).sum().backward()
    left, right = door.apply(af.Parallel([role, role]), x, w)
    (left * u + right).sum().backward()
    assert_equal(x.grad, 2 * u.numpy() + 1)


def test_tensors_that_do_not_fit_are_refused():
    role = af.Reconciliation(fabrication=af.LowRank(r=1), n=2, D=3)
    with pytest.raises(TypeError, match=r"x has dtype torch.float64, w has torch.float32"):
        door.apply(role, torch.ones(4, 3, dtype=torch.float64), torch.ones(5))
    with pytest.raises(ValueError, match="x must have 3 columns"):
        door.apply(role, torch.ones(4, 2), torch.ones(5))
    with pytest.raises(TypeError, match=r"x must be an array .*, got builtins.float"):
        door.apply(role, 1.0, torch.ones(5))


# Memory.


def kept_bytes(call):
    """The bytes of all storages that a call's forward pass keeps for its backward pass."""
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        y = call()
    assert y.requires_grad
    return sum(kept.values())


@by_role
@by_fabrication
def test_nothing_but_the_inputs_is_kept(role_case, case):
    *xs, w = leaves(example(role_case, case))
    call = flat(role_case, made(role_case, case))
    assert kept_bytes(lambda: call(*xs, w)) == sum(tensor.nbytes for tensor in (*xs, w))


@pytest.mark.parametrize("storage", ["cached", "streamed"])
@given(n=st.integers(1, 40), D=st.integers(1, 40), b=st.integers(1, 9))
def test_what_is_kept_does_not_grow_with_the_matrix(storage, n, D, b):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streamed, "TILE", 64)
        role = af.Reconciliation(fabrication=af.RandomMatrixHypernet(l=5, storage=storage), n=n, D=D)
        x, w = torch.ones(b, D), torch.ones(5, requires_grad=True)
        assert kept_bytes(lambda: door.apply(role, x, w)) == 4 * (b * D + 5)


@by_name
def test_what_the_forward_pass_made_is_gone(role_case, case):
    from torch.multiprocessing.reductions import StorageWeakRef
    from torch.utils._python_dispatch import TorchDispatchMode

    made_storages = {}

    class Record(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            for tensor in [out] if isinstance(out, torch.Tensor) else out:
                storage = tensor.untyped_storage()
                made_storages[storage._cdata] = StorageWeakRef(storage)
            return out

    *xs, w = leaves(example(role_case, case))
    f = flat(role_case, made(role_case, case))
    f(*xs, w)  # the frozen numbers are drawn
    held = {
        tensor.untyped_storage()._cdata
        for tensor in (*xs, w, *frozen.cache._held.values())
        if isinstance(tensor, torch.Tensor)
    }
    with Record():
        total = torch.sum(f(*xs, w))
    living = {key for key, reference in made_storages.items() if not reference.expired()} - held
    assert living == {total.untyped_storage()._cdata}


# Modes, traces and transformations, each of which meets the frozen matrices first.

X = torch.arange(18.0).reshape(3, 6) / 10


def cold(seed=5, **options):
    """A module whose frozen matrices are not drawn."""
    frozen.cache.clear()
    fabrication = af.RandomMatrixAdaption(r=2, seed=seed, **options)
    return door.Module(af.Reconciliation(fabrication=fabrication, n=4, D=6), rng=0)


def exported(layer, x=X, **options):
    return torch.export.export(layer, (x,), strict=False, **options).module()


def in_fake_mode(layer):
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode(allow_non_fake_inputs=True):
        assert layer(X).shape == (3, 4)
    return layer(X)


def by_make_fx(mode):
    from torch.fx.experimental.proxy_tensor import make_fx

    def call(layer):
        w = layer.w.detach()
        return make_fx(lambda x, w: door.apply(layer.layer, x, w), tracing_mode=mode)(X, w)(X, w)

    return call


def in_mode_that_zeroes(kind):
    from torch.overrides import TorchFunctionMode
    from torch.utils._python_dispatch import TorchDispatchMode

    class Dispatch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            y = func(*args, **(kwargs or {}))
            return y * 0 if isinstance(y, torch.Tensor) else y

    class Function(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            y = func(*args, **(kwargs or {}))
            return y * 0 if isinstance(y, torch.Tensor) and func is torch.asarray else y

    def call(layer):
        with torch.no_grad(), {"dispatch": Dispatch, "function": Function}[kind]():
            layer.layer(X.clone(), layer.w.detach().clone())
        return layer(X)

    return call


def by_functorch(transform):
    def call(layer):
        return transform(lambda w: layer.layer(X, w), layer.w.detach())

    return call


def in_inference_mode(layer):
    with torch.inference_mode():
        layer(X)
    y = layer(X)
    y.sum().backward()  # which refuses what was made in inference mode
    return y


def in_a_thread(layer):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool, torch.inference_mode():
        return pool.submit(layer, X).result()


def on_meta(layer):
    assert copy.deepcopy(layer).to("meta")(X.to("meta")).shape == (3, 4)
    return layer(X)


def copied(layer):
    layer(X)
    return pickle.loads(pickle.dumps(copy.deepcopy(layer)))(X)


TRACES = {
    "export": lambda layer: exported(layer)(X),
    "fake tensors": in_fake_mode,
    "make_fx on fake tensors": by_make_fx("fake"),
    "make_fx": by_make_fx("real"),
    "a mode of dispatch": in_mode_that_zeroes("dispatch"),
    "a mode of functions": in_mode_that_zeroes("function"),
    "functionalize": by_functorch(lambda f, w: torch.func.functionalize(f)(w)),
    "grad": by_functorch(lambda f, w: torch.func.grad(lambda w: f(w).sum())(w)),
    "vmap": by_functorch(lambda f, w: torch.func.vmap(f)(torch.stack([w, w]))[0]),
    "jvp": by_functorch(lambda f, w: torch.func.jvp(f, (w,), (w,))[0]),
    "linearize": by_functorch(lambda f, w: torch.func.linearize(f, w)[0]),
    "inference mode": in_inference_mode,
    "a thread": in_a_thread,
    "copies": copied,
    "jit.trace": lambda layer: torch.jit.trace(layer, (X,))(X),
    "the device meta": on_meta,
}


@pytest.mark.filterwarnings("ignore:.torch.jit.trace:DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node:UserWarning")  # linearize
@pytest.mark.parametrize("is_warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("storage", ["cached", "streamed"])
@pytest.mark.parametrize("name", TRACES)
def test_frozen_matrices_are_the_same_within_a_trace_and_after_it(name, storage, is_warm, monkeypatch):
    monkeypatch.setattr(streamed, "TILE", 8)
    layer = cold(storage=storage)
    x, w = X.numpy(), layer.w.detach().numpy()
    y, pullback = layer.layer.vjp(x, w)
    if is_warm:
        layer(X)
    traced = TRACES[name](layer)
    expected = pullback(np.ones_like(y))[1] if name == "grad" else y
    np.testing.assert_allclose(traced.detach().numpy(), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(cold_or_not(layer)(X).detach().numpy(), y, rtol=1e-4, atol=1e-6)
    held = [each for each in frozen.cache._held.values() if isinstance(each, torch.Tensor)]
    assert all(type(each) is torch.Tensor and not each.is_inference() for each in held)
    assert not any(torch._C._functorch.is_functorch_wrapped_tensor(each) for each in held)


def cold_or_not(layer):
    """A new module of the same layer, which takes what the cache holds."""
    return door.Module(layer.layer, w=layer.w.detach().clone())


def test_a_compiled_layer_is_called_as_it_is():
    layer = cold()
    f = torch.compile(lambda x, w: door.apply(layer.layer, 2 * x, w), backend="eager")
    for rows in (3, 5):
        x = torch.ones(rows, 6)
        f(x, layer.w).sum().backward()
        y, pullback = layer.layer.vjp(2 * x.numpy(), layer.w.detach().numpy())
        np.testing.assert_allclose(f(x, layer.w).detach(), y, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(layer.w.grad, pullback(np.ones_like(y))[1], rtol=1e-4, atol=1e-5)
        layer.w.grad = None


@pytest.mark.filterwarnings("ignore::UserWarning:torch")  # the compiler, of locks
def test_a_draw_is_never_compiled():
    A = frozen.Frozen(seed=6, name="A", law=frozen.Gaussian(4, 6))
    frozen.cache.clear()

    def f(x):
        return x + frozen.cache.get(A, arrays.namespace(torch), torch.float64, "cpu")

    expected = A.draw()
    np.testing.assert_array_equal(torch.compile(f, backend="eager")(torch.zeros(4, 6)), expected)
    np.testing.assert_array_equal(f(torch.zeros(4, 6)), expected)


@pytest.mark.parametrize("shape", [(3, 6), (2, 3, 6)], ids=str)
@pytest.mark.parametrize("fabrication", [af.RandomMatrixAdaption(r=2), af.DualLPHM(p=2, q=2, r=1)], ids=repr)
def test_rows_of_any_number_are_exported(fabrication, shape):
    role = af.Reconciliation(fabrication=fabrication, n=4, D=6, bias=True)
    layer = door.Module(
        af.Sequential([role, af.Pointwise("tanh")]), w=torch.arange(1.0, role.num_parameters() + 1) / 50
    )
    anything = exported(layer, torch.ones(shape), dynamic_shapes=({0: torch.export.Dim("b")},))
    for b in (1, 3, 50):
        x = torch.from_numpy(integers(b, b, *shape[1:])).float()
        np.testing.assert_allclose(anything(x).detach(), layer(x).detach(), rtol=1e-5, atol=1e-6)


def test_sizes_on_which_the_formula_depends_are_not_exported_as_symbols():
    layer = door.Module(af.BilinearInterdependence(fabrication=af.LowRank(r=1), b=4), rng=0)
    with pytest.raises(torch._dynamo.exc.UserError, match="Constraints violated"):
        exported(layer, torch.ones(4, 7), dynamic_shapes=({1: torch.export.Dim("m")},))


# Autocast, where a module and `torch.nn.Linear` are alike.

half = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)


def linear_and_ours(fabrication=None, dtype=torch.float32):
    linear = torch.nn.Linear(6, 4, bias=False, dtype=dtype)
    role = af.Reconciliation(fabrication=fabrication or af.Full(), n=4, D=6)
    return linear, door.Module(role, w=linear.weight.detach().reshape(-1).clone())


@half
@pytest.mark.parametrize("x_dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("is_pulled_within", [False, True])
def test_autocast_means_what_it_means_for_linear(dtype, x_dtype, is_pulled_within):
    results = []
    for layer in linear_and_ours():
        x = X.clone().to(x_dtype).requires_grad_()
        with torch.autocast("cpu", dtype):
            y = layer(x)
            with torch.autocast("cpu", enabled=False):
                exact = layer(X)
            if is_pulled_within:
                y.square().sum().backward()
        if not is_pulled_within:
            y.square().sum().backward()
        (learned,) = layer.parameters()
        results.append([y, exact, x.grad, learned.grad.reshape(4, 6)])
    for theirs, ours in zip(*results, strict=True):
        assert ours.dtype == theirs.dtype
        scale = theirs.abs().max().item()
        torch.testing.assert_close(ours, theirs, rtol=2e-2, atol=2e-2 * scale)


@half
def test_a_linear_may_stand_in_front_under_autocast(dtype):
    linear, ours = linear_and_ours()
    front = torch.nn.Linear(6, 6)
    with torch.autocast("cpu", dtype):
        y, expected = ours(front(X)), linear(front(X))
    assert y.dtype == expected.dtype == dtype
    torch.testing.assert_close(y, expected, rtol=2e-2, atol=2e-2)
    y.sum().backward()
    assert front.weight.grad.dtype == ours.w.grad.dtype == torch.float32


def test_autocast_leaves_float64_alone():
    linear, ours = linear_and_ours(dtype=torch.float64)
    with torch.autocast("cpu", torch.bfloat16):
        y, expected = ours(X.double()), linear(X.double())
    assert y.dtype == expected.dtype == torch.float64
    torch.testing.assert_close(y, expected)


def test_arrays_handed_in_work_under_autocast():
    A, B = torch.from_numpy(integers(1, 4, 2)).float(), torch.from_numpy(integers(2, 6, 2)).float()
    fabrication = af.RandomMatrixAdaption(r=2).with_frozen(A=A, B=B)
    role = af.Reconciliation(fabrication=fabrication, n=4, D=6)
    layer = door.Module(af.Sequential([role]), w=torch.arange(1.0, 7.0))
    expected = layer(X)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(X.bfloat16())
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), expected, rtol=2e-2, atol=1.0)
    y.sum().backward()
    assert layer.w.grad.dtype == torch.float32


def test_forward_mode_and_lists_under_autocast():
    fusion = af.ConcatenationFusion(fabrication=af.LowRank(r=1), dims=(6, 6), n=4)
    w = torch.ones(fusion.num_parameters())
    with torch.autocast("cpu", torch.bfloat16):
        y, dy = torch.func.jvp(lambda w: door.apply(fusion, [X, X.bfloat16()], w), (w,), (w,))
    assert y.dtype == dy.dtype == torch.bfloat16
    torch.testing.assert_close(dy, 2 * y)  # w is one factor and the other


# What is handed out.


def test_a_frozen_matrix_that_is_formed_is_nobody_elses():
    @dataclass(frozen=True, kw_only=True)
    class Bare(af.Seeded):
        def frozen(self, n, D):
            return {"A": frozen.Gaussian(n, D)}

        def matrix(self, n, D, A):
            return A

    bare, w = Bare(), torch.zeros(0)
    expected = bare.fabricate(w, 3, 2).to_dense().clone()
    forms = [
        lambda: bare.fabricate(w, 3, 2).to_dense(),
        lambda: bare.fabricate(w, 3, 2).T.to_dense().T,
        lambda: bare.fabricate(torch.zeros(2, 0), 3, 2).to_dense()[0],
        lambda: bare.vjp(w, 3, 2)[0],
        lambda: bare.jvp(w, 3, 2, w)[0],
        lambda: af.Reconciliation(fabrication=bare, n=3, D=2).matrix(w),
    ]
    for form in forms:
        assert torch.equal(form(), expected)
        form().zero_()
        assert torch.equal(form(), expected)


# The module.


def module(**options):
    role = af.Reconciliation(fabrication=af.RandomMatrixAdaption(r=2), n=3, D=4)
    return door.Module(role, **options)


def test_a_module_has_one_parameter_and_its_state():
    first, second = module(rng=0), module(rng=1)
    assert [name for name, _ in first.named_parameters()] == ["w"]
    assert not torch.equal(first.w, second.w)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second.load_state_dict(torch.load(file))
    x = torch.ones(2, 4)
    assert torch.equal(first(x), second(x))
    for twin in (copy.deepcopy(first), torch.nn.Sequential(first)):
        assert torch.equal(twin(x), first(x))


def test_a_module_moves_to_another_dtype_with_its_frozen_matrices():
    layer = module(rng=0).double()
    y = layer(torch.ones(2, 4, dtype=torch.float64))
    assert y.dtype == layer.w.dtype == torch.float64
    assert module(dtype=torch.float64).w.dtype == torch.float64
    assert module(device="meta").w.device.type == "meta"


def test_a_module_prints_its_layer():
    assert repr(module()) == (
        "Module(Reconciliation(fabrication=RandomMatrixAdaption(seed=0, r=2), n=3, D=4, bias=False, "
        "expansion=None, m=None), l=5)"
    )


def test_a_module_may_be_given_its_numbers():
    w = torch.arange(10.0).reshape(2, 5)
    layer = module(w=w)
    assert torch.equal(layer.w, w)
    assert layer(torch.ones(6, 4)).shape == (2, 6, 3)
    with pytest.raises(ValueError, match=r"w must hold 5 numbers along its last axis, got shape \(4,\)"):
        module(w=torch.ones(4))


def test_a_module_learns():
    layer, x = module(rng=0, dtype=torch.float64), torch.from_numpy(integers(1, 20, 4))
    target = layer.layer(x, torch.from_numpy(integers(2, 5))).detach()
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)

    def loss():
        return torch.mean((layer(x) - target) ** 2)

    start = loss().item()
    for _ in range(100):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert loss().item() < 0.1 * start


def test_a_module_takes_lists_and_other_parameters():
    fusion = door.Module(af.ConcatenationFusion(fabrication=af.Full(), dims=(2, 1), n=1))
    xs, w = [torch.ones(4, 2), torch.ones(4, 1)], torch.tensor([1.0, 2.0, 3.0])
    y = torch.func.functional_call(fusion, {"w": w}, (xs,))
    assert_equal(y, np.full((4, 1), 6.0))
