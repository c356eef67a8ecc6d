"""tinybig's reconciliations, over arrayfab's fabrications."""

from arrayfab import fabrications as _core
from arrayfab.tinybig._fabrication import Duplicated as _Duplicated
from arrayfab.tinybig._fabrication import Masking as _Masking
from arrayfab.tinybig._fabrication import Network as _Network
from arrayfab.tinybig._fabrication import fabrication as fabrication
from arrayfab.tinybig._fabrication import row as _row

constant_reconciliation = _row("constant", _core.Constant, name="constant_c_reconciliation", c=1.0)
zero_reconciliation = _row("zero", _core.Constant, constant_reconciliation, fixed={"c": 0.0})
one_reconciliation = _row("one", _core.Constant, constant_reconciliation, fixed={"c": 1.0})
constant_eye_reconciliation = _row("constant_eye", _core.Eye)
identity_reconciliation = _row("identity", _core.Full)
masking_reconciliation = _row("masking", _core.Masked, _Masking, p=0.5, fixed_mask=True)
duplicated_padding_reconciliation = _row(
    "duplicated_padding", _core.DuplicatedPadding, _Duplicated, p=2, q=None
)
duplicated_diagonal_padding_reconciliation = _row(
    "duplicated_diagonal_padding",
    _core.DuplicatedDiagonalPadding,
    duplicated_padding_reconciliation,
    p=2,
    q=None,
)
lorr_reconciliation = _row("lorr", _core.LowRank, name="low_rank_reconciliation", r=2)
hm_reconciliation = _row(
    "hm", _core.Hypercomplex, name="hypercomplex_multiplication_reconciliation", p=None, q=None
)
lphm_reconciliation = _row("lphm", _core.LPHM, p=None, q=None, r=2)
dual_lphm_reconciliation = _row("dual_lphm", _core.DualLPHM, p=None, q=None, r=2)
random_matrix_adaption_reconciliation = _row("random_matrix_adaption", _core.RandomMatrixAdaption, r=2)
random_matrix_hypernet_reconciliation = _row(
    "random_matrix_hypernet", _core.RandomMatrixHypernet, r=2, l=64, hidden_dim=128
)
hypernet_reconciliation = _row(
    "hypernet", _core.Hypernet, _Network, l=64, hidden_dim=128, static=True, net=None
)
