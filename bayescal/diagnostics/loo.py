"""Which events the model does not expect: leave-one-out predictive densities by Pareto-smoothed importance sampling.

A. Vehtari, A. Gelman and J. Gabry, Statistics and Computing 27 (2017) 1413. How small a density is small depends on the
event, its size and its kind: the log-likelihood that the model expects of it, and its spread, come from data made with
posterior draws (A. Gelman, X.-L. Meng and H. Stern, Statistica Sinica 6 (1996) 733). A log-likelihood of few values is
skewed: the pull is the number of normal standard deviations as improbable as the observed one would be, were it minus
half a chi-square with the degrees of freedom of that spread. An event with a strong negative pull is recorded as the
model would hardly record it; one whose k-hat is too large moves the posterior by itself, so that its density is not
reliable.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import arviz_stats
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from scipy.stats import chi2, norm

from bayescal.diagnostics.contents import group
from bayescal.diagnostics.figures import INK, LOOK, MODE, MUTED, POSTERIOR, panel_grid
from bayescal.errors import InputError
from bayescal.inference.result import Result

FALSE_ALARM = 0.01
"""Probability that any of all events is suspected when all are alike and normal."""

SMALLEST = 1e-300
"""Probabilities are not told apart below this, a pull of -37."""

Cells = tuple[str, ...]


@dataclass(frozen=True)
class LeaveOneOut:
    """Leave-one-out densities of the events of a result; arrays by event.

    Attributes:
        event: number of the event.
        recorded: readouts of it that recorded something.
        log_density: its log predictive density given all other events [nats].
        khat: shape of its importance weights' tail.
        pull: of its log-likelihood, see the module.
        elpd, se: sum of the log densities and its standard error.
        good_k: k-hat above which a density is not reliable.
    """

    event: np.ndarray
    recorded: np.ndarray
    log_density: np.ndarray
    khat: np.ndarray
    pull: np.ndarray
    elpd: float
    se: float
    good_k: float

    @property
    def limit(self) -> float:
        """Pull below which an event is suspected."""
        return float(norm.ppf(FALSE_ALARM / self.event.size))

    @property
    def suspected(self) -> np.ndarray:
        """Whether each event does not fit."""
        return self.pull < self.limit

    @property
    def influential(self) -> np.ndarray:
        """Whether the k-hat of each event is too large."""
        return ~(self.khat <= self.good_k)

    @property
    def sentence(self) -> str:
        """The outcome in words."""
        misfits = self.event[self.worst()[: int(self.suspected.sum())]]
        fits = f"events that do not fit: {', '.join(map(str, misfits))}" if misfits.size else "every event fits"
        strong = f"{int(self.influential.sum())} of {self.event.size} have k-hat above {self.good_k:.2f}"
        return f"Log predictive density {self.elpd:.1f} +- {self.se:.1f}; {fits}; {strong}."

    def worst(self) -> np.ndarray:
        """Indices of the events, the least expected first."""
        return np.argsort(self.pull)

    def table(self, count: int = 10) -> list[Cells]:
        """Rows for people on the worst events: number, recording readouts, log density, pull, k-hat."""
        columns = (self.event, self.recorded, self.log_density, self.pull, self.khat)
        rows = (tuple(column[index] for column in columns) for index in self.worst()[:count])
        return [(str(a), str(b), f"{c:.1f}", f"{d:+.1f}", f"{e:.2f}") for a, b, c, d, e in rows]


HEADERS: Cells = ("event", "readouts with a record", "log density", "pull", "k-hat")


def leave_one_out(result: Result) -> LeaveOneOut:
    """Leave-one-out densities from the log-likelihoods that a result holds.

    Raises:
        InputError: it holds none.
    """
    stored = group(result, "log_likelihood")
    if not stored.data_vars:
        raise InputError(
            "the result holds no log-likelihood of events: fit again with nuts or laplace, and with a model whose "
            "observed site has one member a readout"
        )
    name = str(next(iter(stored.data_vars)))
    tree = xr.DataTree.from_dict({"log_likelihood": stored.drop_vars(("recorded", "expected", "spread"))})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # large k-hats are told by the table
        found: Any = arviz_stats.loo(tree, var_name=name, pointwise=True, reff=1.0)  # the draws are thinned
    observed = stored[name].mean(("chain", "draw")).values
    recorded, expected, spread = (stored[each].values for each in ("recorded", "expected", "spread"))
    return LeaveOneOut(
        event=stored["event"].values,
        recorded=recorded.astype(int),
        log_density=np.asarray(found.elpd_i),
        khat=np.asarray(found.pareto_k),
        pull=pulls(observed, expected, pooled(spread, recorded)),
        elpd=float(found.elpd),
        se=float(found.se),
        good_k=float(found.good_k),
    )


def pooled(spread: np.ndarray, recorded: np.ndarray) -> np.ndarray:
    """Spreads from few made data, each half its own and half what the others let expect of an event of its size.

    Args:
        spread: standard deviation of the log-likelihood of each event [event].
        recorded: readouts of it that recorded something [event].
    """
    size = np.maximum(recorded, 1)
    variance = spread**2
    return np.sqrt(0.5 * (variance + size * variance.sum() / size.sum()))


def pulls(observed: np.ndarray, expected: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """How far the log-likelihood of each event is from the expected one, in standard deviations [event].

    Args:
        observed: log-likelihood, averaged over the posterior [event].
        expected: its mean where the model is right [event].
        spread: its standard deviation there [event].
    """
    degrees = np.maximum(2.0 * spread**2, 1e-6)  # half a chi-square of k degrees has the variance k / 2
    loss = np.maximum(degrees + 2.0 * (expected - observed), 0.0)
    above, below = chi2.sf(loss, degrees), chi2.cdf(loss, degrees)
    lower, upper = norm.ppf(np.maximum(above, SMALLEST)), norm.isf(np.maximum(below, SMALLEST))
    return np.where(above < 0.5, lower, upper)


@LOOK
def loo_figure(found: LeaveOneOut) -> Figure:
    """Pull and k-hat of every event; what is out of bounds is coloured and named."""
    figure, panels = panel_grid(2, columns=2, width=4.6, height=2.8)
    x = np.arange(found.event.size)
    bounds = ((found.pull, found.suspected, found.limit), (found.khat, found.influential, found.good_k))
    for panel, (values, bad, limit), name in zip(panels, bounds, ("pull", "k-hat"), strict=True):
        panel.axhline(limit, color=INK, lw=1.0, ls=(0, (4, 2)))
        panel.plot(x[~bad], values[~bad], ".", color=POSTERIOR, ms=5)
        panel.plot(x[bad], values[bad], "o", color=MODE, ms=5)
        for index in np.flatnonzero(bad)[np.argsort(-np.abs(values[bad]))][:10]:
            panel.annotate(str(found.event[index]), (float(x[index]), float(values[index])), color=MUTED, fontsize=8)
        panel.set_xlabel("number in the list of events")
        panel.set_ylabel(name)
    return figure
