"""What the parts of tinybig's ready heads are made of, by their keywords."""

from __future__ import annotations

import math
from typing import Any

from arrayfab.roles import Attention
from arrayfab.tinybig import compression, expansion, interdependence, reconciliation
from arrayfab.tinybig._configuration import ParameterError
from arrayfab.tinybig._named import named
from arrayfab.tinybig.koala import geometry
from arrayfab.tinybig.koala.topology import chain, graph
from arrayfab.tinybig.remainder import linear_remainder, zero_remainder

#: What tinybig has and arrayfab does not.
_NOT_HERE = {
    "with_batch_norm": "there is no batch norm, whose results depend on the other rows of a batch",
    "with_dropout": "there is no dropout, which goes on in evaluation in tinybig",
    "with_hybrid_expansion": "in tinybig it changes nothing",
}


def identity(head: Any) -> Any:
    """The data as they are."""
    return expansion.identity_expansion()


def taylor(head: Any) -> Any:
    """Taylor's or B-splines where one is wanted, else the data."""
    if head.with_taylor:
        return expansion.taylor_expansion(d=head.d)
    if getattr(head, "with_bspline", False):
        return expansion.bspline_expansion(d=head.d)
    return identity(head)


def kernel(head: Any) -> Any:
    """The bells of a kernel, or the data for the linear one."""
    known = {
        name: getattr(expansion, f"{name}_expansion") for name in ("gaussian_rbf", "inverse_quadratic_rbf")
    }
    if head.kernel == "linear":
        return identity(head)
    made_of = _chosen(head, "kernel", known, ("linear", *known))
    return made_of(base_range=head.base_range, num_interval=head.num_interval, epsilon=head.epsilon)


def splines(head: Any) -> Any:
    """B-splines."""
    return expansion.bspline_expansion(grid_range=head.grid_range, t=head.t, d=head.d)


def densities(head: Any) -> Any:
    """Log densities of every attribute."""
    names = ("normal", "exponential", "cauchy", "gamma", "laplace", "chi2")
    known = {name: getattr(expansion, f"naive_{name}_expansion") for name in names}
    return _chosen(head, "distribution", known, names)()


def joint_densities(head: Any) -> Any:
    """Log densities of several attributes at once."""
    known = {"normal": expansion.combinatorial_normal_expansion}
    made_of = _chosen(head, "distribution", known, ("normal",))
    return made_of(d=head.d, with_replacement=head.with_replacement)


def _chosen(head, key, known, names):
    value = getattr(head, key)
    if value not in known:
        raise ParameterError(f"{head.name}: {key} must be one of {list(names)}, got {value!r}")
    return known[value]


def fabricated(head: Any, which: str = "") -> Any:
    """The fabrication: of two pairs of low rank, of one pair, or full."""
    r = getattr(head, f"r{which}")
    if getattr(head, f"with_dual_lphm{which}", False):
        made = reconciliation.dual_lphm_reconciliation(r=r, arrangement=head.arrangement)
    elif getattr(head, f"with_lorr{which}"):
        made = reconciliation.lorr_reconciliation(r=r)
    else:
        made = reconciliation.identity_reconciliation()
    made.enable_bias = head.enable_bias
    return made


def residual(head: Any) -> Any:
    """The linear remainder where it is wanted."""
    return linear_remainder() if head.with_residual else zero_remainder()


def silu(head: Any) -> Any:
    """``silu(x Wᵀ)``."""
    return linear_remainder(activation_functions=[named("torch.nn.SiLU")])


def activated(head: Any, softmax: str = "torch.nn.Softmax") -> list[Any]:
    """What rows go through last."""
    for key, reason in _NOT_HERE.items():
        if getattr(head, key, False):
            raise NotImplementedError(f"{head.name}: {key} must be False: {reason}")
    wanted = {"with_relu": "torch.nn.ReLU", "with_softmax": softmax}
    return [named(name) for key, name in wanted.items() if getattr(head, key, False)]


def log_activated(head: Any) -> list[Any]:
    """The same with logarithms of probabilities."""
    return activated(head, "torch.nn.LogSoftmax")


