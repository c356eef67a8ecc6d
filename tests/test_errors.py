"""Bad input: each kind is refused with a message that names the object, what it expected and what it got."""

import re
from dataclasses import dataclass

import numpy as np
import pytest

import arrayfab as af
from arrayfab import frozen
from arrayfab.gradients import softmax_cross_entropy

ATTRIBUTE = af.ParameterizedInterdependence(fabrication=af.LowRank(r=1), m=4)
INSTANCE = af.ParameterizedInterdependence(fabrication=af.LowRank(r=1), b=4, interdependence_type="instance")
BILINEAR = af.BilinearInterdependence(fabrication=af.LowRank(r=1), b=4, m=5)
RECONCILIATION = af.Reconciliation(fabrication=af.LowRank(r=1), n=3, D=4)
FUSION = af.ConcatenationFusion(fabrication=af.LowRank(r=1), dims=(2, 3), n=4)
CONCATENATION = af.Concatenation(dims=(2, 3))

X, W = np.ones((5, 4)), np.ones(8)
FUSED = [np.ones((5, 2)), np.ones((5, 3))]


def adaption():
    return af.RandomMatrixAdaption(r=2)


@dataclass(frozen=True, kw_only=True)
class Cube(af.Fabrication):
    def blocks(self, n, D):
        return {"T": (n, D, 2)}


@dataclass(frozen=True, kw_only=True)
class Lawless(af.Seeded):
    """What ``frozen`` returns is in its class."""

    def frozen(self, n, D):
        return type(self).laws

    def matrix(self, n, D, A):
        return A


def lawless(laws):
    return type("Lawless", (Lawless,), {"laws": laws})()


class Unseeded(af.Fabrication):
    def frozen(self, n, D):
        return {"A": frozen.Gaussian(n, D)}

    def matrix(self, n, D, A):
        return A


