"""Every built-in fabrication, expansion, role and structured matrix obeys every law of `arrayfab.testing`."""

import numpy as np
import pytest
from own_expansions import Angles, Halves, Powers, Standardized, Waves

import arrayfab as af
from arrayfab.catalogue import EXPANSIONS, VARIANTS
from arrayfab.interdependences import CuboidInterdependence, Interdependent
from arrayfab.structures import (
    BlockDiagonal,
    BlockProduct,
    Circulant,
    Constant,
    Dense,
    Diagonal,
    Identity,
    Inverses,
    Operator,
    Sigmoid,
    Softmax,
    Streamed,
    blocks_transposed,
    hadamard,
    identities,
    kron,
    reshaped,
    side_by_side,
)
from arrayfab.structures.actions import Skew
from arrayfab.testing import checks, namespaces, parametrize_with_checks

SMALL = {"hypernet": af.Hypernet(l=3, hidden_dim=4), "random matrix hypernet": af.RandomMatrixHypernet(l=3)}
FORMED = (af.Full, af.Masked, af.Hypernet, af.RandomMatrixHypernet)
EVERY = [SMALL.get(name, variant) for name, variant in VARIANTS.items()]
FABRICATIONS = [
    *EVERY[:13],
    af.Hypercomplex(p=2, q=1),
    af.DualLPHM(p=1, q=3, r=1),
    af.Eye() + 0.5 * af.LowRank(r=1),
    af.RandomMatrixAdaption() + af.RandomMatrixAdaption(seed=1),
]
THIN = [fabrication for fabrication in FABRICATIONS if not isinstance(fabrication, FORMED)]
FULL = [fabrication for fabrication in FABRICATIONS if isinstance(fabrication, FORMED)]
FULL += [af.LPHM(p=2, q=2, r=1, arrangement="reshaped")]  # which forms its second factor


@parametrize_with_checks(THIN, namespaces=["numpy"])
def test_fabrications(check):
    check()


@parametrize_with_checks(
    FULL, namespaces=["numpy"], exempt={"no_dense_allocation": "it forms its matrix to apply it"}
)
def test_fabrications_that_form_their_matrix(check):
    check()


W0 = np.random.default_rng(0).standard_normal((4, 6))
FAMILIES = [
    *EVERY[13:],
    af.Cayley(p=2, is_shared=True),
    af.TensorTrain(r=2, cores=3),
    af.Shared(inner=af.LowRank(r=1), places=2),
    af.Base(W0) + 0.5 * af.LowRank(r=1),
    af.IA3() @ af.Base(W0) @ af.Householder(),
]
FORMING = [
    af.FourierFT(),
    af.DoRA(inner=af.LowRank()),
    af.DoRA(inner=af.Base(W0) + af.LowRank(), per="column"),
]


@parametrize_with_checks([f for f in FAMILIES if f not in FORMING], namespaces=["numpy"], max_examples=3)
def test_families(check):
    check()


@parametrize_with_checks(
    FORMING,
    namespaces=["numpy"],
    max_examples=3,
    exempt={"no_dense_allocation": "it forms its matrix to apply it"},
)
def test_families_that_form_their_matrix(check):
    check()


# What asks a namespace for more than others do: inverses, transforms, and a choice.
ASKING = [af.Cayley(), af.Circulant(), af.FourierFT(), af.VBLoRA(), af.Base(W0) @ af.Householder()]
HERE = [name for name in ("strict", "torch") if not namespaces.why_not(name)]


@parametrize_with_checks(ASKING, namespaces=HERE, max_examples=1)
def test_families_elsewhere(check):
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


ROLES = [role for fabrication in EVERY[:13] for role in roles_of(fabrication)]
MODEL = af.Sequential([af.Reconciliation(fabrication=af.LowRank(r=1), n=2, D=3), af.Pointwise("tanh")])


@parametrize_with_checks([*ROLES, MODEL], namespaces=["numpy"], max_examples=5)
def test_roles(check):
    check()


PATCHES = CuboidInterdependence(height=1, width=3, p_h=0, p_w=1)
OWN = [Powers(), Powers(by_attribute=True), Halves(), Waves(), Angles(), Standardized()]
OWN += [Interdependent(interdependence=PATCHES)]


@parametrize_with_checks([*EXPANSIONS.values(), *OWN], namespaces=["numpy"], max_examples=5)
def test_expansions(check):
    check()


TAYLOR, BOTH = {"expansion": af.Taylor(d=2)}, {"b": 2, "m": 3, "expansion": af.Taylor(d=2)}
EXPANDED = [
    af.Reconciliation(fabrication=af.DualLPHM(r=1), n=4, m=3, bias=True, **TAYLOR),
    af.Reconciliation(fabrication=af.LPHM(r=1), n=2, m=3, expansion=Powers()),
    af.ConcatenationFusion(fabrication=af.LowRank(r=1), dims=(1, 2), n=2, **TAYLOR),
    *(
        role(fabrication=fabrication, interdependence_type=kind, **BOTH)
        for role in (af.ParameterizedInterdependence, af.BilinearInterdependence)
        for kind, fabrication in (("attribute", af.Hypercomplex()), ("instance", af.LowRank(r=1)))
    ),
]


@parametrize_with_checks(EXPANDED, namespaces=["numpy"], max_examples=3)
def test_roles_with_an_expansion(check):
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
    BlockDiagonal(B, 3),
    BlockProduct(Dense("S", (6, 3)), Dense("T", (6, 2)), 2),
    blocks_transposed(Dense("S", (6, 2)), 3),
    Circulant(Dense("H", (2, 3)), 1, 2),
    Operator(Skew(3)),
]
# What has no degree, with numbers for which it has a value.
CURVED = [Inverses(identities(2, 2) + Dense("S", (4, 2)), 2), Softmax(Dense("Z", (2, 4)), 2)]


@parametrize_with_checks(MATRICES, namespaces=["numpy"])
def test_matrices(check):
    check()


@parametrize_with_checks(
    CURVED,
    namespaces=["numpy"],
    max_examples=5,
    exempt={"costs_count_multiplications": "those of its identities are of constants"},
)
def test_curved_matrices(check):
    check()


ELSEWHERE = [af.DualLPHM(p=1, q=1), af.RandomMatrixAdaption(r=1)]
NAMESPACES = ["strict", "strict-device1", "torch", "jax", "dask", pytest.param("cupy", marks=pytest.mark.gpu)]


@pytest.mark.parametrize("namespace", NAMESPACES)
@pytest.mark.parametrize("fabrication", ELSEWHERE, ids=str)
def test_elsewhere(fabrication, namespace):
    from arrayfab.testing import check_fabrication

    if reason := namespaces.why_not(namespace):
        pytest.skip(reason)
    check_fabrication(fabrication, namespaces=[namespace])


#: What is tried where every new shape is compiled or made a graph.
FEW = {"vjp_matches_differences", "works_under_jax_jit", "lazy_on_dask"}


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_expansions_elsewhere(namespace):
    if reason := namespaces.why_not(namespace):
        pytest.skip(reason)
    for check in checks(af.Taylor(d=2), namespaces=[namespace], max_examples=1):
        if namespace not in ("jax", "dask") or check.law in FEW:
            check()
