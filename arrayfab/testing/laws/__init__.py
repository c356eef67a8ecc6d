"""The laws. Each is a function of a subject and a ``Case``, raises ``LawBroken``, and can be called alone.

A subject is a fabrication, an expansion, a role (or any other ``Layer``), or a structured matrix with holes.
Where it is a polynomial in its numbers, the data are whole numbers so small that float arithmetic is exact,
and laws are checked with ``==``; elsewhere with a tolerance that grows with the dtype's resolution and the
largest number that occurs.
"""

# ruff: noqa: I001 - laws are tried in the order in which they are made
from arrayfab.testing.laws.registry import KINDS, LAWS, Law, kind_of
from arrayfab.testing.laws.values import (
    batch_equals_loop,
    dense_equals_matrix_free,
    linear_in_each_block,
    linear_in_x,
    shape_and_length,
)
from arrayfab.testing.laws.formulas import (
    associativity,
    mean_square_is_that_of_draws,
    polynomial_of_its_degree,
    zeroing_makes_it_zero,
)
from arrayfab.testing.laws.derivatives import (
    gradients_without_that_of_x,
    jvp_matches_differences,
    pairing,
    pullback_is_linear_and_repeatable,
    vjp_matches_differences,
)
from arrayfab.testing.laws.arrays import inputs_unchanged, namespace_dtype_and_device_kept, nan_is_kept
from arrayfab.testing.laws.configurations import (
    blocks_keep_their_order,
    equal_configurations_agree,
    init_fits,
    survives_pickling,
    survives_saving,
)
from arrayfab.testing.laws.expansions import (
    cheapest_along_its_factors,
    keeps_digits_far_from_zero,
    rewriting_changes_nothing,
    rows_are_expanded_one_by_one,
)
from arrayfab.testing.laws.frozen import (
    another_seed_gives_other_numbers,
    entries_do_not_depend_on_runs,
    moment_is_that_of_the_entries,
)
from arrayfab.testing.laws.costs import costs_count_multiplications, no_dense_allocation
from arrayfab.testing.laws.libraries import (
    jax_differentiates_it_alike,
    lazy_on_dask,
    torch_differentiates_it_alike,
    works_under_jax_jit,
)

__all__ = [
    "KINDS",
    "LAWS",
    "Law",
    "another_seed_gives_other_numbers",
    "associativity",
    "batch_equals_loop",
    "blocks_keep_their_order",
    "cheapest_along_its_factors",
    "costs_count_multiplications",
    "dense_equals_matrix_free",
    "entries_do_not_depend_on_runs",
    "equal_configurations_agree",
    "gradients_without_that_of_x",
    "init_fits",
    "inputs_unchanged",
    "jax_differentiates_it_alike",
    "jvp_matches_differences",
    "keeps_digits_far_from_zero",
    "kind_of",
    "lazy_on_dask",
    "linear_in_each_block",
    "linear_in_x",
    "mean_square_is_that_of_draws",
    "moment_is_that_of_the_entries",
    "namespace_dtype_and_device_kept",
    "nan_is_kept",
    "no_dense_allocation",
    "pairing",
    "polynomial_of_its_degree",
    "pullback_is_linear_and_repeatable",
    "rewriting_changes_nothing",
    "rows_are_expanded_one_by_one",
    "shape_and_length",
    "survives_pickling",
    "survives_saving",
    "torch_differentiates_it_alike",
    "vjp_matches_differences",
    "works_under_jax_jit",
    "zeroing_makes_it_zero",
]
