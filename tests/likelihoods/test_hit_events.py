"""What hits tell of the light and the times of sensors, against the information in draws of the likelihood."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.errors import InputError
from bayescal.likelihoods.hit_events import event_sizes, read_event, recorded_hits, told_by_hits, write_event
from bayescal.likelihoods.pmt import PMTReadout
from bayescal.optical.arrivals import Arrivals
from bayescal.readers.optical_detector import read_optical_detector

LIGHT = jnp.array([0.05, 1.0, 20.0])
N = 20_000
HITS = np.array([[2.5, 31.0], [0.0, 0.0], [1.0, 12.5], [0.7, 40.0]])


def arrivals(log_light, time_ns):
    return Arrivals(jnp.exp(log_light), 0.0, 0.0, time_ns, 2.5, -100.0, 200.0)


def test_hits_tell_as_much_as_is_in_draws_of_them():
    """Mean squares of slopes of the log-density, to a factor 1.5: the threshold takes a quarter of single ones.

    20,000 draws tell the information on 0.05 photoelectrons to 5 %. Of 20, the first one's time tells three times more.
    """
    at = jnp.log(LIGHT), jnp.zeros(3)
    draws = PMTReadout(arrivals(*at)).sample(jax.random.key(1), (N,))

    @jax.jit
    def slopes(draws):
        def total(log_light, time_ns, value):
            return PMTReadout(arrivals(log_light, time_ns)).log_prob(value).sum()

        return jax.vmap(jax.grad(total, argnums=(0, 1)), in_axes=(None, None, 0))(*at, draws)

    of_light, of_time = (np.mean(np.asarray(each) ** 2, axis=0) for each in slopes(draws))
    _, told = (np.asarray(each) for each in told_by_hits(arrivals(*at)))
    ratio = told / np.concatenate([of_light, of_time])
    assert (ratio[:5] > 1 / 1.5).all()
    assert (ratio[:5] < 1.5).all()
    assert 0.2 < ratio[5] < 1.0


def test_event_of_a_file(tmp_path):
    eos = read_optical_detector("eos")
    data = np.zeros((eos.sensors.n_sensors, 2))
    data[:4] = HITS
    write_event(tmp_path / "hits.h5", data, eos, (-10.0, 60.0), truth={"energy": 3.0}, units={"energy": "MeV"})
    np.testing.assert_allclose(read_event(tmp_path / "hits.h5", 194, 0), data)
    with pytest.raises(InputError, match=r"hits\.h5: no event 1, it holds 1; change event in \[inputs\]"):
        read_event(tmp_path / "hits.h5", 194, 1)
    assert event_sizes(eos, data) == {"hits": 3, "photoelectrons": 4}
    found = recorded_hits(data, np.arange(194) != 2)
    np.testing.assert_allclose(found["charge"][:4], [2.5, 0.0, np.nan, 0.7])
    np.testing.assert_allclose(found["time"][:4], [31.0, np.nan, np.nan, 40.0])
