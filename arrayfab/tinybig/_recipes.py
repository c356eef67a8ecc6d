"""What the parts of tinybig's ready heads are made of, by their keywords."""

from __future__ import annotations

import math
from typing import Any

from arrayfab.interdependences import (
    ChainInterdependence,
    ExponentialChain,
    Graph,
    GraphInterdependence,
    Interdependence,
    InverseChain,
    MultihopChain,
    MultihopGraph,
    PageRankGraph,
)
from arrayfab.roles import Attention
from arrayfab.tinybig import expansion, reconciliation
from arrayfab.tinybig._configuration import ParameterError
from arrayfab.tinybig._named import named
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


def chained(head: Any) -> Interdependence:
    """The links of a chain."""
    if head.with_taylor:
        raise NotImplementedError(f"{head.name}: with_taylor must be False: in tinybig it changes nothing")
    given = {"length": head.chain_length, "is_directed": not head.bi_directional}
    loops = head.self_scaling if head.self_dependence else 0.0
    if head.with_exponential_approx:
        made: Interdependence = ExponentialChain(**given, interdependence_type="instance")
    elif head.with_inverse_approx:
        made = InverseChain(**given, interdependence_type="instance")
    elif head.with_multihop:
        made = MultihopChain(
            **given,
            self_loops=loops,
            hops=head.h,
            is_accumulated=head.accumulative,
            interdependence_type="instance",
        )
    else:
        made = ChainInterdependence(**given, self_loops=loops, interdependence_type="instance")
    return made


def graph(head: Any) -> Graph:
    """The graph that is handed in: arrayfab's, tinybig's, or nodes and links."""
    given = head.graph
    if isinstance(given, Graph):
        return given
    if given is None and (head.nodes is None or head.links is None):
        raise ParameterError(f"{head.name}: graph, or nodes and links, are needed; no file is read")
    nodes, links = (head.nodes, head.links) if given is None else (given.get_nodes(), given.get_links())
    return Graph.of(list(nodes), list(links))


def linked(head: Any) -> GraphInterdependence:
    """The links of a graph."""
    is_directed = head.graph.is_directed() if hasattr(head.graph, "is_directed") else head.directed
    given = {
        "graph": graph(head),
        "is_directed": is_directed,
        "normalization": head.normalization_mode if head.normalization else None,
        # tinybig's PageRank has no self-loops.
        "self_loops": float(head.self_dependence and not head.with_pagerank),
        "interdependence_type": "instance",
    }
    if head.require_data or head.require_parameters:
        raise ParameterError(f"{head.name}: a graph requires neither data nor parameters")
    if head.with_pagerank:
        return PageRankGraph(c=head.c, **given)
    if head.with_multihop:
        return MultihopGraph(hops=head.h, is_accumulated=head.accumulative, **given)
    return GraphInterdependence(**given)


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
    links = linked(head)
    return Attention(
        fabrication=math.sqrt(head.m) * fabricated(head, "_interdependence").whole(),
        m=head.m,
        interdependence_type="instance",
        graph=links.graph,
        is_directed=links.is_directed,
    )
