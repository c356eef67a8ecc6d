"""Mutations of a checkpoint, and what loading each comes to.

``python tests/checkpoint_fuzz.py COUNT SEED`` tries as many and prints how often each outcome was met.
"""

from __future__ import annotations

import hashlib
import json
import random
import struct
import sys
import tempfile
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np

import arrayfab as af
from arrayfab.io import CheckpointError
from arrayfab.io.checkpoint import KEY, content

# What a configuration may hold where something else was: written as it stands, valid JSON or not.
ODD = [
    "null", "true", "false", "0", "1", "2", "3", "-1", "1.0", "2.5", "-0.0", "1e999", "NaN", "-Infinity",
    "1e308",
    "18446744073709551615", "18446744073709551616", "4294967296", "4294967297", "9" * 400, "9" * 5000,
    '""', '"LowRank"', '"Scaled"', '"Fabrication"', '"os.system"', '"__import__"', '"\\ud800"', '"\\u0000"',
    '"' + "x" * 10000 + '"', "[]", "{}", "[1]", '{"class": "Eye"}', '{"class": "LowRank", "r": 2}',
    '{"class": "Full"}', '{"class": ["LowRank"]}', "[" * 40 + "]" * 40, "[" * 100000, '{"a":' * 100000,
    "[" + "1," * 5000 + "1]", '{"a": 1, "a": 2}', '["A"]', '["B", "B"]',
    '{"class": "Scaled", "scale": 1.0, "inner": ' * 40 + '{"class": "Eye"}' + "}" * 40,
]  # fmt: skip


def original() -> dict[str, tuple]:
    """Entries with every kind of field: nested layers, sums, handed-in arrays, seeds, floats and texts."""
    rng = np.random.default_rng(0)
    mixed = 0.5 * af.RandomMatrixAdaption(r=2, seed=2**64 - 1) + af.Masked(p=0.25).with_frozen(
        mask=rng.random((3, 4)) < 0.5
    )
    role = af.Reconciliation(fabrication=mixed, n=3, D=4, bias=True)
    fused = af.ConcatenationFusion(fabrication=af.LPHM(p=2, r=1), dims=(2, 4), n=4)
    model = af.Sequential([role, af.Pointwise("tanh"), af.Reshape((3,), (3, 1))])
    return {
        "model": (model, rng.standard_normal((2, model.num_parameters()))),
        "fused": (fused, rng.standard_normal(fused.num_parameters()).astype(np.float32)),
        "W": (af.RandomMatrixHypernet(l=3, hidden_dim=4), rng.standard_normal(3).astype(np.float16), 2, 5),
        "free": (af.Constant(c=-2.0) + af.DuplicatedPadding(p=2), rng.standard_normal(1)),
    }


def taken_apart(file: bytes) -> tuple[dict, str, bytes]:
    """Header, description and data of a valid file, by nothing of the library's."""
    (length,) = struct.unpack("<Q", file[:8])
    header = json.loads(file[8 : 8 + length])
    return header, header["__metadata__"][KEY].split("\n", 1)[1], file[8 + length :]


def put_together(header: dict, text: str, data: bytes) -> bytes:
    """A file by a writer who knows the format, and gives every description its right checksum."""
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    metadata = {"__metadata__": {KEY: f"{digest}\n{text}"}}
    encoded = json.dumps(header | metadata).encode()
    return struct.pack("<Q", len(encoded)) + encoded + data


def damaged(rng: random.Random, file: bytes) -> bytes:
    """One to three accidents."""
    made = bytearray(file)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        at, length = rng.randrange(len(made) + 1), rng.choice([1, 2, 8, 64, 512])
        other = rng.randrange(len(made) + 1)
        run = bytes(made[at : at + length])
        kind = rng.randrange(10)
        if kind <= 2 and run:
            made[at] ^= 1 << rng.randrange(8)
        elif kind == 3 and run:
            made[at] = rng.choice([0, 0x22, 0x30, 0x7F, 0xFF, rng.randrange(256)])
        elif kind == 4:
            del made[at:]
        elif kind == 5:
            made[at:at] = rng.randbytes(length)
        elif kind == 6:
            made[other:other] = run
        elif kind == 7:
            made[at : at + length], made[other : other + length] = made[other : other + length], run
        elif kind == 8:
            del made[at : at + length]
        else:
            made[:8] = struct.pack("<Q", rng.choice([0, 1, len(file), 1 << 40, 1 << 63, rng.randrange(5000)]))
        made = made or bytearray(b"\0")
    return bytes(made)


