"""Checkpoints as torch.save lays them out, written here without PyTorch; with it, by itself."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import jax
import numpy as np
import pytest

from bayescal.errors import InputError
from bayescal.light.siren import PseudoLog, SinePseudoLog
from bayescal.readers.slar import read_slar

H, L, D = 6, 2, 3
BOX_CM = np.array([[-5.0, 5.0], [0.0, 8.0], [-1.0, 1.0]], np.float32)
POINTS_CM = np.array([[1.0, 2.0, 0.5], [-4.0, 7.0, -0.9], [5.0, 2.0, 0.0]])


class _Global:
    """A name that is pickled as such, whether or not there is a module for it."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class _Called:
    """What a call of a global with arguments gives, as pickle writes it."""

    def __init__(self, function: _Global, *arguments) -> None:
        self.function, self.arguments = function, arguments


class _Storage:
    def __init__(self, key: int, kind: str, values: np.ndarray) -> None:
        self.key, self.kind, self.values = str(key), kind, values


class _Pickler(pickle._Pickler):
    """Writes the objects above; the pickler in C asks modules that are not there."""

    def save(self, obj, *arguments, **options):
        if isinstance(obj, _Global):
            self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())
        elif isinstance(obj, _Called):
            self.save(obj.function)
            self.save(obj.arguments)
            self.write(pickle.REDUCE)
        else:
            super().save(obj, *arguments, **options)

    def persistent_id(self, obj):
        if not isinstance(obj, _Storage):
            return None
        return ("storage", _Global("torch", obj.kind), obj.key, "cpu", obj.values.size)


