"""From weighed draws of an approximation to an outcome that states its own bias."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import PRNGKeyArray

from bayescal.inference.importance import Importance, bias
from bayescal.inference.potential import Potential
from bayescal.inference.problem import Outcome
from bayescal.inference.result import approximation_group
from bayescal.inference.settings import KHAT_LIMIT


def reweighted(
    key: PRNGKeyArray,
    potential: Potential,
    weighed: Importance,
    n: int,
    failures: list[str],
    *,
    elbo: np.ndarray | None = None,
) -> Outcome:
    """The posterior by weight where k-hat allows it, otherwise the approximation as it is, which counts as a failure.

    Args:
        key: used once.
        potential: minus the log-density.
        weighed: draws of the approximation.
        n: draws wanted.
        failures: what else is wrong, in words.
        elbo: the evidence's lower bound at every step of the fit [nats], where there are steps.
    """
    index = weighed.resample(key, n)
    values = potential.constrain(weighed.x)
    found = bias(weighed, values)
    khat = f"k-hat of the importance weights is {weighed.khat:.2f}"
    failed = (
        f"{khat}, not below {KHAT_LIMIT}: these are draws of the approximation alone, use nuts; as far as the weights"
    )
    success = f"{khat}, {weighed.ess:.0f} effective draws; before re-weighting"
    facts: dict[str, Any] = {"khat": weighed.khat, "importance_ess": weighed.ess, "reweighted": weighed.usable}
    return Outcome(
        {name: value[None, index] for name, value in values.items()},
        {"lp": -weighed.potential[None, index]},
        failures if weighed.usable else [*failures, f"{failed} tell, {found.sentence()}"],
        f"{success} {found.sentence()}",
        facts | found.facts(),
        {"approximation": approximation_group(found.labels, found.shift, found.sd_ratio, elbo)},
    )
