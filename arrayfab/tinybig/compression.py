"""tinybig's compressions, over arrayfab's expansions and scikit-learn's estimators."""

from arrayfab import expansions as _core
from arrayfab.tinybig import _distributions, _drawn, _grids
from arrayfab.tinybig import _transformation as _of
from arrayfab.tinybig import expansion as _expansion
from arrayfab.tinybig._fitted import family as _family
from arrayfab.tinybig._fitted import fitted as _fitted
from arrayfab.tinybig._transformation import row as _row
from arrayfab.tinybig._transformation import transformation as transformation
from arrayfab.tinybig.interdependence import geometric_interdependence as _geometric_interdependence

identity_compression = _row("identity_compression", _core.Identity, _expansion.identity_expansion)
reciprocal_compression = _row("reciprocal_compression", _core.Reciprocal, _expansion.reciprocal_expansion)
linear_compression = _row(
    "linear_compression", _core.Linear, _expansion.linear_expansion, c=None, pre_C=None, post_C=None
)

metric_compression = _row(
    "metric_compression", None, _of.Measured, doc=_of.Measured.__doc__, first={"metric": ...}
)
max_compression = _row("max_compression", _core.GroupMax, metric_compression)
min_compression = _row("min_compression", _core.GroupMin, metric_compression)
sum_compression = _row("sum_compression", _core.GroupSum, metric_compression)
mean_compression = _row("mean_compression", _core.GroupMean, metric_compression)
prod_compression = _row("prod_compression", _core.GroupProduct, metric_compression)
median_compression = _row("median_compression", _core.GroupMedian, metric_compression)

_PARTS = {"composition_functions": None, "composition_function_configs": None}
nested_compression = _row("nested_compression", _core.Nested, _expansion.nested_expansion, **_PARTS)
extended_compression = _row("extended_compression", _core.Extended, _expansion.extended_expansion, **_PARTS)

feature_selection_compression = _family("feature_selection_compression", "fs_function")
dimension_reduction_compression = _family("dimension_reduction_compression", "dr_function")
incremental_PCA_based_compression = _fitted(
    "incremental_PCA_based_compression",
    dimension_reduction_compression,
    "decomposition.IncrementalPCA",
    "",
)
incremental_random_projection_based_compression = _fitted(
    "incremental_random_projection_based_compression",
    dimension_reduction_compression,
    "random_projection.SparseRandomProjection",
    "random_state",
)

manifold_compression = _family(
    "manifold_compression", "manifold_function", n_neighbors=1, called="dimension_reduction_compression"
)
isomap_manifold_compression = _fitted(
    "isomap_manifold_compression", manifold_compression, "manifold.Isomap", "n_neighbors", n_neighbors=1
)
lle_manifold_compression = _fitted(
    "lle_manifold_compression",
    manifold_compression,
    "manifold.LocallyLinearEmbedding",
    "n_neighbors random_state",
    n_neighbors=1,
)
mds_manifold_compression = _fitted(
    "mds_manifold_compression", manifold_compression, "manifold.MDS", "random_state"
)
spectral_embedding_manifold_compression = _fitted(
    "spectral_embedding_manifold_compression",
    manifold_compression,
    "manifold.SpectralEmbedding",
    "random_state",
)
tsne_manifold_compression = _fitted(
    "tsne_manifold_compression",
    manifold_compression,
    "manifold.TSNE",
    "perplexity random_state",
    perplexity=...,
)

_OF_A_DRAW = {"metric": None, "with_replacement": False, "require_normalization": True}
naive_probabilistic_compression = _row(
    "naive_probabilistic_compression",
    None,
    _drawn.Drawn,
    doc=_drawn.Drawn.__doc__,
    first={"k": ...},
    name="probabilistic_compression",
    simply_sampling=True,
    distribution_function=None,
    distribution_function_configs=None,
    **_OF_A_DRAW,
    log_prob=False,
    seed=0,
)


