"""Our own networks in HDF5.

Root attributes: `format` ("bayescal siren 1"), `head` (name of its class), `first_w0`, `hidden_w0`. Datasets:
`layer0/weight` (out, in) and `layer0/bias` (out,) of every layer, the last one linear; `lower_cm` and `upper_cm` (3,);
`head/...`, what the head consists of, by its names.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import h5py
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from bayescal.errors import InputError
from bayescal.light.box import Box
from bayescal.light.siren import Architecture, Head, Layer, LogLink, PseudoLog, SinePseudoLog, Siren
from bayescal.readers.hdf5 import open_hdf5, read_array, require_finite, write_hdf5

FORMAT = "bayescal siren 1"
HEADS = {kind.__name__: kind for kind in (LogLink, PseudoLog, SinePseudoLog)}


def write_siren(path: Path | str, siren: Siren) -> None:
    """Write a network; the file appears when it is complete.

    Raises:
        InputError: if it cannot be written.
    """
    with write_hdf5(path) as file:
        file.attrs.update(format=FORMAT, head=type(siren.head).__name__)
        file.attrs.update(first_w0=siren.architecture.first_w0, hidden_w0=siren.architecture.hidden_w0)
        file["lower_cm"], file["upper_cm"] = np.asarray(siren.box.lower_cm), np.asarray(siren.box.upper_cm)
        for number, layer in enumerate(siren.layers):
            file[f"layer{number}/weight"] = np.asarray(layer.weight)
            file[f"layer{number}/bias"] = np.asarray(layer.bias)
        for field in fields(siren.head):
            file[f"head/{field.name}"] = np.asarray(getattr(siren.head, field.name))


def read_siren(path: Path | str) -> Siren:
    """Read a network that `write_siren` wrote, bit for bit.

    Raises:
        InputError: if the file is missing, is of another kind or lacks a part, or its parts do not fit each other.
    """
    with open_hdf5(path) as file:
        if file.attrs.get("format") != FORMAT:
            raise InputError(f"{path}: `format` is not `{FORMAT}`; give a network that write_siren wrote")
        try:
            return _network(file)
        except InputError:
            raise
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path}: its parts do not fit each other; write the network again ({error})") from error


def _network(file: h5py.File) -> Siren:
    numbers = range(sum(str(name).startswith("layer") for name in file))
    layers = tuple(Layer(*(_read(file, f"layer{n}/{part}") for part in ("weight", "bias"))) for n in numbers)
    box, head = Box(_read(file, "lower_cm"), _read(file, "upper_cm")), _head(file)
    sensors, hidden = layers[-1].weight.shape
    w0 = [float(np.asarray(file.attrs[name])) for name in ("first_w0", "hidden_w0")]
    return Siren(layers, head, box, Architecture(sensors, hidden, len(layers) - 2, *w0))


def _head(file: h5py.File) -> Head:
    kind = HEADS.get(str(file.attrs.get("head")))
    if kind is None:
        raise InputError(f"{file.filename}: `head` is not one of {', '.join(HEADS)}; write the network again")
    values = {field.name: _read(file, f"head/{field.name}") for field in fields(kind)}
    parts: dict[str, Any] = {name: value if value.ndim else float(value) for name, value in values.items()}
    return kind(**parts)


def _read(file: h5py.File, name: str) -> Array:
    values = read_array(file, name)
    require_finite(f"{file.filename}: {name}", {name: values.ravel()})
    return jnp.asarray(values)
