"""tinybig's expansions, over arrayfab's."""

from arrayfab import expansions as _core
from arrayfab.tinybig import _grids
from arrayfab.tinybig import _transformation as _of
from arrayfab.tinybig._transformation import row as _row
from arrayfab.tinybig._transformation import transformation as transformation
from arrayfab.tinybig.interdependence import geometric_interdependence as _geometric_interdependence

identity_expansion = _row("identity_expansion", _core.Identity)
reciprocal_expansion = _row("reciprocal_expansion", _core.Reciprocal)
linear_expansion = _row("linear_expansion", _core.Linear, _of.Linear, c=None, pre_C=None, post_C=None)

taylor_expansion = _row("taylor_expansion", _core.Taylor, d=2)
fourier_expansion = _row("fourier_expansion", _core.Fourier, P=10, N=5)

hyperbolic_expansion = _row("hyperbolic_expansion", _core.Hyperbolic)
arc_hyperbolic_expansion = _row("arc_hyperbolic_expansion", _core.ArcHyperbolic)
trigonometric_expansion = _row("trigonometric_expansion", _core.Trigonometric)
arc_trigonometric_expansion = _row("arc_trigonometric_expansion", _core.ArcTrigonometric)

_BELLS = {"base_range": (-1, 1), "num_interval": 10, "epsilon": 1.0, "base": None}
gaussian_rbf_expansion = _row("gaussian_rbf_expansion", _core.GaussianRBF, _of.RadialBasis, **_BELLS)
inverse_quadratic_rbf_expansion = _row(
    "inverse_quadratic_rbf_expansion",
    _core.InverseQuadraticRBF,
    gaussian_rbf_expansion,
    name="inverse_quadratic_rbf",
    **_BELLS,
)

bspline_expansion = _row("bspline_expansion", _core.BSpline, grid_range=(-1, 1), t=5, d=3)
chebyshev_expansion = _row("chebyshev_expansion", _core.Chebyshev, name="chebyshev_polynomial_expansion", d=2)
jacobi_expansion = _row(
    "jacobi_expansion", _core.Jacobi, name="jacobi_polynomial_expansion", d=2, alpha=1.0, beta=1.0
)
hermite_expansion = _row(  # its name is tinybig's
    "hermite_expansion", _core.Hermite, name="chebyshev_polynomial_expansion", d=2
)
laguerre_expansion = _row(
    "laguerre_expansion", _core.Laguerre, name="laguerre_polynomial_expansion", d=2, alpha=1.0
)
legendre_expansion = _row("legendre_expansion", _core.Legendre, name="legendre_polynomial_expansion", d=2)
gegenbauer_expansion = _row(
    "gegenbauer_expansion", _core.Gegenbauer, name="gegenbauer_polynomial_expansion", d=2, alpha=1.0
)
bessel_expansion = _row("bessel_expansion", _core.Bessel, name="bessel_polynomial_expansion", d=2)
reverse_bessel_expansion = _row(
    "reverse_bessel_expansion", _core.ReverseBessel, name="reverse_bessel_polynomial_expansion", d=2
)
fibonacci_expansion = _row("fibonacci_expansion", _core.Fibonacci, name="fibonacci_polynomial_expansion", d=2)
lucas_expansion = _row("lucas_expansion", _core.Lucas, name="lucas_polynomial_expansion", d=2)

normal_expansion = _row("normal_expansion", _core.Normal)
cauchy_expansion = _row("cauchy_expansion", _core.Cauchy)
chi2_expansion = _row("chi2_expansion", _core.Chi2)
gamma_expansion = _row("gamma_expansion", _core.Gamma)
laplace_expansion = _row("laplace_expansion", _core.Laplace)
exponential_expansion = _row("exponential_expansion", _core.Exponential)
hybrid_probabilistic_expansion = _row("hybrid_probabilistic_expansion", _core.HybridProbabilistic)
naive_normal_expansion = _row("naive_normal_expansion", _core.NaiveNormal)
naive_cauchy_expansion = _row("naive_cauchy_expansion", _core.NaiveCauchy)
naive_chi2_expansion = _row("naive_chi2_expansion", _core.NaiveChi2)
naive_gamma_expansion = _row("naive_gamma_expansion", _core.NaiveGamma)
naive_laplace_expansion = _row("naive_laplace_expansion", _core.NaiveLaplace)
naive_exponential_expansion = _row("naive_exponential_expansion", _core.NaiveExponential)

_SHIFTS = {"a": 1.0, "b": 1.0}
_COUNTS = {"d": 1, "s": 1, "t": 1}
harr_wavelet_expansion = _row("harr_wavelet_expansion", _core.Haar, **_SHIFTS, **_COUNTS)
beta_wavelet_expansion = _row(
    "beta_wavelet_expansion", _core.BetaWavelet, **_SHIFTS, alpha=1.0, beta=1.0, **_COUNTS
)
shannon_wavelet_expansion = _row("shannon_wavelet_expansion", _core.Shannon, **_SHIFTS, **_COUNTS)
ricker_wavelet_expansion = _row("ricker_wavelet_expansion", _core.Ricker, **_SHIFTS, sigma=1.0, **_COUNTS)
dog_wavelet_expansion = _row(
    "dog_wavelet_expansion", _core.DoG, **_SHIFTS, sigma_1=1.0, sigma_2=2.0, **_COUNTS
)
meyer_wavelet_expansion = _row("meyer_wavelet_expansion", _core.Meyer, **_SHIFTS, **_COUNTS)

combinatorial_expansion = _row(
    "combinatorial_expansion", _core.Choices, _of.Choices, d=2, with_replacement=False
)
combinatorial_normal_expansion = _row(
    "combinatorial_normal_expansion",
    _core.CombinatorialNormal,
    combinatorial_expansion,
    d=1,
    with_replacement=False,
)

_PARTS = {"composition_functions": None, "composition_function_configs": None}
nested_expansion = _row("nested_expansion", _core.Nested, _of.Nested, **_PARTS)
extended_expansion = _row("extended_expansion", _core.Extended, _of.Extended, **_PARTS)

geometric_expansion = _row(
    "geometric_expansion",
    None,
    _grids.Patches,
    doc=_grids.Patches.__doc__,
    fixed={"_interdependence": _geometric_interdependence},
    **_grids.GRID,
)


def _of_shape(key):
    first, fixed = _grids.shaped(key)
    name, doc = f"{key}_patch_based_geometric_expansion", f"`geometric_expansion` with a {key} for a patch."
    return _row(name, None, geometric_expansion, doc=doc, first=first, fixed=fixed, **_grids.GRID)


cuboid_patch_based_geometric_expansion = _of_shape("cuboid")
cylinder_patch_based_geometric_expansion = _of_shape("cylinder")
sphere_patch_based_geometric_expansion = _of_shape("sphere")
