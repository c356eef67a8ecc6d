"""Damaged and forged checkpoints: one clear error, or what the file says, and never much memory.

``ARRAYFAB_FUZZ`` sets how many mutations are tried.
"""

import os

import pytest

pytest.importorskip("safetensors")

from checkpoint_fuzz import run  # after the check: it saves a checkpoint


@pytest.mark.parametrize("seed", range(2))
def test_mutations_are_refused_or_change_nothing(seed, tmp_path):
    met = run(int(os.environ.get("ARRAYFAB_FUZZ", "3000")) // 2, seed, tmp_path / "mutated")
    assert met["damaged", "refused"] > 10 * met["damaged", "same"]  # the mutations are worth their name
    assert met["forged", "refused"] > met["forged", "another, as described"] > 0
