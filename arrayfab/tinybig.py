"""tinybig's parameter fabrication under its own names: the door for code that was written against it.

Classes, constructor keywords, methods and attributes are those of tinybig 0.2.1; ``w`` comes as tinybig's
``(1, l)``. Each class hands its work to arrayfab, so that products never form ``W``, and has a ``vjp``.

Where it differs:

- Any array namespace will do, PyTorch among them. Outputs live where the inputs live: ``device=`` is
  accepted and moves nothing. Where no array is given, ``xp=``, ``dtype=`` and ``device=`` choose.
- ``hm``, ``lphm``, ``dual_lphm`` and ``duplicated_padding`` compute the documented Kronecker product
  ``A ⊗ B``. tinybig's code reshapes an outer product instead, which is another matrix unless ``n/p = 1``
  or ``q = 1``: vectors trained there with these four mean something else here.
- ``duplicated_diagonal_padding`` is ``I_p ⊗ w``, for any ``p`` that divides ``n`` and ``D``; it is dense.
- Frozen matrices follow from ``seed``. They are attributes, None until drawn; a matrix that is assigned
  is used in place of the seed's, and must fit. Draws are shared: assign a new one, do not write into one.
- ``p`` and ``q`` left out of ``hm``, ``lphm`` and ``dual_lphm`` stay None and are found anew per shape.

Examples
--------
>>> import numpy as np
>>> from arrayfab.tinybig import dual_lphm_parameterized_interdependence
>>> xi = dual_lphm_parameterized_interdependence(b=3, m=16, m_prime=32, r=2, p=4)
>>> x, w = np.ones((3, 16)), np.ones((1, xi.calculate_l()))
>>> y, pullback = xi.vjp(x, w)
>>> grad_x, grad_w = pullback(np.ones_like(y))
>>> xi(x, w).shape, grad_x.shape, grad_w.shape
((3, 32), (3, 16), (1, 40))
"""

from __future__ import annotations

import functools
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar

from arrayfab import _arrays, roles
from arrayfab import fabrications as core
from arrayfab._arrays import Array
from arrayfab.frozen import Bernoulli, Frozen, cache


class ParameterError(ValueError, AssertionError):
    """Parameters, data or sizes that are missing or do not fit; caught as either of its bases."""


def _checked(method):
    """A method that raises `ParameterError` where arrayfab raises ValueError."""

    @functools.wraps(method)
    def checked_method(*args, **kwargs):
        try:
            return method(*args, **kwargs)
        except ValueError as error:
            if type(error) is not ValueError:
                raise
            raise ParameterError(*error.args) from error

    return checked_method


class _Function:
    # The constructor's parameters in tinybig's order with their defaults, `...` where there is none.
    _order: ClassVar[dict[str, Any]] = {}
    _hyper: ClassVar[tuple[str, ...]] = ()
    _made_of: ClassVar[Any] = None

    if TYPE_CHECKING:  # attributes are set by the table of their class

        def __getattr__(self, name: str) -> Any: ...

    @_checked
    def __init__(self, *args, **kwargs):
        given = dict(zip(self._order, args, strict=False))
        if twice := given.keys() & kwargs:
            raise TypeError(f"{type(self).__name__}: given twice: {sorted(twice)}")
        values = self._order | kwargs | given
        for key in self._order:
            if values[key] is ...:
                raise TypeError(f"{type(self).__name__}: {key} is missing")
            setattr(self, key, values[key])
        self._settle()

    def _settle(self):
        """What follows from the arguments."""

    def get_name(self) -> str:
        return self.name

    def __call__(self, *args, **kwargs) -> Array:
        return self.forward(*args, **kwargs)

    def _need(self, name, value):
        if value is None:
            raise ParameterError(f"{self.name}: {name} is missing")
        return value

    def _vector(self, w):
        """``w`` without its leading axis."""
        _arrays.check_real_floating(self.name, "w", self._need("w", w))
        if len(w.shape) != 2 or w.shape[0] != 1:
            raise ParameterError(f"{self.name}: w must have shape (1, l), got {tuple(w.shape)}")
        return w[0, :]


