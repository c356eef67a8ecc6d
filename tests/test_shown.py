"""What people look at: pages in notebooks, and figures."""

import math
import tracemalloc
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import arrayfab as af
from arrayfab import expansions, interdependences
from arrayfab.catalogue import VARIANTS
from arrayfab.glimpse import glimpse
from arrayfab.notebook import drawn
from arrayfab.tables import as_html, printable
from arrayfab.training import Epoch, History

W0 = np.random.default_rng(0).standard_normal((6, 8))
LAYERS = [
    af.Reconciliation(fabrication=af.Base(W0) + af.LowRank(r=1), n=6, D=8, bias=True),
    af.Reconciliation(expansion=af.Taylor(d=2), fabrication=af.DualLPHM(r=2), n=4, m=6),
    af.Attention(fabrication=af.LowRank(r=1), m=4, b=3),
    af.Attention(fabrication=af.LowRank(r=1), m=4),  # cannot be used so
    af.ConcatenationFusion(fabrication=af.Full(), n=2, dims=(3, 4)),
    af.Head(fabrication=af.LowRank(r=1), n=3, m=4, channels=2, expansion=expansions.BSpline()),
    af.Head(
        attribute=af.ParameterizedInterdependence(fabrication=af.Full(), m=4), fabrication=af.Full(), n=3, m=4
    ),
    af.models.kan((6, 5, 2)),
    af.Pointwise("tanh"),
    interdependences.GaussianKernel(),
]
SHOWN = [*VARIANTS.values(), af.Eye() + 0.1 * af.LowRank(), af.Base(W0), *LAYERS]


def parsed(shown):
    return ElementTree.fromstring(shown._repr_html_())


@pytest.mark.parametrize("shown", SHOWN, ids=repr)
def test_a_page_is_well_formed_and_says_what_it_shows(shown):
    page = parsed(shown)
    text = "".join(page.itertext())
    assert type(shown).__name__ in text or " + " in text
    for table in page.iter("table"):
        assert len({len(row) for row in table.iter("tr")}) == 1
    for figure in page.iter("figure"):
        svg, caption = figure
        assert svg.get("role") == "img"
        assert svg.get("aria-label") == caption.text


@given(texts=st.lists(st.text(max_size=9) | st.just("<b>&'"), min_size=5, max_size=5))
def test_a_table_says_what_its_cells_say(texts):
    title, *cells = map(printable, texts)
    page = ElementTree.fromstring(as_html(title, tuple(cells[:2]), [tuple(cells[2:])]))
    found = [part.text or "" for part in page.iter() if part.tag in ("caption", "th", "td")]
    assert found == ([title] if title else []) + (cells[:2] if any(cells[:2]) else []) + cells[2:]


@dataclass(frozen=True, kw_only=True)
class Hostile(af.LowRank):
    """``<script>alert("1")</script>`` & <b>others</b>, 'quoted'."""

    name: str = ""

    def __post_init__(self):
        pass


@given(name=st.text() | st.just('"><script>alert(1)</script>'))
def test_whatever_is_shown_is_escaped(name):
    for shown in (Hostile(name=name), af.Reconciliation(fabrication=Hostile(name=name), n=2, D=3)):
        page = parsed(shown)
        assert not {"script", "b"} & {part.tag for part in page.iter()}
    assert '<script>alert("1")</script>' in "".join(page.itertext())
    assert parsed(Hostile(name="b & <i>")).find("p").find("strong").text.endswith("(name='b & <i>')")


class Broken(af.Fabrication):
    def blocks(self, n, D):
        raise RuntimeError("nobody knows")


class Unsaid(af.Fabrication):
    def __repr__(self):
        raise RuntimeError("nor how it is called")


def test_a_page_never_fails():
    role = af.Reconciliation(fabrication=Broken(), n=2, D=3)
    for shown in (Broken(), role, af.Sequential([role]), Unsaid()):
        assert type(shown).__name__ in "".join(parsed(shown).itertext())


def test_numbers_that_are_not_finite_are_no_obstacle():
    page = ElementTree.fromstring(drawn(np.asarray([[np.nan, np.inf], [-1.0, 0.0]]), "odd"))
    assert sum(part.tag.endswith("path") for part in page.iter()) == 1
    assert drawn(np.zeros((2, 2)), "zero")


