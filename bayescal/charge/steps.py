"""Ionisation steps cut short enough for the quadrature along a track, each in the drift volume of one pixel plane."""

from __future__ import annotations

import equinox as eqx
import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from bayescal.charge.geometry import PixelGeometry
from bayescal.segments import Segments


class Steps(eqx.Module):
    """Equal pieces of the segments that lie in a drift volume.

    Attributes:
        centre_cm, half_cm: middle of a step and the vector from it to its end [cm].
        energy_mev: deposited energy [MeV]; dedx_mev_per_cm: of the segment it belongs to [MeV/cm].
        cos_phi: cosine of the angle between the segment and the field.
        time_us: time of the deposit [us].
        event: index of the event.
        plane: pixel plane that collects the charge.
        anode_z_cm, direction: z of that plane [cm] and the sign of the drift along z.
    """

    centre_cm: Float[NDArray, "step 3"]
    half_cm: Float[NDArray, "step 3"]
    energy_mev: Float[NDArray, " step"]
    dedx_mev_per_cm: Float[NDArray, " step"]
    cos_phi: Float[NDArray, " step"]
    time_us: Float[NDArray, " step"]
    event: Int[NDArray, " step"]
    plane: Int[NDArray, " step"]
    anode_z_cm: Float[NDArray, " step"]
    direction: Float[NDArray, " step"]


def cut(segments: Segments, geometry: PixelGeometry, step_cm: float) -> Steps:
    """Cut every segment into equal steps of at most `step_cm` [cm]; steps outside the drift volumes are left out."""
    vector = np.asarray(segments.end_cm) - np.asarray(segments.start_cm)
    length = np.linalg.norm(vector, axis=1)
    count = np.maximum(1, np.ceil(length / step_cm - 1e-9)).astype(int)
    row = np.repeat(np.arange(count.size), count)
    place = (np.arange(row.size) - np.repeat(np.cumsum(count) - count, count) + 0.5) / count[row]
    centre = np.asarray(segments.start_cm)[row] + vector[row] * place[:, None]
    plane = geometry.plane_of(centre)
    kept = plane >= 0
    row, centre, plane = row[kept], centre[kept], plane[kept]
    anode = np.asarray(geometry.anode_z_cm)[plane]
    return Steps(
        centre_cm=centre,
        half_cm=0.5 * vector[row] / count[row, None],
        energy_mev=np.asarray(segments.energy_mev)[row] / count[row],
        dedx_mev_per_cm=np.asarray(segments.dedx_mev_per_cm)[row],
        cos_phi=np.abs(vector[row, 2]) / np.maximum(length[row], 1e-12),
        time_us=np.asarray(segments.time_us)[row],
        event=np.asarray(segments.event)[row],
        plane=plane,
        anode_z_cm=anode,
        direction=np.sign(anode - np.asarray(geometry.cathode_z_cm)[plane]),
    )
