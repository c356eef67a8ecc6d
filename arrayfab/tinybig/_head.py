"""The adapter of tinybig's heads, over arrayfab's."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar

import numpy as np

from arrayfab import _arrays
from arrayfab.composition import Sequential
from arrayfab.expansions import Identity
from arrayfab.head import Head
from arrayfab.layer import Layer
from arrayfab.outline import outline
from arrayfab.tinybig._configuration import at, of_config, settle_functions
from arrayfab.tinybig._fabrication import fabrication
from arrayfab.tinybig._function import ParameterError, check_own, class_of, layers_of, through
from arrayfab.tinybig._learning import Learned
from arrayfab.tinybig._remainder import Constant, remainder
from arrayfab.tinybig._roles import fusion, interdependence
from arrayfab.tinybig._transformation import transformation
from arrayfab.tinybig.fusion import mean_fusion

#: The parts of a head, and what their configurations must make.
PARTS: dict[str, type] = {
    "data_transformation": transformation, "attribute_interdependence": interdependence,
    "instance_interdependence": interdependence, "parameter_fabrication": fabrication,
    "channel_fusion": fusion, "remainder": remainder,
}  # fmt: skip

_PROCESS = ("input_process_function", "output_process_function")

#: Which fusions of shifted arrays are the fused ones shifted.
_SHIFTED_ALIKE = ("mean", "max", "min", "median")


class head(Learned):
    """The adapter of all heads: ``y = fuse_c( A_i(x)ᵀ κ(x A_a(x)) ψ(w_c)ᵀ + b ) + π(x)``."""

    _kind = "head"
    _parts = (
        "w_attribute_interdependence", "w", "w_instance_interdependence", "w_channel_fusion", "b",
        "w_remainder", "b_remainder",
    )  # fmt: skip
    _order: ClassVar = {
        "m": ..., "n": ..., "name": "rpn_head", "batch_num": None, "channel_num": 1, "l": None,
        "l_attribute_interdependence": None, "l_instance_interdependence": None, "l_channel_fusion": None,
        "input_process_functions": None, **dict.fromkeys(PARTS), "output_process_functions": None,
        "input_process_function_configs": None, **dict.fromkeys(f"{part}_configs" for part in PARTS),
        "output_process_function_configs": None, "create_parameters_at_init": True,
        "parameters_init_method": None, "device": "cpu",
    }  # fmt: skip
    #: What makes the parts of a head that is ready, from its keywords.
    _recipe: ClassVar[dict[str, Callable[[Any], Any]]] = {}
    _steps = (
        "calculate_kappa_x", "calculate_phi_w", "calculate_pi_x", "calculate_attribute_xi_x",
        "calculate_instance_xi_x", "calculate_kappa_xi_x", "calculate_inner_product", "fusion",
    )  # fmt: skip

    def _settle(self):
        for key, kind in PARTS.items():
            part, configs = getattr(self, key, None), getattr(self, f"{key}_configs", None)
            if part is None and configs is not None:
                with at(f"{key}_configs"):
                    part = of_config(configs, kind)
            setattr(self, key, part)
        for key, make in self._recipe.items():
            setattr(self, key, make(self))
        self._settle_sizes()
        for key in _PROCESS:
            if key + "s" in self._order:
                settle_functions(self, key)
        sizes = (self.m, self.n, self.channel_num)
        if not all(_arrays.is_integer(size) and size > 0 for size in sizes):
            raise ParameterError(f"{self.name}: m, n and channel_num must be positive numbers, got {sizes}")
        if self.channel_num > 1 and self.channel_fusion is None:
            self.channel_fusion = mean_fusion(dims=[self.n] * self.channel_num)
        self._settle_lengths()
        with suppress(NotImplementedError):
            self.composition()  # the parts must fit each other

    def _settle_sizes(self):
        """What follows from the parts."""

    def _matrix_shape(self):
        return self.n, self._features()

    def _settle_lengths(self):
        xi, instance, psi = (
            self.attribute_interdependence,
            self.instance_interdependence,
            self.parameter_fabrication,
        )
        lengths = {
            "l_attribute_interdependence": _length(xi),
            "l_instance_interdependence": _length(instance),
            "l": psi.calculate_l(*self._matrix_shape()) if psi is not None else None,
            "l_channel_fusion": _length(self.channel_fusion),
        }
        for key, length in lengths.items():
            if getattr(self, key) is None:
                setattr(self, key, length)
            elif getattr(self, key) != length:
                raise ParameterError(f"{self.name}: {key} must be {length}, got {getattr(self, key)}")

    def _columns(self):
        """Columns of ``x A_a(x)``."""
        xi = self.attribute_interdependence
        if xi is None:
            return self.m
        if isinstance(xi, interdependence):
            return xi.calculate_m_prime(self.m)
        return outline(xi, (getattr(xi, "b", None) or 1, self.m)).result[-1]

    def _features(self):
        kappa, columns = self.data_transformation, self._columns()
        return columns if kappa is None else kappa.calculate_D(m=columns)

    def get_m(self) -> int:
        """Columns of ``x``."""
        return self.m

    def get_n(self) -> int:
        """Columns of ``y``."""
        return self.n

    def get_channel_num(self) -> int:
        """How many matrices there are."""
        return self.channel_num

    def get_batch_num(self) -> int | None:
        """How many rows the data have, where it is said."""
        return self.batch_num

    def _shapes(self):
        C, psi, pi = self.channel_num, self.parameter_fabrication, self.remainder
        shapes: dict[str, tuple[int, ...]] = {}
        if _learns(self.attribute_interdependence):
            shapes["w_attribute_interdependence"] = (C, self.l_attribute_interdependence)
        if psi is not None and psi.require_parameters:
            shapes["w"] = (C, self.l)
        if _learns(self.instance_interdependence):
            shapes["w_instance_interdependence"] = (C, self.l_instance_interdependence)
        if _learns(self.channel_fusion):
            shapes["w_channel_fusion"] = (1, self.l_channel_fusion)
        if "w" in shapes and psi.enable_bias:
            shapes["b"] = (self.n,)
        if pi is not None and pi.require_parameters:
            shapes["w_remainder"] = (self.n, self.m)
            if pi.enable_bias:
                shapes["b_remainder"] = (self.n,)
        return shapes

    def _runs(self):
        names = list(self._shapes())
        by_channel = [name for name in names if name in self._parts[:3]]
        rows = [(name, c) for c in range(self.channel_num) for name in by_channel]
        return rows + [(name, None) for name in names if name not in by_channel]

    def create_learnable_parameters(
        self, initialize_parameter_at_creation=False, init_type="xavier_uniform", init_bias=True, **place
    ):
        """Draw the learned numbers; ``rng=``, ``xp=``, ``dtype=`` and ``device=`` as for all draws."""
        self.initialize_parameters(init_type, init_bias, **place)

    # arrayfab's head.
    def composition(self):
        check_own(self, *self._steps)
        before, after = (layers_of(self.name, getattr(self, f"{key}s")) for key in _PROCESS)
        parts = [*before, *self._layers(), *after]
        return Sequential(parts) if len(parts) > 1 else parts[0]

    def _layers(self) -> list[Layer]:
        """What stands between the functions before and after."""
        if self.parameter_fabrication is not None:
            return [self._head()]
        if self.instance_interdependence is not None or not self._adds_nothing():
            raise NotImplementedError(f"{self.name}: without a fabrication it is no head of arrayfab's")
        kappa, xi = self.data_transformation, layer_of(self.attribute_interdependence)
        expansion = Identity() if kappa is None else kappa.whole(self._columns())
        return [expansion] if xi is None else [xi, expansion]

    def _head(self) -> Head:
        psi, pi = self.parameter_fabrication, self.remainder
        return Head(
            expansion=None
            if self.data_transformation is None
            else self.data_transformation.whole(self._columns()),
            fabrication=psi.whole(),
            attribute=layer_of(self.attribute_interdependence),
            instance=layer_of(self.instance_interdependence),
            channels=self.channel_num,
            fusion=self._fused(),
            bias="b" in self._shapes(),
            remainder=None if self._adds_nothing() else pi.whole(self.m, self.n),
            n=self.n,
            m=self.m,
        )

    def _adds_nothing(self):
        pi = self.remainder
        return pi is None or (isinstance(pi, Constant) and pi.c == 0 and not pi.activation_functions)

    def _fused(self):
        if self.channel_num == 1:
            return None
        fused = self.channel_fusion
        if "b" in self._shapes() and getattr(fused, "_function", "") not in _SHIFTED_ALIKE:
            raise NotImplementedError(f"{self.name}: arrayfab adds the bias once, behind the fusion")
        fused._check_plain()
        return fused._role([np.empty((1, self.n))] * self.channel_num, np.zeros(self.l_channel_fusion or 0))

    # tinybig's steps.
    def calculate_kappa_x(self, x, device="cpu", *args, **kwargs):
        """``κ(x)``."""
        return x if self.data_transformation is None else self.data_transformation(x, device=device)

    def calculate_phi_w(self, D: int, channel_index: int = 0, device="cpu", *args, **kwargs):
        """``ψ(w_c)``, dense."""
        if self.parameter_fabrication is None:
            return None
        return self.parameter_fabrication(n=self.n, D=D, w=self._row("w", channel_index), device=device)

    def calculate_pi_x(self, x, device="cpu", *args, **kwargs):
        """``π(x)``, None where it is zero."""
        if self._adds_nothing():
            return None
        xp = _arrays.backend_of(self.name, "x", x).xp
        return self.remainder(
            x=x, w=self.w_remainder, b=self.b_remainder, m=self.m, n=self.n, xp=xp, dtype=x.dtype
        )

    def calculate_attribute_xi_x(
        self, x, channel_index: int = 0, kappa_x=None, device="cpu", *args, **kwargs
    ):
        """``x A_a(x)``."""
        return self._depended("attribute_interdependence", x, channel_index, kappa_x)

    def calculate_instance_xi_x(self, x, channel_index: int = 0, kappa_x=None, device="cpu", *args, **kwargs):
        """``A_i(x)ᵀ κ``."""
        return self._depended("instance_interdependence", x, channel_index, kappa_x)

    def _depended(self, key, x, channel, kappa_x):
        part, data = getattr(self, key), x if kappa_x is None else kappa_x
        if part is None:
            return data
        w = self._row(f"w_{key}", channel)
        if not isinstance(part, Layer):
            return part(x=x, w=w, kappa_x=kappa_x)
        w = None if w is None else w[0, :]
        return part.coupled([x, data], w) if getattr(part, "needs_data", False) else part(data, w)

    def _row(self, name, channel):
        array = getattr(self, name)
        return None if array is None else array[channel : channel + 1, :]

    def calculate_kappa_xi_x(self, x, channel_index: int = 0, device="cpu", *args, **kwargs):
        """``A_i(x)ᵀ κ(x A_a(x))``."""
        dependent = self.calculate_attribute_xi_x(x=x, channel_index=channel_index, device=device)
        kappa_x = self.calculate_kappa_x(x=dependent, device=device)
        return self.calculate_instance_xi_x(x=x, channel_index=channel_index, kappa_x=kappa_x, device=device)

    def calculate_inner_product(self, kappa_xi_x, phi_w, device="cpu", *args, **kwargs):
        """``κ ψᵀ + b``."""
        if phi_w is None:
            return kappa_xi_x
        y = kappa_xi_x @ _arrays.backend_of(self.name, "w", phi_w).mT(phi_w)
        return y if self.b is None else y + self.b

    def fusion(self, inner_products, device="cpu", *args, **kwargs):
        """One array of those of all channels."""
        if self.channel_fusion is None:
            return inner_products[0]
        return self.channel_fusion(x=inner_products, w=self.w_channel_fusion, device=device)

    def _stepwise(self, x, device):
        x = through(x, self.input_process_functions)
        products = []
        for c in range(self.channel_num):
            kappa = self.calculate_kappa_xi_x(x=x, channel_index=c, device=device)
            W = self.calculate_phi_w(D=kappa.shape[-1], channel_index=c, device=device)
            products.append(self.calculate_inner_product(kappa_xi_x=kappa, phi_w=W, device=device))
        y, added = self.fusion(products, device=device), self.calculate_pi_x(x=x, device=device)
        return through(y if added is None else y + added, self.output_process_functions)


def _learns(part) -> bool:
    return part is not None and bool(getattr(part, "require_parameters", _length(part)))


def _length(part) -> int | None:
    if part is None:
        return None
    return (part.num_parameters() if isinstance(part, Layer) else part.calculate_l()) or None


def layer_of(part: Any) -> Any:
    """The layer of arrayfab that an interdependence is."""
    if part is None or isinstance(part, Layer):
        return part
    part._check_plain()
    return part._role(None, np.zeros(_length(part) or 0))


def row(key: str, doc: str, recipe: dict[str, Any], base: type = head, /, sizes="m n", **own: Any) -> Any:
    """A head that is ready: tinybig's name for it, what makes its parts, and keywords with defaults."""
    made = {f"{part}{end}" for part in recipe for end in ("", "_configs", "_function_configs")}
    made |= {f"{part.removesuffix('s')}_configs" for part in recipe}
    order = {**dict.fromkeys(sizes.split(), ...), **own}
    usual = {name: value for name, value in head._order.items() if name not in (*made, *order)}
    if "m" not in order:
        usual = {name: value for name, value in usual.items() if name not in ("m", "n")}
    return class_of(key, base, None, doc, {**order, **usual}, _recipe=recipe)
