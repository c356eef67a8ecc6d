"""Whether CuPy takes what a GPU would be asked, by its own signatures and without a GPU."""

import inspect
from types import ModuleType

import array_api_compat.numpy
import numpy as np
import pytest
from dense_reference import FABRICATIONS, ROLES, integers

import arrayfab as af
from arrayfab import _arrays, models
from arrayfab.gradients import mean_squared_error, softmax_cross_entropy, value_and_grad
from arrayfab.interdependences import Graph
from arrayfab.ruled import programs_of

cupy = pytest.importorskip("array_api_compat.cupy", reason="needs CuPy, but no GPU")
for name in ("mpmath", "scipy", "sklearn", "networkx"):
    pytest.importorskip(name)

from expansion_reference import CASES  # noqa: E402
from interdependence_reference import EVERY, KINDS  # noqa: E402


class Signed(ModuleType):
    """NumPy's namespace, in which a call that CuPy's functions would not take is a TypeError."""

    def __init__(self):
        super().__init__("array_api_compat.numpy")
        self.called = set()

    def __getattr__(self, name):
        ours, theirs = getattr(array_api_compat.numpy, name), getattr(cupy, name)
        if not callable(ours) or isinstance(ours, type):
            return ours
        check = bound_by(theirs)

        def function(*arguments, **options):
            self.called.add(name)
            check(*arguments, **options)
            return ours(*arguments, **options)

        function.__name__ = name
        return function


def bound_by(function):
    """What raises TypeError for arguments that a function of CuPy does not name."""
    if hasattr(function, "nin"):  # an elementwise kernel, which has no signature to look at
        return inspect.Signature(
            [inspect.Parameter(f"x{i}", inspect.Parameter.POSITIONAL_ONLY) for i in range(function.nin)]
        ).bind
    signature = inspect.signature(function)
    # What is handed on to someone else is not known to be taken.
    named = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
    return signature.replace(parameters=named).bind


@pytest.fixture
def signed(monkeypatch):
    xp, array = Signed(), cupy.ndarray
    theirs, backend = _arrays.Backend(cupy, array), _arrays.Backend(xp, np.ndarray)
    assert theirs.is_eager
    assert theirs.reshape is array.reshape
    assert hasattr(array, "mT")
    for name in ("in_loops", "in_runs", "is_eager", "in_chunks", "has_fft"):
        setattr(backend, name, getattr(theirs, name))
    backend.shortcuts = theirs.shortcuts
    monkeypatch.setitem(_arrays._BACKENDS, np.ndarray, backend)
    programs_of.forget()
    yield xp
    programs_of.forget()


def asked(layer, x):
    """Ask a layer for all that programs are made of, interpreted first and written down then."""
    w = layer.init(rng=0)
    for _ in range(2):
        y, pullback = layer.vjp(x, w)
        pullback(y)
        layer.jvp(x, w, x, w)
        layer(x, w)


@pytest.mark.parametrize("role_case", ROLES, ids=lambda role: role.name)
def test_cupy_takes_every_call_of_every_role_of_every_variant(signed, role_case):
    xs = [integers(i, 2, *shape) for i, shape in enumerate(role_case.x_shapes)]
    for case in FABRICATIONS:
        asked(role_case.build(case.build(*role_case.matrix_shape)), role_case.packed(xs))
    assert {"concat", "sum"} <= signed.called


def test_cupy_takes_every_call_of_every_expansion(signed):
    x = np.linspace(0.1, 0.9, 8).reshape(2, 4)
    for case in CASES:
        asked(af.Reconciliation(expansion=case.expansion, fabrication=af.DualLPHM(r=1), m=4, n=2), x)
    assert {"where", "exp", "floor"} <= signed.called


@pytest.mark.parametrize("kind", KINDS)
def test_cupy_takes_every_call_of_every_interdependence(signed, kind):
    for case in EVERY:
        asked(case.of_type(kind), case.data(kind))
    assert {"take", "where"} <= signed.called


FUSED = [
    *(af.Fusion(name, 3) for name in ("mean", "median", "max", "product", "l1", "l2")),
    af.WeightedFusion(3),
]


def test_cupy_takes_every_call_of_every_fusion(signed):
    for fusion in FUSED:
        asked(fusion, list(integers(1, 3, 5, 4)))
    assert "sqrt" in signed.called


PARTS = {"expansion": af.Taylor(d=2), "fabrication": af.LowRank(r=1), "channels": 2, "width": 2}
GRAPH = Graph.of(5, [(0, 1), (1, 3)])
MODELS = {
    **{name: models.mlp((4, 6, 3), activation=name, **PARTS) for name in ("relu", "silu", "tanh", "sigmoid")},
    "gat": models.gat((4, 3), GRAPH),
    "kan": models.kan((4, 3), fabrication=af.LowRank(r=1)),
    "gcn": models.gcn((4, 6, 3), GRAPH),
    "transformer": models.transformer((4, 6, 3)),
    "rnn": models.rnn((4, 6, 3)),
}


@pytest.mark.parametrize("name", MODELS)
def test_cupy_takes_every_call_of_whole_models_and_their_losses(signed, name):
    model, x = MODELS[name], np.linspace(-1, 1, 20).reshape(5, 4)
    asked(model, x)
    w = model.init(rng=0)
    for loss, target in ((mean_squared_error, np.ones((5, 3))), (softmax_cross_entropy, np.arange(5) % 3)):
        for _ in range(2):
            value_and_grad(model, loss)(w, x, target)
    assert {"exp", "argmax"} <= signed.called


def test_a_call_that_cupy_does_not_take_is_refused(signed):
    assert signed.sum(np.ones(3), axis=0) == 3.0
    for refused in (lambda: signed.sum(np.ones(3), dim=0), lambda: signed.exp(np.ones(3), np.ones(3))):
        with pytest.raises(TypeError):
            refused()
