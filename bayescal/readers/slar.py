"""Networks that slar (siren-lartpc) trained: its PyTorch checkpoints, read without PyTorch.

A checkpoint is a zip archive of `torch.save`: NAME/data.pkl is a pickle whose tensors name their numbers, which lie as
raw bytes in NAME/data/KEY. A pickle can run any program; here it may build dictionaries and tensors and nothing else.
Of the dictionary these are used:

- `state_dict`: `net.I.linear.weight` (out, in) and `net.I.linear.bias` of every layer; the last one is
  `net.I.weight`, `net.I.bias` where it is linear; `output_scale` (sensor,);
- `xform_cfg`: `vmax`, `eps` and `sin_out` of the pseudo-logarithm;
- `model_cfg`: under `network`, `first_omega_0` and `hidden_omega_0` (30 each where absent); `hardsigmoid`;
- `aabox_ranges` (3, 2): lower and upper faces of the box along x, y, z [cm].
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpy.typing import NDArray

from bayescal.errors import InputError
from bayescal.light.box import Box
from bayescal.light.siren import W0, Architecture, Layer, PseudoLog, SinePseudoLog, Siren

_STORAGES = {
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
_KEYS = ("state_dict", "aabox_ranges", "xform_cfg")
_WEIGHT = re.compile(r"net\.(\d+)\.(linear\.)?weight")


def read_slar(path: Path | str) -> Siren:
    """Read a network of slar, in single precision, with its box and transform.

    Args:
        path: checkpoint of one volume.

    Raises:
        InputError: the file is missing or is not such a checkpoint, or holds what cannot be read safely.
    """
    path = Path(path)
    content = _read_archive(path)
    missing = [key for key in _KEYS if not isinstance(content, Mapping) or key not in content]
    if missing:
        raise InputError(f"{path}: `{missing[0]}` is missing; give slar's checkpoint of a network of one volume")
    try:
        return _network(path, content)
    except InputError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: its entries do not fit each other; save the checkpoint again ({error!r})") from error


def _network(path: Path, content: Mapping[str, Any]) -> Siren:
    """The network of a checkpoint's dictionary."""
    model, state = content.get("model_cfg") or {}, content["state_dict"]
    if model.get("hardsigmoid") or content.get("do_hardsigmoid"):
        raise InputError(f"{path}: `hardsigmoid` is set, which is not supported; give a network trained without it")
    names = {int(found[1]): found[0] for key in state if (found := _WEIGHT.fullmatch(key))}
    if sorted(names) != list(range(len(names))) or len(names) < 2:
        raise InputError(f"{path}: `state_dict` must hold the layers `net.0.linear.weight` on; give slar's checkpoint")
    layers = tuple(_layer(path, state, names[number]) for number in range(len(names)))
    sensors, hidden = layers[-1].weight.shape
    w0 = [float(model.get("network", {}).get(name, W0)) for name in ("first_omega_0", "hidden_omega_0")]
    head = _head(path, content, sensors, w0[1] if names[len(names) - 1].endswith(".linear.weight") else None)
    box = Box(*np.asarray(content["aabox_ranges"], np.float64).T)
    return Siren(layers, head, box, Architecture(sensors, hidden, len(layers) - 2, *w0))


def _layer(path: Path, state: Mapping[str, Any], name: str) -> Layer:
    return Layer(*(_finite(path, key, state[key]) for key in (name, name.removesuffix("weight") + "bias")))


def _head(path: Path, content: Mapping[str, Any], sensors: int, w0: float | None) -> PseudoLog | SinePseudoLog:
    """The transform to visibilities; w0 is that of the last layer where it is a sine."""
    transform = content["xform_cfg"] or {}
    sine = bool(transform.get("sin_out", False))
    if "eps" not in transform or sine != (w0 is not None):
        raise InputError(
            f"{path}: `xform_cfg` must hold eps, and sin_out exactly where the last layer is a sine, it is "
            f"{transform!r}; a network without pseudo-logarithm is not supported"
        )
    scale = content.get("scale", content["state_dict"].get("output_scale", np.ones(sensors)))
    scale = jnp.broadcast_to(_finite(path, "output_scale", scale), (sensors,))
    limits = {"vmax": float(transform.get("vmax", 1.0)), "eps": float(transform["eps"])}
    return PseudoLog(scale, **limits) if w0 is None else SinePseudoLog(scale, w0, **limits)


def _finite(path: Path, name: str, values: NDArray) -> Array:
    """Numbers in single precision, without NaN and infinities."""
    if not np.isfinite(values).all():
        raise InputError(f"{path}: `{name}` must be finite; the training went astray, give an earlier checkpoint")
    return jnp.asarray(values, jnp.float32)


def _read_archive(path: Path) -> Any:
    """What a zip archive of `torch.save` holds."""
    try:
        with zipfile.ZipFile(path) as archive:
            (pickled,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
            with archive.open(pickled) as file:
                return _Unpickler(file, archive, pickled.removesuffix("data.pkl")).load()
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file; check the path") from error
    except pickle.UnpicklingError as error:
        raise InputError(f"{path}: {error}; save only `model_dict()` of the network with torch.save") from error
    except zipfile.BadZipFile as error:
        raise InputError(f"{path}: this is not a zip archive of torch.save (PyTorch 1.6 or later); give one") from error
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError, MemoryError) as error:
        raise InputError(f"{path}: not a readable file of torch.save; copy or make it again ({error!r})") from error


class _Unpickler(pickle.Unpickler):
    """Makes numpy arrays of tensors, and refuses every name but those that tensors and dictionaries need."""

    def __init__(self, file: IO[bytes], archive: zipfile.ZipFile, prefix: str) -> None:
        super().__init__(file)
        self._archive, self._prefix = archive, prefix

    def find_class(self, module: str, name: str) -> Any:
        """What a global name in the pickle stands for."""
        if module in ("torch", "torch.storage") and name in _STORAGES:
            return np.dtype(_STORAGES[name]).newbyteorder("<")
        try:
            return _ALLOWED[module, name]
        except KeyError as error:
            raise pickle.UnpicklingError(f"the file asks for `{module}.{name}`, which is refused") from error

    def persistent_load(self, pid: Any) -> NDArray:
        """The numbers of a storage."""
        _, dtype, key, _, size = pid
        values = np.frombuffer(self._archive.read(f"{self._prefix}data/{key}"), dtype)
        if len(values) != size:
            raise pickle.UnpicklingError(f"the storage {key} has {len(values)} numbers instead of {size}")
        return values


def _tensor(storage: NDArray, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *unused: Any) -> NDArray:
    """An array of a part of a storage."""
    del unused
    places = np.full(size, offset, np.int64)
    for axis, (length, step) in enumerate(zip(size, stride, strict=True)):
        places += step * np.arange(length).reshape([-1 if axis == other else 1 for other in range(len(size))])
    return storage[places]


def _parameter(data: NDArray, *unused: Any) -> NDArray:
    del unused
    return data


_ALLOWED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "Size"): tuple,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
}
