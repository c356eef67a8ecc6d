"""Structured matrices, roles and Jacobians for SciPy's solvers, and for those of cupyx on CuPy's arrays.

SciPy's own ``aslinearoperator`` takes anything with ``shape`` and ``matvec``, but hands it vectors of any
dtype and, column by column, what could be one product. The functions here convert at the boundary: NumPy
outside, and inside the namespace, dtype and device of the matrix. CuPy's arrays stay on their device.

What they hand out is pickled and copied as SciPy's own operators are: it is made of objects, not of closures.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from arrayfab import _arrays
from arrayfab._arrays import Array
from arrayfab.layer import Layer
from arrayfab.matrix import StructuredMatrix
from arrayfab.roles import ConcatenationFusion, ParameterizedInterdependence, Reconciliation, Role
from arrayfab.ruled import vjp_of


def aslinearoperator(matrix: StructuredMatrix | Role, w: Array | None = None):
    """A structured matrix, or a role at fixed ``w``, as a LinearOperator.

    Parameters
    ----------
    matrix : StructuredMatrix or Role
        A matrix without leading axes, or a role that is linear in its data: a reconciliation without bias, a
        parameterized interdependence, or a fusion. Its operator maps one sample: a row of ``x``, the rows of
        all inputs one after the other, or, among instances, a column of ``x``. For other roles see
        `jacobian` in ``x``.
    w : array, shape ``(l,)``
        The learned numbers of a role; a matrix holds its own.

    Returns
    -------
    LinearOperator
        Of ``cupyx.scipy.sparse.linalg`` for CuPy's numbers, else of ``scipy.sparse.linalg``, which takes and
        returns NumPy arrays whatever the numbers are. Its dtype is float64 for float64 and float32 for all
        others; a product with float64 vectors is cast to float64, as it would be with a NumPy array.

    Raises
    ------
    TypeError
        If ``matrix`` is neither of the two, or is not linear in its data.
    ValueError
        If there are leading axes: several matrices are several operators.
    ImportError
        If SciPy, or CuPy, is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse.linalg import svds
    >>> from arrayfab import LowRank
    >>> from arrayfab.interop.scipy import aslinearoperator
    >>> W = LowRank(r=1).fabricate(np.ones(7), 3, 4)
    >>> svds(aslinearoperator(W), k=1, return_singular_vectors=False).round(3)
    array([3.464])
    """
    if isinstance(matrix, Role):
        matrix = _matrix_of(matrix, w)
    elif not isinstance(matrix, StructuredMatrix):
        raise TypeError(f"aslinearoperator: expected a StructuredMatrix or a role, got {matrix!r}")
    if matrix.ndim != 2:
        raise ValueError(f"aslinearoperator: expected one matrix, got {matrix}; give w without leading axes")
    return _Boundary(matrix.w).operator(_Product(matrix), takes_columns=True)


def jacobian(layer: Layer, x: Array | list[Array], w: Array, wrt: str = "w"):
    """The Jacobian of a layer's result at ``(x, w)`` in ``w`` or in ``x``, as a LinearOperator.

    Products with it are the layer's jvp, those with its transpose its pullback; it is never formed. Arrays
    are taken as flat vectors, row-major, lists one array after the other.

    Parameters
    ----------
    layer : Layer
        A role, or layers composed.
    x, w : array, or list of arrays
        Where to linearise, as for ``layer.vjp``.
    wrt : str
        ``"w"`` or ``"x"``. A role that is linear in its data is its own Jacobian in ``x``, bias aside.

    Returns
    -------
    LinearOperator
        Of shape ``(numbers in y, numbers in w or x)``; whose, see `aslinearoperator`.

    Raises
    ------
    ValueError
        If ``wrt`` is neither ``"w"`` nor ``"x"``, or it is ``"w"`` and nothing is learned.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayfab import Full, Reconciliation
    >>> from arrayfab.interop.scipy import jacobian
    >>> role = Reconciliation(fabrication=Full(), n=1, D=2)
    >>> J = jacobian(role, np.asarray([[1.0, 2.0]]), np.zeros(2))
    >>> J @ np.eye(2)
    array([[1., 2.]])
    """
    return _Boundary(_first(x)).operator(_Linearised(layer, x, w, wrt))


def residuals(layer: Layer, x: Array | list[Array], target: Array) -> tuple[Callable, Callable]:
    """``layer(x, w) - target`` and its Jacobian in ``w``, for ``scipy.optimize.least_squares``.

    ``least_squares(fun, w, jac=jac, tr_solver="lsmr")`` is then Gauss–Newton within a trust region, without
    a dense Jacobian. For a scalar loss see `arrayfab.gradients.scipy_objective`.

    Parameters
    ----------
    layer : Layer
        A role, or layers composed.
    x, target : array, or list of arrays for ``x``
        Data, and what the result should be.

    Returns
    -------
    fun, jac : callable
        ``fun(w)`` is a float64 NumPy vector and ``jac(w)`` a LinearOperator of SciPy, with the arrays of
        ``x`` inside. cupyx has no such optimizer, so that holds for CuPy's arrays too.

    Raises
    ------
    TypeError, ValueError
        In the first call, if ``target`` does not have the namespace, dtype, device and shape of the result.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.optimize import least_squares
    >>> from arrayfab import LowRank, Reconciliation
    >>> from arrayfab.interop.scipy import residuals
    >>> role = Reconciliation(fabrication=LowRank(r=1), n=2, D=3)
    >>> fun, jac = residuals(role, np.eye(3), np.ones((3, 2)))
    >>> fit = least_squares(fun, role.init(rng=0), jac=jac, tr_solver="lsmr")
    >>> bool(fit.cost < 1e-20)
    True
    """
    made = _Residuals(_Boundary(_first(x), on_host=True), layer, x, target)
    return made.fun, made.jac


def _matrix_of(role: Role, w: Array | None) -> StructuredMatrix:
    """The matrix by which a role multiplies one sample."""
    is_linear = isinstance(role, Reconciliation | ParameterizedInterdependence | ConcatenationFusion)
    if not is_linear or getattr(role, "bias", False):
        raise TypeError(f"aslinearoperator: {role!r} is not linear in its data; see jacobian(..., wrt='x')")
    if w is None:
        raise TypeError(f"aslinearoperator: {role!r} needs its learned numbers w")
    W = role.fabrication.fabricate(w, *role.matrix_shape)
    return W.T if isinstance(role, ParameterizedInterdependence) else W


class _Residuals(NamedTuple):
    """What ``least_squares`` asks of a layer, at data and a target."""

    boundary: _Boundary
    layer: Layer
    x: Any
    target: Array

    def fun(self, w):
        y = self.layer(self.x, self.boundary.inward(w))
        _arrays.check_alike("residuals", "the result", y, "target", self.target)
        _arrays.check_shape("residuals", "target", self.target, tuple(y.shape))
        return self.boundary.outward(_flat(y - self.target), np.dtype(np.float64))

    def jac(self, w):
        return self.boundary.operator(_Linearised(self.layer, self.x, self.boundary.inward(w), "w"))


class _Product:
    """A structured matrix as a linear map."""

    def __init__(self, matrix: StructuredMatrix):
        self.matrix, self.transposed, self.shape = matrix, matrix.T, matrix.shape

    def forward(self, v):
        return self.matrix @ v

    def backward(self, u):
        return self.transposed @ u


class _Linearised:
    """The Jacobian of a layer at ``(x, w)`` as a linear map of vectors."""

    def __init__(self, layer: Layer, x, w, wrt: str):
        if wrt not in ("w", "x"):
            raise ValueError(f"jacobian: wrt must be 'w' or 'x', got {wrt!r}")
        if wrt == "w" and not layer.num_parameters():
            raise ValueError(f"jacobian: {layer!r} has no learned numbers; wrt='x' is left")
        self.layer, self.x, self.w, self.wrt = layer, x, w, wrt
        self.y, self.pullback = vjp_of(layer, x, w, wrt)
        self.point, self.still = (w, _zeros(x)) if wrt == "w" else (x, _zeros(w))
        self.shape = _flat(self.y).shape[0], _flat(self.point).shape[0]

    def __reduce__(self):
        # A pullback is a closure: it is made anew.
        return _Linearised, (self.layer, self.x, self.w, self.wrt)

    def forward(self, v):
        moving = _shaped(v, self.point)
        dx, dw = (self.still, moving) if self.wrt == "w" else (moving, self.still)
        return _flat(self.layer.jvp(self.x, self.w, dx, dw)[1])

    def backward(self, u):
        grad_x, grad_w = self.pullback(_shaped(u, self.y))
        return _flat(grad_w if self.wrt == "w" else grad_x)


class _Boundary:
    """Where a solver's vectors become arrays like a given one, and results become the solver's again."""

    def __init__(self, like: Array, on_host: bool = False):
        self.like, self.on_host = like, on_host
        self.xp = _arrays.check_real_floating("LinearOperator", "the array inside", like).xp
        self.on_device = _arrays.is_cupy(self.xp) and not on_host
        # Solvers know two dtypes.
        self.dtype = np.dtype(np.float64 if like.dtype == self.xp.float64 else np.float32)

    def __reduce__(self):
        # A namespace is a module, which has no pickle.
        return _Boundary, (self.like, self.on_host)

    def operator(self, linear: _Product | _Linearised, takes_columns: bool = False):
        """The operator of a linear map, of columns at once too where it takes them."""
        interface = load("cupyx.scipy.sparse.linalg" if self.on_device else "scipy.sparse.linalg")
        forward, backward = _Through(self, linear.forward), _Through(self, linear.backward)
        products: dict[str, Any] = {"matvec": forward.of_vector, "rmatvec": backward.of_vector}
        if takes_columns:
            products |= {"matmat": forward, "rmatmat": backward}
        return interface.LinearOperator(linear.shape, dtype=self.dtype, **products)

    def inward(self, v) -> Array:
        """A solver's array in the namespace, dtype and device inside."""
        if v.dtype.kind == "c":
            raise TypeError(f"LinearOperator: expected real numbers, got dtype {v.dtype}")
        if self.on_device:
            return self.xp.astype(v, self.like.dtype, copy=False)
        # A copy: PyTorch refuses arrays that are reversed or read-only.
        device = _arrays.device_of(self.like)
        return _arrays.from_host(np.array(v, order="C"), self.xp, self.like.dtype, device)

    def outward(self, array: Array, dtype: np.dtype) -> Any:
        """An array inside as the solver's, of that dtype."""
        if self.on_device:
            return self.xp.astype(array, dtype, copy=False)
        # NumPy does not have every dtype that others have.
        array = self.xp.astype(array, getattr(self.xp, self.dtype.name), copy=False)
        return _arrays.to_host(array).astype(dtype, copy=False)


