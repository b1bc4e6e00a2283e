from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import EllipseCollection
from matplotlib.colors import LogNorm, to_rgba
from scipy.stats import norm

from bayescal.diagnostics.plots_optical import (
    FAINT,
    REACH,
    SILENT,
    Rings,
    Wall,
    amount_shade,
    charge_shades,
    is_on_wall,
    residual_shade,
    residual_shades,
    time_shades,
    wall_figure,
    wall_of_residuals,
)
from bayescal.diagnostics.report.pictures import readout_pictures
from bayescal.diagnostics.residuals import Residuals
from bayescal.diagnostics.sensor_records import Record, charge_record, time_record
from bayescal.diagnostics.wall_maps import HammerSphere, UnrolledCylinder
from bayescal.inference.result import Result
from bayescal.optical.geometry import Cylinder, fibonacci_directions
from bayescal.optical_displays import ring_on_wall, wall_of
from bayescal.readers.optical_detector import read_optical_detector

RING = ring_on_wall(Cylinder(16.9, 36.2), np.array([2.0, -3.0, 4.0]), np.array([0.6, 0.0, -0.8]), 0.745)


@pytest.fixture(scope="module")
def super_kamiokande():
    """The wall with every hundredth tube dead."""
    wall = wall_of(read_optical_detector("super_kamiokande"))
    return Wall(wall.drawn_on, wall.position_m, wall.radius_m, np.arange(wall.live.size) % 100 != 7)


def made_up(wall):
    """Charges and times around a ring: from 0.01 to 20 photoelectrons expected, half of the sensors silent."""
    rng = np.random.default_rng(3)
    n = wall.live.size
    expected = np.geomspace(0.01, 20.0, n)[rng.permutation(n)]
    observed = np.where(wall.live & (rng.uniform(size=n) < 0.5), expected * rng.lognormal(0.0, 0.5, n), 0.0)
    time = np.where(observed > 0, rng.normal(100.0, 20.0, n), np.nan)
    charge = Record(observed, expected, rng.normal(size=n))
    return charge, Record(time, np.full(n, 100.0), np.where(observed > 0, rng.normal(size=n), np.nan))


def sensors_of(panel):
    (found,) = [each for each in panel.collections if isinstance(each, EllipseCollection)]
    return found


def test_display_of_super_kamiokande(super_kamiokande):
    """One collection a map, every live tube at its place and size, colours as far as they are said to go."""
    charge, time = made_up(super_kamiokande)
    shades = charge_shades(charge) | time_shades(time)
    figure = wall_figure(super_kamiokande, shades, Rings([RING, RING], RING))
    panels = {panel.get_title(): panel for panel in figure.axes if panel.get_title()}
    assert list(panels) == list(shades)
    live = super_kamiokande.live
    place = super_kamiokande.drawn_on.place_m(super_kamiokande.position_m)
    for panel in panels.values():
        sensors = sensors_of(panel)
        np.testing.assert_allclose(sensors.get_offsets(), place[live])
        np.testing.assert_allclose(sensors.get_widths(), 2 * 0.254)
        (dead,) = [line for line in panel.lines if line.get_label() == "dead"]
        np.testing.assert_allclose(np.transpose(dead.get_data()), place[~live])
        assert panel.get_aspect() == 1
    seen = charge.observed[charge.observed > 0]
    for name in ("observed", "expected"):
        scale = sensors_of(panels[f"charge, {name}"]).norm
        assert isinstance(scale, LogNorm)
        assert (scale.vmin, scale.vmax) == pytest.approx(tuple(np.quantile(seen, (0.05, 0.995))))
    for name in ("charge", "time"):
        scale = sensors_of(panels[f"{name}, residual"]).norm
        assert (scale.vmin, scale.vmax) == (-REACH, REACH)
    labels = [axes.get_xlabel() for axes in figure.axes if axes.get_xlabel()]
    assert labels == [
        *["charge [p.e.]"] * 2,
        "residual [standard deviations]",
        *["time [ns]"] * 2,
        "residual [standard deviations]",
    ]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["dead", "ring, posterior", "truth"]


def test_colours_say_what_is_silent_and_what_is_faint(super_kamiokande):
    """A sensor without a hit is pale in the map of hits; its small expected charge has the colour below the scale."""
    charge, _ = made_up(super_kamiokande)
    shades = charge_shades(charge)
    silent = int(np.argmax(super_kamiokande.live & (charge.observed == 0)))
    faint = int(np.argmin(charge.expected))

    def color(shade, sensor):
        return tuple(shade.cmap(shade.norm(np.ma.masked_invalid(shade.values[[sensor]])))[0])

    assert color(shades["charge, observed"], silent) == pytest.approx(to_rgba(SILENT))
    assert color(shades["charge, expected"], faint) == pytest.approx(to_rgba(FAINT))
    both = residual_shade(np.array([-1.2, 0.0, 1.2]))
    red, _, blue, _ = both.cmap(both.norm(both.values)).T
    assert blue[0] > red[0]
    assert red[2] > blue[2]
    assert red[1] == pytest.approx(blue[1], abs=0.02)


def test_sphere_has_no_caps():
    position = 17.5 * fibonacci_directions(15_000)
    wall = Wall(HammerSphere(17.5), position, 0.2, np.ones(15_000, bool))
    panel = wall_figure(wall, {"light": amount_shade(position[:, 2], "light [p.e.]")}).axes[0]
    sensors = sensors_of(panel)
    np.testing.assert_allclose(sensors.get_widths() * sensors.get_heights(), 0.16)
    scale = sensors.norm
    assert (scale.vmin, scale.vmax) == pytest.approx(tuple(np.quantile(position[:, 2], (0.01, 0.99))))


