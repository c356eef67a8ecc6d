"""The heads and models of the papers, each beside its formula as it is written by hand in PyTorch.

The formulas use the identities that leave large matrices unformed wherever they are known to pay, in the
form that was fastest of those tried: `expanded` holds some of them. Learned numbers are tensors of their
own, as in a model of PyTorch.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

import arrayfab as af
from arrayfab import models
from arrayfab.interdependences import Graph
from arrayfab.layer import Layer
from expanded import normalized, taylor, taylor_reshaped, times_rows

sys.path.append(str(Path(__file__).parent / "papers"))

import functions
import graph
import mnist
import sequence
import tabular


@dataclass(frozen=True)
class Case:
    """A layer, the shape of a mini-batch, the shapes of its learned numbers, and ``y`` of both by hand."""

    name: str
    layer: Layer
    shape: tuple[int, ...]
    blocks: tuple[tuple[int, ...], ...]
    by_hand: Callable
    is_classifier: bool = True
    batches: int = 8  # in an epoch

    def split(self, w: np.ndarray) -> list[np.ndarray]:
        """The blocks of ``w``."""
        edges = np.cumsum([0, *map(math.prod, self.blocks)])
        if edges[-1] != w.size:
            raise ValueError(f"{self.name}: the blocks have {edges[-1]} numbers, and w has {w.size}")
        return [w[a:b].reshape(s) for a, b, s in zip(edges, edges[1:], self.blocks, strict=False)]


# Heads.


def published_layer(x, blocks, n, is_normalized=True):
    """``κ(x) Wᵀ`` in tinybig's arrangement, by its blocks where they lie along the rows of ``W``."""
    m = x.shape[1]
    k = dict(zip(("P", "Qt", "S", "Tt"), blocks, strict=True)) | {"shape": (n, m * (m + 1))}
    product = taylor_reshaped if math.prod((k["P"] @ k["Qt"]).shape) % n == 0 else _with_few_rows
    if is_normalized:
        product = normalized(product)
    return product(torch, x, k, 2)


def _with_few_rows(xp, x, k, d):
    left, right = (k["P"] @ k["Qt"]).reshape(-1, 1), (k["S"] @ k["Tt"]).reshape(-1)
    return times_rows(xp, x, (left * right).reshape(k["shape"]), d)


def splines(x):
    """Cubic B-splines on five intervals of (-1, 1), all of them in one array, by truncated powers."""
    middles = torch.arange(-1.0, 7.0, dtype=x.dtype)
    away = ((x + 1) * 2.5)[:, :, None].sub(middles).abs()
    wide, narrow = torch.relu(2 - away), torch.relu(1 - away)
    return ((wide * wide * wide - 4 * (narrow * narrow * narrow)) * (1 / 6)).reshape(x.shape[0], -1)


def splines_and_products(x, blocks):
    """B-splines and products of two, by a matrix of low rank."""
    A, Bt = blocks
    return (torch.cat((splines(x), taylor(torch, x, 2)), 1) @ Bt.T) @ A.T


def naive_bayes(x, blocks):
    """Log densities of each attribute, and the attributes."""
    W, bias, V = blocks
    return torch.addmm(bias, -0.5 * (x * x + math.log(2 * math.pi)), W.T) + x @ V.T


def pairs(m):
    """Those of pairs too: a pair's is the sum of both, and the weights are summed up in place of them."""
    i, j = torch.triu_indices(m, m, 1)

    def product(x, blocks):
        W, bias, V = blocks
        summed = W[:, :m].index_add(1, i, W[:, m:]).index_add(1, j, W[:, m:])
        return naive_bayes(x, (summed, bias, V))

    return product


def bells(x, blocks):
    """Ten bells along each attribute."""
    W, bias = blocks
    z = x[:, :, None] - torch.linspace(-2, 2, 10, dtype=x.dtype)
    return torch.addmm(bias, torch.exp(-z * z).reshape(x.shape[0], -1), W.T)


def low_rank_products(x, blocks):
    """Products of two, a matrix of low rank, and a bias."""
    A, Bt, bias = blocks
    return torch.addmm(bias, times_rows(torch, x, Bt, 2), A.T)


