"""Plans: what fits a budget, what it costs, and how near it comes to a target."""

import numpy as np
import pytest
from refusals import assert_refused
from test_command_line import run

import arrayfab as af
from arrayfab import choices, frozen
from arrayfab.fabrications import Scaled
from arrayfab.fitting import fit
from arrayfab.planner import HEADER, attainable_rank


@pytest.fixture(autouse=True)
def searches_are_short(monkeypatch):
    # What has no closed form is fitted where that takes a moment.
    monkeypatch.setattr(choices, "_SEARCHED_AT_MOST", 1 << 15)


SHAPES = [(12, 18, 150), (24, 24, 600), (7, 5, 40), (1, 9, 5), (16, 4, 1)]


def noise(n, D):
    return np.random.default_rng([n, D]).standard_normal((n, D))


@pytest.mark.parametrize(("n", "D", "budget"), SHAPES)
def test_every_line_fits_the_budget_and_has_the_rank_it_says(n, D, budget):
    for line in af.plan(n, D, budget).lines:
        w = np.random.default_rng(0).standard_normal(line.l)
        W = line.fabrication.fabricate(w, n, D).to_dense()
        assert line.l <= budget
        assert (line.w, line.error) == (None, None)
        rank = np.linalg.matrix_rank(W)
        assert (
            rank <= line.rank if isinstance(line.fabrication, af.Masked | af.FourierFT) else rank == line.rank
        )


@pytest.mark.parametrize("r", [1, 2, 5])
@pytest.mark.parametrize(("p", "q"), [(1, 6), (12, 1), (2, 9), (6, 2), (3, 3)])
def test_the_attainable_rank_of_kronecker_products_is_that_of_random_ones(p, q, r):
    for fabrication in (af.Hypercomplex(p=p, q=q), af.LPHM(p=p, q=q, r=r), af.DualLPHM(p=p, q=q, r=r)):
        w = np.random.default_rng(0).standard_normal(fabrication.num_parameters(12, 18))
        W = fabrication.fabricate(w, 12, 18).to_dense()
        assert attainable_rank(fabrication, 12, 18) == np.linalg.matrix_rank(W)


