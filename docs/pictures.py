"""Draws the pictures of parts: ``python docs/pictures.py`` rewrites ``docs/pictures/``.

Each shows one real matrix beside what it was made from, a role's real result beside what it was made from,
functions of one number, or the way of data through a head.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import arrayfab as fab
from arrayfab import expansions as ex
from arrayfab.fabrications.blueprint import blueprint
from arrayfab.frozen import Frozen
from arrayfab.layer import Layer
from drawing import GAP, GREY, file, flow, formula, text

FOLDER = Path(__file__).parent / "pictures"


@dataclass(frozen=True)
class Picture:
    """A fabrication at one shape, and the lines of its formula: names of panels, and what stands between."""

    fabrication: fab.Fabrication
    shape: tuple[int, int]
    lines: list[list[str]]
    tile: tuple[int, int] | None = None  # blocks of W are marked by lines
    cell: int = 11


@dataclass(frozen=True)
class Curves:
    """The functions of one attribute, for what the attribute runs through."""

    expansion: ex.Functions
    ends: tuple[float, float]
    heights: tuple[float, float]


@dataclass(frozen=True)
class Expanded:
    """Some rows of data beside what an expansion makes of them."""

    expansion: ex.Expansion
    columns: int
    rows: int = 6
    cell: int = 11


@dataclass(frozen=True)
class Acting:
    """A role, the shapes of its data, and the lines of its formula."""

    role: Layer
    shapes: list[tuple[int, int]]
    lines: list[list[str]]
    cell: int = 11


@dataclass(frozen=True)
class Flow:
    """The parts that data pass through, as `drawing.flow` takes them."""

    steps: list[tuple[list[tuple[str, str]], str]]


EXPANSIONS = {
    "taylor": Expanded(ex.Taylor(d=2), 5),
    "combinatorial": Expanded(ex.Combinatorial(d=3), 5),
    "chebyshev": Curves(ex.Chebyshev(d=5), (-1.1, 1.1), (-1.5, 1.5)),
    "fourier": Curves(ex.Fourier(N=3), (-10.0, 10.0), (-1.1, 1.1)),
    "arc-hyperbolic": Curves(ex.ArcHyperbolic(), (-6.0, 6.0), (-0.1, 2.8)),
    "bspline": Curves(ex.BSpline(), (-2.4, 2.4), (-0.05, 0.75)),
    "gaussian-rbf": Curves(ex.GaussianRBF(num_interval=5, epsilon=2.0), (-2.0, 2.0), (-0.05, 1.05)),
    "wavelets": Curves(ex.Ricker(s=2, t=2, a=2.0), (-7.0, 9.0), (-0.5, 1.0)),
    "densities": Curves(ex.HybridProbabilistic(), (-4.0, 4.0), (-6.0, 1.0)),
    "extended": Expanded(ex.Extended(expansions=[ex.Identity(), ex.Hermite(d=2), ex.Trigonometric()]), 4),
    "group-max": Expanded(ex.GroupMax(groups=3), 12),
}

SMALL = fab.LowRank(r=1)
ROLES = {
    "reconciliation": Acting(
        fab.Reconciliation(expansion=ex.Taylor(d=2), fabrication=SMALL, m=3, n=4),
        [(6, 3)],
        [["x", "→", "κ(x)"], ["y", "=", "κ(x)", "·", "W.T"]],
    ),
    "attribute-interdependence": Acting(
        fab.ParameterizedInterdependence(fabrication=SMALL, m=8, m_prime=5),
        [(6, 8)],
        [["y", "=", "x", "·", "A"]],
    ),
    "instance-interdependence": Acting(
        fab.ParameterizedInterdependence(fabrication=SMALL, b=6, interdependence_type="instance"),
        [(6, 8)],
        [["y", "=", "A.T", "·", "x"]],
    ),
    "bilinear-interdependence": Acting(
        fab.BilinearInterdependence(fabrication=SMALL, b=6),
        [(6, 8)],
        [["A", "=", "x.T", "·", "W", "·", "x"], ["y", "=", "x", "·", "A"]],
    ),
    "attention": Acting(
        fab.Attention(fabrication=SMALL, m=5, interdependence_type="instance"),
        [(7, 5)],
        [["A", "= softmax(", "x", "·", "W", "·", "x.T", "/ √m )"], ["y", "=", "A.T", "·", "x"]],
    ),
    "concatenation-fusion": Acting(
        fab.ConcatenationFusion(fabrication=SMALL, dims=(4, 7), n=5),
        [(6, 4), (6, 7)],
        [["y", "= (", "x1", "⊔", "x2", ") ·", "W.T"]],
    ),
}

HEAD = Flow(
    [
        ([("attribute", "x Aₐ")], "b × m"),
        ([("expansion", "κ(x)")], "b × D"),
        ([("", "· ψ(w₁)ᵀ"), ("", "· ψ(w₂)ᵀ"), ("", "· ψ(w₃)ᵀ")], "b × n"),
        ([("instance", "Aᵢᵀ z, of every channel")], "b × n, three times"),
        ([("fusion", "mean, sum, largest, …")], "b × n"),
        ([("bias", "+ b")], "b × n"),
        ([("remainder", "+ π(x)")], "b × n"),
    ]
)

PICTURES: dict = (
    EXPANSIONS
    | ROLES
    | {
        "head": HEAD,
        "full": Picture(fab.Full(), (4, 6), [["W", "= reshape", "w"]]),
        "constant": Picture(fab.Constant(c=2.0), (5, 7), [["W", "= 2 ·", "1"]]),
        "eye": Picture(fab.Eye(), (5, 7), [["W", "= I"]]),
        "masked": Picture(fab.Masked(p=0.4), (8, 12), [["W", "=", "W'", "∘", "mask"]], cell=9),
        "duplicated-padding": Picture(
            fab.DuplicatedPadding(p=2, q=3), (8, 12), [["W", "=", "1 p×q", "⊗", "block"]], tile=(4, 4)
        ),
        "duplicated-diagonal-padding": Picture(
            fab.DuplicatedDiagonalPadding(p=4), (8, 12), [["W", "=", "I p", "⊗", "block"]], tile=(2, 3)
        ),
        "low-rank": Picture(fab.LowRank(r=2), (8, 12), [["W", "=", "A", "·", "Bt"]]),
        "hypercomplex": Picture(
            fab.Hypercomplex(p=2, q=3), (8, 12), [["W", "=", "A", "⊗", "B"]], tile=(4, 4)
        ),
        "lphm": Picture(
            fab.LPHM(p=2, q=3, r=1), (8, 12), [["W", "=", "A", "⊗", "(", "S", "·", "Tt", ")"]], (4, 4)
        ),
        "dual-lphm": Picture(
            fab.DualLPHM(p=2, q=3, r=1),
            (8, 12),
            [["W", "=", "(", "P", "·", "Qt", ")"], ["⊗", "(", "S", "·", "Tt", ")"]],
            tile=(4, 4),
        ),
        "random-matrix-adaption": Picture(
            fab.RandomMatrixAdaption(r=3),
            (8, 12),
            [["W", "=", "diag lambda_1", "·", "A"], ["·", "diag lambda_2", "·", "B.T"]],
        ),
        "hypernet": Picture(
            fab.Hypernet(l=4, hidden_dim=6),
            (4, 6),
            [
                ["h", "= σ(", "w", "·", "U.T", "+", "a", ")"],
                ["W", "= reshape(", "h", "·", "V.T"],
                ["+", "c", ")"],
            ],
            cell=8,
        ),
        "random-matrix-hypernet": Picture(
            fab.RandomMatrixHypernet(l=5, hidden_dim=6, r=2),
            (4, 6),
            [
                ["h", "= σ(", "w", "·", "P", "·", "Q.T", ")"],
                ["W", "= reshape(", "h", "·", "S"],
                ["·", "T.T", ")"],
            ],
            cell=8,
        ),
        "mirrored-lphm": Picture(
            fab.MirroredLPHM(p=4, q=6, r=1), (8, 12), [["W", "= (", "P", "·", "Qt", ") ⊗", "B"]], tile=(2, 2)
        ),
        "loha": Picture(
            fab.LoHa(r=1), (8, 12), [["W", "= (", "A1", "·", "B1", ")"], ["∘ (", "A2", "·", "B2", ")"]]
        ),
        "cp": Picture(
            fab.CP(r=2, p=2, q=3),
            (8, 12),
            [["W", "= (", "A1", "⊙", "A2", ")"], ["· (", "B1", "⊙", "B2", ")ᵀ"]],
        ),
        "tensor-train": Picture(fab.TensorTrain(r=2), (8, 12), [["W", "←", "G0", "·", "G1"]], tile=(4, 4)),
        "randlora": Picture(
            fab.RandLoRA(r=2),
            (8, 6),
            [["W", "=", "B", "·", "diag Lambda"], ["· (", "A", "⊙", "Gamma", ")"]],
            cell=9,
        ),
        "vb-lora": Picture(
            fab.VBLoRA(r=1, h=5, b=2, k=2), (8, 12), [["W", "←", "logits_B", ",", "logits_A", ",", "bank"]]
        ),
        "block-diagonal": Picture(fab.BlockDiagonal(p=4), (8, 12), [["W", "←", "stack"]], tile=(2, 3)),
        "monarch": Picture(fab.Monarch(p=2, q=3), (8, 12), [["W", "= P₁ ·", "L", "· P₂ ·", "R"]]),
        "toeplitz": Picture(fab.Toeplitz(), (6, 9), [["W", "←", "w"]]),
        "circulant": Picture(fab.Circulant(b=4), (8, 12), [["W", "←", "h"]], tile=(4, 4)),
        "fourierft": Picture(fab.FourierFT(k=3), (12, 16), [["W", "←", "w"]], cell=9),
        "ia3": Picture(fab.IA3(), (7, 7), [["W", "=", "diag v"]]),
        "dora": Picture(
            fab.DoRA(inner=fab.LowRank(r=1)),
            (8, 12),
            [["W", "=", "diag m", "· V,"], ["V ∝", "A", "·", "Bt"]],
            cell=9,
        ),
        "cayley": Picture(fab.Cayley(p=2), (8, 8), [["W", "←", "skew"]], tile=(4, 4)),
        "neumann": Picture(fab.Neumann(terms=1), (8, 8), [["W", "←", "skew"]]),
        "butterfly": Picture(fab.Butterfly(b=2, m=2), (8, 8), [["W", "←", "R0", ",", "R1"]]),
        "householder": Picture(fab.Householder(r=2), (8, 8), [["W", "← I,", "U"]]),
        "base": Picture(
            fab.Base(np.random.default_rng(3).integers(-4, 5, (8, 12)) * 1.0) + 0.5 * fab.LowRank(r=1),
            (8, 12),
            [["W", "=", "W0", "+ ½ ·", "A", "·", "Bt"]],
        ),
        "sums": Picture(fab.Eye() + 0.25 * fab.LowRank(r=1), (8, 8), [["W", "= I + ¼ ·", "A", "·", "Bt"]]),
    }
)


def numbers(length):
    """Small whole numbers, none of them zero."""
    rng = np.random.default_rng(6)
    return rng.integers(1, 5, length) * rng.choice([-1.0, 1.0], length)


def panels(picture):
    """For every name that a formula may use: the panel's values, and whether they are learned or frozen."""
    fabrication, (n, D) = picture.fabrication, picture.shape
    w = numbers(fabrication.num_parameters(n, D))
    made = {"W": (fabrication.fabricate(w, n, D).to_dense(), "")}
    plan = blueprint(fabrication, n, D)
    for name, run, shape in plan.blocks:
        bare = name.rpartition(".")[2]
        made[bare if bare != "W" else "W'"] = (w[run].reshape(shape), "learned")
    for name, held in plan.frozen.items():
        made[name.rpartition(".")[2]] = (held.draw() if isinstance(held, Frozen) else held, "frozen")
    for name, (values, kind) in list(made.items()):
        made |= {f"{name}.T": (values.T, kind), f"diag {name}": (np.diag(values[0]), kind)}
    made |= {"1": (np.ones((n, D)), ""), "w": made.get("w", (w[None], "learned"))}
    p, q = getattr(fabrication, "p", None), getattr(fabrication, "q", None)
    if isinstance(fabrication, fab.DuplicatedPadding):
        made["1 p×q"] = (np.ones((p, q)), "")
    if isinstance(fabrication, fab.DuplicatedDiagonalPadding):
        made["I p"] = (np.eye(p), "")
    if isinstance(fabrication, fab.Hypernet | fab.RandomMatrixHypernet):
        made["h"] = (_hidden({name: values for name, (values, _) in made.items()}), "")
    return made


