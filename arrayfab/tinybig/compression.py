"""tinybig's compressions that are a map of a row, over arrayfab's expansions."""

from arrayfab import expansions as _core
from arrayfab.tinybig import _transformation as _of
from arrayfab.tinybig import expansion as _expansion
from arrayfab.tinybig._transformation import row as _row
from arrayfab.tinybig._transformation import transformation as transformation

identity_compression = _row("identity_compression", _core.Identity, _expansion.identity_expansion)
reciprocal_compression = _row("reciprocal_compression", _core.Reciprocal, _expansion.reciprocal_expansion)
linear_compression = _row(
    "linear_compression", _core.Linear, _expansion.linear_expansion, c=None, pre_C=None, post_C=None
)

metric_compression = _row(
    "metric_compression", None, _of.Measured, doc=_of.Measured.__doc__, first={"metric": ...}
)
max_compression = _row("max_compression", _core.GroupMax, metric_compression)
min_compression = _row("min_compression", _core.GroupMin, metric_compression)
sum_compression = _row("sum_compression", _core.GroupSum, metric_compression)
mean_compression = _row("mean_compression", _core.GroupMean, metric_compression)
prod_compression = _row("prod_compression", _core.GroupProduct, metric_compression)
median_compression = _row("median_compression", _core.GroupMedian, metric_compression)

_PARTS = {"composition_functions": None, "composition_function_configs": None}
nested_compression = _row("nested_compression", _core.Nested, _expansion.nested_expansion, **_PARTS)
extended_compression = _row("extended_compression", _core.Extended, _expansion.extended_expansion, **_PARTS)
