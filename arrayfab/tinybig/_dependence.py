"""The adapters of tinybig's interdependences without learned numbers, over arrayfab's."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from arrayfab import _arrays
from arrayfab import interdependences as core
from arrayfab._arrays import Array
from arrayfab.tinybig import reconciliation
from arrayfab.tinybig._function import HOOKS, ParameterError, checked, class_of
from arrayfab.tinybig._roles import InRole, interdependence
from arrayfab.tinybig.koala.topology import chain, graph

#: arrayfab's names for some of tinybig's parameters.
_OURS = {"h": "hops", "accumulative": "is_accumulated"}
_APART = ("b", "m", "interdependence_type", "normalization", "graph")


class Related(interdependence):
    """``A`` follows from the data alone, or from nothing."""

    def _settle(self):
        super(InRole, self)._settle()
        if self._needs_data() and not self.require_data:
            raise ParameterError(f"{self.name}: require_data must be True, A follows from the data")
        if self._made_of is not None:
            self._core()

    def _needs_data(self):
        return self._made_of is None or self._made_of.needs_data

    def _core(self, **more) -> core.Interdependence:
        """arrayfab's interdependence."""
        return self._made_of(**{_OURS.get(key, key): getattr(self, key) for key in self._hyper}, **more)

    def _role(self, x, w):
        size = "b" if self._is_instance() else "m"
        return self._core(interdependence_type=self.interdependence_type, **{size: getattr(self, size)})

    def _vector(self, w):
        return None

    def _size(self):
        """How many depend on one another."""
        return self.b if self._is_instance() else self.m

    def calculate_l(self, *args, **kwargs):
        """Zero: nothing is learned."""
        return 0

    @property
    def A(self) -> Array | None:  # type: ignore[override]
        """The dense ``A``, None where it follows from the data."""
        return None if self.require_data else self.calculate_A()

    @checked
    def calculate_A(self, x=None, w=None, device="cpu", *args, xp=None, dtype=None, **kwargs) -> Array:
        """The dense ``A``. As in tinybig, the instance type takes ``x`` transposed, of shape ``(m, b)``."""
        if self._needs_data():
            x = self.pre_process(x=self._need("x", x), device=device)
        else:
            x = self._row(x, xp, dtype)
        return self.post_process(x=self._matrix(x), device=device)

    def _matrix(self, x):
        """The dense ``A`` for the columns of ``x``."""
        role = self._role(x, None)
        return role.matrix(_arrays.backend_of(self.name, "x", x).mT(x) if role.is_instance else x)

    def _row(self, x, xp, dtype):
        """A row of as many numbers as depend on one another, where ``x`` lives if there is one."""
        shape = (1, self._size())
        if x is None:
            return _arrays.namespace(xp).zeros(shape, dtype=dtype)
        xp = _arrays.backend_of(self.name, "x", x).xp
        return xp.zeros(shape, dtype=x.dtype, device=_arrays.device_of(x))


class Given(interdependence):
    """A matrix that is handed in: ``y = x A`` among attributes, ``y = Aᵀ x`` among instances."""

    A = None
    _whole = reconciliation.identity_reconciliation

    def _settle(self):
        super(InRole, self)._settle()
        self.update_A(self.A)

    def update_A(self, A: Array):
        """Hand in another matrix."""
        rows = self.b if self._is_instance() else self.m
        if A is None or len(A.shape) != 2 or A.shape[0] != rows:
            got = None if A is None else tuple(A.shape)
            raise ParameterError(f"{self.name}: A must have {rows} rows and any columns, got {got}")
        self.A = A
        self.b_prime = self.m_prime = A.shape[1]

    def calculate_l(self, *args, **kwargs):
        """Zero: nothing is learned."""
        return 0

    def calculate_A(self, x=None, w=None, device="cpu", *args, **kwargs):
        """``A`` itself."""
        return self.post_process(x=self.A, device=device)

    # The matrix takes the place of learned numbers.
    def _vector(self, w):
        return _arrays.backend_of(self.name, "A", self.A).xp.reshape(self.A, (-1,))

    def _shaped(self, grad_w, w):
        return None


class Kernel(Related):
    """``A = kernel(x)``, of the columns of ``x``, by a function that is handed in."""

    def kernel(self, x: Array) -> Array:
        """The dense ``A`` for the columns of ``x``."""
        return self._core().matrix(x)

    def _settle(self):
        self._need("kernel", self.kernel)
        super()._settle()

    def _is_plain(self):
        return self._made_of is not None and super()._is_plain()

    def _check_plain(self):
        if self._made_of is None:
            raise NotImplementedError(f"{self.name}: vjp has no rule for a kernel that is handed in")
        super()._check_plain()

    def _matrix(self, x):
        A = self.kernel(x)
        self.check_A_shape_validity(A)
        return A


