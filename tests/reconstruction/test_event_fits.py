from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from bayescal.inference.dispersed import CHAINS, KEPT
from bayescal.model_files import ModelFile
from bayescal.reconstruction.event_fits import fit_events


def test_means_of_a_product_of_two_constants(known_models):
    """Two events with the same data, and other random numbers."""
    known = known_models.banana(precision=0.3)
    module = SimpleNamespace(model=known.model, start=lambda inputs, data: {"gain": 1.1, "recombination": 0.9})
    file = ModelFile(module, "known", Path("known.py"), "")
    one, other = fit_events(jax.random.key(3), file, [known.inputs] * 2, [known.data] * 2, n_draws=1000)
    for fit in (one, other):
        assert fit.optimum.converged
        assert fit.khat < 0.7
        assert np.isnan(fit.r_hat)
        for name in ("gain", "recombination"):
            pull = (fit.draws[name].mean() - known.mean[name]) / known.sd[name]
            assert abs(pull) < 4 / np.sqrt(fit.ess)
    assert (one.draws["gain"] != other.draws["gain"]).any()


def squares(inputs, data=None):
    """Numbers of which the squares are measured: the Gaussian at one sign knows nothing of the other."""
    side = numpyro.sample("side", dist.Normal(0.0, 10.0).expand([3]).to_event(1))
    numpyro.sample("square", dist.Normal(side**2, inputs["error"]).to_event(1), obs=data)


def test_chains_where_the_gaussian_is_no_proposal():
    """Means and standard deviations to five standard errors of the draws of chains with a good R-hat, below 1.1."""
    module = SimpleNamespace(
        model=squares,
        start=lambda inputs, data: {"side": np.full(3, 1.1)},
        quick=lambda inputs: {**inputs, "quick": True},
    )
    file = ModelFile(module, "known", Path("known.py"), "")
    (fit,) = fit_events(jax.random.key(3), file, [{"error": 1.2}], [np.ones(3)])
    assert fit.optimum.converged
    assert fit.r_hat < 1.1
    assert fit.draws["side"].shape == (CHAINS * KEPT, 3)
    assert fit.gradients > fit.optimum.gradients + CHAINS * KEPT
    x = np.linspace(-8.0, 8.0, 20_001)
    density = np.exp(-(x**2) / 200.0 - 0.5 * ((x**2 - 1.0) / 1.2) ** 2)
    sd = np.sqrt(x**2 @ density / density.sum())
    assert (np.abs(fit.draws["side"].mean(axis=0)) < 5 * sd / np.sqrt(fit.ess)).all()
    assert (np.abs(fit.draws["side"].std(axis=0) / sd - 1.0) < 5 / np.sqrt(2 * fit.ess)).all()


ERROR, BENT = 0.1, 0.499


def flat(inputs, data=None):
    """Numbers of which the squares are measured, and two with potentials of (0.002 x^2 + x^4) / ERROR^2."""
    side = numpyro.sample("side", dist.Normal(0.0, 10.0).expand([3]).to_event(1))
    bent = numpyro.sample("bent", dist.Normal(0.0, 10.0).expand([2]).to_event(1))
    numpyro.sample("square", dist.Normal(side**2, inputs["error"]).to_event(1), obs=data)
    numpyro.sample("both", dist.Normal(both_ways(bent), ERROR).to_event(1), obs=np.full(4, BENT))


def both_ways(bent):
    return jnp.concatenate([bent**2 + bent, bent**2 - bent])


def test_chains_step_as_the_data_tell_where_the_mode_is_flat():
    """The Hessian at the mode makes steps six times as wide as the posterior: chains would not move.

    Standard deviations to five standard errors of the draws.
    """
    module = SimpleNamespace(
        model=flat,
        start=lambda inputs, data: {"side": np.full(3, 1.1), "bent": np.full(2, 0.01)},
        measured=lambda values, inputs: (
            jnp.concatenate([values["side"] ** 2, both_ways(values["bent"])]),
            jnp.repeat(jnp.array([inputs["error"], ERROR]), np.array([3, 4])) ** -2.0,
        ),
    )
    file = ModelFile(module, "known", Path("known.py"), "")
    (fit,) = fit_events(jax.random.key(5), file, [{"error": 1.2}], [np.ones(3)])
    assert fit.optimum.converged
    assert fit.r_hat < 1.1
    x = np.linspace(-1.5, 1.5, 20_001)
    density = np.exp(-((1 - 2 * BENT) * x**2 + x**4) / ERROR**2)
    sd = np.sqrt(x**2 @ density / density.sum())
    assert (np.abs(fit.draws["bent"].std(axis=0) / sd - 1.0) < 5 / np.sqrt(2 * fit.ess)).all()