def test_figures_of_known_lines():
    lines = {line.fabrication: line for line in af.plan(64, 32, 2048, rows=8).lines}
    low_rank = lines[af.LowRank(r=10)]
    assert (low_rank.l, low_rank.multiplies, low_rank.frozen, low_rank.rank) == (960, 960, 0, 10)
    full = lines[af.Full()]
    # 64 · 32 numbers read once for 8 rows, and each row of x and y.
    assert (full.l, full.multiplies, full.bytes_moved) == (2048, 2048, 4 * (2048 // 8 + 64 + 32))
    assert lines[af.RandomMatrixAdaption(r=10)].frozen == 10 * (64 + 32)
    assert lines[af.Masked()].frozen == 64 * 32


@pytest.mark.parametrize("each", [1, 2, 4])
def test_every_variant_has_as_many_lines_as_asked_for(each):
    kinds = [type(line.fabrication) for line in af.plan(96, 96, 10_000, each=each).lines]
    assert len(set(kinds)) == 26
    assert max(map(kinds.count, kinds)) == each


@pytest.mark.parametrize(("n", "D", "budget"), SHAPES[:3])
def test_lines_are_fitted_to_the_target_and_sorted_by_error(n, D, budget):
    target = noise(n, D)
    lines = af.plan(n, D, budget, target, each=2).lines
    errors = [line.error for line in lines]
    assert errors == sorted(errors)
    for line in lines:
        W = line.fabrication.fabricate(line.w, n, D).to_dense()
        assert line.error == pytest.approx(np.linalg.norm(W - target), rel=1e-12, abs=1e-12)
        if isinstance(line.fabrication, Scaled):  # a hypernet, whose best scale may be zero
            assert line.error <= np.linalg.norm(target)


@pytest.mark.parametrize("target", [None, noise(12, 18)], ids=["costs", "fits"])
def test_every_line_is_reported(target):
    reports = []
    plan = af.plan(12, 18, 150, target, on_line=lambda done, total: reports.append((done, total)))
    assert reports == [(i + 1, len(plan.lines)) for i in range(len(plan.lines))]


def test_a_plan_decomposes_its_target_once_and_draws_each_frozen_matrix_once(monkeypatch):
    frozen.cache.clear()
    target, decomposed, drawn = noise(24, 36), [], []
    svd, draw = np.linalg.svd, frozen.Frozen.draw

    def counted_svd(matrix, **more):
        decomposed.append(matrix.tobytes())
        return svd(matrix, **more)

    def counted_draw(self, *dtype):
        drawn.append(self)
        return draw(self, *dtype)

    monkeypatch.setattr(np.linalg, "svd", counted_svd)
    monkeypatch.setattr(frozen.Frozen, "draw", counted_draw)
    kinds = [type(line.fabrication) for line in af.plan(24, 36, 500, target).lines]
    assert kinds.count(af.LowRank) == 3
    assert decomposed.count(target.tobytes()) == 1
    assert drawn
    assert len(drawn) == len(set(drawn))


def test_what_can_represent_the_target_comes_first():
    rng = np.random.default_rng(0)
    target = np.kron(rng.standard_normal((4, 4)), rng.standard_normal((6, 6)))
    best = af.plan(24, 24, 60, target).lines[0]
    assert best.fabrication == af.Hypercomplex(p=4, q=4)
    assert best.error < 1e-12 * np.linalg.norm(target)


def test_the_constant_is_the_mean():
    target = noise(6, 4) + 3
    (line,) = [x for x in af.plan(6, 4, 1, target).lines if isinstance(x.fabrication, af.Constant)]
    assert line.fabrication.c == pytest.approx(target.mean())
    assert line.error == pytest.approx(np.linalg.norm(target - target.mean()))


def test_training_starts_from_the_fit():
    target = noise(12, 18)
    line = af.plan(12, 18, 150, target).lines[0]
    role = af.Reconciliation(fabrication=line.fabrication, n=12, D=18)
    x = noise(3, 18)
    error = np.linalg.norm(role(x, line.w) - x @ target.T)
    assert error <= np.linalg.norm(x, 2) * line.error * (1 + 1e-12)


def test_a_target_of_zeros_and_one_of_another_namespace():
    torch = pytest.importorskip("torch")
    assert af.plan(6, 4, 10, np.zeros((6, 4))).lines[0].error == 0.0
    line = af.plan(6, 4, 10, torch.ones((6, 4)), each=1).lines[0]
    assert line.w.dtype == torch.float32
    assert fit(line.fabrication, torch.ones((6, 4))).error == line.error < 1e-5


def test_the_table_has_a_line_for_each_and_the_figure_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    for target in (None, noise(12, 18)):
        plan = af.plan(12, 18, 216, target)
        text = str(plan).splitlines()
        assert text[0].startswith("n=12, D=18: at most 216 learned numbers")
        assert len(text) == len(plan.lines) + 2
        assert len(plan.table()[0]) == (len(HEADER) if target is not None else len(HEADER) - 2)
        assert "LowRank(r=7)" in str(plan)
        plan.figure(tmp_path / "plan.png")
        assert (tmp_path / "plan.png").stat().st_size > 10_000


def test_the_command_line_prints_and_draws_a_plan(tmp_path):
    pytest.importorskip("matplotlib")
    np.save(tmp_path / "target.npy", noise(12, 18))
    figure = tmp_path / "new" / "plan.png"
    result = run("plan", "--budget", "100", "--target", str(tmp_path / "target.npy"), "--figure", str(figure))
    assert result.returncode == 0, result.stderr
    assert "n=12, D=18" in result.stdout
    assert "optimal" in result.stdout
    assert f"figure: {figure}" in result.stdout
    assert figure.stat().st_size > 10_000


def test_the_command_line_needs_no_target():
    result = run("plan", "-n", "64", "-D", "32", "--budget", "500", "--each", "1")
    assert result.returncode == 0, result.stderr
    assert "LowRank(r=5)" in result.stdout


def test_the_command_line_refuses_what_is_no_matrix(tmp_path):
    np.save(tmp_path / "target.npy", np.ones(3))
    result = run("plan", "--budget", "100", "--target", str(tmp_path / "target.npy"))
    assert result.returncode == 2
    assert result.stderr.endswith("target.npy: expected one matrix of real numbers in the .npy format\n")


BAD = {
    "n": (lambda: af.plan(0, 4, 10), "plan: n must be a positive integer, got 0"),
    "budget": (lambda: af.plan(4, 4, -1), "plan: budget must be a positive integer, got -1"),
    "each": (lambda: af.plan(4, 4, 9, each=0), "plan: each must be a positive integer, got 0"),
    "shape": (lambda: af.plan(4, 3, 9, np.ones((3, 4))), "plan: target must have shape (4, 3), got (3, 4)"),
    "dtype": (lambda: af.plan(4, 3, 9, np.ones((4, 3), int)), "plan: target must hold real floating numbers"),
    "list": (lambda: af.plan(2, 1, 9, [[1.0], [2.0]]), "plan: target must be an array"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_a_clear_error(name):
    assert_refused(*BAD[name])