VALUES = {
    "length of w": (
        lambda: af.LowRank(r=2).fabricate(np.ones(5), 3, 4),
        "LowRank(r=2): w must hold 14 numbers along its last axis, got shape (5,)",
    ),
    "w without an axis": (
        lambda: af.LowRank(r=2).fabricate(np.ones(()), 3, 4),
        "LowRank(r=2): w must hold 14 numbers along its last axis, got shape ()",
    ),
    "length of w in a role": (
        lambda: ATTRIBUTE(X, np.ones(9)),
        "w must hold 8 numbers along its last axis, got shape (9,)",
    ),
    "indivisible p": (
        lambda: af.Hypercomplex(p=4, q=2).num_parameters(6, 4),
        "Hypercomplex(p=4, q=2, arrangement='kronecker'): p=4 does not divide n=6",
    ),
    "indivisible q": (
        lambda: af.DualLPHM(p=2, q=3, r=2).num_parameters(6, 4),
        "DualLPHM(p=2, q=3, arrangement='kronecker', r=2): q=3 does not divide D=4",
    ),
    "indivisible padding": (
        lambda: af.DuplicatedPadding(p=2, q=3).num_parameters(6, 4),
        "DuplicatedPadding(p=2, q=3): q=3 does not divide D=4",
    ),
    "indivisible diagonal padding": (
        lambda: af.DuplicatedDiagonalPadding(p=4).num_parameters(8, 6),
        "DuplicatedDiagonalPadding(p=4): p=4 does not divide D=6",
    ),
    "rank of zero": (lambda: af.LowRank(r=0), "LowRank(r=0): r must be a positive integer, got 0"),
    "rank that is a float": (
        lambda: af.LowRank(r=2.0),
        "LowRank(r=2.0): r must be a positive integer, got 2.0",
    ),
    "rank that is a boolean": (lambda: af.LowRank(r=True), "r must be a positive integer, got True"),
    "negative p": (lambda: af.LPHM(p=-1), "p must be a positive integer, got -1"),
    "probability": (lambda: af.Masked(p=1.5), "Masked(seed=0, p=1.5): p must be a probability, got 1.5"),
    "seed": (lambda: af.Masked(seed=-1), "seed must be an integer from 0 to 2**64 - 1, got -1"),
    "large seed": (lambda: af.Hypernet(seed=1 << 64), "seed must be an integer from 0 to 2**64 - 1"),
    "no rows of a matrix": (
        lambda: af.Full().num_parameters(0, 4),
        "Full(): n must be a positive integer, got 0",
    ),
    "unknown type": (
        lambda: af.ParameterizedInterdependence(fabrication=af.Full(), m=4, interdependence_type="diagonal"),
        "ParameterizedInterdependence: interdependence_type must be one of ('row', 'left', 'instance', "
        "'instance_interdependence', 'column', 'right', 'attribute', 'attribute_interdependence'), "
        "got 'diagonal'",
    ),
    "unknown bilinear type": (
        lambda: af.BilinearInterdependence(fabrication=af.Full(), b=4, interdependence_type=""),
        "BilinearInterdependence: interdependence_type must be one of",
    ),
    "missing m": (
        lambda: af.ParameterizedInterdependence(fabrication=af.Full(), b=4).num_parameters(),
        "m is needed for the type 'attribute'",
    ),
    "missing b": (
        lambda: af.BilinearInterdependence(fabrication=af.Full(), m=4).num_parameters(),
        "b is needed for the type 'attribute'",
    ),
    "columns of an interdependence": (
        lambda: ATTRIBUTE(np.ones((5, 3)), W),
        "x must have m=4 along axis -1, got shape (5, 3)",
    ),
    "rows of an interdependence": (
        lambda: INSTANCE(np.ones((5, 3)), W),
        "x must have b=4 along axis -2, got shape (5, 3)",
    ),
    "rows of a bilinear interdependence": (
        lambda: BILINEAR(np.ones((3, 5)), W),
        "x must have b=4 along axis -2, got shape (3, 5)",
    ),
    "columns of a bilinear interdependence": (
        lambda: BILINEAR(np.ones((4, 6)), W),
        "x must have m=5 along axis -1, got shape (4, 6)",
    ),
    "one row among instances": (lambda: INSTANCE(np.ones(4), W), "x must have shape (..., b, m), got (4,)"),
    "a number for x": (lambda: ATTRIBUTE(np.ones(()), W), "x must have shape (..., b, m), got ()"),
    "columns of a reconciliation": (
        lambda: RECONCILIATION(np.ones((5, 3)), np.ones(7)),
        "x must have 4 columns, got shape (5, 3)",
    ),
    "size of a role": (
        lambda: af.Reconciliation(fabrication=af.Full(), n=0, D=4),
        "n must be a positive integer, got 0",
    ),
    "empty list of sizes": (
        lambda: af.ConcatenationFusion(fabrication=af.Full(), dims=()),
        "ConcatenationFusion: dims must hold at least one size, got ()",
    ),
    "sizes that differ": (
        lambda: af.ConcatenationFusion(fabrication=af.Full(), dims=(2, 3)),
        "n is needed where dims differ",
    ),
    "size among dims": (
        lambda: af.Concatenation(dims=(2, 0)),
        "Concatenation: every entry of dims must be a positive integer, got 0",
    ),
    "empty list of inputs": (lambda: FUSION([], np.ones(9)), "x must hold 2 arrays, got 0"),
    "too few inputs": (lambda: FUSION(FUSED[:1], np.ones(9)), "x must hold 2 arrays, got 1"),
    "too many inputs": (lambda: CONCATENATION(FUSED * 2), "x must hold 2 arrays, got 4"),
    "columns of an input": (
        lambda: FUSION(FUSED[::-1], np.ones(9)),
        "x[0] must have 2 columns, got shape (5, 3)",
    ),
    "rows of the inputs": (
        lambda: FUSION([np.ones((5, 2)), np.ones((6, 3))], np.ones(9)),
        "all inputs must have the same rows, x[0] has shape (5, 2) and x[1] (6, 3)",
    ),
    "rows of the inputs of a concatenation": (
        lambda: CONCATENATION([np.ones((5, 2)), np.ones((6, 3))]),
        "all inputs must have the same rows, x[0] has shape (5, 2) and x[1] (6, 3)",
    ),
    "shape of grad_y": (
        lambda: ATTRIBUTE.vjp(X, W)[1](np.ones((4, 5))),
        "grad_y must have shape (5, 4), got (4, 5)",
    ),
    "shape of grad_y of a concatenation": (
        lambda: CONCATENATION.vjp(FUSED)[1](np.ones((5, 4))),
        "grad_y must have shape (5, 5), got (5, 4)",
    ),
    "shape of grad_W": (
        lambda: af.Full().vjp(np.ones(12), 3, 4)[1](np.ones((4, 3))),
        "Full(): grad_W must have shape (3, 4), got (4, 3)",
    ),
    "shape of dx": (
        lambda: ATTRIBUTE.jvp(X, W, np.ones((4, 4)), W),
        "dx must have shape (5, 4), got (4, 4)",
    ),
    "shape of dw": (lambda: ATTRIBUTE.jvp(X, W, X, np.ones(9)), "dw must have shape (8,), got (9,)"),
    "number of directions": (
        lambda: FUSION.jvp(FUSED, np.ones(9), FUSED[:1], np.ones(9)),
        "x must hold 2 arrays, got 1",
    ),
    "rows for a matrix": (
        lambda: np.ones((5, 3)) @ af.Full().fabricate(np.ones(8), 4, 2),
        "StructuredMatrix(shape=(4, 2), dtype=float64): x must have 4 numbers along axis -1, "
        "got shape (5, 3)",
    ),
    "columns for a matrix": (
        lambda: af.Full().fabricate(np.ones(8), 4, 2) @ np.ones((3, 5)),
        "x must have 2 numbers along axis -2, got shape (3, 5)",
    ),
    "name of a frozen block": (
        lambda: adaption().with_frozen(C=np.ones((4, 2))).num_parameters(4, 4),
        "no frozen block 'C', the formula has ['A', 'B']",
    ),
    "shape of a frozen block": (
        lambda: adaption().with_frozen(A=np.ones((4, 3))).num_parameters(4, 4),
        "A must have shape (4, 2), got (4, 3)",
    ),
    "variance of a hypernet": (
        lambda: af.RandomMatrixHypernet().init(8, 8, rng=0, variance=1.0),
        "RandomMatrixHypernet(seed=0, r=2, l=64, hidden_dim=128): no scale of w gives the entries of W "
        "a variance of 1, it stays between 64 and",
    ),
    "zeroing a hypernet": (
        lambda: af.Hypernet().init(4, 4, rng=0, zero=True),
        "Hypernet(seed=0, l=64, hidden_dim=128): no learned block can be zeroed to make W zero",
    ),
    "scale that is no number": (
        lambda: float("nan") * af.Full(),
        "Full(): a scale must be finite, got nan",
    ),
    "block with three axes": (
        lambda: Cube().num_parameters(3, 4),
        "Cube(): block 'T' must be a vector or a matrix, got shape (3, 4, 2)",
    ),
    "sum of shapes that do not fit": (
        lambda: (af.Full() + af.Hypercomplex(p=2, q=2)).num_parameters(3, 4),
        "p=2 does not divide n=3",
    ),
}