def chained(hops):
    """What was so many moments ago, beside what is now."""

    def product(x, blocks):
        W, bias, V = blocks
        z = functional.linear(x, W)
        return functional.pad(z[..., :-hops, :], (0, 0, hops, 0)) + bias + functional.linear(x, V)

    return product


def means(links: Graph) -> Callable:
    """Means over a node and those linked to it: a dense matrix for a few nodes, sums along links for many."""
    own = np.arange(links.nodes)
    to, of = (np.concatenate((*pair, own)) for pair in (links.entries[:2], links.entries[1::-1]))
    counts = np.bincount(to, minlength=links.nodes)
    A = np.zeros((links.nodes, links.nodes))
    A[to, of] = 1 / counts[to]
    dense, shares = torch.tensor(A), torch.tensor(1 / counts[:, None])
    to, of = torch.tensor(to), torch.tensor(of)
    made = {dtype: (dense.to(dtype), shares.to(dtype)) for dtype in (torch.float32, torch.float64)}

    def product(z):
        matrix, each = made[z.dtype]
        return matrix @ z if links.nodes < 100 else each * torch.zeros_like(z).index_add(0, to, z[of])

    return product


def of_nodes(links):
    """A head of a graph convolutional network."""
    mean = means(links)
    return lambda x, blocks: mean(x @ blocks[0].T) + blocks[1]


def attention(x, blocks):
    """``softmax(x Wᵀ xᵀ / √m) x`` with ``W = A Bᵀ``."""
    A, Bt = blocks
    scores = (x @ (Bt.mT * (1 / math.sqrt(x.shape[-1])))) @ (x @ A).mT
    return torch.softmax(scores, -1) @ x


def citations(nodes: int) -> Graph:
    """Links at random, twice as many as nodes."""
    drawn = np.random.default_rng(0).integers(0, nodes, (2 * nodes, 2))
    return Graph.of(nodes, sorted({(int(min(i, j)), int(max(i, j))) for i, j in drawn if i != j}))


