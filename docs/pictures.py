"""Draws the pictures of fabrications and expansions: ``python docs/pictures.py`` rewrites ``docs/pictures/``.

Each shows one real matrix beside what it was made from, or functions of one number. Orange is positive, blue
is negative, and zero lets the page shine through: the pictures are readable on light pages and on dark.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import arrayfab as fab
from arrayfab import expansions as ex
from arrayfab.fabrications.blueprint import blueprint
from arrayfab.frozen import Frozen

FOLDER = Path(__file__).parent / "pictures"
POSITIVE, NEGATIVE, GREY = "#e07b00", "#2f7fd6", "#777"
GAP, SLOT, CAPTION = 10, 44, 46  # between panels, least width of a panel, height of what is written below it
INDENT = 40  # of a line that goes on with a formula


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
    tile = None


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

PICTURES: dict = EXPANSIONS | {
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
    "hypercomplex": Picture(fab.Hypercomplex(p=2, q=3), (8, 12), [["W", "=", "A", "⊗", "B"]], tile=(4, 4)),
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
        fab.CP(r=2, p=2, q=3), (8, 12), [["W", "= (", "A1", "⊙", "A2", ")"], ["· (", "B1", "⊙", "B2", ")ᵀ"]]
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

LABELS = {
    "lambda_1": "Λ₁",
    "lambda_2": "Λ₂",
    "1": "1",
    "1 p×q": "1",
    "I p": "I",
    "block": "w",
    "mask": "mask",
    "A1": "A₁",
    "A2": "A₂",
    "B1": "B₁",
    "B2": "B₂",
    "G0": "G₁",
    "G1": "G₂",
    "R0": "R₁",
    "R1": "R₂",
    "W0": "W₀",
    "Lambda": "Λ",
    "Gamma": "Γ",
    "logits_B": "logits of B",
    "logits_A": "of A",
    "stack": "blocks",
    "skew": "A",
}


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


def _hidden(m):
    z = m["w"] @ m["U"].T + m["a"] if "U" in m else m["w"] @ m["P"] @ m["Q"].T
    return 1 / (1 + np.exp(-z))


def label(name):
    """How a block is written: ``Bt`` and ``B.T`` as ``Bᵀ``, ``W'`` for the numbers that a mask thins out."""
    name = name.removeprefix("diag ")
    if name in LABELS:
        return LABELS[name]
    bare = name.removesuffix(".T").removesuffix("t")
    return bare if bare == name else bare + "ᵀ"


def svg(picture):
    """The picture as the text of an SVG file."""
    if isinstance(picture, Curves):
        return _curves(picture)
    if isinstance(picture, Expanded):
        x = np.round(np.random.default_rng(4).uniform(-2, 2, (picture.rows, picture.columns)), 1)
        return _drawn(picture, {"x": (x, ""), "κ(x)": (picture.expansion(x), "")}, [["x", "→", "κ(x)"]])
    return _drawn(picture, panels(picture), picture.lines)


def _drawn(picture, shown, lines):
    parts, right, top = [], 0.0, GAP
    for line in lines:
        height = picture.cell * max(shown[token][0].shape[0] for token in line if token in shown)
        x = GAP if line[0] in shown else GAP + INDENT
        for token in line:
            if token in shown:
                drawn, width = _panel(token, *shown[token], x, top, height, picture)
            else:
                width = 9 + 8 * (len(token) - 1)
                drawn = [_text(x + width / 2, top + height / 2 + 5, token, 16)]
            parts += drawn
            x += width + GAP
        right, top = max(right, x), top + height + CAPTION + GAP
    return _file(right, top, parts)


def _file(width, height, parts):
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
    head += (
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif" fill="{GREY}" text-anchor="middle">'
    )
    return "\n".join([head, *parts, "</svg>", ""])


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
        text = _text(across, GAP + tall + 16, f"{place:g}", 11)
        parts.append(text.replace("<text", f'<text text-anchor="{anchor}"'))
    return _file(width + 2 * GAP, tall + GAP + 24, parts)


def _panel(token, values, kind, x, top, height, picture):
    """A matrix as a grid of cells with its name, shape and kind below; and the width it takes."""
    cell, (rows, columns) = picture.cell, values.shape
    width, tall = cell * columns, cell * rows
    slot = max(width, SLOT)
    left, up = x + (slot - width) / 2, top + (height - tall) / 2
    # Cells of one colour and strength are one path.
    squares: dict[tuple[str, float], list[str]] = {}
    strengths = np.abs(values) / np.abs(values).max()
    for (i, j), strength in np.ndenumerate(strengths):
        if strength > 0:
            tone = POSITIVE if values[i, j] > 0 else NEGATIVE, round(float(strength), 1) or 0.1
            squares.setdefault(tone, []).append(
                f"M{left + cell * j:g} {up + cell * i:g}h{cell}v{cell}h-{cell}z"
            )
    drawn = [
        f'<path fill="{colour}" fill-opacity="{opacity:g}" d="{"".join(cells)}"/>'
        for (colour, opacity), cells in sorted(squares.items())
    ]
    if token == "W" and picture.tile:
        s, t = (cell * size for size in picture.tile)
        lines = [f"M{left:g} {up + y:g}h{width}" for y in range(s, tall, s)]
        lines += [f"M{left + across:g} {up:g}v{tall}" for across in range(t, width, t)]
        drawn.append(f'<path stroke="{GREY}" stroke-width="2" d="{"".join(lines)}"/>')
    dashes = ' stroke-dasharray="3 2"' if kind == "frozen" else ""
    drawn.append(
        f'<rect x="{left:g}" y="{up:g}" width="{width}" height="{tall}" fill="none" '
        f'stroke="{GREY}" stroke-width="1.5"{dashes}/>'
    )
    middle, below = x + slot / 2, top + height
    name = f"{label(token)}"
    for offset, text, size in ((16, name, 14), (30, f"{rows} × {columns}", 11), (43, kind, 11)):
        if text:
            drawn.append(_text(middle, below + offset, text, size))
    return drawn, slot


def _text(x, y, text, size):
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}">{text}</text>'


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, picture in PICTURES.items():
        (FOLDER / f"{name}.svg").write_text(svg(picture), encoding="utf-8")
