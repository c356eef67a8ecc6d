"""The command ``python -m arrayfab adapters`` and those below it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from arrayfab.adapters.adapter import Adapter
from arrayfab.adapters.combining import combine
from arrayfab.adapters.extracting import extract
from arrayfab.adapters.layouts import LAYOUTS, read_adapter, write_adapter
from arrayfab.adapters.layouts.parts import SeveralAdapters
from arrayfab.adapters.made import Made
from arrayfab.adapters.merging import merge
from arrayfab.adapters.resizing import resize, to_lora
from arrayfab.adapters.updates import DoRA, LoKr, Update
from arrayfab.adapters.weights import Weights
from arrayfab.io.configuration import short
from arrayfab.io.reading import spelled
from arrayfab.tables import printable, show
from arrayfab.terminal import NAMESPACES, bar, namespace, natural, positive


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Add the commands on adapters to the parser of ``adapters``."""
    parser.description = "Adapters of models, such as LoRA, in the files of PEFT and others, without PyTorch."
    parser.epilog = "The exit status is 1 where names match no tensor of the base, and 2 on errors."
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    inspect = commands.add_parser("inspect", help="show what is inside an adapter")
    _add_adapters(inspect, several=False)
    inspect.set_defaults(run=_inspect)

    for name, help_, take_back in (
        ("merge", "write a model's weights with adapters merged into them", False),
        ("unmerge", "write a model's weights as they were before a merge", True),
    ):
        command = commands.add_parser(name, help=help_)
        _add_base(command, "base", "the model" + (" with the adapters merged" if take_back else ""))
        _add_adapters(command)
        command.add_argument(
            "--strength",
            type=float,
            nargs="+",
            metavar="S",
            help="what each adapter adds is multiplied by; one for all, or one for each",
        )
        _add_output(command, "tensors")
        command.set_defaults(run=_merge, take_back=take_back)

    command = commands.add_parser("extract", help="make an adapter of the difference of two models")
    _add_base(command, "base", "the model before")
    _add_base(command, "tuned", "the model after")
    _add_cut(command)
    command.add_argument(
        "--family", choices=("lora", "lokr", "full"), default="lora", help="of the adapter (%(default)s)"
    )
    command.add_argument(
        "--embeddings", metavar="PATTERN", help="of the names of modules that are embeddings"
    )
    _add_output(command, "tensors", layouts=True)
    command.set_defaults(run=_extract)

    command = commands.add_parser("convert", help="write an adapter in another layout, dtype or family")
    _add_adapters(command, several=False)
    command.add_argument("--family", choices=("lora",), help="what it becomes; left out, it keeps its own")
    command.add_argument("--base", type=Path, help="the model, where it must tell names or what is added")
    _add_cut(command)
    _add_output(command, "modules", layouts=True)
    command.set_defaults(run=_convert)

    command = commands.add_parser("resize", help="reduce the ranks of an adapter")
    _add_adapters(command, several=False)
    _add_cut(command)
    _add_output(command, "modules", layouts=True)
    command.set_defaults(run=_resize)

    command = commands.add_parser("combine", help="make one adapter of several")
    _add_adapters(command)
    command.add_argument(
        "--weights", type=float, nargs="+", metavar="W", help="one for each adapter; all 1 if left out"
    )
    command.add_argument(
        "--how",
        choices=("cat", "svd", "linear"),
        default="cat",
        help="the sum with all ranks (cat), the nearest to it of a lower rank (svd), or factors added up as "
        "by PEFT, which is not the sum (linear)",
    )
    command.add_argument("--rank", type=positive, help="of the result of svd")
    command.add_argument("--energy", type=float, help="share of it that svd keeps")
    _add_output(command, None, layouts=True)
    command.set_defaults(run=_combine)


def _add_base(command, name, help_):
    kinds = "a safetensors file, an index of several, or a folder with one of them"
    command.add_argument(name, type=Path, metavar=name.upper(), help=f"{help_}: {kinds}")


