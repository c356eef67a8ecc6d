"""Laws of what other libraries make of a subject: compiling, differentiating, putting off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from arrayfab import _arrays
from arrayfab.frozen import cache
from arrayfab.testing.cases import Case
from arrayfab.testing.laws.registry import law
from arrayfab.testing.setting import LawBroken, Setting
from arrayfab.testing.trials import trials


@law(namespaces=("jax",), is_core=False)
def works_under_jax_jit(subject: Any, case: Case) -> None:
    """A compiled call and a compiled pullback give what the plain ones give."""
    import jax

    cache.clear()  # what is drawn while JAX traces must serve outside as well
    setting = Setting(subject, case)
    for name, trial in setting.trials().items():
        arrays = trial.arrays(case)
        compiled = jax.jit(trial.call)(*arrays)
        y, u, plain = trial.pulled(case, arrays)
        setting.same(f"compiled {name}", name, np.asarray(y, np.float64), compiled)
        gradients = jax.jit(lambda u, *a, vjp=trial.vjp: vjp(*a)[1](u))(case.asarray(u), *arrays)
        for array, expected, gradient in zip(trial.shapes, plain, gradients, strict=True):
            what = f"compiled gradient of {name} in {array}"
            setting.same(what, name, np.asarray(expected, np.float64), gradient)


@law(namespaces=("jax",), is_core=False)
def jax_differentiates_it_alike(subject: Any, case: Case) -> None:
    """JAX, differentiating the plain call, finds the gradients of the hand-written rules."""
    import jax

    setting = Setting(subject, case)
    for name, trial in setting.trials().items():
        arrays = trial.arrays(case)
        _, u, gradients = trial.pulled(case, arrays)
        expected = jax.vjp(trial.call, *arrays)[1](case.asarray(u))
        for array, wanted, gradient in zip(trial.shapes, expected, gradients, strict=True):
            setting.same_gradient(name, trial, array, np.asarray(wanted, np.float64), gradient, 0.0)


@law(namespaces=("torch",), is_core=False)
def torch_differentiates_it_alike(subject: Any, case: Case) -> None:
    """PyTorch, differentiating the plain call, finds the gradients of the hand-written rules."""
    import torch

    setting = Setting(subject, case)
    for name, trial in setting.trials().items():
        arrays = trial.arrays(case)
        _, u, gradients = trial.pulled(case, arrays)
        leaves = [array.clone().requires_grad_() for array in arrays]
        result = trial.call(*leaves)
        expected: Sequence[Any] = [None] * len(leaves)
        if result.requires_grad:
            expected = torch.autograd.grad(result, leaves, case.asarray(u), allow_unused=True)
        for array, wanted, gradient in zip(trial.shapes, expected, gradients, strict=True):
            zero = np.zeros(trial.shapes[array])
            host = zero if wanted is None else _arrays.to_host(wanted).astype(np.float64)
            setting.same_gradient(name, trial, array, host, gradient, 0.0)


@law(namespaces=("dask",), is_core=False)
def lazy_on_dask(subject: Any, case: Case) -> None:
    """On Dask nothing is computed before it is asked for."""
    import dask

    def refuse(*args, **kwargs):
        raise LawBroken("expected a lazy result, but something was computed")

    for trial in trials(subject, case).values():
        arrays = trial.arrays(case)
        with dask.config.set(scheduler=refuse):
            y, pull = trial.vjp(*arrays)
            pull(y)
