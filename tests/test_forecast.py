"""Forecasts against closed forms, and against fits of more data."""

from pathlib import Path

import jax
import numpy as np
import pytest

from bayescal.diagnostics.contents import scalars, spread
from bayescal.diagnostics.plots_precision import forecast_figure
from bayescal.fitting import fit_study
from bayescal.forecast import Forecast, covariance, forecast, without_nuisance
from bayescal.study import read_study

PADS = Path(__file__).parent / "own_model" / "pads.py"
INFORMATION = np.array([[400.0, 300.0], [300.0, 900.0]])
PRIOR = np.diag([4.0, 0.25])
TIMES = """
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from bayescal.parameters import Parameter, draw
from bayescal.settings import Field, InputSettings

PARAMETERS = (
    Parameter("mean", "us", 3.0, dist.LogNormal(1.0, 0.5)),
    Parameter("shape", "", 2.0, dist.Uniform(0.5, 8.0)),
)
OBSERVED = "time"


class Settings(InputSettings):
    events: int = Field(description="number of events")


def model(inputs, data=None):
    p = draw(PARAMETERS, inputs["priors"])
    rate = (p["shape"] / p["mean"]) * jnp.ones(inputs["live"].shape[0])
    numpyro.sample("time", dist.Gamma(p["shape"], rate), obs=data)


def load(settings, priors):
    return {"priors": priors, "live": np.ones(settings.events)}


def read(path, inputs):
    return np.load(path)


def example(key):
    return load(Settings(events=3), {}), jnp.ones(3)
"""


def made(informations=None):
    each = np.stack([0.9 * INFORMATION, 1.1 * INFORMATION]) if informations is None else informations
    return Forecast(("gain", "kb"), ("", "cm"), each, PRIOR, 10.0, "events")


@pytest.mark.parametrize("exposure", [0.0, 10.0, 1e4])
def test_normal_model_in_closed_form(exposure):
    """The posterior of a linear model with normal prior and noise after n-fold the data."""
    expected = np.linalg.inv(0.1 * exposure * INFORMATION + np.linalg.inv(PRIOR))
    np.testing.assert_allclose(made().sd(exposure), np.sqrt(np.diag(expected)), rtol=1e-10)


def test_limits():
    np.testing.assert_allclose(made().sd(1e-9), [2.0, 0.5], rtol=1e-6)
    np.testing.assert_allclose(made().sd(4e9), 0.5 * made().sd(1e9), rtol=1e-6)


def test_a_direction_that_the_data_leave_open_stays_with_the_prior():
    """Only the sum is measured: the difference keeps the prior's width, whatever the exposure and the noise of F."""
    open_ = np.array([[[1.0, 1.0], [1.0, 1.0 - 1e-6]]])
    sd = Forecast(("a", "b"), ("", ""), open_, np.eye(2), 1.0, "events").sd(1e8)
    np.testing.assert_allclose(sd, np.sqrt(0.5), rtol=1e-3)


def test_error_of_two_batches():
    """F is known to 10 %, by two batches: a width to 5 % where the data rule, else better."""
    np.testing.assert_allclose(made().sd_error(1e6) / made().sd(1e6), 0.05, rtol=0.02)
    assert (made().sd_error(1e-9) / made().sd(1e-9) < 1e-6).all()
    assert np.isnan(made(INFORMATION[None]).sd_error(10.0)).all()


def test_nuisance_parameters_are_left_free():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(5, 5))
    information, prior = root @ root.T, np.diag(rng.uniform(0.5, 2.0, 5))
    kept = np.array([True, False, True, False, False])
    left = without_nuisance(information, prior, kept)
    whole = covariance(information, prior)[np.ix_(kept, kept)]
    np.testing.assert_allclose(covariance(left, prior[np.ix_(kept, kept)]), whole, rtol=1e-10)


def test_figure_shows_prior_study_and_forecast():
    figure = forecast_figure(made(), [10.0, 1000.0])
    assert {line.get_label() for line in figure.axes[0].lines} >= {"prior alone", "this study", "expected"}
    assert figure.axes[1].get_ylabel() == "sd of kb\n[cm]"
    assert figure.axes[0].get_xlabel() == "exposure [events]"


def study(folder, events):
    (folder / "times.py").write_text(TIMES)
    np.save(folder / "times.npy", np.random.default_rng(5).gamma(2.0, 1.5, events))
    path = folder / f"study-{events}.toml"
    path.write_text(f'model = "times.py"\ndata = "times.npy"\n[inputs]\nevents = {events}\n[sampler]\nmethod = "map"\n')
    return read_study(path)


def test_a_fit_of_sixteen_times_the_data_is_as_wide_as_forecast(tmp_path):
    """The information from four sets of 500 times is known to some per cent, a width to half of that.

    Those of 8000 times are narrower by a factor of four: 15 % tell it from any other power of the exposure.
    """
    found = forecast(jax.random.key(3), study(tmp_path, 500), 4, 10)
    assert (found.labels, found.exposure, found.exposure_unit) == (("mean", "shape"), 500.0, "events")
    result = fit_study(study(tmp_path, 8000))
    assert result.converged, result.verdict
    assert (found.sd_error(8000.0) < 0.1 * found.sd(8000.0)).all()
    widths = [spread(component) for component in scalars(result)]
    np.testing.assert_allclose(found.sd(8000.0), widths, rtol=0.15)
    exact = 3.0 / np.sqrt(2.0 * 8000)  # of the mean of gamma times, which does not hang together with their shape
    assert found.sd(8000.0)[0] == pytest.approx(exact, rel=5 * np.sqrt(1.0 / 2000))


def test_shifts_of_events_are_not_forecast_but_widen_the_rest(tmp_path):
    """A shift an event with a prior of 0.3 fC, free: only the constants are shown, the pedestal far less well known."""
    rng = np.random.default_rng(3)
    deposit, event = rng.uniform(0.0, 4.0, 96), np.repeat(np.arange(8), 12)
    np.savez(tmp_path / "pads.npz", deposit=deposit, event=event, x_cm=deposit, y_cm=deposit)
    text = f'model = "{PADS}"\n[inputs]\npads = "pads.npz"\n'
    (tmp_path / "study.toml").write_text(text + '[parameters]\nshift = "free"\n')
    found = forecast(jax.random.key(0), read_study(tmp_path / "study.toml"), 1, 3)
    assert found.labels == ("gain", "pedestal")
    design = np.stack([deposit, np.ones(96)])[:, 1:]
    noise = 0.04 * np.eye(95) + 0.09 * np.equal.outer(event[1:], event[1:])
    expected = np.linalg.inv(design @ np.linalg.solve(noise, design.T) * 100.0 + np.diag([0.2**-2, 1.0]))
    np.testing.assert_allclose(found.sd(800.0), np.sqrt(np.diag(expected)), rtol=0.02)
