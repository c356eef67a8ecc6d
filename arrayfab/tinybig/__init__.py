"""tinybig's parameter fabrication under its own names: the door for code that was written against it.

Classes, constructor keywords, methods and attributes are those of tinybig 0.2.1; ``w`` comes as tinybig's
``(1, l)``. Each class hands its work to arrayfab, so that products never form ``W``, and has a ``vjp``.

Where it differs:

- Any array namespace will do, PyTorch among them. Outputs live where the inputs live: ``device=`` is
  accepted and moves nothing. Where no array is given, ``xp=``, ``dtype=`` and ``device=`` choose.
- ``hm``, ``lphm``, ``dual_lphm`` and ``duplicated_padding`` compute the documented Kronecker product
  ``A ⊗ B``. tinybig's code reshapes an outer product instead, which is another matrix unless ``n/p = 1``
  or ``q = 1``. The first three take a keyword more, ``arrangement="reshaped"``, for vectors trained there.
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

from typing import Any

from arrayfab import fabrications as core
from arrayfab.tinybig.function import ParameterError as ParameterError
from arrayfab.tinybig.reconciliation import (
    Duplicated,
    Masking,
    Network,
    fabrication,
    frozen_attribute,
    frozen_names,
)
from arrayfab.tinybig.roles import fusion, interdependence


def _class(name: str, base: type, made_of: Any, doc: str | None, order: dict, hyper=(), **attributes) -> Any:
    """A class, from its row in the tables below."""
    attributes |= {"_made_of": made_of, "_order": order, "_hyper": tuple(hyper), "__module__": __name__}
    arguments = ", ".join(key if default is ... else f"{key}={default!r}" for key, default in order.items())
    return type(name, (base,), {"__doc__": f"{doc}\n\n    Arguments: ``{arguments}``.\n    ", **attributes})


#: A keyword that tinybig does not have.
_ARRANGED = {"arrangement": "kronecker"}


def _row(key: str, made_of: Any, base: type = fabrication, /, name="", fixed=(), **hyper) -> Any:
    """A reconciliation: tinybig's name for it, arrayfab's fabrication, hyper-parameters with defaults."""
    frozen = {
        {"mask": "mask_matrix"}.get(block, block): frozen_attribute(block) for block in frozen_names(made_of)
    }
    order = {"name": name or f"{key}_reconciliation", **hyper, "device": "cpu", "seed": 0}
    ours = _ARRANGED if "arrangement" in made_of.__dataclass_fields__ else {}
    return _class(
        f"{key}_reconciliation",
        base,
        made_of,
        made_of.__doc__,
        order | ours,
        hyper | ours,
        **frozen,
        **dict(fixed),
    )


constant_reconciliation = _row("constant", core.Constant, name="constant_c_reconciliation", c=1.0)
zero_reconciliation = _row("zero", core.Constant, constant_reconciliation, fixed={"c": 0.0})
one_reconciliation = _row("one", core.Constant, constant_reconciliation, fixed={"c": 1.0})
constant_eye_reconciliation = _row("constant_eye", core.Eye)
identity_reconciliation = _row("identity", core.Full)
masking_reconciliation = _row("masking", core.Masked, Masking, p=0.5, fixed_mask=True)
duplicated_padding_reconciliation = _row(
    "duplicated_padding", core.DuplicatedPadding, Duplicated, p=2, q=None
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
    "hypernet", core.Hypernet, Network, l=64, hidden_dim=128, static=True, net=None
)


def _plain(key: str, base: type, doc: str, fixed: dict, /, **order) -> Any:
    """A role whose matrix is learned entry by entry."""
    order["name"] = key  # where tinybig has it
    hooks = [f"{when}process_function{what}" for when in ("pre", "post") for what in ("s", "_configs")]
    order |= {"require_parameters": True, "device": "cpu", **dict.fromkeys(hooks), "seed": 0}
    return _class(key, base, None, doc, order, _whole=identity_reconciliation, **fixed)


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
    p_q: dict[str, Any] = {"p": ..., "q": None}
    made = []
    for key, made_of, hyper in (
        ("lowrank", lorr_reconciliation, {"r": 2}),
        ("hm", hm_reconciliation, p_q),
        ("lphm", lphm_reconciliation, {"r": ..., **p_q}),
        ("dual_lphm", dual_lphm_reconciliation, {"r": ..., **p_q}),
        ("random_matrix_adaption", random_matrix_adaption_reconciliation, {"r": 2}),
    ):
        name = f"{key}_{base.__name__}"
        order = {**hyper, "name": None, **base._order} | {"name": name}
        if "arrangement" in made_of._hyper:
            order, hyper = order | _ARRANGED, hyper | _ARRANGED
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
