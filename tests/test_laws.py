"""Every built-in fabrication, role and structured matrix obeys every law of `arrayfab.testing`."""

import pytest

import arrayfab as af
from arrayfab.catalogue import VARIANTS
from arrayfab.structures import (
    Constant,
    Dense,
    Diagonal,
    Identity,
    Sigmoid,
    Streamed,
    hadamard,
    kron,
    reshaped,
    side_by_side,
)
from arrayfab.testing import parametrize_with_checks

SMALL = {"hypernet": af.Hypernet(l=3, hidden_dim=4), "random matrix hypernet": af.RandomMatrixHypernet(l=3)}
FORMED = (af.Full, af.Masked, af.Hypernet, af.RandomMatrixHypernet)
FABRICATIONS = [
    *(SMALL.get(name, variant) for name, variant in VARIANTS.items()),
    af.Hypercomplex(p=2, q=1),
    af.DualLPHM(p=1, q=3, r=1),
    af.LPHM(p=2, q=2, r=1, arrangement="reshaped"),
    af.Eye() + 0.5 * af.LowRank(r=1),
    af.RandomMatrixAdaption() + af.RandomMatrixAdaption(seed=1),
]
THIN = [fabrication for fabrication in FABRICATIONS if not isinstance(fabrication, FORMED)]
FULL = [fabrication for fabrication in FABRICATIONS if isinstance(fabrication, FORMED)]


@parametrize_with_checks(THIN, namespaces=["numpy"])
def test_fabrications(check):
    check()


@parametrize_with_checks(
    FULL, namespaces=["numpy"], exempt={"no_dense_allocation": "it forms its matrix to apply it"}
)
def test_fabrications_that_form_their_matrix(check):
    check()


def roles_of(fabrication):
    """Every role and type that the fabrication fits at small sizes."""
    interdependence, bilinear = af.ParameterizedInterdependence, af.BilinearInterdependence
    makers = [
        lambda: af.Reconciliation(fabrication=fabrication, n=2, D=4, bias=True),
        lambda: interdependence(fabrication=fabrication, m=4, m_prime=2),
        lambda: interdependence(fabrication=fabrication, b=2, b_prime=4, interdependence_type="instance"),
        lambda: bilinear(fabrication=fabrication, b=2),
        lambda: bilinear(fabrication=fabrication, m=2, interdependence_type="instance"),
        lambda: af.ConcatenationFusion(fabrication=fabrication, dims=(1, 3), n=2),
    ]
    return [role for make in makers if (role := fitting(make)) is not None]


def fitting(make):
    """A role, None where its sizes do not fit the fabrication."""
    try:
        role = make()
        role.num_parameters()
    except ValueError:
        return None
    return role


ROLES = [role for fabrication in FABRICATIONS[:13] for role in roles_of(fabrication)]
MODEL = af.Sequential([af.Reconciliation(fabrication=af.LowRank(r=1), n=2, D=3), af.Pointwise("tanh")])


@parametrize_with_checks([*ROLES, MODEL], namespaces=["numpy"], max_examples=5)
def test_roles(check):
    check()


A, B, v = Dense("A", (2, 3)), Dense("B", (3, 2)), Dense("v", (1, 2))
MATRICES = [
    A,
    A.T,
    Diagonal(v),
    kron(A, B),
    A @ B,
    A @ B + Diagonal(v),
    hadamard(A, B.T),
    Sigmoid(A),
    reshaped(A, (3, 2)),
    Constant((2, 3), 2.0),
    Identity((2, 3)),
    side_by_side((A, Dense("C", (2, 1)))),
    A @ Streamed("F", (3, 2)),
    hadamard(A, Streamed("F", (2, 3))),
    reshaped(v @ Streamed("F", (6, 2)).T, (3, 2)),
]


@parametrize_with_checks(MATRICES, namespaces=["numpy"])
def test_matrices(check):
    check()


ELSEWHERE = [af.DualLPHM(p=1, q=1), af.RandomMatrixAdaption(r=1)]
NAMESPACES = ["strict", "strict-device1", "torch", "jax", "dask", pytest.param("cupy", marks=pytest.mark.gpu)]


@pytest.mark.parametrize("namespace", NAMESPACES)
@pytest.mark.parametrize("fabrication", ELSEWHERE, ids=str)
def test_elsewhere(fabrication, namespace):
    from arrayfab.testing import check_fabrication, namespaces

    if reason := namespaces.why_not(namespace):
        pytest.skip(reason)
    check_fabrication(fabrication, namespaces=[namespace])
