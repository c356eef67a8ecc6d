"""The command line: ``python -m arrayfab`` with ``list``, ``plan``, ``inspect``, ``bench`` or ``demo``."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TextIO

import numpy as np

import arrayfab as af
from arrayfab import _arrays
from arrayfab.tables import printable, show

_NAMESPACES = {"numpy": "numpy", "cupy": "cupy", "torch": "torch", "jax": "jax.numpy"}
#: No whole number is larger.
_LARGEST = 1 << 40


def main(argv: list[str] | None = None) -> int:
    """Run a command.

    The exit status is 0, or that of the command; 2 where something that it needs is missing or wrong, 130
    after an interrupt from the keyboard, and 141 where nobody reads on, as for a process that a signal ended.
    """
    _open_streams()
    try:
        try:
            arguments = _parser().parse_args(argv)
            return arguments.run(arguments) or 0
        finally:
            _flush(sys.stdout)
    except BrokenPipeError:
        return 141
    except KeyboardInterrupt:
        return 130
    except (ImportError, OSError, ValueError, OverflowError, MemoryError) as error:
        with contextlib.suppress(OSError):
            try:
                print(f"arrayfab: {printable(str(error) or type(error).__name__)}", file=sys.stderr)
            finally:
                _flush(sys.stderr)
        return 2


def _open_streams() -> None:
    """Make what is printed go somewhere, whatever its letters: those that cannot be shown are replaced."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed when the process began
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - for as long as the process lives
    with contextlib.suppress(AttributeError):  # another stream in its place
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]


