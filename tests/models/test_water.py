"""Water and wall from injectors and a diffuser: densities, files, bad input and a fit in a small tank."""

from functools import partial

import jax
import numpy as np
import numpyro
import pytest
import scipy.stats

import bayescal
from bayescal.errors import InputError
from bayescal.model_files import load_model
from bayescal.optical.zones import make_zones
from bayescal.parameters import units
from bayescal.testing import check_gradient

MEDIUM = ("absorption_scale", "rayleigh_scale", "mie_scale", "wall_reflectivity")


@pytest.fixture(scope="module")
def model():
    return load_model("water").module


@pytest.fixture(scope="module")
def example(model):
    """In coarse zones, which are tabulated in seconds."""
    coarse = partial(make_zones, n_azimuth=8, n_radial=2, n_axial=4, n_barrel=6, n_cap=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bayescal.optical.timed_light.make_zones", coarse)
        return model.example(jax.random.key(1))


def nominal(model, inputs):
    return model.full_size({p.name: p.nominal for p in model.PARAMETERS}, inputs)


def expected_counts(model, inputs, values):
    """With dark counts, for efficiencies of one."""

    @jax.jit
    def mean(values):
        found = model.counts(values, inputs)
        return found.expected + found.dark

    return mean(values)


def test_counts_are_those_expected(model, example):
    """Each run and window over all sensors within five standard errors, the spread of efficiencies included."""
    inputs, data = example
    mean = np.asarray(expected_counts(model, inputs, nominal(model, inputs)))
    sd = np.sqrt((mean + (0.015 * mean) ** 2).sum(axis=0))
    assert (np.abs(np.asarray(data).sum(axis=0) - mean.sum(axis=0)) < 5 * sd).all()


def test_gradient_is_that_of_differences(model, example):
    inputs, data = example
    base = nominal(model, inputs)
    names = [*MEDIUM, "efficiency_spread", "dark_rate"]
    plates = {"intensity": 6, "beam_slope_1": 2, "beam_slope_2": 2, "beam_width": 2, "diffuser_shift_y": 1}
    ends = np.cumsum([6, *plates.values()])

    def log_p(x):
        values = base | dict(zip(names, x[:6], strict=True))
        values |= {name: x[end - size : end] for (name, size), end in zip(plates.items(), ends[1:], strict=True)}
        return model.counts(values, inputs, data).log_prob(data).sum()

    at = np.concatenate([[1.1, 0.9, 1.2, 0.12, 0.02, 4.0], np.linspace(0.9, 1.1, 6), [0.002, -0.001, 0.003, 0.0]])
    check_gradient(log_p, np.concatenate([at, [1.05, 0.95, 0.01]]), rtol=1e-5)


def test_two_calls_give_the_same_bits(model, example):
    inputs, data = example
    values = nominal(model, inputs)
    log_p = jax.jit(lambda v: model.counts(v, inputs, data).log_prob(data).sum())
    other = jax.jit(lambda v: model.counts(v, inputs, data).log_prob(data).sum())
    assert float(log_p(values)) == float(other(values))


def test_a_photon_that_scatters_less_comes_more_promptly(model, example):
    """Of the beam's light at 337 nm: more scattering takes from the prompt window and gives to the next one."""
    inputs, _ = example
    base = nominal(model, inputs)
    light = [
        np.asarray(expected_counts(model, inputs, base | {"rayleigh_scale": scale})).sum(axis=0).reshape(-1, 3)
        for scale in (1.0, 1.2)
    ]
    beam = 2  # runs: the diffuser's two wavelengths, then those of each injector
    assert light[1][beam, 0] < light[0][beam, 0]
    assert light[1][beam, 1] > light[0][beam, 1]


def test_absent_sensors_say_nothing(model, example):
    inputs, data = example
    values = nominal(model, inputs)
    absent = data.at[5, :3].set(-1)
    log_p = jax.jit(lambda each: model.counts(values, inputs, each).log_prob(each))
    with_all, without = (np.asarray(log_p(each)) for each in (data, absent))
    assert (np.delete(with_all, 5) == np.delete(without, 5)).all()
    assert without[5] > with_all[5]


def test_file_holds_what_was_drawn(model, example, tmp_path):
    inputs, data = example
    model.write(tmp_path / "counts.h5", data, inputs, {"absorption_scale": 1.1})
    np.testing.assert_array_equal(model.read(tmp_path / "counts.h5", inputs), data)
    assert float(model.read_truth(tmp_path / "counts.h5")["absorption_scale"]) == 1.1
    model.write(tmp_path / "counts.h5", data[:, :3], inputs, {})
    with pytest.raises(InputError, match=r"counts\.h5: `counts` has 3 rows, the study has 6 runs of 3 windows"):
        model.read(tmp_path / "counts.h5", inputs)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"injector_m": [(0, 0, 1.6)]}, r"injector_m: \[0.0, 0.0, 1.6\] is not inside the tank of eos; move"),
        ({"diffuser_m": [(0, 3, 0)]}, r"diffuser_m: \[0.0, 3.0, 0.0\] is not inside the tank of eos; move the source"),
        ({"injector_direction": [(0, 0, 1)]}, "injector_direction: the beam from .* leaves the tank after 0.1 m"),
        (
            {"injector_direction": []},
            "injector_direction has 0 entries, injector_m has 1; give one",
        ),
        ({"wavelength_nm": [900]}, "wavelength_nm: the sensors of eos do not see 900 nm; leave that wavelength out"),
        ({"window_edges_ns": [5, 5]}, r"window_edges_ns: \[5.0, 5.0\] must be two or more increasing times"),
    ],
)
def test_bad_settings_are_one_sentence(model, settings, sentence):
    given = {"injector_m": [(0, 0, 1.4)], "injector_direction": [(0, 0, -1)], "wavelength_nm": [400]} | settings
    with pytest.raises(InputError, match=sentence):
        model.load(model.Settings(detector="eos", **given), {})


