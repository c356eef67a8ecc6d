"""Every class of tinybig's packages is in `arrayfab.tinybig`, or has a reason not to be."""

import importlib
import inspect
import warnings

import pytest

import arrayfab.tinybig as door

_SHAPES = ("cuboid", "cylinder", "sphere")
_GRIDS = "patches of grids: there are no grids in arrayfab"
_DRAWN = "draws attributes anew in every call, also in evaluation: it is no map of a row"
_MEANS = "an algorithm of tinybig's own, with running means from call to call, also in evaluation"
_DATA = "an interdependence without learned numbers: there are none in arrayfab"
_CONVOLUTIONS = "a convolution: there is none in arrayfab"


def because(reason, names, ending=""):
    """A reason for every name in a text, each with the same ending."""
    return {name + ending: reason for name in names.split()}


#: What is not there, package by package, with the reason.
NOT_HERE = {
    "expansion": because(
        _GRIDS,
        "geometric cuboid_patch_based_geometric cylinder_patch_based_geometric sphere_patch_based_geometric",
        "_expansion",
    ),
    "compression": {
        "geometric_compression": _GRIDS,
        **{
            f"{shape}_{kind}_based_geometric_compression": _GRIDS
            for shape in _SHAPES
            for kind in ("patch", "max", "mean", "min")
        },
        **because(
            _DRAWN,
            "naive naive_uniform naive_normal naive_cauchy naive_chi2 naive_exponential naive_gamma "
            "naive_laplace",
            "_probabilistic_compression",
        ),
        **because(
            _MEANS,
            "incremental_feature_clustering_based_compression "
            "incremental_variance_threshold_based_compression",
        ),
    },
    "reconciliation": {},
    "interdependence": {
        **because(
            _DATA,
            "constant_c constant zero one eye identity numerical_kernel_based linear_kernel "
            "cosine_similarity polynomial_kernel hyperbolic_tangent_kernel exponential_kernel "
            "gaussian_rbf_kernel anisotropic_rbf_kernel laplacian_kernel custom_hybrid_kernel "
            "minkowski_distance manhattan_distance euclidean_distance chebyshev_distance "
            "canberra_distance statistical_kernel_based pearson_correlation kl_divergence "
            "rv_coefficient mutual_information chain multihop_chain inverse_approx_multihop_chain "
            "exponential_approx_multihop_chain graph multihop_graph pagerank_multihop_graph hybrid "
            "parameterized_rpn",
            "_interdependence",
        ),
        "geometric_interdependence": _GRIDS,
        **{
            f"{shape}_patch_{kind}based_geometric_interdependence": _GRIDS
            for shape in _SHAPES
            for kind in ("", "padding_", "aggregation_")
        },
    },
    "fusion": {},
    "remainder": {},
    "head": because(_CONVOLUTIONS, "grid_interdependence grid_compression", "_head"),
    "layer": because(_CONVOLUTIONS, "grid_interdependence grid_compression", "_layer"),
    "model": because(_CONVOLUTIONS, "cnn"),
}


@pytest.mark.parametrize("package", NOT_HERE)
def test_what_has_a_reason_is_not_there(package):
    there = [name for name in NOT_HERE[package] if inspect.isclass(getattr(door, name, None))]
    assert not there, "they are there, and need no reason"


@pytest.mark.parametrize("package", NOT_HERE)
@pytest.mark.filterwarnings("ignore")
def test_every_class_of_tinybig_is_there(package):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            theirs = importlib.import_module(f"tinybig.{package}")
        except Exception as error:  # it needs pinned versions of much, and some of its releases do not parse
            pytest.skip(f"tinybig cannot be imported: {error!r}")
    names = {
        name
        for name, value in vars(theirs).items()
        if inspect.isclass(value) and value.__module__.startswith("tinybig.")
    }
    missing = {name for name in names if not inspect.isclass(getattr(door, name, None))}
    assert missing == NOT_HERE[package].keys()


@pytest.mark.parametrize(
    "package",
    ["expansion", "compression", "fusion", "interdependence", "reconciliation", "remainder", "head", "layer"],
)
def test_packages_have_their_classes_too(package):
    module = importlib.import_module(f"arrayfab.tinybig.{package}")
    names = [name for name in vars(module) if not name.startswith("_")]
    assert names
    assert [getattr(door, name) for name in names] == [getattr(module, name) for name in names]
    ending = tuple(f"{each}" for each in (package, "fabrication", "transformation"))
    assert all(name.endswith(ending) for name in names)