class _Archive:
    """A file of torch.save in the making."""

    def __init__(self) -> None:
        self.storages: list[_Storage] = []

    def tensor(self, values, *, transposed: bool = False) -> _Called:
        """A tensor of its own storage; transposed, its numbers lie column by column behind one that is not its own."""
        values = np.asarray(values)
        kind = {"float32": "FloatStorage", "float64": "DoubleStorage"}[str(values.dtype)]
        strides = tuple(int(step) // values.itemsize for step in np.zeros(values.shape, values.dtype).strides)
        flat, offset = values.ravel(), 0
        if transposed:
            flat, offset = np.append(values.dtype.type(99), values.T.ravel()), 1
            strides = (1, values.shape[0])
        self.storages.append(_Storage(len(self.storages), kind, flat))
        rebuild = _Global("torch._utils", "_rebuild_tensor_v2")
        return _Called(rebuild, self.storages[-1], offset, values.shape, strides, False, OrderedDict())

    def save(self, path: Path, content) -> Path:
        buffer = io.BytesIO()
        _Pickler(buffer, protocol=2).dump(content)
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("siren/data.pkl", buffer.getvalue())
            file.writestr("siren/byteorder", "little")
            for storage in self.storages:
                file.writestr(f"siren/data/{storage.key}", storage.values.tobytes())
            file.writestr("siren/version", "3\n")
        return path


def weights() -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(8)
    sizes = [(H, 3), *[(H, H)] * L, (D, H)]
    return [
        (rng.normal(0, 0.05, size).astype(np.float32), rng.normal(0, 0.05, size[0]).astype(np.float32))
        for size in sizes
    ]


def content(archive: _Archive, *, sine: bool = True, **changes) -> dict:
    state = OrderedDict(output_scale=archive.tensor(np.array([1.0, 0.5, 2.0], np.float32)))
    for number, (weight, bias) in enumerate(weights()):
        prefix = f"net.{number}." + ("linear." if sine or number <= L else "")
        state[f"{prefix}weight"] = archive.tensor(weight, transposed=number == 1)
        state[f"{prefix}bias"] = archive.tensor(bias)
    network = {"in_features": 3, "hidden_features": H, "hidden_layers": L, "out_features": D, "first_omega_0": 20}
    made = {
        "state_dict": state,
        "xform_cfg": {"vmax": 0.8, "eps": 1e-6, "sin_out": sine},
        "model_cfg": {"network": network, "output_scale": {"fix": True}},
        "aabox_ranges": archive.tensor(BOX_CM),
        "optimizer": {"state": {0: {"step": 3}}, "param_groups": [{"lr": 5e-5, "betas": (0.9, 0.999)}]},
        "epoch": 7,
    }
    return {key: value for key, value in (made | changes).items() if value is not None}


def saved(tmp_path: Path, *, sine: bool = True, **changes) -> Path:
    archive = _Archive()
    return archive.save(tmp_path / "siren.ckpt", content(archive, sine=sine, **changes))


def expected(points_cm: np.ndarray, *, sine: bool = True) -> np.ndarray:
    """The network as slar evaluates it, in double precision."""
    h = 2 * (points_cm - BOX_CM[:, 0]) / (BOX_CM[:, 1] - BOX_CM[:, 0]) - 1
    *inner, (weight, bias) = [(w.astype(float), b.astype(float)) for w, b in weights()]
    for number, (w, b) in enumerate(inner):
        h = np.sin((20 if number == 0 else 30) * (h @ w.T + b))
    y = h @ weight.T + bias
    scale, low, high = np.array([1.0, 0.5, 2.0]), np.log10(1e-6), np.log10(0.8 + 1e-6)
    y = (np.sin(30 * y) * scale + 1) / 2 if sine else y * scale
    return np.clip(10 ** (y * (high - low) + low) - 1e-6, 0, 0.8)


@pytest.mark.parametrize(("sine", "head"), [(True, SinePseudoLog), (False, PseudoLog)])
def test_network_sees_what_slar_sees(tmp_path, sine, head) -> None:
    """Phases of order 30, rounded to 6e-8, move the exponent of 10 by some 1e-5; zero on a face."""
    made = read_slar(saved(tmp_path, sine=sine))
    assert isinstance(made.head, head)
    assert made.architecture.shapes == ((H, 3), (H, H), (H, H), (D, H))
    np.testing.assert_allclose(made(POINTS_CM[:2]), expected(POINTS_CM[:2], sine=sine), rtol=1e-3, atol=1e-9)
    np.testing.assert_array_equal(made(POINTS_CM[2]), 0.0)


def test_weights_are_those_of_the_file(tmp_path) -> None:
    for layer, (weight, bias) in zip(read_slar(saved(tmp_path)).layers, weights(), strict=True):
        np.testing.assert_array_equal(layer.weight, weight)
        np.testing.assert_array_equal(layer.bias, bias)


def test_frequencies_default_to_thirty(tmp_path) -> None:
    made = read_slar(saved(tmp_path, model_cfg={"network": {}}))
    assert (made.architecture.first_w0, made.architecture.hidden_w0) == (30.0, 30.0)


def test_pytorch_itself(tmp_path) -> None:
    torch = pytest.importorskip("torch")
    state = OrderedDict()
    for number, (weight, bias) in enumerate(weights()):
        state[f"net.{number}.linear.weight"] = torch.nn.Parameter(torch.from_numpy(weight))
        state[f"net.{number}.linear.bias"] = torch.from_numpy(bias)
    state["output_scale"] = torch.tensor([1.0, 0.5, 2.0])
    made = content(_Archive()) | {"state_dict": state, "aabox_ranges": torch.from_numpy(BOX_CM)}
    torch.save(made, tmp_path / "siren.ckpt")
    np.testing.assert_allclose(read_slar(tmp_path / "siren.ckpt")(POINTS_CM[:2]), expected(POINTS_CM[:2]), rtol=1e-3)


@pytest.mark.parametrize("name", ["posix.system", "builtins.eval", "torch._utils._rebuild_device_tensor_from_numpy"])
def test_programs_are_refused(tmp_path, name) -> None:
    module, _, function = name.rpartition(".")
    path = _Archive().save(tmp_path / "siren.ckpt", {"state_dict": _Called(_Global(module, function), "true")})
    with pytest.raises(InputError, match=rf"siren\.ckpt: the file asks for `{name}`, which is refused; save only"):
        read_slar(path)


def test_tensor_beyond_its_storage(tmp_path) -> None:
    archive = _Archive()
    tensor = archive.tensor(np.zeros(4, np.float32))
    storage = tensor.arguments[0]
    path = archive.save(tmp_path / "siren.ckpt", _Called(tensor.function, storage, 2, (4,), (1,), False, OrderedDict()))
    with pytest.raises(InputError, match="not a readable file of torch"):
        read_slar(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"aabox_ranges": None}, "`aabox_ranges` is missing; give slar's checkpoint of a network of one volume"),
        ({"state_dict": OrderedDict()}, "`state_dict` must hold the layers"),
        ({"xform_cfg": {"vmax": 1, "eps": 1e-7}}, "`xform_cfg` must hold eps, and sin_out exactly where"),
        ({"model_cfg": {"network": {}, "hardsigmoid": True}}, "`hardsigmoid` is set, which is not supported"),
        ({"xform_cfg": {"eps": "small", "sin_out": True}}, "its entries do not fit each other"),
    ],
)
def test_wrong_content(tmp_path, changes, words) -> None:
    with pytest.raises(InputError, match=rf"siren\.ckpt: {words}"):
        read_slar(saved(tmp_path, **changes))


def test_weights_that_are_not_numbers(tmp_path) -> None:
    archive = _Archive()
    made = content(archive)
    made["state_dict"]["net.1.linear.bias"] = archive.tensor(np.full(H, np.nan, np.float32))
    with pytest.raises(InputError, match=r"`net\.1\.linear\.bias` must be finite"):
        read_slar(archive.save(tmp_path / "siren.ckpt", made))


def test_other_files(tmp_path) -> None:
    with pytest.raises(InputError, match=r"siren\.ckpt: there is no such file"):
        read_slar(tmp_path / "siren.ckpt")
    (tmp_path / "old.ckpt").write_bytes(pickle.dumps({"state_dict": {}}))
    with pytest.raises(InputError, match=r"old\.ckpt: this is not a zip archive of torch\.save"):
        read_slar(tmp_path / "old.ckpt")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as file:
        file.writestr("a", "b")
    with pytest.raises(InputError, match=r"other\.zip: not a readable file of torch\.save"):
        read_slar(tmp_path / "other.zip")


def test_gradient_of_an_imported_network_is_finite(tmp_path) -> None:
    made = read_slar(saved(tmp_path))
    assert np.isfinite(jax.grad(lambda r: made(r).sum())(POINTS_CM)).all()
