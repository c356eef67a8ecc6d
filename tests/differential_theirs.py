"""A third party's fabrication, of any formula, and a layer that knows nothing of rules."""

from __future__ import annotations

import ast
from dataclasses import dataclass

import numpy as np

import arrayfab as af
from arrayfab import structures as st
from arrayfab.frozen import Gaussian, Rademacher, Uniform

LAWS = {"gaussian": Gaussian, "uniform": Uniform, "rademacher": Rademacher}


@dataclass(frozen=True, kw_only=True)
class Formula(af.Seeded):
    """A third party's variant: any formula, spelled as nested tuples of the nodes' names."""

    text: str

    @property
    def tree(self):
        return ast.literal_eval(self.text)

    def blocks(self, n, D):
        return {node[1]: node[2:] for node in _holes(self.tree) if node[0] == "learned"}

    def frozen(self, n, D):
        return {node[1]: LAWS[node[2]](*node[3:]) for node in _holes(self.tree) if node[0] == "frozen"}

    def matrix(self, n, D, **holes):
        return _built(self.tree, holes)

    def dense(self, take, frame, drawn):
        learned = {name: take(*shape) for name, shape in self.blocks(None, None).items()}
        frozen = {name: drawn(name, law) for name, law in self.frozen(None, None).items()}
        return _evaluated(self.tree, learned | frozen, frame)


@dataclass(frozen=True)
class Foreign:
    """Someone else's layer, which does what one of arrayfab's does, and knows nothing of rules."""

    inner: object

    def num_parameters(self):
        return self.inner.num_parameters()

    def init(self, **options):
        return self.inner.init(**options)

    def __call__(self, x, w):
        return self.inner(x, w)

    def vjp(self, x, w):
        return self.inner.vjp(x, w)

    def jvp(self, x, w, dx, dw):
        return self.inner.jvp(x, w, dx, dw)


def _holes(tree):
    if tree[0] in ("learned", "frozen"):
        yield tree
    for part in tree[1:]:
        if isinstance(part, tuple) and part and isinstance(part[0], str):
            yield from _holes(part)


def _built(tree, holes):
    name, *parts = tree
    inner = [_built(part, holes) for part in parts if isinstance(part, tuple) and isinstance(part[0], str)]
    match name:
        case "learned" | "frozen":
            return holes[parts[0]]
        case "constant":
            return st.Constant(tuple(parts[:2]), parts[2])
        case "identity":
            return st.Identity(tuple(parts[:2]))
        case "T":
            return inner[0].T
        case "chain":
            product = inner[0]
            for factor in inner[1:]:
                product = product @ factor
            return product
        case "add":
            return inner[0] + inner[1]
        case "scale":
            return parts[1] * inner[0]
        case "kron":
            return st.kron(*inner)
        case "hadamard":
            return st.hadamard(*inner)
        case "reshaped":
            return st.reshaped(inner[0], tuple(parts[1:]))
        case "sigmoid":
            return st.Sigmoid(inner[0])
        case "diagonal":
            return st.Diagonal(inner[0])
        case "every_row":
            return st.EveryRow(inner[0], parts[1])
    raise NotImplementedError(name)


def _evaluated(tree, held, frame):
    name, *parts = tree
    inner = [
        _evaluated(part, held, frame)
        for part in parts
        if isinstance(part, tuple) and isinstance(part[0], str)
    ]
    match name:
        case "learned" | "frozen":
            return held[parts[0]]
        case "constant":
            return frame.constant(np.full(parts[:2], parts[2])).rounded(1)
        case "identity":
            return frame.constant(np.eye(*parts))
        case "T":
            return inner[0].T
        case "chain":
            product = inner[0]
            for factor in inner[1:]:
                product = product @ factor
            return product
        case "add":
            return inner[0] + inner[1]
        case "scale":
            return inner[0].scaled(parts[1])
        case "kron":
            return inner[0].kron(inner[1])
        case "hadamard":
            return inner[0] * inner[1]
        case "reshaped":
            return inner[0].reshape(*parts[1:])
        case "sigmoid":
            return inner[0].mapped("sigmoid")
        case "diagonal":
            return frame.constant(np.eye(inner[0].shape[1])) * inner[0]
        case "every_row":
            return frame.constant(np.ones((parts[1], 1))) @ inner[0]
    raise NotImplementedError(name)
