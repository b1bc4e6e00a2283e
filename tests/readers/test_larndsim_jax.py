from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from bayescal.errors import InputError
from bayescal.readers.larndsim_jax import convert

PIXELS = 100


def _write(path: Path, **columns: list[float]) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in columns.items():
            file[f"batch_0/event_0/{name}"] = np.array(values)
        file["batch_0/pixels_of_the_batch"] = np.zeros(3)
    return path


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Two hits, a pixel that did not fire, and padding."""
    return _write(
        tmp_path / "output.h5",
        eventID=[12, 12, 12, 12],
        pixels=[3 * PIXELS + 7, 3 * PIXELS + 5, 3 * PIXELS + 5, -1],
        ticks=[48.0, 117.0, 1998.0, 1998.0],
        adc=[82.8, 90.5, 75.8235, 75.8235],
    )


def test_recorded_ticks_become_firing_ticks_and_numbers_become_pixels(output: Path) -> None:
    hits = convert(output, PIXELS)
    assert hits.event_id.tolist() == [12, 12]
    assert hits.pixel.tolist() == [5, 7]
    assert hits.tick.tolist() == [118, 49]
    assert hits.adc.tolist() == [90.5, 82.8]
    assert not hits.integer_adc


def test_several_files_are_numbered_as_their_input(output: Path) -> None:
    assert convert([output, output], PIXELS).event_id.tolist() == [12, 12, 1000012, 1000012]


@pytest.mark.peer
@pytest.mark.parametrize(
    ("name", "n_hits", "n_pixels"), [("clean_0", 510, 422), ("lut_0", 777, 419), ("lut_1", 786, 446)]
)
def test_hits_of_the_peers_files(peer_data: Path, name: str, n_hits: int, n_pixels: int) -> None:
    hits = convert(peer_data / f"module0/reference_{name}.h5", 78400)
    assert hits.n_hits == n_hits
    assert len(set(zip(hits.event_id, hits.pixel, strict=True))) == n_pixels


@pytest.mark.peer
def test_hits_of_a_pixel_of_the_peers_file(peer_data: Path) -> None:
    """Event 10, plane 1, pixel (121, 133): recorded at ticks 701 and 722."""
    hits = convert(peer_data / "module0/reference_clean_0.h5", 78400)
    chosen = (hits.event_id == 10) & (hits.pixel == 121 + 140 * (133 + 280))
    assert hits.tick[chosen].tolist() == [702, 723]
    np.testing.assert_allclose(hits.adc[chosen], [117.57, 89.90], atol=0.2)


def test_nothing_above_threshold(output: Path) -> None:
    with pytest.raises(InputError, match=r"output\.h5: none of 4 entries reaches 200\.0 ADC counts; lower minimum_adc"):
        convert(output, PIXELS, minimum_adc=200.0)


def test_another_layout(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["segments"] = np.zeros(3)
    with pytest.raises(InputError, match=r"other\.h5: no group `batch_i/event_j` is there"):
        convert(tmp_path / "other.h5", PIXELS)


def test_missing_column(tmp_path: Path) -> None:
    path = _write(tmp_path / "output.h5", eventID=[1], pixels=[2], ticks=[3])
    with pytest.raises(InputError, match=r"output\.h5: /batch_0/event_0 lacks the dataset `adc`"):
        convert(path, PIXELS)


def test_interpolated_ticks(tmp_path: Path) -> None:
    path = _write(tmp_path / "output.h5", eventID=[1], pixels=[2], ticks=[3.25], adc=[90.0])
    with pytest.raises(InputError, match=r"output\.h5: `ticks` has fractions"):
        convert(path, PIXELS)
