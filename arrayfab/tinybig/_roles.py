"""The adapters of tinybig's interdependences and fusions, over arrayfab's roles."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

from arrayfab import _arrays, roles
from arrayfab import fabrications as core
from arrayfab._arrays import Array
from arrayfab.roles.interdependence import ATTRIBUTE, INSTANCE
from arrayfab.tinybig import reconciliation
from arrayfab.tinybig._fabrication import ARRANGED, fabrication
from arrayfab.tinybig._function import HOOKS, Hooked, ParameterError, checked, class_of


class InRole(Hooked):
    """What interdependences and fusions share: functions before and after, and a fabrication."""

    parameter_fabrication: fabrication | None = None
    _whole: ClassVar[Any]  # what fabricates a matrix that is learned entry by entry

    def _settle(self):
        super()._settle()
        if "q" in self._hyper and self.q is None:
            self.q = self.p
        if self._made_of is not None:
            hyper = {key: getattr(self, key) for key in self._hyper}
            self.parameter_fabrication = self._made_of(**hyper, seed=self.seed)
        if "p" in self._hyper:  # p and q must divide the sizes
            self.calculate_l()

    def _fabrication(self) -> fabrication:
        return self._whole() if self.parameter_fabrication is None else self.parameter_fabrication

    def _psi(self, w) -> core.Fabrication:
        n, D = self._matrix_shape()
        return self._fabrication()._at(n, D, w)

    @checked
    def calculate_l(self, *args, **kwargs) -> int:
        """The length of ``w``."""
        return self._fabrication().calculate_l(*self._matrix_shape())

    @checked
    def vjp(self, x, w: Array = None):
        """The result ``y`` and its pullback, ``pullback(grad_y) → (grad_x, grad_w)``."""
        self._check_plain()
        vector = self._vector(w)
        y, pull = self._role(self._need("x", x), vector).vjp(x, vector)

        def role_pullback(grad_y):
            grad_x, grad_w = pull(grad_y)
            return grad_x, self._shaped(grad_w, w)

        return y, role_pullback

    def _shaped(self, grad_w, w):
        """A gradient in the shape of ``w``."""
        return grad_w if grad_w is None or len(w.shape) == 1 else grad_w[None, :]


class interdependence(InRole):
    """The adapter of all interdependences: ``y = x A`` among attributes, ``y = Aᵀ x`` among instances."""

    _overridable = (*InRole._overridable, "calculate_A")
    _order: ClassVar = {
        "b": ..., "m": ..., "name": "base_interdependency", "interdependence_type": "attribute",
        "require_data": True, "require_parameters": False, **HOOKS, "device": "cpu",
    }  # fmt: skip
    _is_bilinear = False
    A = b_prime = m_prime = None

    def _settle(self):
        if not self._is_bilinear:
            self.b_prime, self.m_prime = self.b_prime or self.b, self.m_prime or self.m
        super()._settle()

    @property
    def interdependence_type(self) -> str:
        """One of tinybig's names for the two types, ``"row"`` and ``"column"`` included."""
        return self._type

    @interdependence_type.setter
    def interdependence_type(self, value):
        known = INSTANCE + ATTRIBUTE
        if value not in known:
            raise ParameterError(
                f"{type(self).__name__}: interdependence_type must be in {known}, got {value!r}"
            )
        self._type = value

    def _is_instance(self):
        return self.interdependence_type in INSTANCE

    def get_A(self) -> Array | None:
        """``A`` where it follows from neither data nor parameters."""
        A = self.A
        if A is None:
            warnings.warn("The A matrix is None: it follows from data or parameters", stacklevel=2)
        return A

    def get_b(self) -> int:
        return self.b

    def get_m(self) -> int:
        return self.m

    def calculate_b_prime(self, b: int | None = None) -> int:
        """Rows of ``y``."""
        return (self._is_instance() and self.b_prime) or (self.b if b is None else b)

    def calculate_m_prime(self, m: int | None = None) -> int:
        """Columns of ``y``."""
        return (not self._is_instance() and self.m_prime) or (self.m if m is None else m)

    def check_A_shape_validity(self, A: Array):
        """ParameterError unless ``A`` has the shape that this function's matrix has."""
        if self._is_instance():
            shape = (self.b, self.calculate_b_prime())
        else:
            shape = (self.m, self.calculate_m_prime())
        if A is None or tuple(A.shape) != shape:
            got = None if A is None else tuple(A.shape)
            raise ParameterError(f"{self.name}: A must have shape {shape}, got {got}")

    def _sizes(self):
        """The sizes of the matrix, by the names that arrayfab's role has for them."""
        if self._is_bilinear:
            return {"m": self.m} if self._is_instance() else {"b": self.b}
        if self._is_instance():
            return {"b": self.b, "b_prime": self.calculate_b_prime()}
        return {"m": self.m, "m_prime": self.calculate_m_prime()}

    def _matrix_shape(self):
        sizes = tuple(self._sizes().values())
        return sizes[0], sizes[-1]

    def _role(self, x, w):
        role = roles.BilinearInterdependence if self._is_bilinear else roles.ParameterizedInterdependence
        return role(fabrication=self._psi(w), interdependence_type=self.interdependence_type, **self._sizes())

    @checked
    def calculate_A(self, x=None, w=None, device="cpu", *args, **kwargs) -> Array:
        """The dense ``A``. As in tinybig, the instance type takes ``x`` transposed, of shape ``(m, b)``."""
        w = self._vector(w)
        if self._is_bilinear:
            x = self.pre_process(x=self._need("x", x), device=device)
            role = roles.BilinearInterdependence(fabrication=self._psi(w), b=self._matrix_shape()[0])
            return self.post_process(x=role.matrix(x, w), device=device)
        return self.post_process(x=self._role(x, w).matrix(w), device=device)

    @checked
    def forward(self, x=None, w=None, kappa_x=None, device="cpu", *args, **kwargs) -> Array:
        """The result ``y``; with ``kappa_x``, ``A`` follows from ``x`` and acts on ``kappa_x``."""
        data = self._need("x", x if kappa_x is None else kappa_x)
        if not self._is_plain():
            return self._by_matrix(data, x, w, device)
        vector = self._vector(w)
        role = self._role(data, vector)
        if kappa_x is None or not role.needs_data:
            return role(data, vector)
        return role.coupled([self._need("x", x), kappa_x], vector)

    def _pulled_matrix(self, x, w):
        """``A``, among instances ``Aᵀ``, and its pullback, ``pullback(grad) → (grad_x, grad_w)``."""
        self._check_plain()
        vector, xp = self._vector(w), _arrays.backend_of(self.name, "x", x).xp
        role, size = self._role(x, vector), x.shape[0 if self._is_instance() else 1]
        one = xp.eye(size, dtype=x.dtype, device=_arrays.device_of(x))
        y, pull = role.coupled.vjp([x, one], vector) if role.needs_data else role.vjp(one, vector)

        def matrix_pullback(grad):
            grad_x, grad_w = pull(grad)
            return grad_x[0] if role.needs_data else None, self._shaped(grad_w, w)

        return y, matrix_pullback

    def _by_matrix(self, data, x, w, device="cpu"):
        """The product with `calculate_A`."""
        if not self._is_instance():
            return data @ self.calculate_A(x, w, device=device)
        mT = _arrays.backend_of(self.name, "x", data).mT
        return mT(self.calculate_A(None if x is None else mT(x), w, device=device)) @ data


