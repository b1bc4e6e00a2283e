"""Small posteriors whose answer is known."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy.stats import norm

WIDTHS = np.array([1e-4, 1e-3, 1e-2, 0.05, 0.2, 1.0])  # of the sharp posterior, in units of its uniform priors
CENTRE = np.array([0.3, 0.6, 0.5, 0.4, 0.7, 0.5])
SIZE = 10  # dimensions of the Gaussian posterior
RATES = 1000  # of the hierarchy
SHAPE = 3.0  # of the rates' distribution


class Case(NamedTuple):
    """A model with its inputs and data."""

    model: object
    inputs: object
    data: object


def neighbours(size: int, correlation: float) -> np.ndarray:
    """Correlation that falls geometrically with the distance of two components."""
    index = np.arange(size)
    return correlation ** np.abs(np.subtract.outer(index, index))


@pytest.fixture(scope="package")
def gaussian_case() -> Case:
    """Ten correlated dimensions of widths 1e-2 to 10 under a flat prior: mean and covariance are the inputs'."""
    widths = np.logspace(-2, 1, SIZE)
    inputs = {"covariance": neighbours(SIZE, 0.9) * np.outer(widths, widths)}

    def model(inputs, data=None):
        mean = numpyro.sample("mean", dist.Normal(0.0, 1e4).expand([SIZE]).to_event(1))
        numpyro.sample("observed", dist.MultivariateNormal(mean, inputs["covariance"]), obs=data)

    return Case(model, inputs, np.arange(1.0, SIZE + 1.0))


@pytest.fixture(scope="package")
def sharp_case() -> Case:
    """Uniform priors, widths from 1e-4 to 1 of them, neighbours correlated by 0.93, some curvature."""
    precision = np.linalg.inv(neighbours(len(WIDTHS), 0.93))

    def model(inputs, data=None):
        share = numpyro.sample("share", dist.Uniform(0.0, 1.0).expand([len(WIDTHS)]).to_event(1))
        pull = (share - data) / inputs["width"]
        pull = pull.at[1:].add(0.12 * jnp.tanh(pull[:-1]) ** 2)
        numpyro.factor("likelihood", -0.5 * pull @ inputs["precision"] @ pull)

    return Case(model, {"width": WIDTHS, "precision": precision}, CENTRE)


@pytest.fixture(scope="package")
def banana_case() -> Case:
    """A product measured to a third of what the priors leave to its factors."""

    def model(inputs, data=None):
        gain = numpyro.sample("gain", dist.Normal(1.0, inputs["spread"]))
        yield_ = numpyro.sample("yield", dist.Normal(1.0, inputs["spread"]))
        product = numpyro.deterministic("product", gain * yield_)
        numpyro.sample("observed", dist.Normal(product, 0.1), obs=data)

    return Case(model, {"spread": 0.3}, np.array(1.0))


@pytest.fixture(scope="package")
def skewed_case() -> Case:
    """A time constant and a rate of Gamma posteriors, means 3 and 0.5, and a probability of a Beta one, mean 0.3."""

    def model(inputs, data=None):
        numpyro.sample("lifetime", dist.Gamma(inputs["shape"], 4.0))
        numpyro.sample("rate", dist.Gamma(inputs["shape"], 24.0))
        numpyro.sample("share", dist.Beta(6.0, 14.0))

    return Case(model, {"shape": 12.0}, None)


@pytest.fixture(scope="package")
def make_hierarchy():
    """A function of the exposure: counts of 1,000 Poisson rates of one Gamma population, whose scale is free, too."""

    def model(inputs, data=None):
        inverse = numpyro.sample("inverse", dist.Gamma(2.0, 1.0))
        rate = numpyro.sample("rate", dist.Gamma(SHAPE, inverse).expand([RATES]).to_event(1))
        numpyro.sample("count", dist.Poisson(rate * inputs), obs=data)

    def make(exposure: float) -> Case:
        random = np.random.default_rng(1)
        return Case(model, exposure, random.poisson(random.gamma(SHAPE, 1.0 / 1.5, RATES) * exposure))

    return make


@pytest.fixture(scope="package")
def hierarchy_means():
    """A function of a hierarchy that gives its exact posterior means, `inverse` first.

    The rates are Gamma(SHAPE + count, inverse + exposure) for a given inverse scale, whose marginal density is left
    with one dimension.
    """

    def means(case: Case) -> np.ndarray:
        inverse = np.linspace(1.0, 2.5, 20_001)
        log_density = (1.0 + RATES * SHAPE) * np.log(inverse) - inverse
        log_density -= (RATES * SHAPE + case.data.sum()) * np.log(inverse + case.inputs)
        weights = np.exp(log_density - log_density.max())
        weights /= weights.sum()
        return np.append(weights @ inverse, (SHAPE + case.data) * (weights @ (1.0 / (inverse + case.inputs))))

    return means


@pytest.fixture(scope="package")
def assert_means():
    """A function that compares means of draws [n, p] with true ones; false alarm 0.27 %, that of 3 sigma, over all."""

    def check(draws: np.ndarray, truth: np.ndarray, ess: float) -> None:
        error = draws.std(axis=0) * np.sqrt(1.0 / ess + 1.0 / len(draws))  # of the weights, and of resampling by them
        pulls = np.abs(draws.mean(axis=0) - truth) / error
        assert pulls.max() < norm.isf(norm.sf(3.0) / pulls.size), f"{pulls.max():.1f} errors at {pulls.argmax()}"

    return check


@pytest.fixture
def key() -> jax.Array:
    return jax.random.key(7)