def some_data(shape):
    """Numbers between -2 and 2 with one digit."""
    return np.round(np.random.default_rng(4).uniform(-2, 2, shape), 1)


def acting(role, shapes):
    """For every name that a role's formula may use: the panel's values, and what they are."""
    xs = [some_data(shape) for shape in shapes]
    x, w = xs if len(xs) > 1 else xs[0], numbers(role.num_parameters()) / 8
    made = {f"x{k}": (each, "data") for k, each in enumerate(xs, 1)} | {
        "x": (xs[0], "data"),
        "y": (role(x, w), ""),
    }
    made["W"] = role.aligned.fabricate(w, *role.matrix_shape).to_dense(), "fabricated"
    if isinstance(role, fab.BilinearInterdependence):
        made["A"] = role.matrix(x, w), "from the data"
    elif isinstance(role, fab.ParameterizedInterdependence):
        made["A"] = role.matrix(w), "fabricated"
    elif role.expansion:
        made["κ(x)"] = role.expansion(x), "expanded"
    return made | {f"{name}.T": (values.T, kind) for name, (values, kind) in made.items()}


def _hidden(m):
    z = m["w"] @ m["U"].T + m["a"] if "U" in m else m["w"] @ m["P"] @ m["Q"].T
    return 1 / (1 + np.exp(-z))


