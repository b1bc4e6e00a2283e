"""Efficiencies of photosensors with water and wall: densities, draws, files and a fit of a small tank."""

import equinox as eqx
import jax
import numpy as np
import numpyro
import pytest
from numpyro.infer.util import log_density

import bayescal
from bayescal.errors import InputError
from bayescal.model_files import load_model
from bayescal.parameters import units
from bayescal.testing import assert_covers, check_gradient


@pytest.fixture(scope="module")
def model():
    return load_model("sensor_efficiency").module


@pytest.fixture(scope="module")
def example(model):
    return model.example(jax.random.key(1))


def nominal(model, inputs):
    return model.full_size({p.name: p.nominal for p in model.PARAMETERS}, inputs)


def test_batches_have_a_mean_logarithm_of_zero(model):
    contrast = np.array([0.03, -0.05, 0.02])
    means = np.log(model.batch_efficiency(contrast, 4))
    assert means.sum() == pytest.approx(0.0, abs=1e-14)
    assert np.linalg.norm(means) == pytest.approx(np.linalg.norm(contrast))


def test_counts_are_those_expected(model, example):
    """Sum over all sensors within five standard errors, the spread of efficiencies included."""
    inputs, data = example
    expected = model.counts(nominal(model, inputs), inputs)
    mean = np.asarray(expected.expected + expected.dark).sum(axis=1)
    variance = np.sum(mean + 0.01 * mean**2)
    assert abs(float(data.sum()) - mean.sum()) < 5 * np.sqrt(variance)


def test_gradient_is_that_of_differences(model, example):
    inputs, data = example
    names = ["absorption_scale", "rayleigh_scale", "mie_scale", "wall_reflectivity", "efficiency_spread", "dark_rate"]
    base = nominal(model, inputs)

    def log_p(x):
        values = base | dict(zip(names, x[:6], strict=True))
        values |= {"intensity": x[6:10], "batch_contrast": x[10:13], "source_shift_x": x[13:15]}
        return model.counts(values, inputs, data).log_prob(data).sum()

    at = np.array([1.1, 0.9, 1.2, 0.12, 0.11, 4.0, 1.0, 1.1, 0.9, 1.0, 0.02, -0.01, 0.0, 0.01, -0.02])
    check_gradient(log_p, at, rtol=1e-5)


def test_absent_sensors_say_nothing(model, example):
    inputs, data = example
    values = nominal(model, inputs)
    absent = data.at[5, 0].set(-1)
    with_all, without = (np.asarray(model.counts(values, inputs, each).log_prob(each)) for each in (data, absent))
    assert (np.delete(with_all, 5) == np.delete(without, 5)).all()
    assert without[5] > with_all[5]


def test_file_holds_what_was_drawn(model, example, tmp_path):
    inputs, data = example
    model.write(tmp_path / "counts.h5", data, inputs, {"absorption_scale": 1.1})
    np.testing.assert_array_equal(model.read(tmp_path / "counts.h5", inputs), data)
    assert float(model.read_truth(tmp_path / "counts.h5")["absorption_scale"]) == 1.1
    few = inputs.detector.sensors.some(np.arange(10))
    with pytest.raises(InputError, match=r"counts\.h5: the file has 194 sensors, the detector has 10"):
        model.read(tmp_path / "counts.h5", eqx.tree_at(lambda i: i.detector.sensors, inputs, few))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"position_m": [(0, 0, 5.0)]},
            r"position_m: \[0.0, 0.0, 5.0\] is not inside the tank of eos; move the source",
        ),
        (
            {"position_m": [(0, 0, 0)], "wavelength_nm": [900]},
            "wavelength_nm: the sensors of eos do not see 900 nm; leave that wavelength out",
        ),
    ],
)
def test_sources_that_cannot_be_seen_are_one_sentence(model, settings, sentence):
    with pytest.raises(InputError, match=sentence):
        model.load(model.Settings(detector="eos", **settings), {})


def with_efficiencies(inputs, data, model):
    """The same model with an efficiency drawn for each sensor."""
    values = model.draw(model.PARAMETERS, inputs.priors, model.sizes(inputs))
    counts = model.counts(values, inputs)
    with numpyro.plate("sensor", inputs.detector.sensors.n_sensors):
        efficiency = numpyro.sample("efficiency", numpyro.distributions.Gamma(counts.shape_, counts.rate))
    mean = efficiency[:, None] * counts.expected + counts.dark
    numpyro.sample("counts", numpyro.distributions.Poisson(mean).to_event(1), obs=data)


def test_marginal_times_conditional_is_the_joint(model, example):
    """Brute force: marginal density of the counts times posterior density of the efficiencies, without dark noise."""
    inputs, data = example
    inputs = type(inputs)(**(vars(inputs) | {"priors": {"dark_rate": 0.0}, "n_dark": 0}))
    values = nominal(model, inputs)
    del values["dark_rate"]
    free = {name: value for name, value in values.items() if not name.startswith("source_shift")}
    counts = model.counts(values | {"dark_rate": 0.0}, inputs, data)
    efficiency = counts.draw_efficiency(jax.random.key(3), data)
    joint = log_density(with_efficiencies, (inputs, data, model), {}, free | {"efficiency": efficiency})[0]
    marginal = log_density(model.model, (inputs, data), {}, free)[0]
    posterior = numpyro.distributions.Gamma(
        counts.shape_ + data.sum(axis=1), counts.rate + counts.expected.sum(axis=1)
    ).log_prob(efficiency)
    assert float(joint) == pytest.approx(float(marginal + posterior.sum()), rel=1e-10)


@pytest.mark.validate
@pytest.mark.slow
def test_fit(model, example):
    """Laplace: 68 % intervals of 194 efficiencies cover those that the counts were drawn with; false alarm 1e-3."""
    inputs, _ = example
    expected = model.counts(nominal(model, inputs), inputs)
    efficiency_key, count_key = jax.random.split(jax.random.key(7))
    truth = jax.random.gamma(efficiency_key, expected.shape_) / expected.rate
    data = jax.random.poisson(count_key, truth[:, None] * expected.expected + expected.dark)
    start = model.start(inputs, data)
    fit = bayescal.fit(
        model.model, inputs, data, method="laplace", key=jax.random.key(4), start=start, units=units(model.PARAMETERS)
    )
    done = model.complete(jax.random.key(5), {name: fit.draws(name) for name in fit.names}, inputs, data)
    low, high = np.quantile(np.asarray(done["efficiency"]), [0.16, 0.84], axis=0)
    assert_covers(int(((low < truth) & (truth < high)).sum()), 194, 0.68)
    np.testing.assert_allclose(np.log(done["batch_efficiency"]).sum(axis=1), 0.0, atol=1e-12)


@pytest.mark.parametrize("prior", [5.0, numpyro.distributions.Uniform(0.1, 5.0)])
def test_a_prior_beyond_the_table_is_refused(model, prior):
    with pytest.raises(InputError, match=r"prior of rayleigh_scale: light is tabulated for scales from 0\.30 to 3\.32"):
        model.load(model.Settings(detector="eos"), {"rayleigh_scale": prior})


def test_hooks_describe_the_inputs(model, example):
    inputs, data = example
    assert model.describe(inputs, data)["sensors"] == 194
    assert model.exposure(inputs) == (4, "runs")
    assert model.readouts(inputs)["batch"].shape == (194,)
    assert float(model.recorded(data, inputs)["counts"].sum()) == float(data.sum())
