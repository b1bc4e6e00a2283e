"""Does the posterior lean on its priors? Power scaling: priors or likelihood a little stronger or weaker, by weights.

N. Kallioinen et al., Statistics and Computing 34 (2024) 57, as `arviz_stats.psense` has it: the change of each marginal
posterior, as a distance of distribution functions, when the priors' density (or the likelihood) is raised to the power
1.01 or 0.99. Densities are those of the physical parameters. A uniform prior has no shape that a power could change:
for it, and for every other, the draws near the ends of the prior's range are counted, too.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import arviz_stats
import numpy as np
import xarray as xr

from bayescal.diagnostics.contents import Component, constant, group, members, scalars, vectors
from bayescal.errors import InputError
from bayescal.inference.result import Result

THRESHOLD = 0.05  # sensitivities from here on count: Kallioinen et al., section 3.3
END = 0.02  # an end of the prior's range holds this probability of the prior
CROWDED = 5.0  # times as many posterior draws at an end: the posterior is cut there, not merely wide

FLAT = 1e-9  # log-densities differ by rounding alone [nats]

HEADERS = ("parameter", "to the prior", "to the likelihood", "at the prior's ends", "it is")


@dataclass(frozen=True)
class Sensitivity:
    """How one number of the posterior depends on priors and likelihood.

    Attributes:
        label: of the parameter, or of a member of a vector.
        prior: power-scaling sensitivity to all priors together.
        likelihood: to the likelihood.
        low, high: shares of the posterior beyond the quantiles END and 1 - END of the prior; NaN without a prior.
    """

    label: str
    prior: float
    likelihood: float
    low: float
    high: float

    @property
    def words(self) -> str:
        """The diagnosis."""
        return "; ".join([*self._power(), *self._ends()]) or "set by the data"

    @property
    def good(self) -> bool:
        """Whether nothing was found."""
        return not self._power() and not self._ends()

    def _power(self) -> list[str]:
        if max(self.prior, self.likelihood) < THRESHOLD:
            return ["left to a flat prior: the data hardly change it"]
        if self.prior < THRESHOLD:
            return []
        if self.likelihood < THRESHOLD:
            return ["dominated by the prior: the data hardly change it"]
        return ["prior and data pull at it: an informative prior, or a conflict of both"]

    def _ends(self) -> list[str]:
        shares = {"lower": self.low, "upper": self.high}
        return [
            f"pressed against the prior's {end} end ({share:.0%} of the draws)"
            for end, share in shares.items()
            if share > CROWDED * END
        ]

    def cells(self) -> tuple[str, ...]:
        """A row for people, under `HEADERS`."""
        ends = f"{self.low:.1%}, {self.high:.1%}"
        return (self.label, f"{self.prior:.3f}", f"{self.likelihood:.3f}", ends, self.words)


def sensitivities(result: Result) -> list[Sensitivity]:
    """Power-scaling sensitivity of every number that moves, those that depend most on the priors first.

    Raises:
        InputError: the result has no draws, or no log-prior and log-likelihood of them.
    """
    components = [c for c in _every(result) if not constant(c)]
    if not components:
        raise InputError("the result has no draws that move, which power scaling needs; fit again with method nuts")
    tree = _densities(result, components)
    by_prior, by_likelihood = _power_scaled(tree, "prior"), _power_scaled(tree, "likelihood")
    found = [
        Sensitivity(c.label, float(by_prior[name]), float(by_likelihood[name]), *_ends(c))
        for name, c in zip(by_prior, components, strict=True)
    ]
    return sorted(found, key=lambda each: -each.prior)


def _every(result: Result) -> list[Component]:
    return [*scalars(result), *(member for name in vectors(result) for member in members(result, name))]


def _densities(result: Result, components: list[Component]) -> xr.DataTree:
    """The draws with their log-prior and log-likelihood, in the groups where ArviZ looks for them."""
    log_prior, stats = group(result, "log_prior"), group(result, "sample_stats")
    if not log_prior.data_vars or "log_likelihood" not in stats:
        raise InputError(
            f"the result (method {result.method}) holds no log-prior and log-likelihood of its draws; fit again with "
            "this version and method nuts"
        )
    posterior = xr.Dataset({f"number {i}": (("chain", "draw"), c.draws) for i, c in enumerate(components)})
    likelihood = stats[["log_likelihood"]]
    return xr.DataTree.from_dict({"posterior": posterior, "log_prior": log_prior, "log_likelihood": likelihood})


def _power_scaled(tree: xr.DataTree, what: str) -> xr.Dataset:
    """Sensitivity by variable; none where the density is the same for all draws, as that of uniform priors."""
    total = tree[f"log_{what}"].to_dataset().to_dataarray().sum("variable")
    if np.ptp(total.values) < FLAT:
        return tree["posterior"].to_dataset().std() * 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # weights of so small a change are near equal, whatever their tail
        found: Any = arviz_stats.psense(tree, group=what)
    return found


def _ends(component: Component) -> tuple[float, float]:
    """Shares of the posterior beyond the prior's low and high quantiles."""
    if component.prior.size < 1.0 / END:
        return float("nan"), float("nan")
    low, high = np.quantile(component.prior, (END, 1.0 - END))
    return float((component.draws < low).mean()), float((component.draws > high).mean())
