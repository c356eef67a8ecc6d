"""The adapters of tinybig's reconciliations, over arrayfab's fabrications."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, ClassVar

from arrayfab import _arrays
from arrayfab import fabrications as core
from arrayfab._arrays import Array
from arrayfab.frozen import Bernoulli, Frozen, cache
from arrayfab.tinybig._function import Function, ParameterError, check_own, checked, class_of


class fabrication(Function):
    """The adapter of all reconciliations: ``W = ψ(w) ∈ R^{n×D}``, dense."""

    _order: ClassVar = {
        "name": "base_fabrication", "require_parameters": True, "enable_bias": False, "device": "cpu",
    }  # fmt: skip

    def __init__(self, *args, **kwargs):
        self._assigned: dict[str, Array] = {}
        self._drawn_at: tuple | None = None  # n, D, namespace, dtype and device of the last product
        super().__init__(*args, **kwargs)

    def __getstate__(self):
        return vars(self) | {"_drawn_at": None}  # a namespace cannot be pickled

    def _core(self) -> core.Fabrication:
        names = [field.name for field in fields(self._made_of) if field.name != "storage"]
        return self._made_of(**{name: getattr(self, name) for name in names})

    def _at(self, n, D, w) -> core.Fabrication:
        """arrayfab's fabrication, for a product with ``w``."""
        self._drawn_at = n, D, _arrays.backend_of(self.name, "w", w).xp, w.dtype, _arrays.device_of(w)
        return self._filled()

    def _filled(self) -> core.Fabrication:
        """arrayfab's fabrication, with the frozen matrices that are assigned."""
        return self._core().with_frozen(**self._assigned) if self._assigned else self._core()

    def whole(self) -> core.Fabrication:
        """arrayfab's fabrication, as long as it is the same in every call."""
        check_own(self, "forward", "calculate_l")
        return self._filled()

    def _assign(self, **arrays):
        assigned = self._assigned | arrays
        self._assigned = {key: array for key, array in assigned.items() if array is not None}

    @checked
    def calculate_l(self, n: int | None = None, D: int | None = None) -> int:
        """The length of ``w``; a hypernet knows it without ``n`` and ``D``."""
        return self.l if "l" in self._hyper else self._core().num_parameters(n, D)  # type: ignore[arg-type]

    def forward(self, n, D, w=None, device=None, *args, xp=None, dtype=None, **kwargs) -> Array:
        """The dense ``W``."""
        return self.vjp(w, n=n, D=D, xp=xp, dtype=dtype, device=device)[0]

    @checked
    def vjp(self, w=None, *, n: int, D: int, xp=None, dtype=None, device=None):
        """The dense ``W`` and its pullback, ``pullback(grad_W) → grad_w``."""
        if w is None and self.calculate_l(n, D) == 0:
            w = _arrays.namespace(xp).zeros((1, 0), dtype=dtype, device=device)
        w = self._vector(w)
        W, pull = self._at(n, D, w).vjp(w, n, D)

        def reconciliation_pullback(grad_W):
            return pull(grad_W)[None, :]

        return W, reconciliation_pullback


class Duplicated(fabrication):
    """One block again and again, whose ``q`` is ``p`` where it is left out."""

    def _settle(self):
        self.q = self.p if self.q is None else self.q
        if self._made_of is core.DuplicatedDiagonalPadding and self.q != self.p:
            raise ParameterError(f"{self.name}: q must equal p={self.p}, got {self.q}")


class Masking(fabrication):
    """A mask that is drawn anew for every product, unless it is fixed."""

    def whole(self):
        if not self.fixed_mask:
            raise NotImplementedError(f"{self.name}: its mask is drawn anew in every call")
        return super().whole()

    def _at(self, n, D, w):
        if not self.fixed_mask:
            self.mask_matrix = None
            self.seed += 1
        return super()._at(n, D, w)


class Network(fabrication):
    """A hypernet, whose network may be assigned."""

    def _settle(self):
        if not self.static and self.net is None:
            raise ParameterError(f"{self.name}: the network is frozen; hand one that learns in by net=")

    @property
    def net(self) -> Any:
        """A network whose ``[0]`` and ``[2]`` have weight and bias, None where the seed's serves."""
        return self._net

    @net.setter
    def net(self, net):
        self._net = net
        if net is None:
            return self._assign(U=None, a=None, V=None, c=None)
        first, last = net[0], net[2]
        self.hidden_dim = first.weight.shape[0]
        return self._assign(U=first.weight, a=first.bias[None, :], V=last.weight, c=last.bias[None, :])


def frozen_names(made_of: type[core.Fabrication]) -> list[str]:
    """The names of the frozen blocks of arrayfab's fabrication."""
    return list(made_of().frozen(1, 1)) if issubclass(made_of, core.Seeded) else []


def frozen_attribute(key):
    """The attribute for a frozen matrix: the assigned one, or the seed's for the last product."""

    def get(self):
        if key in self._assigned or self._drawn_at is None:
            return self._assigned.get(key)
        n, D, *where = self._drawn_at
        law = self._core().frozen(n, D)[key]
        drawn = cache.get(Frozen(self.seed, key, law), *where)
        return drawn != 0 if isinstance(law, Bernoulli) else drawn

    return property(get, lambda self, array: self._assign(**{key: array}), doc=f"The frozen ``{key}``.")


#: A keyword that tinybig does not have.
ARRANGED = {"arrangement": "kronecker"}


def row(key: str, made_of: Any, base: type = fabrication, /, name="", fixed=(), **hyper) -> Any:
    """A reconciliation: tinybig's name for it, arrayfab's fabrication, hyper-parameters with defaults."""
    frozen = {
        {"mask": "mask_matrix"}.get(block, block): frozen_attribute(block) for block in frozen_names(made_of)
    }
    order = {"name": name or f"{key}_reconciliation", **hyper, "device": "cpu", "seed": 0}
    order |= {"require_parameters": made_of not in (core.Constant, core.Eye), "enable_bias": False}
    ours = ARRANGED if "arrangement" in made_of.__dataclass_fields__ else {}
    return class_of(
        f"{key}_reconciliation",
        base,
        made_of,
        made_of.__doc__,
        order | ours,
        hyper | ours,
        **frozen,
        **dict(fixed),
    )
