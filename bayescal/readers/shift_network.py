"""Networks that guess drift shifts, in HDF5.

Root attributes: `format` ("bayescal shift network 1"), `detector` (its name) and the sizes by their names. Datasets:
`layer0/weight` (out, in) and `layer0/bias` (out,) of every layer; `scaling/...`, means and widths of the features.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import h5py
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from bayescal.errors import InputError
from bayescal.light.detector import LightDetector
from bayescal.light.shift_network import NetworkSize, Scaling, ShiftNetwork
from bayescal.light.siren import Layer
from bayescal.readers.hdf5 import open_hdf5, read_array, require_finite, write_hdf5

FORMAT = "bayescal shift network 1"


def write_shift_network(path: Path | str, network: ShiftNetwork) -> None:
    """Write a network; the file appears when it is complete.

    Raises:
        InputError: if it cannot be written.
    """
    with write_hdf5(path) as file:
        file.attrs.update(format=FORMAT, detector=network.detector)
        file.attrs.update({field.name: getattr(network.size, field.name) for field in fields(network.size)})
        for number, layer in enumerate(network.layers):
            file[f"layer{number}/weight"] = np.asarray(layer.weight)
            file[f"layer{number}/bias"] = np.asarray(layer.bias)
        for field in fields(network.scaling):
            file[f"scaling/{field.name}"] = np.asarray(getattr(network.scaling, field.name))


def read_shift_network(path: Path | str, detector: LightDetector) -> ShiftNetwork:
    """Read a network that `write_shift_network` wrote, bit for bit.

    Args:
        path: of the file.
        detector: what the network is to be used for.

    Raises:
        InputError: if the file is missing, is of another kind or lacks a part, its parts do not fit each other, or the
            network was trained for another detector.
    """
    with open_hdf5(path) as file:
        if file.attrs.get("format") != FORMAT:
            raise InputError(f"{path}: `format` is not `{FORMAT}`; give a network that write_shift_network wrote")
        try:
            network = _network(file)
        except InputError:
            raise
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path}: its parts do not fit each other; write the network again ({error})") from error
    own, wanted = (network.detector, network.n_sensors), (detector.name, detector.n_sensors)
    if own != wanted:
        raise InputError(
            f"{path}: the network was trained for `{own[0]}` with {own[1]} sensors, not for `{wanted[0]}` with "
            f"{wanted[1]}; train one for this detector"
        )
    return network


def _network(file: h5py.File) -> ShiftNetwork:
    numbers = range(sum(str(name).startswith("layer") for name in file))
    layers = tuple(Layer(*(_read(file, f"layer{n}/{part}") for part in ("weight", "bias"))) for n in numbers)
    scaling = Scaling(*(_read(file, f"scaling/{field.name}") for field in fields(Scaling)))
    size = NetworkSize(*(int(np.asarray(file.attrs[field.name])) for field in fields(NetworkSize)))
    return ShiftNetwork(layers, scaling, size, str(file.attrs["detector"]))


def _read(file: h5py.File, name: str) -> Array:
    values = read_array(file, name)
    require_finite(f"{file.filename}: {name}", {name: values.ravel()})
    return jnp.asarray(values)