def _drawn_by(key, distribution, *, called="", is_of_normalized=True, **parameters):
    """The compression by the density of one distribution, whose parameters have these defaults."""
    ahead = {"require_normalization": True} if is_of_normalized else {}
    own = {**ahead, "k": ..., "simply_sampling": True, **_OF_A_DRAW, "log_prob": False, "seed": 0}
    fixed = {"_distribution": distribution, "_parameters": tuple(parameters)}
    return _row(
        f"naive_{key}_probabilistic_compression",
        None,
        naive_probabilistic_compression,
        doc=f"`naive_probabilistic_compression` by the {key} density.",
        fixed={**fixed, "_is_of_normalized": is_of_normalized},
        name=called or f"naive_{key}_probabilistic_compression",
        **parameters,
        **own,
    )


naive_uniform_probabilistic_compression = _drawn_by(  # its name is tinybig's
    "uniform",
    _distributions.Uniform,
    called="naive_normal_probabilistic_compression",
    low=0.0,
    high=1.0,
)
naive_normal_probabilistic_compression = _drawn_by(
    "normal", _distributions.Normal, is_of_normalized=False, mean=0.0, std=1.0
)
naive_cauchy_probabilistic_compression = _drawn_by(
    "cauchy", _distributions.Cauchy, is_of_normalized=False, loc=0.0, scale=1.0
)
naive_chi2_probabilistic_compression = _drawn_by("chi2", _distributions.Chi2, df=1.0)
naive_exponential_probabilistic_compression = _drawn_by("exponential", _distributions.Exponential, rate=0.5)
naive_gamma_probabilistic_compression = _drawn_by("gamma", _distributions.Gamma, concentration=1.0, rate=1.0)
naive_laplace_probabilistic_compression = _drawn_by(
    "laplace", _distributions.Laplace, is_of_normalized=False, loc=0.0, scale=1.0
)

combinatorial_compression = _row(
    "combinatorial_compression",
    None,
    _drawn.DrawnTuples,
    doc=_drawn.DrawnTuples.__doc__,
    d=1,
    k=1,
    simply_sampling=True,
    **_OF_A_DRAW,
    log_prob=False,
    seed=0,
)
combinatorial_probabilistic_compression = _row(
    "combinatorial_probabilistic_compression",
    None,
    combinatorial_compression,
    doc="The log densities of the tuples that `combinatorial_compression` draws.",
    fixed={"simply_sampling": False, "log_prob": True},
    d=1,
    k=1,
    **_OF_A_DRAW,
    seed=0,
)

geometric_compression = _row(
    "geometric_compression",
    None,
    _grids.Pooled,
    first={"metric": ...},
    doc=_grids.Pooled.__doc__,
    fixed={"_interdependence": _geometric_interdependence},
    **_grids.GRID,
)


def _of_shape(key):
    """The compressions of patches of one shape: by any metric, by the largest, the smallest, the mean."""
    sides, fixed = _grids.shaped(key)
    doc = f"`geometric_compression` with a {key} for a patch."
    first = {"metric": ..., **sides}
    name = f"{key}_patch_based_geometric_compression"
    any_metric = _row(name, None, geometric_compression, doc=doc, first=first, fixed=fixed, **_grids.GRID)
    kinds = {"max": _core.GroupMax, "min": _core.GroupMin, "mean": _core.GroupMean}
    return any_metric, *(
        _row(
            f"{key}_{kind}_based_geometric_compression",
            made_of,
            any_metric,
            first={"name": "", "metric": None, **sides},
            fixed={"metric": _grids.metric_of(made_of)},
            **_grids.GRID,
        )
        for kind, made_of in kinds.items()
    )


(
    cuboid_patch_based_geometric_compression,
    cuboid_max_based_geometric_compression,
    cuboid_min_based_geometric_compression,
    cuboid_mean_based_geometric_compression,
) = _of_shape("cuboid")
(
    cylinder_patch_based_geometric_compression,
    cylinder_max_based_geometric_compression,
    cylinder_min_based_geometric_compression,
    cylinder_mean_based_geometric_compression,
) = _of_shape("cylinder")
(
    sphere_patch_based_geometric_compression,
    sphere_max_based_geometric_compression,
    sphere_min_based_geometric_compression,
    sphere_mean_based_geometric_compression,
) = _of_shape("sphere")