def _add_adapters(command, several=True):
    count, help_ = ("+", "folders or files") if several else (1, "a folder or a file")
    command.add_argument("adapters", type=Path, nargs=count, metavar="ADAPTER", help=help_)
    command.add_argument("--name", help="of one of several adapters in a file")


def _add_cut(command):
    command.add_argument("--rank", type=positive, help="of each matrix, at most")
    command.add_argument("--energy", type=float, help="share of each matrix's squared length that is kept")
    command.add_argument("--exact", action="store_true", help="decompose whole matrices, not random products")
    command.add_argument("--seed", type=natural, default=0, help="of random products (%(default)s)")


def _add_output(command, what, layouts=False):
    command.add_argument("-o", "--out", type=Path, metavar="OUT", help="where to write")
    if layouts:
        command.add_argument("--layout", choices=LAYOUTS, help="of the file; left out, that of what is read")
    command.add_argument("--dtype", help="of what is written, such as bfloat16; left out, it stays")
    if what:
        command.add_argument("--only", default="*", metavar="PATTERN", help=f"of the names of {what}")
    command.add_argument("--dry-run", action="store_true", help="show what would be done, and write nothing")
    command.add_argument("--namespace", choices=NAMESPACES, default="numpy", help="whose arrays to use")


def _inspect(arguments) -> int:
    (path,) = arguments.adapters
    try:
        adapters = {"": read_adapter(path, arguments.name)}
    except SeveralAdapters as several:
        adapters = {f", {short(name)}": read_adapter(path, name) for name in several.names}
    for name, adapter in adapters.items():
        _show(f"{spelled(path)}{name}", adapter)
    return 0


def _show(title, adapter):
    rows = [_described(name, update, adapter) for name, update in adapter.updates.items()]
    rows += [_described(f"{name}.bias", update, adapter) for name, update in adapter.biases.items()]
    rows += [
        _row(name, "replaced", array.shape, "–", "–", [array]) for name, array in adapter.replaced.items()
    ]
    families = ", ".join(sorted({update.family for update in adapter.updates.values()}))
    show(
        f"{title}: {adapter.layout}, {families}, {len(adapter.updates)} modules, "
        f"{adapter.num_parameters():,} learned numbers",
        ("module", "family", "shape", "rank", "scale", "dtype", "learned"),
        rows,
    )
    for name, value in adapter.config.items():
        print(printable(f"{short(name)}: {short(repr(value))}"))


def _described(name, update, adapter):
    inner = update.inner if isinstance(update, DoRA) else update
    kernel = adapter.kernels.get(name, ())
    scale = getattr(inner, "scale", None)
    return _row(
        name,
        update.family + (f", kernels {_times(kernel)}" if kernel else ""),
        update.shape,
        _rank(inner),
        "–" if scale is None else f"{scale:g}",
        list(update.arrays()),
    )


def _row(name, family, shape, rank, scale, arrays):
    dtypes = ", ".join(sorted({array.dtype.name for array in arrays}))
    learned = f"{sum(array.size for array in arrays):,}"
    return (short(name, 80), family, _times(shape), rank, scale, dtypes, learned)


def _times(shape):
    return " × ".join("any" if size is None else str(size) for size in shape)


def _rank(update: Update) -> str:
    """The ranks that factors have, such as 4, or 4 and 8 of two of them."""
    if isinstance(update, LoKr):
        ranks = [update[f"A{i}"].shape[1] for i in (1, 2) if f"A{i}" in update.tensors]
    else:
        inner = {"LoRA": ("A",), "LoHa": ("B1", "B2"), "VeRA": ("d",)}.get(update.family, ())
        ranks = [update[name].shape[0] for name in inner]
    return ", ".join(map(str, dict.fromkeys(ranks))) or "–"


