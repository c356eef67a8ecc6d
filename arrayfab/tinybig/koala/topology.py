"""tinybig's graphs and chains: nodes, and links from one to another."""

from __future__ import annotations

from arrayfab.tinybig._function import ParameterError


class graph:
    """Nodes of any names, and links between them.

    Parameters
    ----------
    name : str
    nodes : list
        Their places are their numbers.
    links : list of pair
    directed : bool
        Whether links lead one way.

    Examples
    --------
    >>> from arrayfab.tinybig.koala.topology import graph
    >>> ring = graph(nodes=["a", "b", "c"], links=[("a", "b"), ("b", "c"), ("c", "a")])
    >>> ring.order(), ring.size(), ring.is_directed()
    (3, 3, True)
    """

    def __init__(self, name="graph", nodes=None, links=None, directed=True, *args, **kwargs):
        self.name, self.directed = name, directed
        self.nodes = {node: index for index, node in enumerate(nodes or ())}
        self._links = list(dict.fromkeys(map(tuple, links or ())))

    def is_directed(self) -> bool:
        return self.directed

    def get_name(self) -> str:
        return self.name

    def get_nodes(self) -> dict:
        """The number of every node."""
        return self.nodes

    def get_links(self) -> list:
        """All links, in both directions where they do not lead one way."""
        both = [] if self.directed else [link[::-1] for link in self._links]
        return list(dict.fromkeys(self._links + both))

    def order(self) -> int:
        """How many nodes there are."""
        return len(self.nodes)

    def size(self) -> int:
        """How many links were given."""
        return len(self._links)

    get_node_num, get_link_num = order, size


class chain(graph):
    """Numbers from 0 on, each linked to the next one.

    Parameters
    ----------
    length : int
        How many nodes there are.
    name : str
    bi_directional : bool
        Whether links lead both ways.
    """

    def __init__(self, length, name="chain", bi_directional=False, *args, **kwargs):
        if length is None or length < 1:
            raise ParameterError(f"chain: length must be 1 or more, got {length!r}")
        links = [(i, i + 1) for i in range(length - 1)]
        super().__init__(name, list(range(length)), links, not bi_directional)

    def length(self) -> int:
        """How many links there are."""
        return self.size()