def _flush(stream: TextIO) -> None:
    """Write out what was printed; what cannot be is not tried again when the interpreter ends."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        raise


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m arrayfab", description=af.__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="train a classifier of digits with fabricated matrices")
    demo.add_argument("--namespace", choices=_NAMESPACES, default="numpy", help="whose arrays to use")
    demo.add_argument("--iterations", type=_positive, default=100, help="L-BFGS iterations per variant")
    demo.add_argument("--seed", type=_natural, default=0, help="of the split and the first numbers")
    demo.add_argument(
        "--figure", type=Path, default=Path("demo-figure.png"), help="where to write the figure"
    )
    demo.set_defaults(run=_demo)

    table = commands.add_parser("list", help="show what every variant costs in every role")
    table.add_argument("-n", type=_positive, default=1024, help="rows of the matrix")
    table.add_argument("-D", type=_positive, default=1024, help="columns of the matrix")
    table.add_argument("--rows", type=_positive, default=32, help="rows of the data")
    table.set_defaults(run=_list)

    plan = commands.add_parser(
        "plan",
        help="show which variants fit a budget of learned numbers",
        description="Show the variants and hyper-parameters of an n × D matrix that need no more than a "
        "budget of learned numbers: what they cost, the rank that they can reach and, for a given matrix, "
        "how near they come to it, the nearest first.",
        epilog="example: python -m arrayfab plan -n 1024 -D 512 --budget 20000",
    )
    plan.add_argument("-n", type=_positive, help="rows of the matrix (left out: the target's, or 1024)")
    plan.add_argument("-D", type=_positive, help="columns of the matrix (left out: the target's, or 1024)")
    plan.add_argument("--budget", type=_positive, required=True, help="the most numbers to learn")
    plan.add_argument(
        "--target",
        type=Path,
        metavar="FILE.npy",
        help="a matrix in NumPy's format that every variant is fitted to",
    )
    plan.add_argument("--rows", type=_positive, default=32, help="rows of the data of a call")
    plan.add_argument(
        "--each",
        type=_positive,
        default=3,
        help="the most choices of hyper-parameters that a variant is shown with",
    )
    plan.add_argument("--figure", type=Path, metavar="FILE", help="where to write a figure, such as plan.png")
    plan.set_defaults(run=_plan)

    speed = commands.add_parser("bench", help="time every variant on this machine, beside the full matrix")
    speed.add_argument("-n", type=_positive, default=1024, help="rows of the matrix")
    speed.add_argument("-D", type=_positive, default=1024, help="columns of the matrix")
    speed.add_argument("--rows", type=_positive, default=32, help="rows of the data")
    speed.add_argument("--namespace", choices=_NAMESPACES, default="numpy", help="whose arrays to use")
    speed.set_defaults(run=_bench)

    inspection = commands.add_parser("inspect", help="show what is inside a checkpoint")
    inspection.add_argument("file", type=Path, metavar="FILE")
    inspection.set_defaults(run=_inspect)
    return parser


def _natural(text: str, least: int = 0) -> int:
    if not (text.isdecimal() and len(text) <= 40 and least <= int(text) <= _LARGEST):
        raise argparse.ArgumentTypeError(
            f"expected a whole number from {least} to {_LARGEST}, got {text[:40]!r}"
        )
    return int(text)


def _positive(text: str) -> int:
    return _natural(text, least=1)


def _import(name: str, hint: str):
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ImportError(f"{name.partition('.')[0]} is not installed; {hint}") from None


def _demo(arguments: argparse.Namespace) -> None:
    for name in ("sklearn", "scipy", "matplotlib", "rich"):
        _import(name, "the demo needs: pip install 'arrayfab[demo]'")
    xp = _arrays.namespace(_namespace(arguments.namespace))
    from arrayfab import demo

    data, outcomes, iterations = demo.digits(arguments.seed), [], arguments.iterations
    with _bar(iterations * len(demo.VARIANTS)) as update:
        for i, variant in enumerate(demo.VARIANTS):
            update(description=variant.name, completed=i * iterations)
            outcomes.append(
                demo.train(
                    variant, data, xp, iterations, arguments.seed, on_iteration=partial(update, advance=1)
                )
            )
        update(description="", completed=iterations * len(demo.VARIANTS))
    _print_outcomes(outcomes)
    _draw(partial(demo.figure, outcomes), arguments.figure)


@contextlib.contextmanager
def _bar(total: int | None = None):
    """What moves a bar on standard error, drawn where that is a terminal and rich is installed."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    except ImportError:
        console = None
    else:
        console = Console(stderr=True)
    # Older versions of rich end a bar that is disabled with an empty line.
    if console is None or not console.is_terminal:
        yield lambda **_: None
        return
    columns = (TextColumn("{task.description:24}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        yield partial(progress.update, progress.add_task("", total=total))


def _namespace(name: str):
    return _import(_NAMESPACES[name], "choose another --namespace")


def _print_outcomes(outcomes) -> None:
    dense = outcomes[0].parameters
    header = ("variant", "learned numbers", "compression", "train accuracy", "test accuracy", "seconds")
    rows = [
        (
            outcome.variant.name,
            f"{outcome.parameters:,}",
            f"{dense / outcome.parameters:.1f}×",
            f"{outcome.train_accuracy:.3f}",
            f"{outcome.test_accuracy:.3f}",
            f"{outcome.seconds:.1f}",
        )
        for outcome in outcomes
    ]
    show("Digits, every matrix fabricated", header, rows)


def _list(arguments: argparse.Namespace) -> None:
    from arrayfab.catalogue import HEADER, catalogue

    n, D, rows = arguments.n, arguments.D, arguments.rows
    title = (
        f"n={n}, D={D}: learned numbers l, and multiplies of a call on {rows} rows in every role "
        "(of products: with Taylor(d=2))"
    )
    show(title, HEADER, catalogue(n, D, rows))


def _bench(arguments: argparse.Namespace) -> None:
    from arrayfab.bench import HEADER, bench

    n, D, rows, name = arguments.n, arguments.D, arguments.rows, arguments.namespace
    title = f"n={n}, D={D}, {rows} rows in float32 on {name}: reconciliations beside that of the full matrix"
    show(title, HEADER, bench(n, D, rows, _namespace(name)))


def _plan(arguments: argparse.Namespace) -> None:
    target = None if arguments.target is None else _matrix_in(arguments.target)
    n, D = (1024, 1024) if target is None else target.shape
    with _bar() as update:
        plan = af.plan(
            arguments.n or n,
            arguments.D or D,
            arguments.budget,
            target,
            rows=arguments.rows,
            each=arguments.each,
            on_line=lambda done, total: update(completed=done, total=total),
        )
    show(plan.title, plan.header, plan.table())
    if arguments.figure is not None:
        _draw(plan.figure, arguments.figure)


def _draw(figure: Callable[[Path], None], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure(path)
    print(printable(f"figure: {path.resolve()}"))


def _matrix_in(path: Path):
    from arrayfab.io.reading import open_regular

    with open_regular(path) as file:
        try:
            matrix = np.lib.format.read_array(file, allow_pickle=False)
        except Exception as error:  # whatever NumPy may raise, the file is at fault
            raise ValueError(f"{path}: no array in the .npy format: {error}") from error
    if matrix.ndim != 2 or 0 in matrix.shape or matrix.dtype.kind not in "iuf":
        raise ValueError(f"{path}: expected one matrix of real numbers in the .npy format")
    with np.errstate(over="ignore"):  # it is looked for below
        matrix = matrix.astype(np.float64)
    if not np.isfinite(matrix).all():
        raise ValueError(f"{path}: expected finite numbers, got some that are infinite or NaN")
    return matrix


def _inspect(arguments: argparse.Namespace) -> int:
    """0, or 1 where a checksum is wrong."""
    from arrayfab.io.inspection import HEADER, inspect

    found = inspect(arguments.file)
    show(found.title, HEADER, found.rows)
    return 0 if found.is_sound else 1


if __name__ == "__main__":
    sys.exit(main())