class fabrication(_Function):
    """The adapter of all reconciliations: ``W = ψ(w) ∈ R^{n×D}``, dense."""

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
        return self._core().with_frozen(**self._assigned) if self._assigned else self._core()

    def _assign(self, **arrays):
        assigned = self._assigned | arrays
        self._assigned = {key: array for key, array in assigned.items() if array is not None}

    @_checked
    def calculate_l(self, n: int | None = None, D: int | None = None) -> int:
        """The length of ``w``; a hypernet knows it without ``n`` and ``D``."""
        return self.l if "l" in self._hyper else self._core().num_parameters(n, D)  # type: ignore[arg-type]

    def forward(self, n, D, w=None, device=None, *args, xp=None, dtype=None, **kwargs) -> Array:
        """The dense ``W``."""
        return self.vjp(w, n=n, D=D, xp=xp, dtype=dtype, device=device)[0]

    @_checked
    def vjp(self, w=None, *, n: int, D: int, xp=None, dtype=None, device=None):
        """The dense ``W`` and its pullback, ``pullback(grad_W) → grad_w``."""
        if w is None and self.calculate_l(n, D) == 0:
            w = _arrays.namespace(xp).zeros((1, 0), dtype=dtype, device=device)
        w = self._vector(w)
        W, pull = self._at(n, D, w).vjp(w, n, D)

        def reconciliation_pullback(grad_W):
            return pull(grad_W)[None, :]

        return W, reconciliation_pullback


class _Duplicated(fabrication):
    def _settle(self):
        self.q = self.p if self.q is None else self.q
        if self._made_of is core.DuplicatedDiagonalPadding and self.q != self.p:
            raise ParameterError(f"{self.name}: q must equal p={self.p}, got {self.q}")


class _Masking(fabrication):
    def _at(self, n, D, w):
        if not self.fixed_mask:
            self.mask_matrix = None
            self.seed += 1
        return super()._at(n, D, w)


class _Hypernet(fabrication):
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


class _InRole(_Function):
    """What interdependences and fusions share: functions before and after, and a fabrication."""

    _overridable: ClassVar[tuple[str, ...]] = ("pre_process", "post_process")
    parameter_fabrication: fabrication | None = None

    def _settle(self):
        if self.preprocess_function_configs or self.postprocess_function_configs:
            raise TypeError(f"{self.name}: hand in the callables themselves, not their configurations")
        if "q" in self._hyper and self.q is None:
            self.q = self.p
        if self._made_of is not None:
            hyper = {key: getattr(self, key) for key in self._hyper}
            self.parameter_fabrication = self._made_of(**hyper, seed=self.seed)
        if "p" in self._hyper:  # p and q must divide the sizes
            self.calculate_l()

    def pre_process(self, x: Array, device="cpu", *args, **kwargs) -> Array:
        return _through(x, self.preprocess_functions)

    def post_process(self, x: Array, device="cpu", *args, **kwargs) -> Array:
        return _through(x, self.postprocess_functions)

    def _is_plain(self) -> bool:
        """Whether nothing but arrayfab's role takes part."""
        own = all(getattr(self, name).__module__ == __name__ for name in self._overridable)
        return own and not (self.preprocess_functions or self.postprocess_functions)

    def _fabrication(self) -> fabrication:
        return identity_reconciliation() if self.parameter_fabrication is None else self.parameter_fabrication

    def _psi(self, w) -> core.Fabrication:
        n, D = self._matrix_shape()
        return self._fabrication()._at(n, D, w)

    @_checked
    def calculate_l(self, *args, **kwargs) -> int:
        """The length of ``w``."""
        return self._fabrication().calculate_l(*self._matrix_shape())

    @_checked
    def vjp(self, x, w: Array = None):
        """The result ``y`` and its pullback, ``pullback(grad_y) → (grad_x, grad_w)``."""
        if not self._is_plain():
            raise NotImplementedError(
                f"{self.name}: vjp has no rule for pre- and postprocess functions or overridden methods; "
                "apply the functions outside"
            )
        w = self._vector(w)
        y, pull = self._role(self._need("x", x), w).vjp(x, w)

        def role_pullback(grad_y):
            grad_x, grad_w = pull(grad_y)
            return grad_x, None if grad_w is None else grad_w[None, :]

        return y, role_pullback


def _through(x, functions):
    for function in [functions] if callable(functions) else functions or ():
        x = function(x)
    return x


