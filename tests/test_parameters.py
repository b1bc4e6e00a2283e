"""Priors from TOML, and values drawn inside a model."""

import tomllib

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro import handlers

from bayescal.errors import InputError
from bayescal.parameters import Hierarchical, Parameter, draw, prior_from_toml, prior_to_toml, priors_from_toml, units

KB = Parameter("kb", "g/cm^3", 0.05, dist.Uniform(0.04, 0.07))
RATE = Parameter("rate", "1/us", 1e-6, dist.LogUniform(1e-9, 1e-3), free=False)
TIME = Parameter("time", "us", 0.0, dist.Normal(0.0, 1.0), per="event")
GAIN = Parameter("gain", "", 1.0, dist.Normal(1.0, 0.1))
ALL = (KB, RATE, TIME, GAIN)


def traced(priors, n_events=3):
    model = handlers.seed(lambda: draw(ALL, priors, {"event": n_events}), jax.random.key(0))
    sites = handlers.trace(model).get_trace()
    return model(), [name for name, site in sites.items() if site["type"] == "sample"]


def test_defaults_are_drawn_or_nominal():
    values, sites = traced({})
    assert sites == ["kb", "time", "gain"]
    assert 0.04 < values["kb"] < 0.07
    assert values["rate"] == 1e-6
    assert values["time"].shape == (3,)


def test_a_number_fixes_a_vector_as_well():
    values, sites = traced({"time": 0.5, "kb": 0.06, "gain": dist.Normal(2.0, 1e-9)})
    assert sites == ["gain"]
    np.testing.assert_array_equal(values["time"], [0.5, 0.5, 0.5])
    assert values["gain"] == pytest.approx(2.0, abs=1e-6)


def test_one_value_an_event_can_be_fixed_at_different_values():
    values, _ = traced({"time": jnp.array([1.0, 2.0, 3.0])})
    np.testing.assert_array_equal(values["time"], [1.0, 2.0, 3.0])


def test_priors_are_arguments_of_a_compiled_program():
    traces = []

    @jax.jit
    def log_density(priors, kb):
        traces.append(1)
        model = handlers.substitute(lambda: draw([KB, RATE], priors), {"kb": kb})
        return handlers.trace(model).get_trace()["kb"]["fn"].log_prob(kb)

    wide, narrow = ({"kb": dist.Uniform(0.0, width), "rate": 1e-6} for width in (1.0, 0.5))
    assert log_density(wide, 0.1) == pytest.approx(0.0)
    assert log_density(narrow, 0.1) == pytest.approx(np.log(2.0))
    assert len(traces) == 1


def test_unknown_name_in_priors():
    with pytest.raises(InputError, match="priors: 'kbb' is not a parameter of this model; did you mean 'kb'"):
        traced({"kbb": 1.0})


def test_units():
    assert units(ALL) == {"kb": "g/cm^3", "rate": "1/us", "time": "us", "gain": ""}


