"""Whether the draws of a result can be used: one verdict, in words and as a number, and the checks behind it.

Limits: R-hat and effective sample sizes from A. Vehtari et al., Bayesian Analysis 16 (2021) 667, section 4;
E-BFMI from M. Betancourt, arXiv:1604.00695; no divergence from M. Betancourt, arXiv:1701.02434, section 6.2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import arviz_stats
import numpy as np
import xarray as xr

from bayescal.diagnostics.contents import group, has_chains
from bayescal.diagnostics.summary import Row, member_rows
from bayescal.inference.result import Result
from bayescal.inference.settings import KHAT_LIMIT

RHAT_LIMIT = 1.01
ESS_LIMIT = 400.0
BFMI_LIMIT = 0.3


@dataclass(frozen=True)
class Check:
    """One requirement: what is asked, what was found, whether it is met, and what to do if not."""

    name: str
    required: str
    found: str
    good: bool
    remedy: str


@dataclass(frozen=True)
class Verdict:
    """Whether a result can be used, the sentence that says so, and the checks behind it."""

    good: bool
    sentence: str
    checks: tuple[Check, ...] = ()


def convergence(result: Result) -> Verdict:
    """The verdict on a result; without chains it is the one stored with it, of the search or the approximation."""
    if not has_chains(result):
        return Verdict(result.converged, result.verdict, approximation_checks(result))
    checks = sampling_checks(result)
    failed = [check for check in checks if not check.good]
    if failed:
        problems = "; ".join(f"{check.name} {check.found} (required {check.required})" for check in failed)
        when = " when the run was interrupted" if result.interrupted else ""
        return Verdict(False, f"The chains have not converged{when}: {problems}. {failed[0].remedy}.", checks)
    if not result.converged:
        return Verdict(False, result.verdict, checks)
    found = ", ".join(f"{check.name} {check.found}" for check in checks)
    return Verdict(True, f"The chains have converged: {found}.", checks)


def sampling_checks(result: Result) -> tuple[Check, ...]:
    """The checks of a sampled result; those on the sampler's own records only where the result has these.

    A variable that neither prior nor posterior moves is a constant of the model and not checked.
    """
    rows = [row for row in member_rows(result) if row["sd"] or row["contraction"] is not None]
    longer = "Draw longer chains: raise draws, or set until, which goes on until there are enough"
    apart = "Draw longer chains; if their traces stay at different levels, they have found several modes or got stuck"
    checks = [
        _check_worst(rows, "r_hat", "R-hat", f"below {RHAT_LIMIT}", lambda value: value < RHAT_LIMIT, apart),
        _check_worst(rows, "ess_bulk", "bulk ESS", f"above {ESS_LIMIT:.0f}", lambda value: value > ESS_LIMIT, longer),
        _check_worst(rows, "ess_tail", "tail ESS", f"above {ESS_LIMIT:.0f}", lambda value: value > ESS_LIMIT, longer),
    ]
    stats = group(result, "sample_stats")
    checks += [_check_divergences(stats["diverging"].values)] if "diverging" in stats else []
    checks += [_check_energy(stats)] if "energy" in stats else []
    return tuple(checks)


def approximation_checks(result: Result) -> tuple[Check, ...]:
    """The checks of a mode or an approximation, from what the fit has stored: the search, and k-hat of the weights.

    k-hat after A. Vehtari et al., JMLR 25 (2024) 72.
    """
    facts = result.attrs
    search = _check_search(facts.get("mode")) if result.method in ("map", "laplace") else []
    return (*search, *_check_weights(facts.get("khat")))


def _check_search(facts: Mapping[str, Any] | None) -> list[Check]:
    if facts is None:
        return []
    remedy = "Search again from a start nearer to the answer, or raise max_gradients or restarts"
    found = f"Newton decrement {facts['newton_decrement']:.1e}" if facts["converged"] else facts["reason"]
    return [Check("mode", "found", found, bool(facts["converged"]), remedy)]


def _check_weights(khat: float | None) -> list[Check]:
    if khat is None:
        return []
    remedy = "The posterior is not close to this approximation: fit with method nuts"
    return [Check("k-hat", f"below {KHAT_LIMIT}", f"{khat:.2f}", khat < KHAT_LIMIT, remedy)]


def _check_worst(
    rows: Sequence[Row], key: str, name: str, required: str, good: Callable[[float], bool], remedy: str
) -> Check:
    values = np.array([row[key] for row in rows], dtype=float)
    if not np.isfinite(values).all():
        stuck = str(rows[int(np.argmin(np.isfinite(values)))]["parameter"])
        return Check(name, required, f"cannot be computed for {stuck}", False, f"See why {stuck} does not move")
    index = int(values.argmax() if key == "r_hat" else values.argmin())
    worst = float(values[index])
    digits = 4 if key == "r_hat" else 0
    words = "up to" if key == "r_hat" else "down to"
    found = f"{words} {worst:.{digits}f} ({rows[index]['parameter']})"
    return Check(name, required, found, good(worst), remedy)


def _check_divergences(diverging: np.ndarray) -> Check:
    count = int(diverging.sum())
    remedy = "Raise target_accept, or write the model in less dependent parameters"
    return Check("divergences", "0", f"{count} in {diverging.size} draws", count == 0, remedy)


def _check_energy(stats: xr.Dataset) -> Check:
    with np.errstate(divide="ignore", invalid="ignore"):  # a chain that never moved has no energy spread
        worst = float(arviz_stats.bfmi(stats)["energy"].min())
    good = bool(worst > BFMI_LIMIT)
    remedy = "The tails are hard to reach: write the model in less dependent parameters"
    return Check("E-BFMI", f"above {BFMI_LIMIT}", f"down to {worst:.2f}", good, remedy)
