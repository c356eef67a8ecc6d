"""How pictures are drawn: formulas of matrices as grids of cells, and the flow of data through parts.

Orange is positive, blue is negative, and zero lets the page shine through: the pictures are readable on light
pages and on dark.
"""

import numpy as np

POSITIVE, NEGATIVE, GREY = "#e07b00", "#2f7fd6", "#777"
GAP, SLOT, CAPTION = 10, 44, 46  # between panels, least width of a panel, height of what is written below it
INDENT = 40  # of a line that goes on with a formula

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
    "x1": "x₁",
    "x2": "x₂",
    "Lambda": "Λ",
    "Gamma": "Γ",
    "logits_B": "logits of B",
    "logits_A": "of A",
    "stack": "blocks",
    "skew": "A",
}


def label(name):
    """How a block is written: ``Bt`` and ``B.T`` as ``Bᵀ``, ``W'`` for the numbers that a mask thins out."""
    name = name.removeprefix("diag ")
    if name in LABELS:
        return LABELS[name]
    bare = name.removesuffix(".T").removesuffix("t")
    return bare if bare == name else bare + "ᵀ"


def formula(shown, lines, cell, tile=None):
    """Lines of names, which are drawn as the panels that are shown for them, and of what stands between.

    ``shown`` has the values and the kind of every panel. Blocks of ``W`` are marked where ``tile`` is their
    size.
    """
    parts, right, top = [], 0.0, GAP
    for line in lines:
        height = cell * max(shown[token][0].shape[0] for token in line if token in shown)
        x = GAP if line[0] in shown else GAP + INDENT
        for token in line:
            if token in shown:
                drawn, width = _panel(token, *shown[token], x, top, height, cell, tile)
            else:
                width = 9 + 8 * (len(token) - 1)
                drawn = [text(x + width / 2, top + height / 2 + 5, token, 16)]
            parts += drawn
            x += width + GAP
        right, top = max(right, x), top + height + CAPTION + GAP
    return file(right, top, parts)


def file(width, height, parts):
    """The parts of a picture as the text of an SVG file."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
    head += (
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif" fill="{GREY}" text-anchor="middle">'
    )
    return "\n".join([head, *parts, "</svg>", ""])


def text(x, y, written, size, anchor=""):
    """Some words, in the middle of a place or, by their anchor, beside it."""
    anchor = anchor and f' text-anchor="{anchor}"'
    return f'<text{anchor} x="{x:g}" y="{y:g}" font-size="{size}">{written}</text>'


def _panel(token, values, kind, x, top, height, cell, tile):
    """A matrix as a grid of cells with its name, shape and kind below; and the width it takes."""
    rows, columns = values.shape
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
    if token == "W" and tile:
        s, t = (cell * size for size in tile)
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
    for offset, written, size in ((16, name, 14), (30, f"{rows} × {columns}", 11), (43, kind, 11)):
        if written:
            drawn.append(text(middle, below + offset, written, size))
    return drawn, slot


def flow(steps, left=50, wide=310, tall=32, gap=24):
    """Boxes below one another, from ``x`` to ``y``, with arrows; a line leads from ``x`` to the last of them.

    A step is the boxes that stand beside each other, each a name and a formula, and the shape of what leaves
    them. Boxes without a name are fabricated matrices.
    """
    centre, below, top = left + wide / 2, GAP + 16, GAP + 16 + gap
    parts, leaving, shape = [text(centre, GAP + 11, "x", 16)], [centre], "b × m"
    around = top + len(steps) * (tall + gap) - gap - tall / 2
    lines = [f"M{centre - 10:g} {GAP + 6}H{left / 2:g}V{around:g}H{left}m-6 -4l6 4l-6 4"]
    for boxes, following in [*steps, ([], "")]:
        width = (wide - GAP * (len(boxes) - 1)) / max(len(boxes), 1)
        entering = [left + width / 2 + k * (width + GAP) for k in range(len(boxes))] or [centre]
        many = max(leaving, entering, key=len)
        lines += [f"M{middle:g} {below}v{gap}m-4 -6l4 6l4 -6" for middle in many]
        parts.append(text(many[-1] + 8, below + 15, shape, 11, "start"))
        for middle, (name, meaning) in zip(entering, boxes, strict=False):
            colour, edge = GREY if name else POSITIVE, middle - width / 2
            parts.append(
                f'<rect x="{edge:g}" y="{top}" width="{width:g}" height="{tall}" rx="5" fill="{colour}" '
                f'fill-opacity="0.12" stroke="{colour}" stroke-width="1.5"/>'
            )
            if name:
                parts.append(text(edge + 12, top + 21, name, 14, "start"))
            place, anchor = (edge + width - 12, "end") if name else (middle, "")
            parts.append(text(place, top + 21, meaning, 14, anchor))
        leaving, shape, below, top = entering, following, top + tall, top + tall + gap
    parts.append(text(centre, below - tall + 14, "y", 16))
    parts.append(f'<path fill="none" stroke="{GREY}" stroke-width="1.5" d="{"".join(lines)}"/>')
    return file(left + wide + GAP, below - tall + 14 + GAP, parts)