@pytest.mark.parametrize(
    ("written", "kind", "x"),
    [
        ("{Uniform = [0.04, 0.07]}", dist.Uniform, 0.05),
        ("{LogNormal = [7.7, 0.5]}", dist.LogNormal, 2000.0),
        ("{Normal = {scale = 2.0, loc = 1.0}}", dist.Normal, 0.3),
        ("{HalfNormal = 2.0}", dist.HalfNormal, 1.3),
        ("{StudentT = [4.0, 0.0, 1.0]}", dist.StudentT, 0.7),
        ("{TruncatedNormal = [1.0, 2.0, 0.0]}", dist.Distribution, 0.4),
        ("{TruncatedNormal = {loc = 1.0, scale = 2.0, low = 0.0, high = 3.0}}", dist.Distribution, 0.4),
        ("{LogUniform = [1e-9, 1e-3]}", dist.LogUniform, 1e-6),
        ("{Beta = [2.0, 3.0]}", dist.Beta, 0.4),
    ],
)
def test_priors_are_read_and_written(written, kind, x):
    prior = prior_from_toml(tomllib.loads(f"x = {written}")["x"], "here")
    assert isinstance(prior, kind)
    again = prior_from_toml(tomllib.loads(f"x = {prior_to_toml(prior)}")["x"], "here")
    assert np.isfinite(prior.log_prob(x))
    assert again.log_prob(x) == prior.log_prob(x)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"Unifrm": [0, 1]}, "numpyro.distributions has no 'Unifrm'; did you mean 'Uniform'?"),
        ({"zzz": [0, 1]}, "has no 'zzz'; expected one of Beta, Gamma"),
        ({"transforms": []}, "has no 'transforms'"),
        ({"Uniform": [0.1]}, "Uniform takes low, high, got 1 argument$"),
        ({"Uniform": [0, 1, 2]}, "Uniform takes low, high, got 3 arguments"),
        ({"TruncatedNormal": [0]}, r"TruncatedNormal takes loc, scale, \[low\], \[high\], got 1 argument"),
        ({"Normal": {"loc": 0, "sd": 1}}, "Normal takes loc, scale, not 'sd'"),
        ({"Normal": {"loc": 0}}, "Normal takes loc, scale, but 'scale' is missing"),
        ({"Normal": [0, -1]}, "invalid scale"),
        ({"Normal": [0, float("nan")]}, "Normal scale: expected a finite number, got nan"),
        ({"Uniform": [0, "1"]}, "Uniform high: '1' is not a parameter of this model"),
        ({"Uniform": [0.07, 0.04]}, "has an empty support"),
        ({"Uniform": [0.04, 0.04]}, "has an empty support"),
        ({"TruncatedNormal": [0, 1, 3, 1]}, "has an empty support"),
        ({"BernoulliProbs": [0.5]}, "not a continuous prior of one number"),
        ({"Dirichlet": [1.0]}, "not a distribution of one real number"),
        ({"Normal": [0, 1], "Uniform": [0, 1]}, "expected a number, 'free', 'fixed' or a distribution"),
        ("loose", "got 'loose'"),
        (True, "got True"),
        (float("inf"), "expected a finite number, got inf"),
    ],
)
def test_errors_name_the_key_and_what_was_expected(value, sentence):
    with pytest.raises(InputError, match=rf"^study\.toml \[parameters\] kb.*{sentence}"):
        priors_from_toml(ALL, {"kb": value}, "study.toml [parameters]")


def test_words_free_and_fixed():
    priors = priors_from_toml(ALL, {"rate": "free", "kb": "fixed", "gain": 2}, "here")
    assert priors == {"kb": 0.05, "rate": RATE.prior, "time": TIME.prior, "gain": 2.0}


WIDTH = Parameter("width", "", 0.1, dist.HalfNormal(0.2), per="kind")
YIELD = Parameter("light_yield", "", 1.0, Hierarchical.of("LogNormal", loc=0.5, scale="width"), per="sensor")
KIND = {"sensor": {"kind": np.array([0, 0, 1])}}


def test_arguments_of_a_hierarchical_prior_are_those_of_each_members_group():
    widths = {"width": jnp.array([1e-6, 1.0])}
    model = handlers.seed(lambda: draw((YIELD, WIDTH), widths, {"sensor": 3, "kind": 2}, KIND), jax.random.key(0))
    sites = handlers.trace(model).get_trace()
    np.testing.assert_array_equal(sites["light_yield"]["fn"].base_dist.scale, [1e-6, 1e-6, 1.0])
    np.testing.assert_allclose(model()["light_yield"][:2], np.exp(0.5), rtol=1e-5)
    assert list(model()) == ["light_yield", "width"]


def test_a_hierarchical_prior_is_read_and_written():
    table = tomllib.loads('light_yield = {LogNormal = [0.5, "width"]}\nwidth = {HalfNormal = 0.3}')
    prior = priors_from_toml((YIELD, WIDTH), table, "study")["light_yield"]
    assert prior == Hierarchical.of("LogNormal", loc=0.5, scale="width")
    again = tomllib.loads(f"light_yield = {prior_to_toml(prior)}")["light_yield"]
    assert prior_from_toml(again, "study", ["width"]) == prior


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (
            'light_yield = {LogNormal = [0.0, "widht"]}',
            "'widht' is not a parameter of this model; did you mean 'width'?",
        ),
        ('light_yield = {LogNormal = ["width"]}', "takes loc, scale, got 1 argument"),
        ('width = {HalfNormal = "light_yield"}', "has a hierarchical prior itself; one level is possible"),
    ],
)
def test_wrong_hierarchical_priors(table, sentence):
    with pytest.raises(InputError, match=sentence):
        priors_from_toml((YIELD, WIDTH), tomllib.loads(table), "study")


def test_a_hierarchical_prior_of_other_members():
    model = handlers.seed(lambda: draw((YIELD, WIDTH), {}, {"sensor": 3, "kind": 2}), jax.random.key(0))
    with pytest.raises(InputError, match="'width' has one value a kind, and no sensor belongs to one"):
        model()
