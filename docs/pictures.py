"""Draws the pictures of fabrications and expansions: ``python docs/pictures.py`` rewrites ``docs/pictures/``.

Each shows one real matrix beside what it was made from, or functions of one number. Orange is positive, blue
is negative, and zero lets the page shine through: the pictures are readable on light pages and on dark.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import arrayfab as fab
from arrayfab import expansions as ex
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
    terms = [
        term.inner if isinstance(term, fab.fabrications.Scaled) else term for term in _terms(fabrication)
    ]
    start = 0
    for term in terms:
        for name, shape in term.blocks(n, D).items():
            stop = start + int(np.prod(shape))
            made[name if name != "W" else "W'"] = (np.atleast_2d(w[start:stop].reshape(shape)), "learned")
            start = stop
        if isinstance(term, fab.Seeded):
            for name, law in term.frozen(n, D).items():
                made[name] = (Frozen(term.seed, name, law).draw(), "frozen")
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


def _terms(fabrication):
    return fabrication.terms if isinstance(fabrication, fab.fabrications.SumOf) else [fabrication]


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
