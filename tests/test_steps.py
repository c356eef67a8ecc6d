"""The heads and models that are timed beside PyTorch by hand, at tiny sizes. Nothing is timed."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

import by_hand
import steps

ROWS = 4
HEADS = {case.name: case for case in by_hand.heads(ROWS)}
MODELS = {case.name: case for case in by_hand.whole_models(ROWS)}


@pytest.mark.parametrize("name", HEADS)
def test_a_head_and_its_formula_by_hand_give_the_same_numbers(name):
    steps.check(HEADS[name], steps.gradients(HEADS[name], "float64"))


@pytest.mark.parametrize("name", MODELS)
def test_an_epoch_leads_to_the_numbers_that_it_leads_to_in_pytorch(name):
    steps.check(MODELS[name], steps.epochs(MODELS[name], "float64"))


def test_ratios_are_relative_to_ours():
    run = {
        "heads": {"one": {steps.OURS: 2.0, steps.THEIRS: 3.0}, "two": {steps.OURS: 1.0, steps.THEIRS: 6.0}}
    }
    *_, one, two, mean = steps.table({"kernels": run}, "heads").splitlines()
    assert one == "| one | 2.000 ms | 1.50 × |"
    assert two == "| two | 1.000 ms | 6.00 × |"
    assert mean == "| geometric mean |  | 3.00 × |"
