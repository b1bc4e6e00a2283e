"""What results are called beside each other: by their method, and by their file where the method does not tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bayescal.errors import InputError
from bayescal.inference.result import Result

TITLES = {
    "map": "MAP",
    "laplace": "Laplace",
    "pathfinder": "Pathfinder",
    "svi": "SVI",
    "nuts": "NUTS",
    "hmc": "HMC",
    "hmcecs": "HMC-ECS",
    "blackjax_nuts": "BlackJAX NUTS",
    "mclmc": "MCLMC",
    "smc": "SMC",
}


def method_title(method: str) -> str:
    """A method as people write it; one that is not known keeps its name."""
    return TITLES.get(method, method)


def numbered_names(results: Sequence[Result]) -> tuple[str, ...]:
    """Results by their method, numbered where several have the same: NUTS 1, NUTS 2."""
    titles = [method_title(result.method) for result in results]
    count, seen = Counter(titles), Counter()
    names = []
    for title in titles:
        seen[title] += 1
        names.append(f"{title} {seen[title]}" if count[title] > 1 else title)
    return tuple(names)


def file_names(paths: Sequence[Path], results: Sequence[Result]) -> tuple[str, ...]:
    """Results by their method, and by their file where several have the same.

    Args:
        paths: file of each result.
        results: in the same order.

    Returns:
        `MAP`, `NUTS (run_1)`, `NUTS (run_2)`; only `run_1`, `run_2` where all are of one method. Folders are named as
        far as files of the same name need it.

    Raises:
        InputError: a file is given twice.
    """
    titles = [method_title(result.method) for result in results]
    count, tails = Counter(titles), _shortest_tails(paths)
    if len(set(titles)) == 1 < len(titles):
        return tails
    return tuple(f"{title} ({tail})" if count[title] > 1 else title for title, tail in zip(titles, tails, strict=True))


def _shortest_tails(paths: Sequence[Path]) -> tuple[str, ...]:
    """The last parts of each path, without suffix, as few as tell them apart."""
    parts = [path.resolve().with_suffix("").parts for path in paths]
    for path, times in Counter(path.resolve() for path in paths).items():
        if times > 1:
            raise InputError(f"{path}: this result is given {times} times; give each result once")
    for length in range(1, max(map(len, parts)) + 1):
        tails = tuple("/".join(each[-length:]) for each in parts)
        if len(set(tails)) == len(tails):
            return tails
    return tuple(str(path) for path in paths)  # the same but for their suffix
