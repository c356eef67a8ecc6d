"""tinybig's fusions, over arrayfab's roles and fusions."""

from arrayfab.tinybig._entrywise import Measured as _Measured
from arrayfab.tinybig._entrywise import Weighted as _Weighted
from arrayfab.tinybig._entrywise import entrywise as _entrywise
from arrayfab.tinybig._roles import fusion as fusion
from arrayfab.tinybig._roles import plain as _plain
from arrayfab.tinybig._roles import variants as _variants

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
(
    lowrank_parameterized_concatenation_fusion,
    hm_parameterized_concatenation_fusion,
    lphm_parameterized_concatenation_fusion,
    dual_lphm_parameterized_concatenation_fusion,
    random_matrix_adaption_parameterized_concatenation_fusion,
) = _variants(parameterized_concatenation_fusion)

weighted_summation_fusion = _entrywise(
    "weighted_summation_fusion",
    _Weighted,
    "",
    _Weighted.__doc__,
    **{"dims": None, "weights": None, "name": "", "require_parameters": False},
)
parameterized_weighted_summation_fusion = _entrywise(
    "parameterized_weighted_summation_fusion",
    weighted_summation_fusion,
    "",
    "``y = Σ w_i x_i`` with learned weights ``w``.",
    **{"dims": None, "name": "", "require_parameters": True},
)
_SUMS = {"dims": ..., "name": "", "require_parameters": False}
summation_fusion = _entrywise("summation_fusion", weighted_summation_fusion, "sum", **_SUMS)
average_fusion = _entrywise("average_fusion", weighted_summation_fusion, "mean", **_SUMS)

metric_fusion = _entrywise(
    "metric_fusion", _Measured, "", _Measured.__doc__, **{"dims": ..., "metric": ..., "name": ""}
)
_METRICS = {"name": "", "dims": ...}
max_fusion = _entrywise("max_fusion", metric_fusion, "max", **_METRICS)
min_fusion = _entrywise("min_fusion", metric_fusion, "min", **_METRICS)
sum_fusion = _entrywise("sum_fusion", metric_fusion, "sum", **_METRICS)
mean_fusion = _entrywise("mean_fusion", metric_fusion, "mean", **_METRICS)
prod_fusion = _entrywise("prod_fusion", metric_fusion, "product", **_METRICS)
median_fusion = _entrywise("median_fusion", metric_fusion, "median", **_METRICS)
l1_norm_fusion = _entrywise("l1_norm_fusion", metric_fusion, "l1", **_METRICS)
l2_norm_fusion = _entrywise("l2_norm_fusion", metric_fusion, "l2", **_METRICS)