INTEGERS = np.ones(8, dtype=np.int64)
TYPES = {
    "a shape for a law": (
        lambda: lawless({"A": (4, 4)}).num_parameters(4, 4),
        "Lawless(seed=0): frozen block 'A' must be a law, such as Gaussian(n, D), got (4, 4)",
    ),
    "the class of a law": (
        lambda: ATTRIBUTE.__class__(fabrication=lawless({"A": frozen.Gaussian}), m=4)(X, np.ones(0)),
        "Lawless(seed=0): frozen block 'A' must be a law, such as Gaussian(n, D), got <class",
    ),
    "an array for a law": (
        lambda: lawless({"A": np.ones(2)}).fabricate(np.ones(0), 4, 4),
        "Lawless(seed=0): frozen block 'A' must be a law, such as Gaussian(n, D), got array(",
    ),
    "a law alone": (
        lambda: lawless(frozen.Gaussian(4, 4)).fabricate(np.ones(0), 4, 4),
        "Lawless(seed=0): frozen must return a dict of laws by block, got Gaussian(n=4, D=4)",
    ),
    "no laws": (
        lambda: (lawless(None) + af.Full()).num_parameters(4, 4),
        "Lawless(seed=0): frozen must return a dict of laws by block, got None",
    ),
    "frozen blocks without a seed": (
        lambda: (2.0 * Unseeded()).num_parameters(4, 4),
        "a fabrication with frozen blocks must derive from Seeded",
    ),
    "integers for w": (
        lambda: af.LowRank(r=1).fabricate(INTEGERS, 4, 4),
        "LowRank(r=1): w must hold real floating numbers, got dtype int64; convert it first, for example "
        "with xp.astype(w, xp.float32)",
    ),
    "integers for x": (
        lambda: ATTRIBUTE(np.ones((5, 4), dtype=np.int32), W),
        "x must hold real floating numbers, got dtype int32",
    ),
    "integers beside a w in float64": (
        lambda: ATTRIBUTE(np.ones((5, 4), dtype=np.int32), W),
        "x must hold real floating numbers, got dtype int32; convert it first, for example with "
        "xp.astype(x, xp.float64)",
    ),
    "a masked array": (lambda: ATTRIBUTE(np.ma.ones((5, 4)), W), "x must be a plain array, got MaskedArray"),
    "a structured matrix for an array": (
        lambda: np.asarray(af.Full().fabricate(np.ones(8), 4, 2)),
        "StructuredMatrix(shape=(4, 2), dtype=float64) is not formed unless asked for, call its to_dense()",
    ),
    "a fabrication among layers": (
        lambda: af.Sequential([RECONCILIATION, af.Full()]),
        "Sequential: layers[1] must be a role or layers composed, got Full()",
    ),
    "class numbers that are floats": (
        lambda: softmax_cross_entropy(np.ones((2, 3)), np.ones(2)),
        "labels that are class numbers must have an integer dtype, got float64",
    ),
    "booleans for w": (
        lambda: ATTRIBUTE(X, np.ones(8, dtype=bool)),
        "w must hold real floating numbers, got dtype bool",
    ),
    "complex numbers for w": (
        lambda: ATTRIBUTE(X, np.ones(8, dtype=complex)),
        "w must hold real floating numbers, got dtype complex128",
    ),
    "a list for w": (
        lambda: ATTRIBUTE(X, [1.0] * 8),
        "w must be an array of a namespace that follows the Python array API standard, got builtins.list",
    ),
    "a list for x": (
        lambda: ATTRIBUTE([[1.0] * 4], W),
        "x must be an array of a namespace that follows the Python array API standard, got builtins.list",
    ),
    "an array for a list": (
        lambda: FUSION(np.ones((2, 5, 2)), np.ones(9)),
        "x must be a list of arrays, got ndarray",
    ),
    "a list for a matrix": (
        lambda: af.Full().fabricate(np.ones(8), 4, 2) @ [1.0, 1.0],
        "x must be an array of a namespace that follows the Python array API standard, got builtins.list",
    ),
    "dtype of x": (
        lambda: ATTRIBUTE(X.astype(np.float32), W),
        "x has dtype float32, w has float64; give both the same",
    ),
    "dtype of an input": (
        lambda: CONCATENATION([FUSED[0], FUSED[1].astype(np.float32)]),
        "x[1] has dtype float32, x[0] has float64; give both the same",
    ),
    "dtype of grad_y": (
        lambda: ATTRIBUTE.vjp(X, W)[1](X.astype(np.float32)),
        "grad_y has dtype float32, y has float64",
    ),
    "dtype of dw": (
        lambda: ATTRIBUTE.jvp(X, W, X, W.astype(np.float32)),
        "dw has dtype float32, w has float64",
    ),
    "dtype of dx": (
        lambda: ATTRIBUTE.jvp(X, W, X.astype(np.float32), W),
        "dx has dtype float32, x has float64",
    ),
    "dtype of a frozen block": (
        lambda: adaption().with_frozen(A=np.ones((4, 2), dtype=np.float32)).fabricate(np.ones(6), 4, 4),
        "A has dtype float32, w has float64",
    ),
    "dtype of rows for a matrix": (
        lambda: np.ones((5, 4), dtype=np.float32) @ af.Full().fabricate(np.ones(8), 4, 2),
        "x has dtype float32, the matrix has float64",
    ),
}


