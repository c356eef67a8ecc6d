"""Libraries of linear operators: linear_operator and CoLA on PyTorch, PyLops on NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from peers.base import Peer
from peers.pytorch import TorchPeer
from workloads import Calls, Problem, Workload

# What is one operator times data; a bilinear form is none, and the hypernet's matrix is dense.
KINDS = (
    "low rank reconciliation",
    "adaption reconciliation",
    "hm reconciliation",
    "lphm reconciliation",
    "dual lphm interdependence",
    "low rank fusion",
    "full interdependence",
)


def operator(dense: Any, diagonal: Any, kron: Any, kind: str, k: dict) -> Any:
    """The operator in ``y = (operator @ xᵀ)ᵀ``, of a library's three parts and its ``@``."""
    if kind.startswith("low rank"):
        return dense(k["A"]) @ dense(k["Bt"])
    if kind.startswith("adaption"):
        left = diagonal(k["lambda_1"].reshape(-1)) @ dense(k["A"])
        return left @ diagonal(k["lambda_2"].reshape(-1)) @ dense(k["B"].T)
    if kind.startswith("hm"):
        return kron(dense(k["A"]), dense(k["B"]))
    if kind.startswith("lphm"):
        return kron(dense(k["A"]), dense(k["S"]) @ dense(k["Tt"]))
    if kind.startswith("dual lphm"):
        return kron(dense(k["Qt"].T) @ dense(k["P"].T), dense(k["Tt"].T) @ dense(k["S"].T))
    return dense(k["W"].T)


class TorchOperator(TorchPeer):
    """An operator library on PyTorch."""

    kinds = KINDS

    def parts(self) -> tuple[Any, Any, Any]:
        """How the library spells a dense matrix, a diagonal one and a Kronecker product."""
        raise NotImplementedError

    def build(self, problem, xs, w, frozen):
        import torch

        parts, kind = self.parts(), problem.workload.kind

        def call():
            x = torch.cat(xs, dim=-1) if len(xs) > 1 else xs[0]
            return (operator(*parts, kind, problem.named(w, frozen)) @ x.mT).mT

        return call, [w]


class LinearOperator(TorchOperator):
    """The operators of GPyTorch."""

    name = "linear_operator"
    package = "linear_operator"
    modules = ("torch", "linear_operator")

    def parts(self):
        from linear_operator import operators

        return (
            operators.DenseLinearOperator,
            operators.DiagLinearOperator,
            operators.KroneckerProductLinearOperator,
        )


class Cola(TorchOperator):
    """CoLA's operators, on PyTorch."""

    name = "CoLA"
    package = "cola-ml"
    modules = ("torch", "cola")

    def parts(self):
        from cola import ops

        return ops.Dense, ops.Diagonal, ops.Kronecker


class PyLops(Peer):
    """PyLops' operators on NumPy, applied to all rows at once."""

    name = "PyLops"
    package = "pylops"
    modules = ("pylops",)
    on_numpy = True
    kinds = KINDS

    def skips(self, workload: Workload) -> str | None:
        # Its Kronecker product walks through the rows one by one in Python.
        if "lphm" in workload.kind or "hm" in workload.kind:
            n, _ = workload.matrix
            if workload.rows * n > 1 << 20:
                return "takes the rows one by one, too long for a batch of this size"
        return super().skips(workload)

    def prepare(self, problem: Problem, device: str = "cpu") -> Calls:
        import pylops

        dtype, kind = problem.workload.dtype, problem.workload.kind
        parts = [self._typed(part, dtype) for part in (pylops.MatrixMult, pylops.Diagonal, pylops.Kronecker)]

        def forward():
            x = np.concatenate(problem.xs, axis=1) if len(problem.xs) > 1 else problem.xs[0]
            k = problem.named(problem.w, problem.frozen)
            return np.asarray(operator(*parts, kind, k) @ np.ascontiguousarray(x.T)).T

        return Calls(forward, None, "no gradient of the learned numbers")

    @staticmethod
    def _typed(part, dtype):
        def typed(*arguments):
            return part(*arguments, dtype=dtype)

        return typed
