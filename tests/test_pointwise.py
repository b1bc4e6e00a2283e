"""Log-likelihoods by event and residuals by readout, on pads whose answer is known."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import kstest, norm

from bayescal.model_files import load_model
from bayescal.pointwise import event_log_likelihood, moments, randomised_pit, readout_residuals

PADS = load_model(Path(__file__).parent / "own_model" / "pads.py")
LINE = load_model(Path(__file__).parent / "own_model" / "line.py")
KEY = jax.random.key(6)
DRAWS = {"gain": np.array([1.0, 1.1, 0.9]), "pedestal": np.array([0.0, 0.1, -0.2])}


@pytest.fixture(scope="module")
def pads():
    return PADS.module.example(jax.random.key(0))


def test_log_likelihoods_are_summed_by_event(pads):
    inputs, data = pads
    found = event_log_likelihood(KEY, PADS, inputs, data, DRAWS)
    by_pad = norm.logpdf(data, DRAWS["gain"][:, None] * inputs.deposit + DRAWS["pedestal"][:, None], 0.2)
    by_pad[:, 0] = 0.0  # the dead pad
    np.testing.assert_allclose(found["charge"].values[0], by_pad.reshape(3, 8, 12).sum(axis=2), rtol=1e-10)
    np.testing.assert_array_equal(found["event"], 100 + np.arange(8))
    seen = data > PADS.module.FAINT
    seen[0] = False
    np.testing.assert_array_equal(found["recorded"], seen.reshape(8, 12).sum(axis=1))


def test_what_is_expected_of_events(pads):
    """Twelve normal values: the mean log-likelihood and its variance of 12/2, over 20 made data sets."""
    draws = {"gain": np.ones(40), "pedestal": np.zeros(40)}
    found = event_log_likelihood(KEY, PADS, *pads, draws)
    size = np.array([11] + 7 * [12])
    constant = -np.log(0.2 * np.sqrt(2 * np.pi)) * size
    error = found["expected"].values - (constant - 0.5 * size)
    assert (np.abs(error) < 5 * np.sqrt(0.5 * size / 20)).all()
    assert (found["spread"].values ** 2).mean() == pytest.approx(6.0, rel=5 * np.sqrt(2 / (8 * 19) * 1.5))


def test_without_readouts_each_member_of_the_batch_is_an_event(pads, monkeypatch):
    for hook in ("readouts", "recorded"):
        monkeypatch.delattr(PADS.module, hook)
    found = event_log_likelihood(KEY, PADS, *pads, DRAWS)
    assert found["charge"].shape == (1, 3, 96)
    np.testing.assert_array_equal(found["recorded"], 1)


def test_data_that_are_one_whole_have_no_events():
    inputs, data = LINE.module.example(jax.random.key(0))
    draws = {"slope": np.ones(3), "offset": np.zeros(3)}
    assert event_log_likelihood(KEY, LINE, inputs, np.asarray(data), draws) is None


def test_residuals_of_right_data_are_uniform(pads):
    """P-value above 0.001: seed fixed; made data around the true constants, which are known here."""
    draws = {"gain": np.ones(200), "pedestal": np.zeros(200)}
    found = readout_residuals(jax.random.key(2), PADS, *pads, draws)
    assert found.attrs["n_replicas"] == 200
    assert 0 not in found["readout"].values[found["event"].values < 100]
    assert found.sizes["readout"] <= 95  # one pad is dead
    assert kstest(found["pit"].values[0], "uniform").pvalue > 0.001
    bright = found["share"].values[0] == 1.0
    expected = pads[0].deposit[np.isin(pads[0].place[0], found["x_cm"].values)]
    error = found["mean"].values[0] - expected
    assert (np.abs(error[bright]) < 5 * 0.2 / np.sqrt(200)).all()  # false alarm 6e-5 for a hundred pads
    np.testing.assert_allclose(found["sd"].values[0][bright], 0.2, rtol=5 / np.sqrt(400))


def test_moments_of_what_is_recorded():
    values = np.array([[[1.0, np.nan, np.nan], [3.0, 5.0, np.nan]]])
    found = moments(values)
    np.testing.assert_array_equal(found["mean"], [[2.0, 5.0, np.nan]])
    np.testing.assert_array_equal(found["sd"], [[np.sqrt(2.0), np.nan, np.nan]])
    np.testing.assert_array_equal(found["share"], [[1.0, 0.5, 0.0]])


def test_pit_by_hand():
    values = np.array([[[2.0, np.nan, 1.0], [1.0, np.nan, np.nan], [3.0, 5.0, 1.0]]])
    found = randomised_pit(values, np.full((1, 3), 0.5))
    np.testing.assert_allclose(found, [[(1 + 0.5) / 3, (0 + 0.5 * 2) / 3, (1 + 0.5 * 2) / 3]])


def test_made_data_have_the_values_that_are_given(pads):
    inputs, _ = pads
    found = readout_residuals(
        jax.random.key(2),
        PADS,
        inputs,
        jnp.asarray(inputs.deposit),
        {"gain": np.full(40, 3.0), "pedestal": np.ones(40)},
    )
    shifted = found["mean"].values[0][found["share"].values[0] == 1.0]
    assert shifted.min() > 0.9
    assert shifted.max() > 10.0
