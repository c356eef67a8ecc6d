"""tinybig, the library whose formulas arrayfab computes."""

from __future__ import annotations

import importlib.metadata
import sys
import types
from typing import Any

from arrayfab.expansions import BSpline, RowNormalized, Taylor
from peers.pytorch import TorchPeer
from workloads import DenseMatrix


class StandIn(types.ModuleType):
    """A module that has a class of any name in it."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


# What tinybig imports for its data sets, which take no part here: packages that no longer install
# next to its other needs, and modules of its own that do not compile on Python 3.11.
NOT_NEEDED = [
    *("torchvision", "torchvision.datasets", "torchvision.transforms"),
    *("torchtext", "torchtext.data", "torchtext.data.utils", "torchtext.datasets", "torchtext.vocab"),
    *("torchdata", "torchdata.datapipes"),
    *("tinybig.data", "tinybig.data.base_data", "tinybig.data.time_series_dataloader"),
    "tinybig.data.text_dataloader_torchtext",
]


class Tinybig(TorchPeer):
    """tinybig's own objects, given arrayfab's frozen matrices.

    Its Kronecker variants reshape an outer product where the papers, and arrayfab, have ``⊗``.
    """

    name = "tinybig"
    package = "tinybig"
    modules = ("torch", "tinybig")
    forms_matrix = True
    differs = (
        *("hm reconciliation", "lphm reconciliation", "dual lphm interdependence"),
        *(
            f"{normalized}taylor {d}, {variant}"
            for normalized in ("", "normalized ")
            for d in (2, 3)
            for variant in ("lphm", "dual lphm")
        ),
    )

    def load(self, module):
        if module != "tinybig" or "tinybig" in sys.modules:
            return super().load(module)
        importlib.metadata.version("tinybig")
        stand_ins = {name: StandIn(name) for name in NOT_NEEDED if name not in sys.modules}
        sys.modules.update(stand_ins)
        try:
            return super().load(module)
        finally:  # others ask whether these packages are there
            for name in stand_ins:
                del sys.modules[name]

    def build(self, problem, xs, w, frozen):
        import torch

        role = problem.workload.role
        module = made(self.load("tinybig"), problem.workload)
        # Row by row in memory, as it draws its own.
        holder = getattr(module, "parameter_fabrication", None) or module
        for name, matrix in frozen.items():
            setattr(holder, name, matrix.contiguous())
        row = w.detach().reshape(1, -1).requires_grad_(True)
        if isinstance(role, DenseMatrix):
            return lambda: module.forward(role.n, role.D, row), [row]
        if problem.workload.is_expanded:
            expand = expansion_of(self.load("tinybig"), problem.workload)
            (x,), (n, D) = xs, problem.workload.matrix
            return lambda: torch.matmul(expand(x), module.forward(n, D, row).T), [row]
        if problem.workload.kind.endswith("reconciliation"):
            (x,), (n, D) = xs, problem.workload.matrix
            return lambda: torch.matmul(x, module.forward(n, D, row).T), [row]
        data = xs if len(xs) > 1 else xs[0]
        return lambda: module.forward(data, row), [row]


RECONCILIATIONS = {
    "low rank reconciliation": "lorr_reconciliation",
    "adaption reconciliation": "random_matrix_adaption_reconciliation",
    "hm reconciliation": "hm_reconciliation",
    "lphm reconciliation": "lphm_reconciliation",
    "dual lphm reconciliation": "dual_lphm_reconciliation",
}


def made(tinybig: Any, workload: Any) -> Any:
    """tinybig's object for a workload."""
    fabrication, role, kind = workload.fabrication, workload.role, workload.kind
    reconciliation, interdependence = tinybig.reconciliation, tinybig.interdependence
    sizes = {name: getattr(fabrication, name) for name in ("r", "p", "q") if hasattr(fabrication, name)}
    if workload.is_expanded:
        kind = f"{kind.rpartition(', ')[2].removeprefix('reshaped ')} reconciliation"
    if kind in RECONCILIATIONS:
        return getattr(reconciliation, RECONCILIATIONS[kind])(**sizes)
    if kind == "hypernet":
        return reconciliation.random_matrix_hypernet_reconciliation(
            r=fabrication.r, l=fabrication.l, hidden_dim=fabrication.hidden_dim
        )
    if kind == "low rank fusion":
        return tinybig.fusion.lowrank_parameterized_concatenation_fusion(
            dims=list(role.dims), n=role.n, **sizes
        )
    ((b, m),) = workload.shapes
    if kind == "adaption bilinear":
        return interdependence.random_matrix_adaption_parameterized_bilinear_interdependence(
            b=b, m=m, interdependence_type="attribute", **sizes
        )
    if kind == "dual lphm interdependence":
        return interdependence.dual_lphm_parameterized_interdependence(b=b, m=m, **sizes)
    return interdependence.parameterized_interdependence(b=b, m=m)


def expansion_of(tinybig: Any, workload: Any) -> Any:
    """κ of a workload, tinybig's layer normalisation after it where rows are normalised."""
    expansion, after = workload.role.expansion, None
    if isinstance(expansion, RowNormalized):
        expansion, after = expansion.expansion, "layer_norm"
    theirs = tinybig.expansion
    if isinstance(expansion, Taylor):
        return theirs.taylor_expansion(d=expansion.d, postprocess_functions=after)
    if isinstance(expansion, BSpline):
        return theirs.bspline_expansion(t=expansion.t, d=expansion.d, grid_range=expansion.grid_range)
    return theirs.chebyshev_expansion(d=expansion.d)
