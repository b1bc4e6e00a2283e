"""Photon libraries made from any visibility, exact or with the fluctuations of a simulation of single photons."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from bayescal.light.library import PhotonLibrary, voxel_centres_cm
from bayescal.light.volumes import BoxVisibility

_CHUNK = 4096  # voxels at a time


def tabulate(visibility: BoxVisibility, n_voxels: tuple[int, int, int]) -> PhotonLibrary:
    """Library of a visibility at the centres of equal voxels of its box, in 32 bits.

    Args:
        visibility: what to tabulate, a few thousand voxels at a time.
        n_voxels: voxels along x, y and z.
    """
    centres = jnp.asarray(voxel_centres_cm(visibility.box, n_voxels).reshape(-1, 3))
    rows = _rows(visibility, centres)
    return PhotonLibrary(visibility.box, rows.reshape(*n_voxels, -1))


def with_photon_statistics(key: jax.Array, library: PhotonLibrary, photons_per_voxel: float) -> PhotonLibrary:
    """The library that a simulation of so many photons from each voxel would have given.

    Each entry becomes a Poisson count, over the photons; zero where none was seen.

    Args:
        key: of the random numbers.
        library: exact visibilities.
        photons_per_voxel: photons emitted in each voxel.
    """
    random = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    exact = np.asarray(library.visibility)
    counted = np.empty(exact.shape, np.float32)
    for slab, expected in zip(counted, exact, strict=True):
        slab[...] = random.poisson(expected * photons_per_voxel) / photons_per_voxel
    return PhotonLibrary(library.box, jnp.asarray(counted), library.efficiency)


@eqx.filter_jit
def _rows(visibility: BoxVisibility, centres: jax.Array) -> jax.Array:
    """Visibilities of points, chunk by chunk, in 32 bits."""
    return jax.lax.map(lambda point: visibility(point).astype(jnp.float32), centres, batch_size=_CHUNK)
