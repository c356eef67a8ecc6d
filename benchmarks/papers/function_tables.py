"""The tables of the papers' functions, as Markdown."""

from __future__ import annotations

import numpy as np

from function_lists import LISTS

#: What tinybig's pages show, for one function of three lists.
SHOWN = {("elementary", "E.14"): 1.55e-9, ("composite", "C.3"): 2.31e-6, ("feynman", "I.9.18"): 5.74e-5}
#: The models, in the order of the columns.
NAMES = {
    "rpn": "RPN",
    "kan": "KAN",
    "mlp": "MLP",
    "scikit-learn": "scikit-learn's MLP",
    "tinybig": "tinybig's model and training",
}


def table(results: dict[str, dict]) -> str:
    """Every function with the mean of its errors, and for every list what is compared, as Markdown."""
    shown = [name for name in NAMES if name in results]
    lines = ["| function | " + " | ".join(NAMES[name] for name in shown) + " | tinybig's page |"]
    lines.append("|---" * (len(shown) + 2) + "|")
    for name, functions in LISTS.items():
        for f in functions:
            means = [f"{np.mean(results[each]['functions'][name][f.name]['errors']):.2e}" for each in shown]
            page = SHOWN.get((name, f.name))
            lines.append(f"| {name} {f.name} | {' | '.join(means)} | {f'{page:.2e}' if page else '–'} |")
    return "\n".join([*lines, "", summary(results)])


def summary(results: dict[str, dict]) -> str:
    """For every list: the models' numbers and errors, and in how many functions the RPN's is no larger.

    That is counted by the mean over the seeds that both have, and by their median.
    """
    lines = ["| list | model | learned numbers | median error | RPN's is no larger: by mean, by median |"]
    lines.append("|---" * 5 + "|")
    for name in LISTS:
        errors = {
            trained: [each["errors"] for each in result["functions"][name].values()]
            for trained, result in results.items()
        }
        for trained, result in results.items():
            numbers = {each["learned numbers"] for each in result["functions"][name].values()}
            span = f"{min(numbers)}" if len(numbers) == 1 else f"{min(numbers)} to {max(numbers)}"
            lines.append(
                f"| {name} | {NAMES[trained]} | {span} | {np.median(np.mean(errors[trained], axis=1)):.1e} "
                f"| {'–' if trained == 'rpn' else _wins(errors.get('rpn'), errors[trained])} |"
            )
    return "\n".join(lines)


def _wins(ours, theirs):
    if ours is None:
        return "–"
    ours, theirs = np.asarray(ours)[:, : len(theirs[0])], np.asarray(theirs)
    counts = [np.sum(f(ours, axis=1) <= f(theirs, axis=1)) for f in (np.mean, np.median)]
    return f"{counts[0]}, {counts[1]} of {len(ours)}"