def _merge(arguments) -> int:
    strengths = arguments.strength
    if strengths is not None and len(strengths) == 1:
        strengths = strengths * len(arguments.adapters)
    options = {
        "strengths": strengths,
        "dtype": arguments.dtype,
        "only": arguments.only,
        "take_back": arguments.take_back,
        "xp": namespace(arguments.namespace),
    }
    _check_out(arguments)
    adapters = _read(arguments)
    # What would be done, before it is.
    found = merge(arguments.base, adapters, None, **options)
    if not found.lines:
        _say("no tensor changes, and nothing is written")
    elif arguments.dry_run:
        rows = [(short(line.tensor, 80), _times(line.shape), line.what) for line in found.lines]
        show(f"{spelled(arguments.base)}: {len(rows)} tensors would change", ("tensor", "shape", "by"), rows)
    else:
        with bar() as update:
            merge(arguments.base, adapters, arguments.out, **options, on_tensor=_moves(update))
        print(printable(f"{spelled(arguments.out)}: {len(found.lines)} tensors changed"))
    for name in found.unmatched:
        _say(f"{short(name)} matches no tensor of the base")
    return 1 if found.unmatched or not found.lines else 0


def _extract(arguments) -> int:
    def make(on_tensor):
        return extract(
            arguments.base,
            arguments.tuned,
            **_cut(arguments),
            family=arguments.family,
            embeddings=arguments.embeddings,
            dtype=arguments.dtype,
            on_tensor=on_tensor,
        )

    return _write(arguments, make)


def _convert(arguments) -> int:
    if arguments.family is None:
        for name in ("rank", "energy", "only"):
            if getattr(arguments, name) not in (None, "*"):
                raise ValueError(f"convert: --{name} is for a change of --family")
        return _write(arguments, lambda on_module: Made(_read(arguments)[0], []))
    return _write(arguments, lambda on_module: to_lora(**_reduced(arguments, on_module), base=arguments.base))


def _resize(arguments) -> int:
    return _write(arguments, lambda on_module: resize(**_reduced(arguments, on_module)))


def _combine(arguments) -> int:
    def make(on_module):
        return combine(
            _read(arguments),
            arguments.weights,
            how=arguments.how,
            rank=arguments.rank,
            energy=arguments.energy,
            dtype=arguments.dtype,
            xp=namespace(arguments.namespace),
            on_module=on_module,
        )

    return _write(arguments, make)


def _read(arguments) -> list[Adapter]:
    return [read_adapter(path, arguments.name) for path in arguments.adapters]


def _reduced(arguments, on_module) -> dict:
    (adapter,) = _read(arguments)
    return {"adapter": adapter, **_cut(arguments), "dtype": arguments.dtype, "on_module": on_module}


def _cut(arguments) -> dict:
    shared = {name: getattr(arguments, name) for name in ("rank", "energy", "exact", "seed", "only")}
    return {**shared, "xp": namespace(arguments.namespace)}


def _write(arguments, make: Callable[[Callable], Made]) -> int:
    """Make an adapter, write it, and show how near each of its updates is."""
    _check_out(arguments)
    with bar() as update:
        made = make(_moves(update))
    rows = [
        (short(line.module, 80), _times(line.shape), line.what, _spelled(line.rank), f"{line.error:.3g}")
        for line in made.lines
    ]
    target = arguments.out and spelled(arguments.out)
    if not arguments.dry_run:
        base = getattr(arguments, "base", None)
        names = None if base is None else Weights(base)
        write_adapter(made.adapter, arguments.out, arguments.layout, arguments.dtype, names)
    title = f"{target or 'nothing is written'}: {len(made.adapter.updates)} modules"
    if rows:
        show(title, ("module", "shape", "family", "rank", "relative error"), rows)
    else:  # in another layout alone
        print(printable(title))
    for name in made.unmatched:
        _say(f"{short(name)} is in one of the models alone, or holds whole numbers that differ")
    return 1 if made.unmatched else 0


def _spelled(rank: int | None) -> str:
    return "–" if rank is None else str(rank)


def _check_out(arguments) -> None:
    if arguments.out is None and not arguments.dry_run:
        raise ValueError("say where to write with --out, or --dry-run to write nothing")


def _moves(update: Callable) -> Callable[[int, int], None]:
    return lambda done, total: update(completed=done, total=total)


def _say(message: str) -> None:
    print(f"arrayfab: {printable(message)}", file=sys.stderr)
