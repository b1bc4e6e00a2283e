"""An event in a small sphere of scintillator: start, densities, files and refused inputs."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from bayescal.errors import InputError
from bayescal.model_files import load_model
from bayescal.optical.zones import make_zones
from bayescal.testing import check_gradient

NAMES = ("vertex_x", "vertex_y", "vertex_z", "energy", "event_time", "light_yield", "birks", "fast_time", "fast_share")
AT = np.array([0.75, 0.05, -0.55, 2.9, 0.3, 1e4, 0.0125, 4.6, 0.7])


@pytest.fixture(scope="module")
def model():
    """Its indirect light from coarse zones."""
    module = load_model("scintillation_vertex").module
    coarse = partial(make_zones, n_azimuth=12, n_radial=4, n_axial=6, n_barrel=8, n_cap=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "make_zones", coarse)
        yield module


@pytest.fixture(scope="module")
def example(model):
    return model.example(jax.random.key(1))


@pytest.fixture(scope="module")
def log_p(model, example):
    """Of the example's hits, as a function of the parameters of `NAMES` over their size."""
    inputs, data = example
    base = {p.name: p.nominal for p in model.PARAMETERS}

    def of(x):
        values = base | dict(zip(NAMES, x * np.abs(AT), strict=True))
        return model.hits(values, inputs).log_prob(data).sum()

    return of


def test_the_start_is_near_the_event(model, example):
    first = {name: float(value) for name, value in model.start(*example).items()}
    vertex = np.array([first[f"vertex_{axis}"] for axis in "xyz"])
    assert np.linalg.norm(vertex - [0.8, 0.0, -0.6]) < 0.3
    assert first["energy"] == pytest.approx(3.0, rel=0.2)
    assert abs(first["event_time"]) < 4


def test_gradient_is_that_of_differences(log_p):
    check_gradient(log_p, np.sign(AT), rtol=1e-5, step=1e-4)


def test_two_calls_give_the_same_bits(log_p):
    both = [float(jax.jit(log_p)(jnp.sign(AT))) for _ in range(2)]
    assert both[0] == both[1]


def test_vertices_outside_have_a_density_and_a_slope(log_p):
    value, slope = jax.jit(jax.value_and_grad(log_p))(jnp.sign(AT) * jnp.array([4.0, *[1.0] * 8]))
    assert np.isfinite(value)
    assert np.isfinite(slope).all()


def test_file_holds_what_was_drawn(model, example, tmp_path):
    inputs, data = example
    model.write(tmp_path / "hits.h5", data, inputs, {"energy": 3.0})
    np.testing.assert_allclose(model.read(tmp_path / "hits.h5", inputs), np.where(data[:, :1] > 0, data, 0.0))
    assert float(model.read_truth(tmp_path / "hits.h5")["energy"]) == 3.0


def test_hooks_describe_the_inputs(model, example):
    inputs, data = example
    found = model.describe(inputs, data)
    assert (found["sensors"], found["hits"]) == (200, int((data[:, 0] > 0).sum()))
    assert model.exposure(inputs) == (1, "events")
    assert set(model.readouts(inputs)) == {"live", "event", "sensor", "batch", "x_m", "y_m", "z_m"}
    assert float(jnp.nansum(model.recorded(data, inputs)["charge"])) == pytest.approx(float(data[:, 0].sum()))


def test_an_event_without_hits_has_a_start(model, example):
    inputs, data = example
    first = model.prepare(inputs, jnp.zeros_like(data)).first
    assert all(np.isfinite(value) for value in first.values())


@pytest.mark.parametrize(
    ("detector", "sentence"),
    [
        ("eos", "detector: the tank of eos is no sphere, .* choose juno, tao, small_sphere or a file of a sphere"),
        (
            "small_sphere",
            r"priors of vertex_x, .* is outside the tank of small_sphere, .*such as {Normal = \[0, 0.57\]}",
        ),
    ],
)
def test_inputs_that_cannot_be_are_one_sentence(model, detector, sentence):
    with pytest.raises(InputError, match=sentence):
        model.load(model.Settings(detector=detector), {})


def test_free_lengths_are_tabulated_over_their_prior(model):
    assert model.lengths_m(60.0) == [60.0]
    found = np.array(model.lengths_m(dist.LogNormal(4.0, 0.1)))
    assert found.size == 4
    assert np.exp(4.0 - 0.4) < found.min() < np.exp(4.0 - 0.2)
    assert np.exp(4.0 + 0.2) < found.max() < np.exp(4.0 + 0.4)