def test_values_of_other_sensors():
    wall = Wall(UnrolledCylinder(2.0, 3.0), np.array([[2.0, 0, 0], [0, 2.0, 0]]), 0.1, np.ones(2, bool))
    with pytest.raises(ValueError, match="light: 3 values for 2 sensors; give one for each"):
        wall_figure(wall, {"light": amount_shade(np.arange(3.0), "")})


def made_residuals(position_m):
    """Two sensors that are told of by 99 made data sets each, by hand, and two that are silent."""
    facts = {
        "observed": [[6.0, 0.0, 0.0, 0.0], [31.0, np.nan, np.nan, np.nan]],
        "mean": [[4.0, 2.0, 0.1, 0.0], [30.0, 28.0, 40.0, np.nan]],
        "sd": [[2.0, 1.0, 0.3, 0.0], [2.0, 2.0, 5.0, np.nan]],
        "share": [[1.0, 1.0, 1.0, 1.0], [80 / 99, 60 / 99, 5 / 99, 0.0]],
        "pit": [[0.975, 0.05, 0.4, 0.7], [0.6, 0.1, 0.3, 0.5]],
    }
    x, y, z = position_m.T
    columns = {"event": np.zeros(4, int), "sensor": np.array([0, 2, 3, 5]), "x_m": x, "y_m": y, "z_m": z}
    return Residuals(
        xr.Dataset(
            {name: (("quantity", "readout"), np.array(fact)) for name, fact in facts.items()},
            coords={"quantity": ["charge", "time"]} | {name: ("readout", column) for name, column in columns.items()},
            attrs={"n_replicas": 99},
        )
    )


PLACES = np.array([[2.0, 0, 1.0], [0, 2.0, -1.0], [0.5, 0, 1.5], [0, -0.5, -1.5]])


def test_residuals_by_hand():
    """A charge at 0.975 of the ranks is 1.96 sd too large. Of a time at 60 of 100, 19 ranks are of data without one."""
    found = made_residuals(PLACES)
    charge = charge_record(found, "charge")
    np.testing.assert_allclose(charge.expected, [4.0, 2.0, 0.1, 0.0])
    np.testing.assert_allclose(charge.residual, norm.ppf([0.975, 0.05, 0.4, 0.7]))
    assert charge.residual[0] == pytest.approx(1.96, abs=1e-3)
    time = time_record(found, "time")
    np.testing.assert_allclose(time.residual, [norm.ppf((60 - 19) / 81), np.nan, np.nan, np.nan])
    np.testing.assert_allclose(time.expected, [30.0, 28.0, np.nan, np.nan])
    every = charge.of_all(found.data["sensor"].values, 7)
    np.testing.assert_allclose(every.observed, [6.0, np.nan, 0.0, 0.0, np.nan, 0.0, np.nan])
    with pytest.raises(ValueError, match="no quantity light among the residuals: they have charge, time"):
        charge_record(found, "light")


def test_time_residuals_are_normal_where_times_are_of_the_model():
    """20,000 sensors with a time in four of five data sets; the error of a mean is 0.008, of a variance 0.011."""
    rng = np.random.default_rng(8)
    n, replicas = 20_000, 60
    value = np.where(rng.uniform(size=(replicas + 1, n)) < 0.8, rng.exponential(size=(replicas + 1, n)), np.nan)
    ordered = np.where(np.isfinite(value), value, -np.inf)
    below, ties = (ordered[1:] < ordered[0]).sum(axis=0), (ordered[1:] == ordered[0]).sum(axis=0)
    pit = (below + rng.uniform(size=n) * (ties + 1)) / (replicas + 1)
    share = np.isfinite(value[1:]).mean(axis=0)
    facts = {"observed": value[0], "mean": np.ones(n), "share": share, "pit": pit}
    data = xr.Dataset(
        {name: (("quantity", "readout"), fact[None]) for name, fact in facts.items()},
        coords={"quantity": ["time"]},
        attrs={"n_replicas": replicas},
    )
    residual = time_record(Residuals(data), "time").residual
    residual = residual[np.isfinite(residual)]
    assert residual.size == np.isfinite(value[0]).sum()
    assert abs(residual.mean()) < 5 / np.sqrt(residual.size)
    assert abs(residual.var() - 1) < 5 * np.sqrt(2 / residual.size)


def test_report_has_the_wall(nuts_result):
    """Of a result whose readouts are sensors of one event, and of no other."""
    found = made_residuals(PLACES)
    groups = nuts_result.data.copy()
    groups["residuals"] = xr.DataTree(found.data)
    pictures = {each.anchor: each for each in readout_pictures(Result(groups))}
    assert len(pictures["wall"].panels) == 6
    assert list(residual_shades(found)) == [
        f"{q}, {v}" for q in ("charge", "time") for v in ("observed", "expected", "residual")
    ]
    wall = wall_of_residuals(found)
    assert isinstance(wall.drawn_on, UnrolledCylinder)
    assert (wall.drawn_on.radius_m, wall.drawn_on.height_m) == (2.0, 3.0)
    several = Residuals(found.data.assign_coords(event=("readout", [0, 0, 1, 1])))
    assert not is_on_wall(several)
