"""What a training step keeps and holds: PyTorch and JAX through the dense formula, through arrayfab's array
code, and by arrayfab's pullbacks.

All numbers are counted bytes in MiB, float32, gradients in ``x`` and ``w``:

- *kept*: what the forward pass keeps for the backward pass, ``x`` and ``w`` included, frozen matrices that
  are held anyway not (PyTorch: every tensor saved for backward, by its storage; JAX: the leaves of the
  pullback that ``jax.vjp`` returns);
- *peak*: the most that is held at once above ``x``, ``w`` and those frozen matrices (PyTorch: live storages
  after every operation of an eager step; JAX: the temporaries of the compiled step, and its results).

    python benchmarks/autodiff.py
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

import arrayfab as af
from arrayfab.fabrications.blueprint import blueprint
from arrayfab.frozen import cache
from arrayfab.interop import jax as door_of_jax
from arrayfab.interop import torch as door_of_torch

MIB = 1 << 20


@dataclass(frozen=True)
class Workload:
    """A role, the shapes of its data, and its dense formula ``dense(xp, xs, blocks, frozen)``."""

    name: str
    role: object
    x_shapes: tuple[tuple[int, ...], ...]
    blocks: tuple[tuple[int, ...], ...]
    dense: Callable

    def arrays(self):
        rng = np.random.default_rng(0)
        xs = [rng.standard_normal(shape, dtype=np.float32) for shape in self.x_shapes]
        return xs, self.role.init(rng=0, dtype=np.float32)

    def frozen(self):
        frozen = blueprint(self.role.fabrication, *self.role.matrix_shape).frozen
        return tuple(matrix.draw(np.float32) for matrix in frozen.values())

    def packed(self, xs):
        return list(xs) if len(self.x_shapes) > 1 else xs[0]

    def split(self, w):
        edges = np.cumsum([0, *(int(np.prod(shape)) for shape in self.blocks)])
        return [w[a:b].reshape(shape) for a, b, shape in zip(edges, edges[1:], self.blocks, strict=False)]


def dual_lphm(xp, xs, blocks, frozen):
    """``x ((P Qᵀ) ⊗ (S Tᵀ))``."""
    P, Qt, S, Tt = blocks
    return xs[0] @ xp.kron(P @ Qt, S @ Tt)


def bilinear_adaption(xp, xs, blocks, frozen):
    """``x (xᵀ (Λ₁ A Λ₂ Bᵀ) x)``."""
    (lambda_1, lambda_2), (A, B), (x,) = blocks, frozen, xs
    return x @ (x.T @ (xp.diag(lambda_1) @ A @ xp.diag(lambda_2) @ B.T) @ x)


def random_matrix_hypernet(n, D):
    """``x Wᵀ`` with ``W`` the reshaped ``σ(w P Qᵀ) S Tᵀ``."""

    def dense(xp, xs, blocks, frozen):
        (w,), (P, Q, S, T) = blocks, frozen
        hidden = 1.0 / (1.0 + xp.exp(-(w @ P @ Q.T)))
        return xs[0] @ (hidden @ S @ T.T).reshape(n, D).T

    return dense


def low_rank_fusion(xp, xs, blocks, frozen):
    """``(x₁ ⊔ x₂ ⊔ x₃) (A Bᵀ)ᵀ``."""
    A, Bt = blocks
    return xp.concatenate(xs, axis=-1) @ (A @ Bt).T


def hypernet_workload(n, storage):
    """The hypernet as a square reconciliation."""
    fabrication = af.RandomMatrixHypernet(l=64, hidden_dim=128, r=2, storage=storage)
    return Workload(
        f"random matrix hypernet, b=64, n=D={n}" + ", streamed" * (storage == "streamed"),
        af.Reconciliation(fabrication=fabrication, n=n, D=n),
        ((64, n),),
        ((64,),),
        random_matrix_hypernet(n, n),
    )


WORKLOADS = [
    Workload(
        "full, b=256, m=2048",
        af.ParameterizedInterdependence(fabrication=af.Full(), m=2048),
        ((256, 2048),),
        ((2048, 2048),),
        lambda xp, xs, blocks, frozen: xs[0] @ blocks[0],
    ),
    Workload(
        "dual lphm, b=256, m=4096, r=4",
        af.ParameterizedInterdependence(fabrication=af.DualLPHM(p=64, q=64, r=4), m=4096),
        ((256, 4096),),
        ((64, 4), (4, 64), (64, 4), (4, 64)),
        dual_lphm,
    ),
    Workload(
        "random matrix adaption, bilinear, b=1024, m=2048, r=8",
        af.BilinearInterdependence(fabrication=af.RandomMatrixAdaption(r=8), b=1024),
        ((1024, 2048),),
        ((1024,), (8,)),
        bilinear_adaption,
    ),
    Workload(
        "low-rank fusion, 3 inputs 256×2048 to 2048, r=8",
        af.ConcatenationFusion(fabrication=af.LowRank(r=8), dims=(2048,) * 3, n=2048),
        ((256, 2048),) * 3,
        ((2048, 8), (8, 3 * 2048)),
        low_rank_fusion,
    ),
    hypernet_workload(2048, "cached"),
    hypernet_workload(2048, "streamed"),
]


class Live(TorchDispatchMode):
    """Counts the bytes of the storages that operations have made and that are still alive."""

    def __init__(self):
        super().__init__()
        self.storages, self.peak = {}, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        before = {tensor.untyped_storage()._cdata for tensor in _tensors((args, kwargs))}
        out = func(*args, **(kwargs or {}))
        for tensor in _tensors(out):
            storage = tensor.untyped_storage()
            if storage._cdata not in before:
                self.storages[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        self.storages = {key: held for key, held in self.storages.items() if not held[0].expired()}
        self.peak = max(self.peak, sum(size for _, size in self.storages.values()))
        return out


def _tensors(tree):
    return [leaf for leaf in torch.utils._pytree.tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def in_torch(f, xs, w, frozen):
    """Bytes kept, and the peak, of a step of ``f(xs, w, *frozen)``."""
    frozen = [torch.tensor(array) for array in frozen]
    xs, w = [torch.tensor(x, requires_grad=True) for x in xs], torch.tensor(w, requires_grad=True)
    f(xs, w, *frozen)  # draws what is frozen, and plans
    anyway = {array.untyped_storage()._cdata for array in (*frozen, *cache._held.values())}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        torch.sum(f(xs, w, *frozen)).backward()
    for tensor in (*xs, w):
        tensor.grad = None
    with Live() as live:
        torch.sum(f(xs, w, *frozen) ** 2).backward()
    return sum(size for key, size in kept.items() if key not in anyway), live.peak


def in_jax(f, xs, w, frozen):
    """Bytes kept, and the temporaries of the compiled step, of ``f(xs, w, *frozen)``."""
    xs, w = [jax.numpy.asarray(x) for x in xs], jax.numpy.asarray(w)
    frozen = [jax.numpy.asarray(array) for array in frozen]
    pullback = jax.vjp(lambda xs, w: f(xs, w, *frozen), xs, w)[1]
    anyway = {array.unsafe_buffer_pointer() for array in (*frozen, *cache._held.values())}
    kept = {leaf.unsafe_buffer_pointer(): leaf.nbytes for leaf in jax.tree.leaves(pullback)}

    def step(xs, w, *frozen):
        return jax.grad(lambda xs, w: jax.numpy.sum(f(xs, w, *frozen) ** 2), argnums=(0, 1))(xs, w)

    analysis = jax.jit(step).lower(xs, w, *frozen).compile().memory_analysis()
    return sum(
        size for key, size in kept.items() if key not in anyway
    ), analysis.temp_size_in_bytes + analysis.output_size_in_bytes


def measured(work: Workload):
    """The bytes of every way, PyTorch's two and then JAX's two."""
    (xs, w), role = work.arrays(), work.role
    function = door_of_jax.function(role)

    def formula(xp):
        return lambda xs, w, *frozen: work.dense(xp, xs, work.split(w), frozen)

    def array_code(xs, w):
        return role(work.packed(xs), w)

    def by_torch(xs, w):
        return door_of_torch.apply(role, work.packed(xs), w)

    def by_jax(xs, w):
        return function(work.packed(xs), w)

    for way, of_torch, of_jax, frozen in (
        ("dense formula", formula(torch), formula(jax.numpy), work.frozen()),
        ("arrayfab, by autodiff", array_code, array_code, ()),
        ("arrayfab.interop", by_torch, by_jax, ()),
    ):
        # One namespace's draws at a time, so that the cache holds what the step uses.
        cache.clear()
        numbers = in_torch(of_torch, xs, w, frozen)
        cache.clear()
        yield way, (*numbers, *in_jax(of_jax, xs, w, frozen))


def main() -> None:
    """Print the table."""
    print(f"PyTorch {torch.__version__}, JAX {jax.__version__}, NumPy {np.__version__}; MiB\n")
    print("| workload | way | PyTorch: kept | peak | JAX: kept | peak |")
    print("|---|---|---:|---:|---:|---:|")
    for work in WORKLOADS:
        for way, counts in measured(work):
            numbers = " | ".join(f"{count / MIB:.3g}" for count in counts)
            print(f"| {work.name} | {way} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
