"""Second derivatives of the log-likelihood of pads, which are known in closed form."""

from pathlib import Path

import jax
import numpy as np
import pytest

from bayescal import information
from bayescal.errors import InputError
from bayescal.information import Likelihood, batch_hessians, values_at
from bayescal.model_files import load_model

PADS = load_model(Path(__file__).parent / "own_model" / "pads.py")
LINE = load_model(Path(__file__).parent / "own_model" / "line.py")
BASIS = np.array([[0.02, 0.0], [-0.03, 0.05]])  # of gain and pedestal, about as the posterior


@pytest.fixture(scope="module")
def pads():
    return PADS.module.example(jax.random.key(0))


@pytest.fixture(scope="module")
def likelihood(pads):
    return Likelihood(PADS, {"pedestal": 0.1, "gain": 0.9}, *pads)


def closed_form(deposit):
    """Of a straight line with noise of 0.2."""
    design = np.stack([deposit, np.ones_like(deposit)])
    return design @ design.T / 0.2**2


def test_batches_are_whole_events_and_add_up(likelihood, pads):
    deposit = pads[0].deposit.copy()
    found = batch_hessians(likelihood, BASIS, 4)
    live = np.arange(96) > 0
    for number, hessian in enumerate(found):
        own = live & (np.arange(96) // 24 == number)  # two events of twelve pads
        np.testing.assert_allclose(hessian, closed_form(deposit[own]), rtol=1e-6)
    np.testing.assert_allclose(found.sum(axis=0), closed_form(deposit[live]), rtol=1e-6)
    assert (likelihood.labels, len(likelihood.batches(100))) == (("gain", "pedestal"), 8)


def test_gradient_of_a_part(likelihood, pads):
    inputs, data = pads
    weights = likelihood.batches(8)[3]
    np.testing.assert_array_equal(weights, np.arange(96) // 12 == 3)
    residual = (0.9 * inputs.deposit + 0.1 - data) * weights / 0.2**2
    found = likelihood.gradient(likelihood.place, weights)
    np.testing.assert_allclose(found, [residual @ inputs.deposit, residual.sum()], rtol=1e-10)


def test_other_data_are_not_compiled_again(likelihood, pads):
    inputs, data = pads
    other = likelihood.with_data(inputs, data + 1.0)
    weights = np.ones(96)
    before = likelihood.gradient(likelihood.place, weights)
    np.testing.assert_allclose(other.gradient(other.place, weights)[1], before[1] - 96 / 0.2**2, rtol=1e-10)
    assert likelihood._gradient._cache_size() == 1


def test_data_that_are_one_whole_make_one_batch():
    inputs, data = LINE.module.example(jax.random.key(0))
    likelihood = Likelihood(LINE, {"slope": 2.0, "offset": 0.5}, inputs, np.asarray(data))
    (hessian,) = batch_hessians(likelihood, 0.1 * np.eye(2), 5)
    x = inputs.x.ravel()
    np.testing.assert_allclose(hessian, 100.0 * np.array([[12.0, x.sum()], [x.sum(), x @ x]]), rtol=1e-6)


def test_too_many_parameters(pads, monkeypatch):
    monkeypatch.setattr(information, "LARGEST", 1)
    with pytest.raises(InputError, match=r"2 free parameters are too many .* fix those"):
        Likelihood(PADS, {"gain": 1.0, "pedestal": 0.0}, *pads)


def test_values_of_labels():
    found = values_at({"a": 1.0, "t[0,0]": 2.0, "t[0,1]": 3.0, "tt[0]": 4.0}, ("a", "t", "tt"))
    assert found["a"] == 1.0
    np.testing.assert_array_equal(found["t"], [[2.0, 3.0]])
    np.testing.assert_array_equal(found["tt"], [4.0])