def raises(error, message):
    return pytest.raises(error, match=re.escape(message))


@pytest.mark.parametrize("name", VALUES)
def test_a_wrong_value_is_refused(name):
    call, message = VALUES[name]
    with raises(ValueError, message):
        call()


@pytest.mark.parametrize("name", TYPES)
def test_a_wrong_type_is_refused(name):
    call, message = TYPES[name]
    with raises(TypeError, message):
        call()


def test_numbers_of_two_namespaces_are_refused():
    strict = pytest.importorskip("array_api_strict")
    foreign = strict.ones((5, 4), dtype=strict.float64)
    message = "is an array of array_api_strict, {} one of numpy; move one of them first"
    with raises(TypeError, "x " + message.format("w")):
        ATTRIBUTE(foreign, W)
    with raises(TypeError, "grad_y " + message.format("y")):
        ATTRIBUTE.vjp(X, W)[1](foreign)
    with raises(TypeError, "x[1] " + message.format("w")):
        FUSION([FUSED[0], strict.ones((5, 3), dtype=strict.float64)], np.ones(9))
    with raises(TypeError, "A " + message.format("w")):
        adaption().with_frozen(A=strict.ones((4, 2))).fabricate(np.ones(6), 4, 4)


def test_numbers_on_two_devices_are_refused():
    strict = pytest.importorskip("array_api_strict")
    far = strict.ones((5, 4), device=strict.Device("device1"))
    w = strict.ones(8)
    message = "is on device array_api_strict.Device('device1'), {} on array_api_strict.Device('CPU_DEVICE')"
    with raises(TypeError, "x " + message.format("w")):
        ATTRIBUTE(far, w)
    with raises(TypeError, "grad_y " + message.format("y")):
        ATTRIBUTE.vjp(strict.ones((5, 4)), w)[1](far)
    with raises(TypeError, "x " + message.format("the matrix")):
        af.Full().fabricate(w, 4, 2).__rmatmul__(far)


def test_a_formula_of_another_shape_is_refused():
    class Wrong(af.Full):
        def matrix(self, n, D, W):
            return W.T

    with raises(ValueError, "the formula has shape (4, 3), expected (3, 4)"):
        Wrong().num_parameters(3, 4)


@pytest.mark.parametrize("size", [True, 1.0, 1 + 0j, np.float64(1.0), np.ones(1), [1]], ids=repr)
def test_a_size_that_is_no_whole_number_is_refused_also_where_its_equal_is_known(size):
    fabrication = af.LowRank(r=1)
    assert fabrication.num_parameters(1, 4) == fabrication.num_parameters(np.int64(1), 4) == 5
    message = f"LowRank(r=1): {{}} must be a positive integer, got {size!r}"
    with raises(ValueError, message.format("n")):
        fabrication.num_parameters(size, 4)
    with raises(ValueError, message.format("D")):
        fabrication.fabricate(np.ones(5), 4, size)
    with raises(ValueError, message.format("n")):
        fabrication.init(size, 4)
