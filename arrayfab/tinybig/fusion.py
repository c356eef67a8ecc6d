"""tinybig's fusions, over arrayfab's roles."""

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
