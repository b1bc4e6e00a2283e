"""Whether a result, or several side by side, can be used: a heading, the reason, and what to do where it cannot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from bayescal.diagnostics.answers import ALIKE, FAR, Line
from bayescal.diagnostics.compare import Comparison
from bayescal.diagnostics.convergence import convergence
from bayescal.diagnostics.predictive import Check
from bayescal.inference.result import Result

CHANGED = 0.01
"""Probability, over all constants together, of calling one changed that has not."""

State = Literal["good", "doubtful", "bad"]
"""Can be used; can be used, but look; cannot be used."""


class Judgement(NamedTuple):
    """A state, a few words that say it, the sentence that says why, and what to do."""

    state: State
    heading: str
    sentence: str
    remedies: tuple[str, ...] = ()


def judgement(result: Result, checks: Sequence[Check] = ()) -> Judgement:
    """Whether one result has converged and its model makes data like those that were seen.

    Args:
        result: draws or a mode.
        checks: its predictive checks.
    """
    verdict = convergence(result)
    if not verdict.good:
        return Judgement("bad", "Not converged: do not use these numbers", verdict.sentence, remedies(result))
    unlike = [check.name for check in checks if not check.good]
    if unlike:
        sentence = f"{verdict.sentence} But data made with the posterior differ from the data in {', '.join(unlike)}."
        remedy = f"See the predictive checks, and mend what the model lacks: {', '.join(unlike)}"
        return Judgement("doubtful", "Converged, but the model does not describe the data", sentence, (remedy,))
    return Judgement("good", "Converged", verdict.sentence)


def remedies(result: Result) -> tuple[str, ...]:
    """What to do about a result that has not converged, the most urgent first."""
    failed = [check.remedy for check in convergence(result).checks if not check.good]
    go_on = ["Go on with the run: the same command with --resume"] if result.unfinished else []
    return tuple(dict.fromkeys([*go_on, *failed]))


def joint_judgement(comparison: Comparison) -> Judgement:
    """Whether all results have converged and, of methods, whether they agree, of runs, whether the constants do."""
    failed = [name for name, result in comparison.results.items() if not convergence(result).good]
    if failed:
        heading = f"{len(failed)} of {len(comparison.results)} results have not converged"
        remedy = tuple(f"{name}: {each}" for name in failed for each in remedies(comparison.results[name]))
        return Judgement("bad", heading, f"Do not use the numbers of {', '.join(failed)}.", remedy)
    return constancy_judgement(comparison) if comparison.runs else agreement_judgement(comparison)


def agreement_judgement(comparison: Comparison) -> Judgement:
    """Whether the results say the same as the reference."""
    apart = [
        f"{line.parameter} of {answer.name} ({answer.comment})"
        for line in comparison.lines
        for answer in line.answers[:-1]
        if not answer.agrees
    ]
    if apart:
        sentence = f"These differ from {comparison.reference}: {', '.join(apart)}."
        return Judgement("doubtful", "All converged, but they differ", sentence)
    sentence = (
        f"Every centre is within {FAR} standard deviations of that of {comparison.reference}, and every width between "
        f"{ALIKE[0]} and {ALIKE[1]} of its width."
    )
    return Judgement("good", "All converged and agree", sentence)


def constancy_judgement(comparison: Comparison) -> Judgement:
    """Whether the constants are the same in all runs."""
    moved = [line.parameter for line in changed(comparison)]
    if moved:
        sentence = (
            f"The runs scatter more than their uncertainties allow in {', '.join(moved)}: the chance that constants "
            f"which do not change look like this is below {CHANGED:.0%}."
        )
        return Judgement("doubtful", "All converged, but constants change from run to run", sentence)
    sentence = f"All {len(comparison.results)} runs are compatible with the same value of every constant."
    return Judgement("good", "All converged, and no constant changes", sentence)


def changed(comparison: Comparison) -> list[Line]:
    """The constants that differ between runs, with the probability `CHANGED` shared between them (Bonferroni)."""
    limit = CHANGED / len(comparison.lines)
    return [line for line in comparison.lines if line.constancy is not None and line.constancy.p_value < limit]