class interdependence(_InRole):
    """The adapter of all interdependences: ``y = x A`` among attributes, ``y = Aᵀ x`` among instances."""

    _overridable = (*_InRole._overridable, "calculate_A")
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
        known = roles.INSTANCE + roles.ATTRIBUTE
        if value not in known:
            raise ParameterError(
                f"{type(self).__name__}: interdependence_type must be in {known}, got {value!r}"
            )
        self._type = value

    def _is_instance(self):
        return self.interdependence_type in roles.INSTANCE

    def get_A(self) -> Array | None:
        return self.A

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

    @_checked
    def calculate_A(self, x=None, w=None, device="cpu", *args, **kwargs) -> Array:
        """The dense ``A``. As in tinybig, the instance type takes ``x`` transposed, of shape ``(m, b)``."""
        w = self._vector(w)
        if self._is_bilinear:
            x = self.pre_process(x=self._need("x", x), device=device)
            role = roles.BilinearInterdependence(fabrication=self._psi(w), b=self._matrix_shape()[0])
            return self.post_process(x=role.matrix(x, w), device=device)
        return self.post_process(x=self._role(x, w).matrix(w), device=device)

    @_checked
    def forward(self, x=None, w=None, kappa_x=None, device="cpu", *args, **kwargs) -> Array:
        """The result ``y``; with ``kappa_x``, ``A`` follows from ``x`` and acts on ``kappa_x``."""
        data = self._need("x", x if kappa_x is None else kappa_x)
        if self._is_plain() and (kappa_x is None or not self._is_bilinear):
            return self.vjp(data, w)[0]
        if not self._is_instance():
            return data @ self.calculate_A(x, w, device=device)
        mT = _arrays.backend_of(self.name, "x", data).mT
        return mT(self.calculate_A(None if x is None else mT(x), w, device=device)) @ data


class fusion(_InRole):
    """The adapter of all fusions: arrays with as many rows become one."""

    _learns = True
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

    @_checked
    def forward(self, x, w=None, device="cpu", *args, **kwargs) -> Array:
        """The fused array."""
        w = self._vector(w)
        x = [self.pre_process(x=array, device=device) for array in x]
        return self.post_process(x=self._role(x, w)(x, w), device=device)


def frozen_names(made_of: type[core.Fabrication]) -> list[str]:
    """The names of the frozen blocks of arrayfab's fabrication."""
    return list(made_of().frozen(1, 1)) if issubclass(made_of, core.Seeded) else []


def _frozen(key):
    """The attribute for a frozen matrix: the assigned one, or the seed's for the last product."""

    def get(self):
        if key in self._assigned or self._drawn_at is None:
            return self._assigned.get(key)
        n, D, *where = self._drawn_at
        law = self._core().frozen(n, D)[key]
        drawn = cache.get(Frozen(self.seed, key, law), *where)
        return drawn != 0 if isinstance(law, Bernoulli) else drawn

    return property(get, lambda self, array: self._assign(**{key: array}), doc=f"The frozen ``{key}``.")


def _class(name: str, base: type, made_of: Any, doc: str | None, order: dict, hyper=(), **attributes) -> Any:
    """A class, from its row in the tables below."""
    attributes |= {"_made_of": made_of, "_order": order, "_hyper": tuple(hyper), "__module__": __name__}
    arguments = ", ".join(key if default is ... else f"{key}={default!r}" for key, default in order.items())
    return type(name, (base,), {"__doc__": f"{doc}\n\n    Arguments: ``{arguments}``.\n    ", **attributes})


def _row(key: str, made_of: Any, base: type = fabrication, /, name="", fixed=(), **hyper) -> Any:
    """A reconciliation: tinybig's name for it, arrayfab's fabrication, hyper-parameters with defaults."""
    frozen = {{"mask": "mask_matrix"}.get(block, block): _frozen(block) for block in frozen_names(made_of)}
    order = {"name": name or f"{key}_reconciliation", **hyper, "device": "cpu", "seed": 0}
    return _class(
        f"{key}_reconciliation", base, made_of, made_of.__doc__, order, hyper, **frozen, **dict(fixed)
    )


