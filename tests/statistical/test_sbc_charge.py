"""Simulation-based calibration of the charge calibration.

Constants are drawn from the prior, hits from the model, and the posterior by whitened Hamiltonian Monte Carlo.
If the density of the hits is that of the simulator and the sampler is right, the rank of every true constant among the
draws of its posterior is uniform, and central intervals cover at their level. All replicas run through one compiled
program: their plans are padded to common shapes.
"""

from __future__ import annotations

from typing import NamedTuple

import blackjax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro import handlers

from bayescal.charge.coverage import Resolution
from bayescal.charge.detector import simulate
from bayescal.diagnostics.calibration import central_coverage_test, holm, ranks, sbc_ranks_test
from bayescal.inference.laplace import gaussian
from bayescal.inference.optimise import Scale, minimise, prior_scale
from bayescal.inference.potential import Potential
from bayescal.likelihoods.pixel_hits import ChargeInputs, charge_inputs
from bayescal.likelihoods.plan import common_shapes, plan_hits
from bayescal.model_files import load_model
from bayescal.readers.detector import read_detector
from bayescal.segments import Segments, merge
from bayescal.tracks import generate_muons, generate_stopping

N_REPLICAS = 120
N_DRAWS, WARM_UP = 79, 10
"""Whitened draws are nearly independent: their correlation, about 0.1, moves a rank's distribution by 0.1/79."""
LEAPS, STEP_SIZE = 3, 0.5
"""A quarter of the period of a normal posterior of width one: draws then are nearly independent."""
RESOLUTION = Resolution(step_cm=0.25)
"""Coarse: the simulator that draws the hits and that of the density are the same."""
PRIORS = {
    "Ab": dist.Normal(0.8, 0.02),
    "kb": dist.Normal(0.0486, 0.004),
    "electric_field": dist.Normal(0.5, 5e-4),
    "lifetime": dist.LogNormal(7.7, 0.2),
    "long_diff": dist.LogNormal(np.log(4e-6), 0.3),
    "tran_diff": dist.LogNormal(np.log(8.8e-6), 0.15),
}
P_LIMIT = 0.01
"""False alarm of the test of ranks, and of that of coverage, each for all constants together."""

CHARGE = load_model("charge_constants").module


class Replica(NamedTuple):
    """True constants by name, hits [row, slot, 2] and the inputs with their plan."""

    truth: dict[str, np.ndarray]
    hits: np.ndarray
    inputs: ChargeInputs


class Chain(NamedTuple):
    """Draws [draw, d], unconstrained; divergence and acceptance of every trajectory, warm-up included."""

    x: np.ndarray
    diverging: np.ndarray
    acceptance: np.ndarray


def tracks(key: jax.Array) -> Segments:
    """A stopping proton and a stopping muon, for k_B, and passing muons, 25 cm in all."""
    proton, stopping, passing = jax.random.split(key, 3)
    geometry = read_detector("module0").geometry
    parts = [
        generate_stopping(proton, geometry, n_tracks=1, momentum_mev=(390.0, 400.0)),
        generate_stopping(stopping, geometry, n_tracks=1, particle="muon", max_length_cm=8.0),
        generate_muons(passing, geometry, n_tracks=2, length_cm=6.0),
    ]
    numbered = [eqx.tree_at(lambda s: s.event_id, part, part.event_id + 10 * n) for n, part in enumerate(parts)]
    return merge(numbered)


def replicas(key: jax.Array, inputs: ChargeInputs, n_replicas: int) -> list[Replica]:
    """Draw constants from the prior and hits from the model; plan all of them in common shapes."""

    @jax.jit
    def made(key: jax.Array, inputs: ChargeInputs) -> dict[str, jax.Array]:
        trace = handlers.trace(handlers.seed(CHARGE.model, key)).get_trace(inputs)
        return {name: trace[name]["value"] for name in (*PRIORS, CHARGE.OBSERVED)}

    drawn = [jax.device_get(made(one, inputs)) for one in jax.random.split(key, n_replicas)]
    hits = [values.pop(CHARGE.OBSERVED) for values in drawn]
    signal, chip = nominal_signal(inputs), inputs.detector.electronics
    plans = [plan_hits(values[..., 0], signal, inputs.coverage, chip) for values in hits]
    made_for = [
        eqx.tree_at(lambda i: i.plan, inputs, plan, is_leaf=lambda leaf: leaf is None)
        for plan in common_shapes(plans, inputs.coverage)
    ]
    return [Replica(*parts) for parts in zip(drawn, hits, made_for, strict=True)]


