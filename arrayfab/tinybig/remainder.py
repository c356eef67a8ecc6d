"""tinybig's remainders, over arrayfab's."""

from arrayfab.tinybig import _remainder as _of
from arrayfab.tinybig._remainder import remainder as remainder
from arrayfab.tinybig._remainder import row as _row

constant_remainder = _row("constant_remainder", _of.Constant, c=1.0)
zero_remainder = _row("zero_remainder", constant_remainder, "``n`` zeros.", fixed={"c": 0.0})
one_remainder = _row("one_remainder", constant_remainder, "``n`` ones.", fixed={"c": 1.0})
identity_remainder = _row("identity_remainder", _of.Identity)
linear_remainder = _row("linear_remainder", _of.Linear, require_parameters=True, enable_bias=False)