def chained(head: Any) -> Any:
    """The links of a chain."""
    if head.with_taylor:
        raise NotImplementedError(f"{head.name}: with_taylor must be False: in tinybig it changes nothing")
    given = {
        "b": head.chain_length,
        "m": head.m,
        "chain": chain(length=head.chain_length, bi_directional=head.bi_directional),
        "self_dependence": head.self_dependence,
        "self_scaling": head.self_scaling,
        "require_data": False,
    }
    if head.with_exponential_approx:
        return interdependence.exponential_approx_multihop_chain_interdependence(**given)
    if head.with_inverse_approx:
        return interdependence.inverse_approx_multihop_chain_interdependence(**given)
    if head.with_multihop:
        hops = {"h": head.h, "accumulative": head.accumulative}
        return interdependence.multihop_chain_interdependence(**hops, **given)
    return interdependence.chain_interdependence(**given)


def linked(head: Any) -> Any:
    """The links of a graph."""
    given = head.graph
    if given is None and (head.nodes is None or head.links is None):
        raise ParameterError(f"{head.name}: graph, or nodes and links, are needed; no file is read")
    if given is None:
        given = graph(nodes=head.nodes, links=head.links, directed=head.directed)
    names = (
        "m",
        "normalization",
        "normalization_mode",
        "self_dependence",
        "require_data",
        "require_parameters",
    )
    more = {"b": len(given.nodes), "graph": given, **{name: getattr(head, name) for name in names}}
    if head.with_pagerank:
        return interdependence.pagerank_multihop_graph_interdependence(c=head.c, **more)
    if head.with_multihop:
        hops = {"h": head.h, "accumulative": head.accumulative}
        return interdependence.multihop_graph_interdependence(**hops, **more)
    return interdependence.graph_interdependence(**more)


def attending(head: Any) -> Attention:
    """Shares of the other instances."""
    # Attention divides by √m, tinybig's scores are multiplied by √n.
    return Attention(
        fabrication=math.sqrt(head.m * head.n) * fabricated(head, "_interdependence").whole(),
        m=head.m,
        interdependence_type="instance",
    )


def attending_to_linked(head: Any) -> Attention:
    """Shares of the instances that a graph links."""
    no = dict.fromkeys(("with_pagerank", "with_multihop", "normalization"), False)
    for key, value in {**no, "self_dependence": True}.items():
        if getattr(head, key) != value:
            raise NotImplementedError(
                f"{head.name}: {key} must be {value}: shares are of what is linked, whatever the weights"
            )
    links = linked(head)._core()
    return Attention(
        fabrication=math.sqrt(head.m) * fabricated(head, "_interdependence").whole(),
        m=head.m,
        interdependence_type="instance",
        graph=links.graph,
        is_directed=links.is_directed,
    )


def patch(head: Any) -> Any:
    """What is around every place of a grid."""
    shape = head.patch_shape
    known = {
        "cuboid": ("p_h", "p_w", "p_d", "p_h_prime", "p_w_prime", "p_d_prime"),
        "cylinder": ("p_r", "p_d", "p_d_prime"),
        "sphere": ("p_r",),
    }
    names = _chosen(head, "patch_shape", known, tuple(known))
    sides = {name: getattr(head, name) for name in names}
    if sides[names[0]] is None:
        raise ParameterError(f"{head.name}: {names[0]} is missing, which a {shape} needs")
    if "p_w" in sides and sides["p_w"] is None:
        sides["p_w"] = sides["p_h"]
    return getattr(geometry, shape)(**sides)


def surrounded(head: Any) -> Any:
    """All cells of all patches of a grid."""
    return interdependence.geometric_interdependence(patch=patch(head), **_on_grid(head))


def pooled(head: Any) -> Any:
    """One number of every patch of a grid."""
    known = {f"batch_{kind}": kind for kind in ("max", "min", "mean")}
    kind = _chosen(head, "pooling_metric", known, tuple(known))
    made_of = getattr(compression, f"{head.patch_shape}_{kind}_based_geometric_compression")
    sides = {name: value for name, value in vars(patch(head)).items() if name.startswith("p_")}
    return made_of(**sides, **_on_grid(head))


def _on_grid(head):
    names = ("packing_strategy", "cd_h", "cd_w", "cd_d")
    return {"grid": head.grid, **{name: getattr(head, name) for name in names}}
