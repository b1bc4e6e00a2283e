"""Power scaling on posteriors of a normal prior and a normal likelihood, drawn exactly."""

import numpy as np
import pytest

from bayescal.diagnostics.sensitivity import HEADERS, sensitivities
from bayescal.errors import InputError
from bayescal.inference.result import Moments, assemble, laplace_group

SHAPE = (4, 1000)


def result(posterior, prior, log_prior, log_likelihood, method="nuts"):
    stats = {} if log_likelihood is None else {"log_likelihood": log_likelihood}
    groups = {
        "posterior": {"kb": posterior},
        "prior": {"kb": prior[None]},
        "sample_stats": {"lp": np.zeros(posterior.shape), **stats},
        "log_prior": {} if log_prior is None else {"kb": log_prior},
    }
    moments = Moments(("kb",), np.zeros(1), np.eye(1))
    attributes = {"method": method, "converged": True, "verdict": "fine", "provenance": {}}
    return assemble(groups, laplace_group(moments, moments, {}), attributes, {})


def normal(mean, sd):
    """The posterior of a standard normal prior and a normal likelihood of this mean and width."""
    rng = np.random.default_rng(0)
    variance = 1.0 / (1.0 + sd**-2)
    draws = variance * mean / sd**2 + np.sqrt(variance) * rng.normal(size=SHAPE)
    return result(draws, rng.normal(size=500), -0.5 * draws**2, -0.5 * ((draws - mean) / sd) ** 2)


def uniform(draws, sd=0.05):
    """Draws under a uniform prior from 0 to 1 and a normal likelihood of this width."""
    return result(draws, np.linspace(0.0, 1.0, 500), np.zeros(draws.shape), -0.5 * ((draws - 0.5) / sd) ** 2)


@pytest.mark.parametrize(
    ("mean", "sd", "words"),
    [
        (0.0, 0.1, "set by the data"),
        (0.0, 10.0, "dominated by the prior: the data hardly change it"),
        (5.0, 1.0, "prior and data pull at it: an informative prior, or a conflict of both"),
    ],
)
def test_words(mean, sd, words):
    (found,) = sensitivities(normal(mean, sd))
    assert found.words.startswith(words)
    assert found.good == (words == "set by the data")
    assert dict(zip(HEADERS, found.cells(), strict=True))["parameter"] == "kb"


@pytest.mark.parametrize("sd", [0.1, 0.5, 3.0])
def test_sensitivities_share_as_the_precisions_do(sd):
    """Where prior and likelihood agree, scaling either changes the precision by its share of it, and nothing else."""
    (found,) = sensitivities(normal(0.0, sd))
    assert found.prior / found.likelihood == pytest.approx(sd**2, rel=0.1)


def test_a_uniform_prior_is_not_scaled_but_its_ends_are_seen():
    rng = np.random.default_rng(1)
    (inside,) = sensitivities(uniform(rng.normal(0.5, 0.05, SHAPE)))
    assert (inside.prior, inside.low, inside.high, inside.good) == (0.0, 0.0, 0.0, True)
    assert inside.words == "set by the data"
    (cut,) = sensitivities(uniform(np.abs(rng.normal(0.0, 0.1, SHAPE)), 0.1))
    assert cut.low == pytest.approx(2 * 0.0793, abs=5 * np.sqrt(0.16 * 0.84 / 4000))  # |z| below 0.02 / 0.1
    assert cut.words == f"pressed against the prior's lower end ({cut.low:.0%} of the draws)"
    (same,) = sensitivities(uniform(rng.uniform(0.0, 1.0, SHAPE), 100.0))
    assert same.words == "left to a flat prior: the data hardly change it"


def test_results_without_what_it_needs():
    draws = np.random.default_rng(2).normal(size=SHAPE)
    with pytest.raises(InputError, match=r"method hmcecs\) holds no log-prior and log-likelihood of its draws"):
        sensitivities(result(draws, draws[0], draws, None, "hmcecs"))
    with pytest.raises(InputError, match="holds no log-prior and log-likelihood"):
        sensitivities(result(draws, draws[0], None, draws))
    with pytest.raises(InputError, match=r"no draws that move, which power scaling needs"):
        sensitivities(result(draws[:1, :1], draws[0], draws[:1, :1], draws[:1, :1], "map"))
