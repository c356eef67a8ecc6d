"""tinybig's parameterized interdependences, over arrayfab's roles."""

from arrayfab.tinybig._roles import interdependence as interdependence
from arrayfab.tinybig._roles import plain as _plain
from arrayfab.tinybig._roles import variants as _variants

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
