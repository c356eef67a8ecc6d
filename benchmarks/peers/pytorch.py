"""PyTorch by hand: eager, and the same compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from peers.base import Peer
from workloads import Calls, Problem


class TorchPeer(Peer):
    """A peer that PyTorch differentiates.

    A subclass says in `build` how ``y`` follows from the tensors.
    """

    modules: tuple[str, ...] = ("torch",)
    package: str | None = "torch"

    def missing(self, device="cpu"):
        why = super().missing(device)
        if why is None and device == "cuda":
            import torch

            return None if torch.cuda.is_available() else "PyTorch finds no GPU"
        return why

    def build(self, problem: Problem, xs: list, w: Any, frozen: dict) -> tuple[Callable[[], Any], list]:
        """A call that returns ``y``, and the learned tensors in the order of ``w``."""
        raise NotImplementedError

    def prepare(self, problem: Problem, device: str = "cpu") -> Calls:
        import torch

        def tensor(array, learned=False):
            return torch.tensor(array, device=device, requires_grad=learned)

        xs = [tensor(x, learned=True) for x in problem.xs]
        frozen = {name: tensor(array) for name, array in problem.frozen.items()}
        call, learned = self.build(problem, xs, tensor(problem.w, learned=True), frozen)
        g = tensor(problem.g)

        def forward():
            with torch.no_grad():
                return call()

        def gradient():
            y = call()
            grads = torch.autograd.grad(y, [*xs, *learned], g.reshape(y.shape))
            return y, grads[: len(xs)], grads[len(xs) :]

        return Calls(forward, gradient)


class Eager(TorchPeer):
    """The formula of `formulas`, differentiated by autograd."""

    name = "PyTorch eager"
    devices = ("cpu", "cuda")

    def build(self, problem, xs, w, frozen):
        import torch

        by_hand = problem.workload.formula.by_hand
        return lambda: by_hand(torch, xs, problem.named(w, frozen)), [w]


class Compiled(TorchPeer):
    """The same under ``torch.compile``, which needs a C++ compiler on the CPU."""

    name = "torch.compile"
    devices = ("cpu", "cuda")

    def build(self, problem, xs, w, frozen):
        import torch

        torch._dynamo.reset()  # else the limit of recompilations is soon reached
        by_hand = problem.workload.formula.by_hand

        @torch.compile(fullgraph=True, dynamic=False)
        def compiled(xs, w, frozen):
            return by_hand(torch, xs, problem.named(w, frozen))

        return lambda: compiled(xs, w, frozen), [w]
