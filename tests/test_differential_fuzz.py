"""Some hundred random cases against dense formulas.

``ARRAYFAB_FUZZ_CASES`` sets how many; ``python tests/differential_fuzz.py`` goes on for as long as one likes.
"""

import os

import pytest
from differential_fuzz import KINDS, run

CASES = int(os.environ.get("ARRAYFAB_FUZZ_CASES", "200"))


@pytest.mark.parametrize("seed", range(0, 4000, 1000))
def test_random_cases_agree_with_dense_formulas(seed):
    met = run(seed, CASES // 4, chosen=("numpy", "strict"))
    assert set(met) <= {*KINDS, "left out"}
    assert met["layer"] > met["left out"]