class Anisotropic(Kernel):
    """A kernel with a weight for every entry of a vector, or one for all."""

    def _core(self, **more):
        return self._made_of(a=self.a_scalar if self.a_vector is None else self.a_vector, **more)


class Mixed(Kernel):
    """``A = Σ w_i kernel_i(x, dim=0)``, their mean where there are no weights."""

    def _settle(self):
        self.kernels = [self.kernels] if callable(self.kernels) else list(self._need("kernels", self.kernels))
        count = len(self.kernels)
        weights = self.weights if isinstance(self.weights, list | tuple) else [self.weights]
        self.weights = [1.0 / max(count, 1)] * count if self.weights is None else list(weights)
        if not count or len(self.weights) != count:
            raise ParameterError(f"{self.name}: {count} kernels need as many weights, got {self.weights}")
        super()._settle()

    def kernel(self, x):
        """The sum, for the columns of ``x``."""
        parts = [weight * kernel(x, dim=0) for weight, kernel in zip(self.weights, self.kernels, strict=True)]
        return sum(parts[1:], parts[0])


class Linked(Related):
    """What is linked depends on each other."""

    def _normalization(self):
        return self.normalization_mode if self.normalization else None

    @property
    def node_id_index_map(self) -> dict:
        """The number of every node."""
        return self._nodes()

    @property
    def node_index_id_map(self) -> dict:
        """The node of every number."""
        return {index: node for node, index in self._nodes().items()}

    def get_node_id_index_map(self) -> dict:
        return self.node_id_index_map

    def get_node_index_id_map(self) -> dict:
        return self.node_index_id_map


class Chained(Linked):
    """A chain, in which each depends on the one before it, or on both neighbours."""

    def _settle(self):
        if self.chain is None:
            length = self._need("chain_length", self.chain_length)
            self.chain = chain(length=length, bi_directional=self.bi_directional)
        super()._settle()

    def _nodes(self):
        return self.chain.nodes

    def is_bi_directional(self) -> bool:
        return not self.chain.is_directed()

    def _core(self, **more):
        if issubclass(self._made_of, core.ChainInterdependence):
            more["self_loops"] = self._self_loops()
        return super()._core(
            length=len(self._nodes()),
            is_directed=self.chain.is_directed(),
            normalization=self._normalization(),
            **more,
        )

    def _self_loops(self):
        # tinybig's chains of several hops have no scale.
        scale = self.self_scaling if self._made_of is core.ChainInterdependence else 1.0
        return float(scale) if self.self_dependence else 0.0


class Networked(Linked):
    """A graph, in which each node depends on those that are linked to it."""

    _known: tuple[Any, Any] = (None, None)

    def _settle(self):
        if self.graph is None:
            nodes, links = self._need("nodes", self.nodes), self._need("links", self.links)
            self.graph = graph(nodes=nodes, links=links, directed=self.directed)
        super()._settle()

    def _nodes(self):
        return self.graph.nodes

    def _links(self):
        """arrayfab's graph, made once for each of tinybig's."""
        if self._known[0] is not self.graph:
            self._known = self.graph, core.Graph.of(list(self._nodes()), self.graph.get_links())
        return self._known[1]

    def _core(self, **more):
        # tinybig's PageRank has no self-loops.
        has_loops = self.self_dependence and self._made_of is not core.PageRankGraph
        return super()._core(
            graph=self._links(),
            is_directed=self.graph.is_directed(),
            normalization=self._normalization(),
            self_loops=float(has_loops),
            **more,
        )


def row(key: str, made_of: Any, base: Any = Related, /, *, fixed=(), **first: Any) -> Any:
    """An interdependence: tinybig's name for it, arrayfab's, and its own parameters in tinybig's order.

    Those that all have follow. ``name`` is the class's where it is empty.
    """
    order = {**first, "name": first.get("name") or key}
    needs_data = made_of.needs_data if made_of else issubclass(base, Kernel)
    usual = {"interdependence_type": "attribute", "require_data": needs_data, "require_parameters": False}
    usual |= {"device": "cpu", **HOOKS}
    order |= {name: value for name, value in usual.items() if name not in order}
    known = {field.name for field in fields(made_of)} - {*_APART} if made_of else ()
    hyper = [name for name in order if _OURS.get(name, name) in known]
    doc = (made_of or base).__doc__.partition("\n\n")[0]
    return class_of(key, base, made_of, doc, order, hyper, **dict(fixed))
