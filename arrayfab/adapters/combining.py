"""Weighted sums of adapters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

from arrayfab.adapters.adapter import Adapter
from arrayfab.adapters.factors import Cut, Finder, factored, joined
from arrayfab.adapters.made import Made, Nearness
from arrayfab.adapters.updates import Added, Difference, LoRA
from arrayfab.io.configuration import short
from arrayfab.io.files import dtype_of
from arrayfab.io.tensors import rounded

_HOW = ("cat", "svd", "linear")


def combine(
    adapters: Sequence[Adapter],
    weights: Sequence[float] | None = None,
    *,
    how: str = "cat",
    rank: int | None = None,
    energy: float | None = None,
    dtype: str | None = None,
    xp: ModuleType | None = None,
    device: Any = None,
    on_module: Callable[[int, int], None] = lambda done, total: None,
) -> Made:
    """A LoRA adapter that stands for several, each times a weight.

    Of updates ``Δᵢ = sᵢ Bᵢ Aᵢ`` and weights ``cᵢ`` it holds, module by module:

    ``"cat"``
        ``Σ cᵢ Δᵢ``, with the factors side by side and the ranks added up.
    ``"svd"``
        The nearest to that sum of a lower rank.
    ``"linear"``
        ``(Σ √|cᵢ sᵢ| Bᵢ) (Σ ±√|cᵢ sᵢ| Aᵢ)``, which PEFT's ``add_weighted_adapter`` has under this name:
        factors of one rank are added. It is **not** the sum: every ``Bᵢ`` meets every ``Aⱼ``. How far it is
        from the sum is the error that is said.

    A module that some adapters lack is made of the others. Biases are added up with their weights. Tensors
    that are replaced stay as they are, whatever the weight.

    Parameters
    ----------
    adapters : sequence of Adapter
        Of LoRA, and of LoHa of low ranks. `arrayfab.adapters.to_lora` makes such of others.
    weights : sequence of float, optional
        One for each, all one if left out.
    how : str
    rank, energy
        For ``"svd"``, as for `arrayfab.adapters.extract`; without both the largest rank among a module's
        updates.
    dtype : str, optional
        Of the numbers, that of the first adapter of a module if left out.
    xp, device
        Where to compute: NumPy if left out.
    on_module : callable
        Is told how many modules are done, and of how many.

    Raises
    ------
    ValueError
        If the updates of a module have other shapes, ranks or families than this takes, or two adapters
        replace the same tensor.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab.adapters import Adapter, LoRA, combine
    >>> def one(number):
    ...     update = LoRA(tensors={"B": np.full((2, 1), number), "A": np.ones((1, 2))})
    ...     return Adapter(layout="peft", updates={"layer": update})
    >>> made = combine([one(1.0), one(3.0)], [2.0, 0.5])
    >>> made.adapter.updates["layer"].delta(2, 2)
    array([[3.5, 3.5],
           [3.5, 3.5]])
    """
    weights = [1.0] * len(adapters) if weights is None else [float(weight) for weight in weights]
    _check(adapters, weights, how, rank, energy)
    kind = None if dtype is None else dtype_of(dtype)
    finder = Finder(cut=Cut(rank=rank, energy=energy), dtype=kind, xp=xp, device=device)
    names = list(dict.fromkeys(name for adapter in adapters for name in adapter.updates))
    updates, lines = {}, []
    for i, name in enumerate(names):
        held = [
            (weight, adapter.updates[name])
            for adapter, weight in zip(adapters, weights, strict=True)
            if name in adapter.updates
        ]
        updates[name], error = _combined(name, held, how, finder)
        near = updates[name]
        lines.append(Nearness(name, near.shape, near.family, near["A"].shape[0], error))
        on_module(i + 1, len(names))
    replaced = _only_one(adapters)
    lines += [Nearness(name, kept.shape, "replaced") for name, kept in replaced.items()]
    made = replace(
        adapters[0],
        updates=updates,
        biases=_biases(adapters, weights, kind),
        replaced=replaced,
        kernels={name: kernel for adapter in adapters for name, kernel in adapter.kernels.items()},
        embeddings=frozenset(name for adapter in adapters for name in adapter.embeddings),
    )
    return Made(made, lines)


def _check(adapters, weights, how, rank, energy):
    if how not in _HOW:
        raise ValueError(f"combine: how must be one of {list(_HOW)}, got {short(repr(how))}")
    if not adapters or len(weights) != len(adapters):
        raise ValueError(f"combine: expected a weight for each of {len(adapters)} adapters, got {weights}")
    if not all(map(math.isfinite, weights)):
        raise ValueError(f"combine: weights must be finite, got {weights}")
    if how != "svd" and (rank is not None or energy is not None):
        raise ValueError(f"combine: {how!r} takes no rank and no energy")
    for setting in ("is_flattened", "may_be_transposed"):
        if len({getattr(adapter, setting) for adapter in adapters}) > 1:
            raise ValueError(
                f"combine: all adapters must agree in {setting}; convert them to one layout first"
            )
    kinds: dict[str, Any] = {}
    for adapter in adapters:
        for name in adapter.updates:
            kind = adapter.kernels.get(name, ()), name in adapter.embeddings
            if kinds.setdefault(name, kind) != kind:
                raise ValueError(
                    f"combine: module {short(repr(name))} is a convolution or an embedding in one adapter, "
                    "and another or none in the other"
                )


def _owner(name):
    return f"combine: module {short(repr(name))}"


def _combined(name: str, held: list[tuple[float, Any]], how: str, finder: Finder) -> tuple[LoRA, float]:
    owner = _owner(name)
    shapes = {update.shape for _, update in held if None not in update.shape}
    if len(shapes) != 1:
        raise ValueError(f"{owner}: the updates have shapes {sorted(shapes)}")
    (n, D) = shapes.pop()
    pairs = [(weight, _pair(name, update, n, D)) for weight, update in held]
    dtype = finder.dtype or np.result_type(*held[0][1].arrays())
    whole = _lora(*joined(pairs))
    if how == "svd":
        if finder.cut == Cut():
            ranks = [A.shape[0] for _, (_, A) in pairs]
            finder = replace(finder, cut=Cut(rank=max(ranks)))
        return replace(finder, dtype=dtype).nearest(owner, whole, n, D)
    near = _lora(*_linear(name, held)) if how == "linear" else whole
    near = LoRA(tensors={key: rounded(owner, numbers, dtype) for key, numbers in near.tensors.items()})
    return near, finder.error(whole, near, n, D)


def _lora(B, A):
    return LoRA(tensors={"B": B, "A": A})


def _pair(name, update, n, D):
    pair = factored(_wide(update), n, D) if isinstance(update, Added) else None
    if pair is None:
        raise ValueError(
            f"{_owner(name)}: {update.family} is no product of two factors; convert it to LoRA first"
        )
    return pair


def _wide(update):
    return update.placed(np.zeros(0, np.float64))


def _linear(name, held):
    if not all(isinstance(update, LoRA) for _, update in held):
        raise ValueError(f"{_owner(name)}: 'linear' adds up factors of LoRA alone")
    ranks = sorted({update["A"].shape[0] for _, update in held})
    if len(ranks) > 1:
        raise ValueError(f"{_owner(name)}: 'linear' needs equal ranks, got {ranks}")
    B, A = 0.0, 0.0
    for weight, update in held:
        size = weight * update.scale
        root = math.sqrt(abs(size))
        B = B + root * _wide(update)["B"]
        A = A + math.copysign(root, size) * _wide(update)["A"]
    return B, A


def _biases(adapters, weights, dtype):
    """The sums of what is added to biases, in the scale that factors have."""
    held: dict[str, list[tuple[float, Any]]] = {}
    for adapter, weight in zip(adapters, weights, strict=True):
        for name, bias in adapter.biases.items():
            if not isinstance(bias, Difference):
                raise ValueError(f"{_owner(name)}: {bias.family} adds nothing to its bias")
            held.setdefault(name, []).append((weight * bias.scale, bias["delta"]))
    biases = {}
    for name, parts in held.items():
        if len({delta.shape for _, delta in parts}) > 1:
            raise ValueError(f"{_owner(name)}: its biases have several lengths")
        delta = np.sum([scale * delta.astype(np.float64) for scale, delta in parts], axis=0)
        biases[name] = Difference(
            tensors={"delta": rounded(f"{_owner(name)}: bias", delta, dtype or parts[0][1].dtype)}
        )
    return biases


def _only_one(adapters):
    replaced: dict[str, np.ndarray] = {}
    for adapter in adapters:
        for name, kept in adapter.replaced.items():
            if name in replaced:
                raise ValueError(f"combine: two adapters replace {short(name)}, which cannot be added up")
            replaced[name] = kept
    return replaced
