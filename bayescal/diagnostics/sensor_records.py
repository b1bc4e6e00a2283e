"""What each sensor of a detector recorded in an event, what made data expect of it, and how far that is off.

Residuals are quantile residuals with ties at random (P. K. Dunn, G. K. Smyth, J. Comp. Graph. Stat. 5 (1996) 236): the
standard normal deviate of the rank that the record of a sensor takes among those of made data. They are standard
normal where the model is right, for sensors that expect a hundredth of a photoelectron as for those that expect a
hundred; their sizes end near that of a rank of 1 in as many data sets as were made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import norm

from bayescal.diagnostics.residuals import FEWEST_RECORDED, Residuals

Values = Float[np.ndarray, " sensor"]


@dataclass(frozen=True)
class Record:
    """What sensors recorded of one quantity of an event.

    Attributes:
        observed: NaN where nothing was recorded.
        expected: means of made data, NaN where there is none.
        residual: quantile residuals, NaN where there is none.
    """

    observed: Values
    expected: Values
    residual: Values

    def of_all(self, sensor: Int[np.ndarray, " sensor"], n_sensors: int) -> Record:
        """The same for all sensors of a detector, NaN for those that are not among the numbers given."""
        values = np.full((3, n_sensors), np.nan)
        values[:, sensor] = self.observed, self.expected, self.residual
        return Record(*values)


def charge_record(found: Residuals, quantity: str) -> Record:
    """Charges or counts of one event: no record is one of zero, in the means and in the ranks.

    Args:
        found: residuals of the sensors of one event.
        quantity: name of the charge among them.

    Raises:
        ValueError: there is no such quantity.
    """
    fact = _facts(found, quantity)
    return Record(fact["observed"], np.nan_to_num(fact["share"] * fact["mean"]), norm.ppf(fact["pit"]))


def time_record(found: Residuals, quantity: str) -> Record:
    """Times of one event: means and ranks are among made data in which the sensor has a time.

    Args:
        found: residuals of the sensors of one event.
        quantity: name of the time among them.

    Raises:
        ValueError: there is no such quantity.
    """
    fact = _facts(found, quantity)
    replicas = found.data.attrs["n_replicas"]
    timed = fact["share"] * replicas
    told = timed >= FEWEST_RECORDED
    below = fact["pit"] * (replicas + 1) - (replicas - timed)  # made data without a time rank lowest
    residual = norm.ppf(np.where(told & np.isfinite(fact["observed"]), below / (timed + 1), np.nan))
    return Record(fact["observed"], np.where(told, fact["mean"], np.nan), residual)


def _facts(found: Residuals, quantity: str) -> dict[str, Values]:
    """What is known of a quantity, by name."""
    if quantity not in found.quantities:
        raise ValueError(f"no quantity {quantity} among the residuals: they have {', '.join(found.quantities)}")
    rows = found.data.sel(quantity=quantity)
    return {str(name): values.values for name, values in rows.data_vars.items()}