def factors(m, n, p):
    """The blocks of a published layer."""
    return (p, 5), (5, m), (n // p, 5), (5, m + 1)


def heads(rows: int = 64) -> list[Case]:
    """Those of the papers."""
    first, second, third = mnist.published(mnist.KAPPA).layers
    club, cora = Graph.of(34, graph.LINKS), citations(42 * rows)
    learned = functions.rpn(3).layers[0]
    gcn = models.gcn((34, 8, 2), club, activation="tanh").layers[0]
    large = models.gcn((64, 16, 7), cora).layers[0]
    seen = sequence.network().layers[2]
    attending = af.Attention(fabrication=af.LowRank(r=8), m=64, interdependence_type="instance")
    m, n, D = 30, 2, 30 * 31 // 2
    several = 8 * rows
    return [
        Case("MNIST layer 1, 784 to 64", first, (rows, 784), factors(784, 64, 8), _plain(64)),
        Case("MNIST layer 2, 64 to 64", second, (rows, 64), factors(64, 64, 8), _normal(64)),
        Case("MNIST layer 3, 64 to 10", third, (rows, 64), factors(64, 10, 2), _normal(10)),
        Case("functions, m=3", learned, (16 * rows, 3), ((2, 2), (2, 36)), splines_and_products),
        Case(
            "naive Bayes, m=30", tabular.naive_bayes(m, n), (several, m), ((n, m), (n,), (n, m)), naive_bayes
        ),
        Case("PGM, m=30", tabular.pairs(m, n), (several, m), ((n, D), (n,), (n, m)), pairs(m)),
        Case("kernel SVM, m=30", tabular.kernel(m, n), (several, m), ((n, 10 * m), (n,)), bells),
        Case(
            "Taylor low rank, m=30",
            tabular.products(m, n),
            (several, m),
            ((n, 2), (2, m * m + m), (n,)),
            low_rank_products,
        ),
        Case("chain, 2 ago, m=16", seen, (several, 16), ((16, 16), (16,), (16, 16)), chained(2)),
        Case("gcn, karate club", gcn, (34, 34), ((8, 34), (8,)), of_nodes(club)),
        Case("gcn, many nodes", large, (cora.nodes, 64), ((16, 64), (16,)), of_nodes(cora)),
        Case("Attention, m=64", attending, (4 * rows, 64), ((64, 8), (8, 64)), attention),
    ]


def _plain(n):
    return lambda x, blocks: published_layer(x, blocks, n, is_normalized=False)


def _normal(n):
    return lambda x, blocks: published_layer(x, blocks, n)


# Models.


def perceptron(x, blocks):
    """Full matrices."""
    *before, (W, bias) = zip(blocks[::2], blocks[1::2], strict=True)
    for V, added in before:
        x = torch.relu(functional.linear(x, V, added))
    return functional.linear(x, W, bias)


def published(x, blocks):
    """The MNIST table's."""
    x = published_layer(x, blocks[:4], 64, is_normalized=False)
    return published_layer(published_layer(x, blocks[4:8], 64), blocks[8:], 10)


def kan(x, blocks):
    """B-splines, and silu beside them."""
    for W, V in zip(blocks[::2], blocks[1::2], strict=True):
        x = splines(x) @ W.T + functional.silu(x @ V.T)
    return x


def network(links):
    """Two heads of a graph convolutional network."""
    head = of_nodes(links)
    return lambda x, blocks: head(torch.relu(head(x, blocks[:2])), blocks[2:])


def transformer(x, blocks):
    """A head of attention and one without, both beside their data, and a last one."""
    W, A, Bt, bias, V, bias_2, last, bias_3 = blocks
    scores = (x @ (Bt.mT * (1 / math.sqrt(x.shape[-1])))) @ (x @ A).mT
    x = torch.relu(torch.softmax(scores, -1) @ functional.linear(x, W) + bias + x)
    x = torch.relu(functional.linear(x, V, bias_2) + x)
    return functional.linear(x, last, bias_3)


def convolutions(x, blocks):
    """Two convolutions and a full last layer."""
    W, V, last, bias = blocks
    x = x.reshape(-1, 1, 28, 28)
    for kernels in (W, V):
        x = functional.conv2d(x, kernels, padding=1)
        x = functional.max_pool2d(torch.relu(x), 2)
    return functional.linear(x.reshape(x.shape[0], -1), last, bias)


def whole_models(rows: int = 64) -> list[Case]:
    """Whole models, small ones."""
    cora = citations(42 * rows)
    full = ((256, 784), (256,), (128, 256), (128,), (10, 128), (10,))
    three = (*factors(784, 64, 8), *factors(64, 64, 8), *factors(64, 10, 2))
    splines_of = ((16, 64), (16, 8), (1, 128), (1, 16))
    attends = ((32, 32), (32, 3), (3, 32), (32,), (32, 32), (32,), (10, 32), (10,))
    kernels = ((8, 1, 3, 3), (16, 8, 3, 3), (10, 784), (10,))
    mlp, gcn = models.mlp((784, 256, 128, 10)), models.gcn((64, 16, 7), cora)
    of_nodes_ = ((16, 64), (16,), (7, 16), (7,))
    return [
        Case("mlp 784, 256, 128, 10", mlp, (rows, 784), full, perceptron),
        Case("published MNIST model", mnist.published(mnist.KAPPA), (rows, 784), three, published),
        Case("kan 8, 16, 1", models.kan((8, 16, 1)), (2 * rows, 8), splines_of, kan, is_classifier=False),
        Case("gcn 64, 16, 7", gcn, (cora.nodes, 64), of_nodes_, network(cora), batches=1),
        Case(
            "transformer 32, 32, 10",
            models.transformer((32, 32, 10)),
            (rows // 2, 20, 32),
            attends,
            transformer,
        ),
        Case(
            "cnn 28×28, 1, 8, 16, 10",
            models.cnn((28, 28), (1, 8, 16), (10,)),
            (rows // 2, 784),
            kernels,
            convolutions,
        ),
    ]
