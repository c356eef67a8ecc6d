"""The benchmark's pure parts, its workloads at tiny sizes, and what grows with what. Nothing is timed."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

import floors
import records
import reference
import report
import workloads as work
from arrayfab import Hypercomplex, Reconciliation
from arrayfab.expansions import RowNormalized, Taylor
from arrayfab.testing.counting import Count, Counted
from passes import passes
from peers.native import Arrayfab, Formed, Inline
from timing import Effort, medians

TINY = [
    work.dual_lphm(b=6, m=16, r=2, p=4),
    work.bilinear(b=8, m=12, r=2),
    work.fusion(b=5, dim=8, r=2),
    work.hypernet(n=8, hidden_dim=16),
    work.full(b=4, m=8),
    *(work.reconciliation(variant, n=64, b=3) for variant in work.RECONCILIATIONS),
]
EXPANDED = [
    *(work.taylor(2, variant, m=16, n=16, b=5) for variant in work.EXPANDED),
    *(work.taylor(2, variant, m=16, n=16, b=5, is_normalized=True) for variant in work.EXPANDED),
    *(work.taylor(3, variant, m=4, n=16, b=5) for variant in ("lphm", "low rank")),
    *(work.taylor(3, variant, m=4, n=16, b=5, is_normalized=True) for variant in ("dual lphm", "low rank")),
    *(work.functions(expansion, m=9, n=7, b=5) for expansion in work.FUNCTIONS),
]
TINY += EXPANDED
EACH = pytest.mark.parametrize("workload", TINY, ids=lambda workload: workload.kind)


def cell(ms: dict, gradient: dict | None = None, **options) -> dict:
    """A cell of a file of results."""
    floor = {"copy_ms": 0.5, "product_ms": 1.0}
    figures = {"family": "low rank", "size": "n=4", "dtype": "float32", "structured": True, "wanted": None}
    figures |= {"n": 4, "b": 1, "differs": [], "dense_mib": 1.0, "notes": {}}
    figures |= {"forward": {"ms": ms, "floor": floor}}
    if gradient:
        figures["forward + gradient"] = {"ms": gradient, "floor": floor}
    return figures | options


def run(**cells) -> dict:
    """A file of results."""
    peers = {name: {"version": "1", "missing": None} for name in ("arrayfab", "PyTorch eager", "JAX by hand")}
    about = {"processor": "one", "threads": 2, "device": "cpu", "numpy": "2", "arrayfab": "0"}
    return {"machine": about, "peers": peers, "cells": cells}


# Workloads and peers.


@EACH
@pytest.mark.parametrize("dtype", work.DTYPES)
@pytest.mark.parametrize("peer", [Arrayfab(), Inline(), Formed()], ids=lambda peer: peer.name)
def test_a_workload_gives_the_numbers_of_its_dense_formula(workload, dtype, peer):
    if why := peer.skips(workload):
        pytest.skip(why)
    problem = work.Problem(replace(workload, dtype=dtype))
    expected, calls = reference.dense(problem), peer.prepare(problem)
    assert reference.disagreement(problem, calls.forward(), None, None, expected) is None
    if calls.gradient:
        assert reference.disagreement(problem, *calls.gradient(), expected) is None


@EACH
def test_the_matrix_free_reference_is_the_dense_one(workload):
    problem = work.Problem(replace(workload, dtype="float64"))
    assert reference.disagreement(problem, *reference.matrix_free(problem), reference.dense(problem)) is None


@EACH
def test_an_einsum_says_what_the_formula_says(workload):
    formula, problem = workload.formula, work.Problem(replace(workload, dtype="float64"))
    if formula.spec is None:
        pytest.skip("it is no single einsum")
    blocks = problem.named(problem.w, problem.frozen)
    y = np.einsum(formula.spec, *formula.einsum_operands(np, problem.xs, blocks), optimize=True)
    assert reference.error(y, formula.by_hand(np, problem.xs, blocks)) < 1e-12


def test_other_numbers_are_found():
    problem = work.Problem(TINY[0])
    y, grad_xs, grad_w = reference.dense(problem)
    for wrong in ((1.001 * y, grad_xs, grad_w), (y, (grad_xs[0] + 1,), grad_w), (y, grad_xs, -grad_w)):
        assert reference.disagreement(problem, *wrong, (y, grad_xs, grad_w))


def test_another_shape_is_an_error():
    with pytest.raises(ValueError, match="expected"):
        reference.error(np.ones(3), np.ones(4))


def test_names_are_unique_and_a_quick_run_is_a_part_of_a_full_one():
    names = [workload.name for workload in work.workloads()]
    assert len(set(names)) == len(names)
    assert {workload.name for workload in work.workloads(quick=True)} < set(names)


def test_a_rank_r_bilinear_form_passes_eight_times_over_x():
    assert passes(work.Problem(work.bilinear(b=64, m=128, r=2))) == 8


# What grows with what: counted, not timed.


def counted(workload) -> int:
    """The multiplications of a forward pass."""
    return floors.multiplies(workload, records.FORWARD)


SQUARE = (256, 1024, 4096, 16384)


@pytest.mark.parametrize(
    ("make", "exponent"),
    [
        # Two products with √n × r factors for each row, then products that do not grow with n.
        (lambda n: work.dual_lphm(b=32, m=n, r=4, p=math.isqrt(n)), 1.0),
        (lambda n: work.reconciliation("low rank", n, 32), 1.0),
        (lambda n: work.reconciliation("adaption", n, 32), 1.0),
        # r √n numbers in each of √n rows, multiplied by a √n × √n factor.
        (lambda n: work.reconciliation("hm", n, 32), 1.5),
        (lambda n: work.reconciliation("lphm", n, 32), 1.0),
        (lambda n: work.bilinear(b=64, m=n, r=8), 1.0),
        (lambda n: work.bilinear(b=n, m=64, r=8), 1.0),
        (lambda n: work.fusion(b=64, dim=n, r=8), 1.0),
        (lambda n: work.full(b=64, m=n), 2.0),
    ],
    ids=["dual lphm", "low rank", "adaption", "hm", "lphm", "bilinear m", "bilinear b", "fusion", "full"],
)
def test_multiplications_grow_with_n_as_the_structure_promises(make, exponent):
    found = records.slope(SQUARE, [counted(make(n)) for n in SQUARE])
    assert found == pytest.approx(exponent, abs=0.1)


def multiplied(role, b: int) -> int:
    """The multiplications that a forward and gradient call really makes, in products and entry by entry."""
    count, rng = Count(), np.random.default_rng(0)

    def counted_array(*shape):
        array = rng.standard_normal(shape).view(Counted)
        array.count = count
        return array

    y, pullback = role.vjp(counted_array(b, role.m), counted_array(role.num_parameters()))
    pullback(counted_array(*y.shape))
    return count.in_products + count.by_entry


@pytest.mark.parametrize("is_normalized", [False, True], ids=["plain", "normalized"])
@pytest.mark.parametrize("variant", ["hm", "lphm", "dual lphm"])
def test_products_of_two_attributes_cost_as_much_as_attributes(variant, is_normalized):
    # κ(x) has m + m² numbers in a row, and W as many.
    fabrication = {**work.EXPANDED, "hm": Hypercomplex()}[variant]
    expansion = RowNormalized(expansion=Taylor(d=2)) if is_normalized else Taylor(d=2)
    sizes = (128, 512, 2048)
    roles = [Reconciliation(expansion=expansion, fabrication=fabrication, n=16, m=m) for m in sizes]
    found = records.slope(sizes, [multiplied(role, b=8) for role in roles])
    assert found == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("variant", work.RECONCILIATIONS)
def test_multiplications_grow_with_the_batch_and_no_faster(variant):
    batches = (64, 256, 1024)
    found = records.slope(batches, [counted(work.reconciliation(variant, 4096, b)) for b in batches])
    assert found == pytest.approx(1.0, abs=0.1)


@EACH
def test_what_must_be_moved_is_inputs_blocks_and_results(workload):
    problem = work.Problem(workload)
    read = sum(a.size for a in (*problem.xs, problem.w, *problem.frozen.values()))
    assert floors.moved(workload, records.FORWARD) == read + problem.g.size
    written = problem.g.size + sum(x.size for x in problem.xs) + problem.w.size
    assert floors.moved(workload, records.GRADIENT) == read + problem.g.size + written


# Figures.


def test_every_call_takes_its_turns():
    counts = {"a": 0, "b": 0}

    def count(name):
        counts[name] += 1

    found = medians(
        {name: lambda name=name: count(name) for name in counts}, Effort(seconds=1e-4, turns=2, longest=1.0)
    )
    assert found.keys() == counts.keys()
    assert min(counts.values()) > 2


def test_the_cpu_s_clock_takes_the_least():
    assert Effort(clock="cpu").figure([3.0, 1.0, 9.0]) == 1.0
    assert Effort().figure([3.0, 1.0, 9.0]) == 3.0
    assert Effort(clock="cpu").now() != Effort().now()


def test_the_slope_of_a_power_law_is_its_exponent():
    assert records.slope([1, 10, 100], [3.0, 30.0 * 10, 300.0 * 100]) == pytest.approx(2.0)


def test_ratios_are_relative_to_ours():
    found = list(records.ratios(run(a=cell({"arrayfab": 2.0, "PyTorch eager": 3.0}))))
    assert found == [records.Ratio("a", "forward", "PyTorch eager", 1.5)]


def test_the_best_by_hand_counts_structured_cells_alone():
    ms = {"arrayfab": 1.0, "PyTorch eager": 4.0, "JAX by hand": 2.0, "tinybig": 1.0}
    file = run(a=cell(ms), b=cell(ms, structured=False))
    assert records.best_by_hand(file, *sum(records.BY_HAND.values(), ())) == [2.0]
    assert records.geometric_mean([2.0, 8.0]) == pytest.approx(4.0)


def test_the_gap_is_to_the_higher_floor():
    assert records.gap(cell({"arrayfab": 3.0}), "forward") == 3.0


def test_changes_are_those_of_the_gap_and_the_worst_comes_first():
    then = run(a=cell({"arrayfab": 3.0}), b=cell({"arrayfab": 1.0}), gone=cell({"arrayfab": 1.0}))
    now = run(a=cell({"arrayfab": 6.0}), b=cell({"arrayfab": 3.0}), new=cell({"arrayfab": 1.0}))
    found = records.changes(now, then)
    assert [(change.cell, change.factor) for change in found] == [("b", 3.0), ("a", 2.0)]


def test_what_is_slower_comes_worst_first_without_the_inline_formula():
    ms = {"arrayfab": 1.0, "PyTorch eager": 0.9, "JAX by hand": 0.5, "NumPy inline": 0.1, "CoLA": 2.0}
    assert [ratio.value for ratio in records.slower(run(a=cell(ms)))] == [0.5, 0.9]


def test_a_bar_is_met_or_missed():
    slow = run(a=cell({"arrayfab": 1.0, "PyTorch eager": 0.5, "JAX by hand": 3.0}))
    fast = run(a=cell({"arrayfab": 1.0, "PyTorch eager": 1.6, "JAX by hand": 3.0}))
    assert [bar.is_met for bar in records.bars(slow)] == [False, False, False, True]
    assert all(bar.is_met for bar in records.bars(fast))


def test_expanded_data_have_bars_of_their_own():
    peaks = {"arrayfab": {"forward + gradient": 1.0}, "tinybig": {"forward + gradient": 150.0}}
    ms = {"arrayfab": 1.0, "PyTorch eager": 1.2, "tinybig": 900.0}
    about = {"expanded": True, "wanted": (None, 1000), "mib": peaks}
    dual = cell(ms, ms, family="expanded: taylor 2, dual lphm", **about)
    splines = cell(ms, family="expanded: splines, low rank", expanded=True)
    found = {bar.what: bar.is_met for bar in records.bars(run(dual=dual, splines=splines))}
    assert found["best by hand: expanded: taylor 2, dual lphm, forward"]
    assert not found["best by hand: expanded: splines, low rank, forward"]
    assert found["tinybig's peak: expanded: taylor 2, dual lphm, forward + gradient"]
    assert not found["tinybig: expanded: taylor 2, dual lphm, forward + gradient"]
    assert "tinybig: expanded: taylor 2, dual lphm, forward" not in found
    assert report.is_of_expansions(run(dual=dual, splines=splines))
    assert not report.is_of_expansions(run(dual=dual, other=cell(ms)))


def test_pieces_of_a_run_become_one():
    times = run(a=cell({"arrayfab": 1.0}), b=cell({"arrayfab": 2.0}))
    memory = run(a={"mib": {"arrayfab": {"forward": 1.0}}}, b=cell({"arrayfab": 3.0}))
    both = records.merged(records.merged(times, memory), run(a={"mib": {"JAX by hand": {"forward": 9.0}}}))
    assert both["cells"]["a"]["forward"]["ms"] == {"arrayfab": 1.0}
    assert both["cells"]["a"]["mib"].keys() == {"arrayfab", "JAX by hand"}
    assert both["cells"]["b"]["forward"]["ms"] == {"arrayfab": 3.0}
    assert records.merged({}, times) is times


def test_pieces_of_different_machines_do_not_mix():
    other = run()
    other["machine"]["threads"] = 4
    with pytest.raises(ValueError, match="another threads: 2, this run has 4"):
        records.merged(run(), other)


def test_tables_line_up():
    rows = [["name", "ms"], ["long name", "1.5"]]
    assert report.text_table(rows).splitlines() == ["name        ms", "---------  ---", "long name  1.5"]
    assert report.markdown_table(rows).splitlines() == ["| name | ms |", "|---|---:|", "| long name | 1.5 |"]


def test_figures_have_three_digits():
    assert [report.shown(value) for value in (None, 0.01234, 1.5, 45.678, 1234.5)] == [
        "–",
        "0.0123",
        "1.5",
        "45.7",
        "1234",
    ]


def test_a_page_is_filled_between_its_marks():
    page = "before\n<!-- bars -->\nold\n<!-- end of bars -->\nafter"
    assert (
        report.replaced(page, "bars", r"new \1")
        == "before\n<!-- bars -->\n\nnew \\1\n\n<!-- end of bars -->\nafter"
    )
    assert report.replaced(page, "machine", "new") == page


def test_the_pages_have_a_place_for_every_part():
    page = "".join((report.ROOT / page).read_text(encoding="utf-8") for page in report.PAGES)
    by_itself, told = report.EXPANDED
    parts = [*report.sections(run()), "source", f"{told}, source", f"{told}, times"]
    parts += [f"{by_itself}, {part}" for part in ("source", "machine", "bars", "times", "memory")]
    for part in parts:
        assert page.count(f"<!-- {part} -->\n") == 1
        assert f"<!-- end of {part} -->" in page


def test_a_report_names_each_figure():
    text = report.printed(run(a=cell({"arrayfab": 2.0, "PyTorch eager": 3.0}, {"arrayfab": 4.0})))
    assert "low rank, n=4" in text
    assert "1.5" in text