def svg(picture):
    """The picture as the text of an SVG file."""
    if isinstance(picture, Curves):
        return _curves(picture)
    if isinstance(picture, Flow):
        return flow(picture.steps)
    if isinstance(picture, Expanded):
        x = some_data((picture.rows, picture.columns))
        shown = {"x": (x, ""), "κ(x)": (picture.expansion(x), "")}
        return formula(shown, [["x", "→", "κ(x)"]], picture.cell)
    if isinstance(picture, Acting):
        return formula(acting(picture.role, picture.shapes), picture.lines, picture.cell)
    return formula(panels(picture), picture.lines, picture.cell, picture.tile)


def _curves(picture, width=560, tall=200):
    """Functions of one number as lines, in colours from one end to the other."""
    (start, stop), (low, high) = picture.ends, picture.heights

    def at(x, y):
        return GAP + width * (x - start) / (stop - start), GAP + tall * (high - y) / (high - low)

    x = np.linspace(start, stop, 281)
    curves = picture.expansion(x[:, None]).T
    zero = at(start, 0.0)[1]
    parts = [f'<path stroke="{GREY}" stroke-width="0.5" d="M{GAP} {zero:.1f}h{width}"/>']
    for k, y in enumerate(curves):
        inside = [f"{across:.1f} {down:.1f}" for across, down in map(at, x, np.clip(y, low, high))]
        colour = f"hsl({30 + 190 * k / max(len(curves) - 1, 1):.0f} 85% 45%)"
        parts.append(f'<path fill="none" stroke="{colour}" stroke-width="1.8" d="M{"L".join(inside)}"/>')
    for place, anchor in ((start, "start"), (stop, "end")):
        across = at(place, 0.0)[0]
        parts.append(text(across, GAP + tall + 16, f"{place:g}", 11, anchor))
    return file(width + 2 * GAP, tall + GAP + 24, parts)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, picture in PICTURES.items():
        (FOLDER / f"{name}.svg").write_text(svg(picture), encoding="utf-8")
