"""The adapters of tinybig's interdependences that are made of other functions."""

from __future__ import annotations

from arrayfab import _arrays, roles
from arrayfab.tinybig._configuration import at, many_of_config, of_config
from arrayfab.tinybig._function import ParameterError, checked
from arrayfab.tinybig._roles import InRole, fusion, interdependence


class Expanded(interdependence):
    """``A = κ(xᵀ) ψ(w)ᵀ`` among attributes, ``A = κ(x) ψ(w)ᵀ`` among instances."""

    def _settle(self):
        self._need("data_transformation", self.data_transformation)
        self._need("parameter_fabrication", self.parameter_fabrication)
        super()._settle()

    def _is_plain(self):
        return super()._is_plain() and self.data_transformation._is_plain()

    def _matrix_shape(self):
        n, entries = (self.b_prime, self.m) if self._is_instance() else (self.m_prime, self.b)
        return n, self.data_transformation.calculate_D(m=entries)

    def _role(self, x, w):
        return roles.ParameterizedInterdependence(
            fabrication=self._psi(w),
            expansion=self.data_transformation._core(),
            interdependence_type=self.interdependence_type,
            **{name: getattr(self, name) for name in ("b", "m", "b_prime", "m_prime")},
        )

    @checked
    def calculate_A(self, x=None, w=None, device="cpu", *args, **kwargs):
        """The dense ``A``. As in tinybig, the instance type takes ``x`` transposed, of shape ``(m, b)``."""
        x = self.pre_process(x=self._need("x", x), device=device)
        kappa = self.data_transformation(_arrays.backend_of(self.name, "x", x).mT(x), device=device)
        n, D = self._matrix_shape()
        W = self._fabrication()(n=n, D=D, w=w, device=device)
        return self.post_process(x=kappa @ W.T, device=device)


class Hybrid(interdependence):
    """``A``, entry by entry, of the matrices of several interdependences, by a fusion of them.

    ``w`` holds their numbers one after another, and those of the fusion.
    """

    def _settle(self):
        super(InRole, self)._settle()
        if self.interdependence_functions is None:
            key = "interdependence_function_configs"
            configs = self._need("interdependence_functions", getattr(self, key))
            sizes = {name: getattr(self, name) for name in ("b", "m", "interdependence_type")}
            self.interdependence_functions = many_of_config(configs, key, interdependence, **sizes)
        for function in self.interdependence_functions:
            function.b, function.m = self.b, self.m
            function.interdependence_type = self.interdependence_type
        if self.fusion_function is None:
            config = self._need("fusion_function", self.fusion_function_config)
            with at("fusion_function_config"):
                self.fusion_function = of_config(config, fusion)
        self.require_data = any(function.require_data for function in self.interdependence_functions)
        self.require_parameters = any(map(bool, self.get_function_parameter_numbers()))

    def get_function_parameter_numbers(self) -> list[int]:
        """How many numbers each function learns, the fusion last."""
        return [each.calculate_l() for each in (*self.interdependence_functions, self.fusion_function)]

    def calculate_l(self, *args, **kwargs):
        return sum(self.get_function_parameter_numbers())

    def calculate_b_prime(self, b=None):
        return self._fused_size("calculate_b_prime", b) if self._is_instance() else b or self.b

    def calculate_m_prime(self, m=None):
        return m or self.m if self._is_instance() else self._fused_size("calculate_m_prime", m)

    def _fused_size(self, method, size):
        sizes = [getattr(each, method)(size) for each in self.interdependence_functions]
        return self.fusion_function.calculate_n(dims=sizes)

    def _vectors(self, w):
        """The part of ``w`` for each function, None where it learns nothing."""
        counts = self.get_function_parameter_numbers()
        if not any(counts):
            return [None] * len(counts)
        if super()._vector(w).shape[0] != sum(counts):
            raise ParameterError(f"{self.name}: w must have shape (1, {sum(counts)}), got {tuple(w.shape)}")
        ends = [sum(counts[: i + 1]) for i in range(len(counts))]
        return [w[:, end - count : end] if count else None for count, end in zip(counts, ends, strict=True)]

    @checked
    def calculate_A(self, x=None, w=None, device="cpu", *args, **kwargs):
        """The dense ``A``. As in tinybig, the instance type takes ``x`` transposed, of shape ``(m, b)``."""
        *vectors, last = self._vectors(w)
        x = None if x is None else self.pre_process(x=x, device=device)
        pairs = zip(self.interdependence_functions, vectors, strict=True)
        matrices = [function.calculate_A(x=x, w=vector, device=device) for function, vector in pairs]
        return self.post_process(x=self.fusion_function(x=matrices, w=last, device=device), device=device)

    @checked
    def forward(self, x=None, w=None, kappa_x=None, device="cpu", *args, **kwargs):
        """The result ``y``; with ``kappa_x``, ``A`` follows from ``x`` and acts on ``kappa_x``."""
        return self._by_matrix(self._need("x", x if kappa_x is None else kappa_x), x, w, device)

    # y = z A with A = f(A₁, …, A_k), where the matrices are A_i = I A_i, for which each function has a rule.
    # Among instances all is transposed: yᵀ = zᵀ A.
    @checked
    def vjp(self, x, w=None):
        """The result ``y`` and its pullback, ``pullback(grad_y) → (grad_x, grad_w)``."""
        self._check_plain()
        *vectors, last = self._vectors(w)
        backend = _arrays.backend_of(self.name, "x", self._need("x", x))
        xp, mT = backend.xp, backend.mT if self._is_instance() else _same
        pairs = zip(self.interdependence_functions, vectors, strict=True)
        pulled = [function._pulled_matrix(x, vector) for function, vector in pairs]
        A, pull = self.fusion_function.vjp([mT(matrix) for matrix, _ in pulled], last)

        def hybrid_pullback(grad_y):
            grad_x = mT(mT(grad_y) @ A.T)
            grads, grad_last = pull(mT(x).T @ mT(grad_y))
            grad_w = []
            for (_, pull_matrix), grad in zip(pulled, grads, strict=True):
                more, grad_vector = pull_matrix(mT(grad))
                grad_x = grad_x if more is None else grad_x + more
                grad_w.append(grad_vector)
            grad_w = [grad for grad in (*grad_w, grad_last) if grad is not None]
            return grad_x, xp.concat(grad_w, axis=1) if grad_w else None

        return mT(mT(x) @ A), hybrid_pullback


def _same(x):
    return x
