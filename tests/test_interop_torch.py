"""The door to PyTorch: derivatives of both orders, transformations, what is kept, and the module."""

import copy
import io

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
        "Module(Reconciliation(fabrication=RandomMatrixAdaption(seed=0, r=2), n=3, D=4, bias=False), l=5)"
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
