"""arrayfab, and what else works on NumPy's arrays: formulas written inline, opt_einsum, PyFastKron."""

from __future__ import annotations

from typing import Any

import numpy as np

import arrayfab
from expanded import formed
from peers.base import NOT_OFFERED, Peer
from workloads import Calls, Problem


class Arrayfab(Peer):
    """What is measured against all others: on NumPy, on a GPU on CuPy."""

    name = "arrayfab"
    package = "arrayfab"
    on_numpy = True
    devices = ("cpu", "cuda")

    @property
    def version(self):
        return arrayfab.__version__

    def prepare(self, problem: Problem, device: str = "cpu") -> Calls:
        asarray = module_of(device).asarray
        role, w, g = problem.workload.role, asarray(problem.w), asarray(problem.g)
        xs = [asarray(x) for x in problem.xs]
        x = xs[0] if len(xs) == 1 else xs

        def forward():
            return role(x, w)

        def gradient():
            y, pullback = role.vjp(x, w)
            grad_x, grad_w = pullback(g)
            return y, grad_x if isinstance(grad_x, list) else (grad_x,), grad_w

        return Calls(forward, gradient)


def module_of(device: str) -> Any:
    """NumPy, or CuPy for the GPU."""
    if device == "cpu":
        return np
    import cupy

    return cupy


class Inline(Peer):
    """The same formula written inline, the gradient by hand where a formula states one."""

    name = "NumPy inline"
    on_numpy = True
    devices = ("cpu", "cuda")

    def prepare(self, problem: Problem, device: str = "cpu") -> Calls:
        xp, formula = module_of(device), problem.workload.formula
        xs, w, g = tuple(map(xp.asarray, problem.xs)), xp.asarray(problem.w), xp.asarray(problem.g)
        frozen = {name: xp.asarray(array) for name, array in problem.frozen.items()}

        def forward():
            return formula.by_hand(xp, xs, problem.named(w, frozen))

        def gradient():
            y, grad_xs, grads = formula.gradient(xp, xs, problem.named(w, frozen), g)
            return y, grad_xs, xp.concatenate([grad.reshape(-1) for grad in grads])

        return Calls(forward, gradient if formula.gradient else None, "no gradient written inline")


class Formed(Peer):
    """Expanded data as an array, then W's factors one after the other, and the gradient by hand."""

    name = "NumPy formed"
    on_numpy = True
    forms_matrix = True

    def skips(self, workload):
        return None if workload.is_expanded else NOT_OFFERED

    def prepare(self, problem: Problem, device: str = "cpu") -> Calls:
        expand, product = formed(problem.workload.kind)
        (x,), w, g = problem.xs, problem.w, problem.g

        def gradient():
            K, pull = expand(x)
            y, (grad_K,), grads = product(np, (K,), problem.named(w, {}), g)
            return y, (pull(grad_K),), np.concatenate([grad.reshape(-1) for grad in grads])

        def forward():
            # Without a cotangent there is nothing to pull back.
            return product(np, (expand(x).array,), problem.named(w, {}))

        return Calls(forward, gradient)


class OptEinsum(Peer):
    """One contraction for the value, one for the gradient of every operand; paths found beforehand."""

    name = "opt_einsum"
    package = "opt_einsum"
    modules = ("opt_einsum",)
    on_numpy = True

    def skips(self, workload):
        return None if workload.formula.spec else "the formula is no single einsum"

    def prepare(self, problem: Problem, device: str = "cpu") -> Calls:
        from opt_einsum import contract_expression

        formula, k = problem.workload.formula, problem.named(problem.w, problem.frozen)
        arrays = formula.einsum_operands(np, problem.xs, k)
        inputs, result = (formula.spec or "").split("->")
        terms = inputs.split(",")
        sizes = {
            c: size
            for term, a in zip(terms, arrays, strict=True)
            for c, size in zip(term, a.shape, strict=True)
        }
        g = problem.g.reshape([sizes[c] for c in result])
        value = contract_expression(formula.spec, *(a.shape for a in arrays))
        pulls = []
        for i, name in enumerate(formula.operands):
            if name not in problem.frozen:
                others = [*terms[:i], *terms[i + 1 :], result]
                shapes = [*(a.shape for j, a in enumerate(arrays) if j != i), g.shape]
                pulls.append((i, name, contract_expression(f"{','.join(others)}->{terms[i]}", *shapes)))

        def operands():
            return formula.einsum_operands(np, problem.xs, problem.named(problem.w, problem.frozen))

        def forward():
            return value(*operands())

        def gradient():
            arrays, grads = operands(), {}
            for i, name, pull in pulls:
                grad = pull(*arrays[:i], *arrays[i + 1 :], g)
                grads[name] = grads[name] + grad if name in grads else grad
            grad_xs = split_columns(grads["x"].reshape(problem.g.shape[0], -1), problem.xs)
            return (
                value(*arrays),
                grad_xs,
                np.concatenate([grads[name].reshape(-1) for name in problem.blocks]),
            )

        return Calls(forward, gradient)


def split_columns(x, like) -> list:
    """``x`` in pieces as wide as the arrays of ``like``."""
    edges = np.cumsum([part.shape[1] for part in like])[:-1]
    return np.split(x, edges, axis=1) if len(like) > 1 else [x]


class FastKron(Peer):
    """PyFastKron's product with a Kronecker product of factors, forward alone."""

    name = "PyFastKron"
    package = "pyfastkron"
    modules = ("pyfastkron.fastkronnumpy",)
    on_numpy = True
    kinds = ("hm reconciliation", "dual lphm interdependence")

    def prepare(self, problem: Problem, device: str = "cpu") -> Calls:
        from pyfastkron.fastkronnumpy import gemkm

        (x,), contiguous = problem.xs, np.ascontiguousarray

        def hypercomplex(k: dict):
            # y = x (A ⊗ B)ᵀ
            return gemkm(x, [contiguous(k["A"].T), contiguous(k["B"].T)])

        def dual_lphm(k: dict):
            # (P Qᵀ) ⊗ (S Tᵀ) = (P ⊗ S)(Q ⊗ T)ᵀ
            return gemkm(gemkm(x, [k["P"], k["S"]]), [k["Qt"], k["Tt"]])

        product = hypercomplex if problem.workload.kind == "hm reconciliation" else dual_lphm
        return Calls(lambda: product(problem.named(problem.w, {})), None, "its NumPy product has no gradient")