class _Through(NamedTuple):
    """A product of arrays inside as one of a solver's arrays."""

    boundary: _Boundary
    product: Callable[[Array], Array]

    def __call__(self, v):
        return self._outward(self.product(self.boundary.inward(v)), v.dtype)

    def of_vector(self, v):
        # A solver's vector may be a single column.
        return self._outward(self.product(_flat(self.boundary.inward(v))), v.dtype)

    def _outward(self, result, dtype):
        # Promoted as a product with an array of the operator's dtype would be.
        return self.boundary.outward(result, np.result_type(self.boundary.dtype, dtype))


def load(name: str):
    """A module of SciPy or cupyx; ImportError with a hint where it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package, extra = ("SciPy", "scipy") if name.startswith("scipy") else ("CuPy", "cuda13")
        raise ImportError(f"{package} is needed: pip install 'arrayfab[{extra}]'") from error


def _first(arrays) -> Array:
    return arrays[0] if isinstance(arrays, list | tuple) else arrays


def _zeros(arrays):
    if arrays is None:  # nothing is learned
        return None
    if isinstance(arrays, list | tuple):
        return [_zeros(array) for array in arrays]
    return _arrays.backend_of("jacobian", "an argument", arrays).xp.zeros_like(arrays)


def _flat(arrays) -> Array:
    """All numbers of an array, or of a list of arrays, as one vector."""
    if isinstance(arrays, list | tuple):
        parts = [_flat(array) for array in arrays]
        return _arrays.backend_of("jacobian", "an argument", parts[0]).xp.concat(parts)
    return _arrays.backend_of("jacobian", "an argument", arrays).reshape(arrays, (-1,))


def _shaped(vector: Array, like):
    """The inverse of `_flat`: the numbers of a vector in the shapes of ``like``."""
    if not isinstance(like, list | tuple):
        return _arrays.backend_of("jacobian", "an argument", vector).reshape(vector, tuple(like.shape))
    parts, start = [], 0
    for array in like:
        stop = start + _flat(array).shape[0]
        parts.append(_shaped(vector[start:stop], array))
        start = stop
    return parts