class fusion(InRole):
    """The adapter of all fusions: arrays with as many rows become one."""

    _order: ClassVar = {
        "dims": None, "name": "base_fusion", "require_parameters": False, **HOOKS, "device": "cpu",
    }  # fmt: skip
    _learns = require_parameters = False
    n: int | None = None

    def _settle(self):
        if self._learns and self.n is None:
            if len(set(self.dims or ())) != 1:
                raise ParameterError(f"{self.name}: n is needed unless all dims are alike, got {self.dims}")
            self.n = self.dims[0]
        super()._settle()

    def get_dims(self):
        return self.dims

    def get_num(self) -> int:
        return len(self.dims or ())

    def get_dim(self, index: int) -> int | None:
        """Columns of one input."""
        if self.dims is not None and (index is None or not 0 <= index < len(self.dims)):
            raise ParameterError(f"{self.name}: index must be from 0 to {len(self.dims) - 1}, got {index!r}")
        return None if self.dims is None else self.dims[index]

    def calculate_n(self, dims=None, *args, **kwargs) -> int:
        """Columns of ``y``."""
        return sum(self._need("dims", dims or self.dims)) if self.n is None else self.n

    def calculate_l(self, *args, **kwargs):
        return super().calculate_l() if self._learns else 0

    def _vector(self, w):
        return super()._vector(w) if self._learns else None

    def _matrix_shape(self):
        return self.n, sum(self._need("dims", self.dims))

    def _role(self, x, w):
        if not x:
            raise ParameterError(f"{self.name}: x must hold at least one array, got none")
        if not self._learns:
            return roles.Concatenation(dims=tuple(array.shape[-1] for array in x))
        psi = self._psi(w)
        return roles.ConcatenationFusion(fabrication=psi, dims=tuple(self.dims), n=self.n)

    @checked
    def forward(self, x, w=None, device="cpu", *args, **kwargs) -> Array:
        """The fused array."""
        w = self._vector(w)
        x = [self.pre_process(x=array, device=device) for array in x]
        return self.post_process(x=self._fused(x, w), device=device)

    def _fused(self, x, w):
        return self._role(x, w)(x, w)


def plain(key: str, base: type, doc: str, fixed: dict, /, **order) -> Any:
    """A role whose matrix is learned entry by entry."""
    order["name"] = key  # where tinybig has it
    order |= {"require_parameters": True, "device": "cpu", **HOOKS, "seed": 0}
    return class_of(key, base, None, doc, order, _whole=reconciliation.identity_reconciliation, **fixed)


def variants(base) -> list[Any]:
    """A plain role with each fabricated matrix in place of the learned one."""
    p_q: dict[str, Any] = {"p": ..., "q": None}
    made = []
    for key, made_of, hyper in (
        ("lowrank", reconciliation.lorr_reconciliation, {"r": 2}),
        ("hm", reconciliation.hm_reconciliation, p_q),
        ("lphm", reconciliation.lphm_reconciliation, {"r": ..., **p_q}),
        ("dual_lphm", reconciliation.dual_lphm_reconciliation, {"r": ..., **p_q}),
        ("random_matrix_adaption", reconciliation.random_matrix_adaption_reconciliation, {"r": 2}),
    ):
        name = f"{key}_{base.__name__}"
        order = {**hyper, "name": None, **base._order} | {"name": name}
        if "arrangement" in made_of._hyper:
            order, hyper = order | ARRANGED, hyper | ARRANGED
        doc = f"`{base.__name__}` with the matrix of `{made_of.__name__}`."
        made.append(class_of(name, base, made_of, doc, order, hyper))
    return made