@pytest.mark.parametrize("prior", [5.0, numpyro.distributions.Uniform(0.1, 5.0)])
def test_a_prior_beyond_the_table_is_refused(model, prior):
    with pytest.raises(InputError, match="prior of absorption_scale: light is tabulated for scales from"):
        model.load(model.Settings(detector="eos"), {"absorption_scale": prior})


def test_hooks_describe_the_inputs(model, example):
    inputs, data = example
    assert model.describe(inputs, data)["windows of time"] == 3
    assert model.exposure(inputs) == (6, "runs")
    assert model.readouts(inputs)["sensor"].shape == (194,)
    assert float(model.recorded(data, inputs)["counts"].sum()) == float(data.sum())


@pytest.mark.validate
def test_fit(model, example):
    """Laplace: true values within the posterior by chi-square, false alarm 1e-3, and scattering and wall are found."""
    inputs, _ = example
    truth = nominal(model, inputs) | {"absorption_scale": 1.2, "rayleigh_scale": 0.85, "wall_reflectivity": 0.13}
    data = jax.jit(lambda key: model.counts(truth, inputs).sample(key))(jax.random.key(7))
    fit = bayescal.fit(
        model.model,
        inputs,
        data,
        method="laplace",
        key=jax.random.key(4),
        start=model.start(inputs, data),
        units=units(model.PARAMETERS),
    )
    draws = np.stack([np.log(np.ravel(fit.draws(name))) for name in MEDIUM], axis=1)
    off = draws.mean(axis=0) - np.log([float(truth[name]) for name in MEDIUM])
    chi_square = off @ np.linalg.solve(np.cov(draws.T), off)
    assert scipy.stats.chi2(len(MEDIUM)).sf(chi_square) > 1e-3
    contraction = 1 - draws.std(axis=0) / 0.3
    assert contraction[1] > 0.8  # Rayleigh; absorption over a hundred metres and little Mie scattering stay open here
    assert contraction[3] > 0.9  # the wall
