"""What a model of a network's last layer is given beside the counts of light."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Bool, Float
from numpy.typing import NDArray

from bayescal.errors import InputError
from bayescal.light.detector import LightDetector
from bayescal.light.last_layer import (
    TrackFeatures,
    Weights,
    last_layer_weights,
    track_features,
    weight_scale,
    weight_sd,
)
from bayescal.light.siren import LogLink, Siren
from bayescal.readers.flashes import Clusters
from bayescal.reconstruction.clusters import batch_clusters
from bayescal.reconstruction.last_layer_fit import START_ERROR, LastLayerPosterior

Prior = dist.Distribution | float


class LastLayerInputs(eqx.Module):
    """Tracks, sensors, and the coordinates in which samplers see the weights.

    Attributes:
        clusters: the tracks, one cluster each.
        tracks: the same as the last layer sees them.
        library: weights of the trained network, the prior's mean.
        scale: standard deviation of weights for one of ln v, as of `weight_scale`.
        live: sensors that record.
        kind: number of each sensor's kind; kinds: their names.
        saturation: photo-electrons at or above which counts are one outcome; None where there is no such limit.
        priors: priors and fixed values by name.
        centre, root: of the weights' coordinates, the prior's before there are data and the posterior's afterwards.
        model_error: t of each kind where that is.
    """

    clusters: Clusters
    tracks: TrackFeatures
    library: Weights
    scale: Float[Array, ""]
    live: Bool[NDArray, " sensor"]
    kind: tuple[int, ...] = eqx.field(static=True)
    kinds: tuple[str, ...] = eqx.field(static=True)
    saturation: float | None
    priors: dict[str, Prior]
    centre: Weights
    root: Float[Array, "sensor feature feature"]
    model_error: Float[Array, " kind"]

    @property
    def n_sensors(self) -> int:
        """Number of sensors."""
        return len(self.kind)

    @property
    def sizes(self) -> dict[str, int]:
        """Members of the plates."""
        return {"sensor": self.n_sensors, "kind": len(self.kinds)}

    @property
    def lit(self) -> Bool[NDArray, " cluster"]:
        """Tracks that emit photons inside the network's box; of others it knows no light."""
        return np.asarray(self.tracks.photons.sum(axis=1)) > 0

    def around(self, posterior: LastLayerPosterior) -> LastLayerInputs:
        """The inputs with the coordinates of a posterior."""
        return replace(
            self, centre=posterior.mean, root=posterior.covariance_root, model_error=jnp.asarray(posterior.model_error)
        )


def last_layer_inputs(
    siren: Siren,
    clusters: Clusters,
    detector: LightDetector,
    priors: Mapping[str, Prior],
    saturation: float | None = None,
) -> LastLayerInputs:
    """Inputs of a model of the last layer.

    Args:
        siren: the trained network, with the head `LogLink`.
        clusters: the tracks.
        detector: kinds of sensors, and which are dead; of one volume.
        priors: priors and fixed values by name.
        saturation: photo-electrons at or above which counts are one outcome; none where absent.

    Raises:
        InputError: where no track emits photons inside the network's box.
    """
    batch = batch_clusters(clusters, detector.all_drift)
    positions, photons = (np.asarray(array)[: clusters.n_clusters] for array in (batch.position_cm, batch.photons))
    tracks, library, scale = _seen(siren, positions, photons)
    if not bool(tracks.photons.any()):
        raise InputError(
            f"none of the {clusters.n_clusters} clusters emits photons inside the network's box: check units and axes "
            "(x is along the drift field, positions in cm) and the network"
        )
    names = detector.sensors.kind
    kinds = tuple(dict.fromkeys(names))
    unit = jnp.broadcast_to(jnp.eye(library.shape[1]), (*library.shape, library.shape[1]))
    return LastLayerInputs(
        clusters=clusters,
        tracks=tracks,
        library=library,
        scale=scale,
        live=detector.alive,
        kind=tuple(kinds.index(name) for name in names),
        kinds=kinds,
        saturation=saturation,
        priors=dict(priors),
        centre=library,
        root=weight_sd(library.shape[1], scale)[:, None] * unit,
        model_error=jnp.full(len(kinds), START_ERROR, float),
    )


@eqx.filter_jit
def _seen(siren: Siren, positions_cm: NDArray, photons: NDArray) -> tuple[TrackFeatures, Weights, Array]:
    """All that is computed of the network."""
    return track_features(siren, positions_cm, photons), last_layer_weights(siren), weight_scale(siren)


def check_network(siren: Siren, detector: LightDetector, path: Path | str) -> None:
    """Refuse a network whose last layer cannot be calibrated with the detector.

    Args:
        siren: the network.
        detector: what it shall be the visibility of.
        path: file the network comes from, for messages.

    Raises:
        InputError: another head than `LogLink`, or other sensors than the detector's.
    """
    if not isinstance(siren.head, LogLink):
        raise InputError(
            f"{path}: a network with the head {type(siren.head).__name__} has no linear last layer in ln v; train one "
            "with the head LogLink"
        )
    if siren.architecture.sensors != detector.n_sensors:
        raise InputError(
            f"{path}: the network has {siren.architecture.sensors} sensors, the detector has {detector.n_sensors}; "
            "name the `detector` of one volume that it was trained for"
        )