constant_reconciliation = _row("constant", core.Constant, name="constant_c_reconciliation", c=1.0)
zero_reconciliation = _row("zero", core.Constant, constant_reconciliation, fixed={"c": 0.0})
one_reconciliation = _row("one", core.Constant, constant_reconciliation, fixed={"c": 1.0})
constant_eye_reconciliation = _row("constant_eye", core.Eye)
identity_reconciliation = _row("identity", core.Full)
masking_reconciliation = _row("masking", core.Masked, _Masking, p=0.5, fixed_mask=True)
duplicated_padding_reconciliation = _row(
    "duplicated_padding", core.DuplicatedPadding, _Duplicated, p=2, q=None
)
duplicated_diagonal_padding_reconciliation = _row(
    "duplicated_diagonal_padding",
    core.DuplicatedDiagonalPadding,
    duplicated_padding_reconciliation,
    p=2,
    q=None,
)
lorr_reconciliation = _row("lorr", core.LowRank, name="low_rank_reconciliation", r=2)
hm_reconciliation = _row(
    "hm", core.Hypercomplex, name="hypercomplex_multiplication_reconciliation", p=None, q=None
)
lphm_reconciliation = _row("lphm", core.LPHM, p=None, q=None, r=2)
dual_lphm_reconciliation = _row("dual_lphm", core.DualLPHM, p=None, q=None, r=2)
random_matrix_adaption_reconciliation = _row("random_matrix_adaption", core.RandomMatrixAdaption, r=2)
random_matrix_hypernet_reconciliation = _row(
    "random_matrix_hypernet", core.RandomMatrixHypernet, r=2, l=64, hidden_dim=128
)
hypernet_reconciliation = _row(
    "hypernet", core.Hypernet, _Hypernet, l=64, hidden_dim=128, static=True, net=None
)


def _plain(key: str, base: type, doc: str, fixed: dict, /, **order) -> Any:
    """A role whose matrix is learned entry by entry."""
    order["name"] = key  # where tinybig has it
    hooks = [f"{when}process_function{what}" for when in ("pre", "post") for what in ("s", "_configs")]
    order |= {"require_parameters": True, "device": "cpu", **dict.fromkeys(hooks), "seed": 0}
    return _class(key, base, None, doc, order, **fixed)


parameterized_interdependence = _plain(
    "parameterized_interdependence",
    interdependence,
    "``A = reshape(w)``, independent of the data.",
    {"_is_bilinear": False, "require_data": False},
    **{"b": ..., "m": ..., "b_prime": None, "m_prime": None, "interdependence_type": "attribute", "name": ""},
)
parameterized_bilinear_interdependence = _plain(
    "parameterized_bilinear_interdependence",
    interdependence,
    "``A = xᵀ W x`` among attributes, ``A = x W xᵀ`` among instances, with ``W = reshape(w)``.",
    {"_is_bilinear": True, "require_data": True},
    **{"b": ..., "m": ..., "interdependence_type": "instance", "name": ""},
)
parameterized_concatenation_fusion = _plain(
    "parameterized_concatenation_fusion",
    fusion,
    "``y = (x₁ ⊔ … ⊔ x_k) Wᵀ`` with ``W = reshape(w) ∈ R^{n × Σ dims}``.",
    {"_learns": True},
    **{"n": None, "dims": None, "name": ""},
)
concatenation_fusion = _plain(
    "concatenation_fusion",
    fusion,
    "``y = x₁ ⊔ … ⊔ x_k``; nothing is learned, ``w`` is left out.",
    {"_learns": False},
    **{"dims": None, "name": ""},
)


def _variants(base) -> list[Any]:
    """A plain role with each fabricated matrix in place of the learned one."""
    p_q, made = {"p": ..., "q": None}, []
    for key, made_of, hyper in (
        ("lowrank", lorr_reconciliation, {"r": 2}),
        ("hm", hm_reconciliation, p_q),
        ("lphm", lphm_reconciliation, {"r": ..., **p_q}),
        ("dual_lphm", dual_lphm_reconciliation, {"r": ..., **p_q}),
        ("random_matrix_adaption", random_matrix_adaption_reconciliation, {"r": 2}),
    ):
        name = f"{key}_{base.__name__}"
        order = {**hyper, "name": None, **base._order} | {"name": name}
        doc = f"`{base.__name__}` with the matrix of `{made_of.__name__}`."
        made.append(_class(name, base, made_of, doc, order, hyper))
    return made


(
    lowrank_parameterized_interdependence,
    hm_parameterized_interdependence,
    lphm_parameterized_interdependence,
    dual_lphm_parameterized_interdependence,
    random_matrix_adaption_parameterized_interdependence,
) = _variants(parameterized_interdependence)
(
    lowrank_parameterized_bilinear_interdependence,
    hm_parameterized_bilinear_interdependence,
    lphm_parameterized_bilinear_interdependence,
    dual_lphm_parameterized_bilinear_interdependence,
    random_matrix_adaption_parameterized_bilinear_interdependence,
) = _variants(parameterized_bilinear_interdependence)
(
    lowrank_parameterized_concatenation_fusion,
    hm_parameterized_concatenation_fusion,
    lphm_parameterized_concatenation_fusion,
    dual_lphm_parameterized_concatenation_fusion,
    random_matrix_adaption_parameterized_concatenation_fusion,
) = _variants(parameterized_concatenation_fusion)