def forged(rng: random.Random, file: bytes) -> bytes:
    """A file by a hostile writer, whose checksums are right."""
    header, text, data = taken_apart(file)
    made, raw = json.loads(text), {}
    for _ in range(rng.choice([1, 1, 2, 3])):
        spoil(rng, header if rng.random() < 0.15 else made, raw)
    text, head = json.dumps(made), json.dumps(header)
    for mark, odd in raw.items():
        text = text.replace(f'"{mark}"', odd)
        head = head.replace(f'"{mark}"', odd if valid(odd) else "7")
    return put_together(json.loads(head), text, data)


def spoil(rng, tree, raw):
    """One change at a random place of a tree of JSON."""
    places = list(places_of(tree))
    holder, key = rng.choice(places)
    kind = rng.randrange(8)
    if kind <= 3:
        mark = f"@{len(raw)}@"
        raw[mark] = rng.choice(ODD)
        holder[key] = mark
    elif kind == 4:
        del holder[key]
    elif kind == 5:
        other, name = rng.choice(places)
        holder[key] = json.loads(json.dumps(other[name] if has(other, name) else None))
    elif kind == 6 and isinstance(holder, dict):
        holder[rng.choice(["r", "p", "seed", "extra", "class", "inner", "W", str(key) + "x"])] = holder[key]
    elif isinstance(holder, dict):
        holder[rng.choice(["r", "q", "extra", "free"])] = holder.pop(key)
    else:
        holder.insert(key, holder[key])


def places_of(tree):
    if isinstance(tree, dict | list):
        for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
            yield tree, key
            yield from places_of(tree[key])


def has(holder, key):
    return key in holder if isinstance(holder, dict) else key < len(holder)


def valid(text):
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def outcome(path: Path, file: bytes, is_forged: bool, expected: bytes) -> str:
    """What loading a mutated file comes to; AssertionError where it is none of what is promised.

    An accident may only be refused, or leave what is loaded as it was. A forged file may hold another
    checkpoint, which must then be the one that it describes: saved again, it has the same description.
    """
    path.write_bytes(file)
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    try:
        loaded = af.load(path)
    except CheckpointError as error:
        message = str(error)
        assert message.isprintable()
        assert len(message) < 1500
        return "refused"
    finally:
        peak = tracemalloc.get_traced_memory()[1] - before
        # A first tile of a frozen block, with what drawing it takes, has its place in the constant.
        assert peak < 100 * len(file) + (8 << 20), f"{peak} bytes for a file of {len(file)}"
    again = content(loaded)
    if again == expected:
        return "same"
    assert is_forged, "an accident gave another checkpoint"
    assert json.loads(taken_apart(again)[1]) == json.loads(taken_apart(file)[1])
    return "another, as described"


def run(count: int, seed: int, path: Path) -> Counter:
    """Outcomes of as many mutations, by kind."""
    rng, file = random.Random(seed), content(original())
    met: Counter = Counter()
    tracemalloc.start()
    try:
        for _ in range(count):
            is_forged = rng.random() < 0.6
            mutated = (forged if is_forged else damaged)(rng, file)
            met["forged" if is_forged else "damaged", outcome(path, mutated, is_forged, file)] += 1
    except BaseException as error:
        error.add_note(f"mutation {met.total()} of seed {seed}: {path}")
        raise
    finally:
        tracemalloc.stop()
    return met


if __name__ == "__main__":
    directory = Path(tempfile.mkdtemp())
    for kind, times in sorted(run(int(sys.argv[1]), int(sys.argv[2]), directory / "mutated").items()):
        print(*kind, times)