@pytest.mark.parametrize(
    "fabrication",
    [af.DualLPHM(r=4), af.LowRank(r=4), af.RandomMatrixAdaption(r=4), af.Full(), af.Hypernet()],
    ids=str,
)
def test_no_large_matrix_is_formed_for_a_page(fabrication):
    n = 1 << 15 if not isinstance(fabrication, af.Full) else 1 << 12
    role = af.Reconciliation(fabrication=fabrication, n=n, D=n)
    shown = [fabrication, role, af.Head(fabrication=fabrication, n=n, m=n)]
    if not isinstance(fabrication, af.Hypernet):
        shown.append(fabrication.fabricate(np.zeros(fabrication.num_parameters(n, n)), n, n))
    tracemalloc.start()
    for each in shown:
        parsed(each)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 26


@given(
    n=st.integers(1, 40),
    D=st.integers(1, 40),
    rows=st.integers(1, 50),
    columns=st.integers(1, 50),
    seed=st.integers(0, 9),
)
def test_a_glimpse_is_some_rows_and_columns(n, D, rows, columns, seed):
    fabrication = af.LowRank(r=2)
    W = fabrication.fabricate(fabrication.init(n, D, rng=seed), n, D)
    for each in (W, W.T):
        height, width = (rows, columns)
        dense = each.to_dense()[:: math.ceil(each.shape[0] / height), :: math.ceil(each.shape[1] / width)]
        assert dense.shape[0] <= height
        assert dense.shape[1] <= width
        np.testing.assert_allclose(glimpse(each, height, width), dense, atol=1e-12)


# Figures.


@pytest.fixture
def plotting():
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib import pyplot

    from arrayfab import plotting

    yield plotting
    pyplot.close("all")


@pytest.fixture
def axes(plotting):
    from matplotlib import pyplot

    return pyplot.figure().subplots()


def test_a_matrix_is_drawn_as_it_is(plotting, axes):
    W = (af.Base(W0) + af.LowRank(r=1)).fabricate(np.zeros(14), 6, 8)
    for each in (W, W0):
        assert plotting.matrix(each, axes) is axes
        np.testing.assert_array_equal(axes.images[-1].get_array(), W0)
    assert plotting.matrix(W0, most=3).images[0].get_array().shape == (3, 3)


def test_a_spectrum_is_that_of_the_dense_matrix(plotting, axes):
    W = af.Base(W0).fabricate(np.zeros(0), 6, 8)
    expected = np.sqrt(np.linalg.eigvalsh(W0 @ W0.T))[::-1]
    for each in (W, W0):
        plotting.spectrum(each, axes)
        np.testing.assert_allclose(axes.lines[-1].get_ydata(), expected)
    pytest.importorskip("scipy")
    for each in (W, W0):
        assert plotting.spectrum(each, axes, count=3, label="three") is axes
        np.testing.assert_allclose(axes.lines[-1].get_ydata(), expected[:3])
    with pytest.raises(ValueError, match="count must be a whole number from 1 to 5, got 6"):
        plotting.spectrum(W, count=6)


def test_curves_are_those_of_the_history(plotting, axes):
    history = History([Epoch(1.0, 0.1, 1.1, 0.5, 1.0), Epoch(0.5, 0.1, 0.9, 0.75, 1.0)])
    both = {"one": history, "other": History([Epoch(1.0, 0.1)])}
    assert plotting.curves(both, axes) is axes
    assert [line.get_ydata().tolist() for line in axes.lines] == [[1.0, 0.5], [1.1, 0.9], [1.0]]
    right = axes.figure.axes[1]
    assert [line.get_ydata().tolist() for line in right.lines] == [[0.5, 0.75]]
    assert [text.get_text() for text in plotting.curves(history).get_legend().get_texts()] == [
        "training",
        "validation",
    ]


def test_costs_are_those_of_the_fabrications(plotting, axes):
    sizes = [6, 7, 8]
    assert plotting.costs({"two": af.BlockDiagonal(p=2)}, sizes, axes, count="learned") is axes
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [18.0, np.nan, 32.0])
    plotting.costs([af.Full()], sizes, axes)
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), [36.0, 49.0, 64.0])
    with pytest.raises(ValueError, match="count must be one of"):
        plotting.costs([af.Full()], sizes, count="time")


def test_leading_axes_are_refused(plotting):
    W = af.Full().fabricate(np.zeros((2, 4)), 2, 2)
    for draw in (plotting.matrix, plotting.spectrum, glimpse):
        with pytest.raises(ValueError, match="no leading axes"):
            draw(W)
