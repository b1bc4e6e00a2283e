"""Light sensors: where they are, how they look, what they detect."""

from __future__ import annotations

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float


class Sensors(eqx.Module):
    """Flat light sensors, one row a sensor.

    Attributes:
        position_cm: centre of the sensitive face [cm].
        normal: unit vector of that face, towards the argon it sees.
        area_cm2: effective area [cm^2].
        efficiency: probability that a photon which arrives is detected.
        kind: name of the type of each sensor.
    """

    position_cm: Float[Array | np.ndarray, "sensor 3"]
    normal: Float[Array | np.ndarray, "sensor 3"]
    area_cm2: Float[Array | np.ndarray, " sensor"]
    efficiency: Float[Array | np.ndarray, " sensor"]
    kind: tuple[str, ...] = eqx.field(static=True)

    def __check_init__(self) -> None:
        """Refuse sensors without area or a name of their kind."""
        if len(self.kind) != self.n_sensors:
            raise ValueError(f"{self.n_sensors} sensors need as many kinds, there are {len(self.kind)}")
        if not (np.asarray(self.area_cm2) > 0).all():
            raise ValueError("area_cm2 must be positive for every sensor")

    @property
    def n_sensors(self) -> int:
        """Number of sensors."""
        return self.position_cm.shape[0]

    @property
    def kinds(self) -> tuple[str, ...]:
        """The names of kinds, each once, in the order of their first sensor."""
        return tuple(dict.fromkeys(self.kind))