def nominal_signal(inputs: ChargeInputs) -> np.ndarray:
    """Charge collected by the end of each tick for the nominal constants, around which all hits are planned."""
    constants = CHARGE.charge_constants(CHARGE.fixed_or_nominal(inputs))
    chip = inputs.detector.electronics
    signals = jax.jit(simulate)(constants, inputs.coverage, inputs.detector)
    return np.asarray(signals.waveform(chip.first_tick - 1, chip.n_ticks + 1, chip.tick_us))


class Posterior:
    """Draws from the posteriors of all replicas by the same compiled programs."""

    def __init__(self, first: Replica, key: jax.Array) -> None:
        model_key, prior_key = jax.random.split(key)
        self.potential = Potential(CHARGE.model, first.inputs, first.hits, model_key)
        self.scale: Scale = prior_scale(self.potential.sample_prior(prior_key, 500))
        self.chain = jax.jit(self._chain)

    def of(self, replica: Replica) -> Potential:
        """The potential of a replica."""
        potential = self.potential.with_inputs(replica.inputs)
        potential.data = jnp.asarray(replica.hits)
        return potential

    def draw(self, key: jax.Array, replica: Replica) -> Chain:
        """A chain from a point near the mode, whitened by the curvature there."""
        potential = self.of(replica)
        optimum = minimise(potential, self.scale.centre, self.scale, max_gradients=400)
        metric = gaussian(optimum)
        chain = jax.device_get(self.chain(key, metric.mode, metric.factor, potential.inputs, potential.data))
        return chain._replace(x=metric.mode + chain.x[WARM_UP:] @ metric.factor.T)

    def _chain(self, key: jax.Array, centre: jax.Array, factor: jax.Array, inputs: ChargeInputs, hits) -> Chain:
        def log_density(y):
            return -self.potential.programs.energy(centre + factor @ y, inputs, hits)

        kernel = blackjax.hmc(log_density, STEP_SIZE, jnp.ones(centre.size), LEAPS)
        start_key, run_key = jax.random.split(key)
        start = kernel.init(jax.random.normal(start_key, centre.shape))

        def iteration(state, key):
            state, info = kernel.step(key, state)
            return state, Chain(state.position, info.is_divergent, info.acceptance_rate)

        return jax.lax.scan(iteration, start, jax.random.split(run_key, WARM_UP + N_DRAWS))[1]


@pytest.mark.validate
@pytest.mark.timeout(5400)
def test_ranks_are_uniform_and_intervals_cover():
    track_key, replica_key, model_key, chain_key = jax.random.split(jax.random.key(20), 4)
    inputs = charge_inputs(tracks(track_key), read_detector("module0"), PRIORS, resolution=RESOLUTION)
    made = replicas(replica_key, inputs, N_REPLICAS)
    posterior = Posterior(made[0], model_key)
    chains = [posterior.draw(key, one) for key, one in zip(jax.random.split(chain_key, len(made)), made, strict=True)]
    assert posterior.chain._cache_size() == 1, "the replicas did not share one compiled program"
    truths = [posterior.of(one).unconstrain(one.truth, posterior.scale.centre) for one in made]
    draws = np.stack([chain.x for chain in chains])
    assert sum(chain.diverging.sum() for chain in chains) <= 1e-3 * len(made) * N_DRAWS
    found = {
        name: ranks(np.stack(truths)[:, number], draws[:, :, number])
        for number, name in enumerate(posterior.potential.names)
    }
    uniform = holm({name: sbc_ranks_test(rank, N_DRAWS).p_value for name, rank in found.items()})
    covers = holm(
        {
            f"{name} {level:.0%}": central_coverage_test(rank, N_DRAWS, level).p_value
            for name, rank in found.items()
            for level in (0.68, 0.95)
        }
    )
    assert min(uniform.values()) > P_LIMIT, f"ranks: {uniform}"
    assert min(covers.values()) > P_LIMIT, f"coverage: {covers}"
