"""Tempered sequential Monte Carlo: particles from a broad distribution to the posterior, by ever colder stages.

(P. Del Moral, A. Doucet and A. Jasra, J. R. Stat. Soc. B 68 (2006) 411; the next temperature by the effective sample
size of the weights after A. Jasra et al., Scand. J. Stat. 38 (2011) 1.) Base p0 and posterior p are bridged by
p0^(1-t) p^t, 0 <= t <= 1. BlackJAX resamples and weighs the particles and moves them by Hamiltonian trajectories whose
metric is their own covariance. It finds several modes where its base covers them; several independent runs tell
whether the particles are enough. The log-evidence that each found is kept with the provenance.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
from blackjax.smc import adaptive_tempered, extend_params, resampling
from blackjax.smc.tempered import TemperedSMCState
from blackjax.smc.tuning.from_kernel_info import update_scale_from_acceptance_rate
from jaxtyping import Array, PRNGKeyArray

from bayescal.errors import InputError
from bayescal.inference.convergence import quality
from bayescal.inference.gaussian import Approximation
from bayescal.inference.interrupts import Interrupts
from bayescal.inference.optimum import prior_scale
from bayescal.inference.potential import Potential, prior_potential
from bayescal.inference.problem import Outcome, Problem
from bayescal.inference.progress import Progress, ProgressFunction
from bayescal.inference.sampler import FIRST_STEP
from bayescal.inference.settings import FitSettings

BROAD = (
    1000.0  # widths of the mode that the prior spans before a Gaussian serves as base: each power of ten costs stages
)
WIDE = 3.0  # width of that Gaussian, in widths of the mode
TARGET_ACCEPTANCE = 0.8  # of the moves; the step size follows it from stage to stage
LEAST_ACCEPTANCE = 0.3  # of the last moves, below which the particles have not spread
LONGEST = (
    np.pi
)  # of trajectories whose lengths vary: equal ones of half a period mirror a particle without spreading it
CORRELATIONS = 25.0  # particles a dimension from which on their correlations count, see `_covariance`
MEMORY_BYTES = 1e9  # of the particles that move at the same time
MAX_STAGES = 1000
NO_DENSITY = -1e30  # log-density of a point outside the support, finite so that differences of it are numbers

LogDensity = Callable[[Array], Array]
Watch = Callable[[int, "Stage"], None]


class Base(NamedTuple):
    """What the particles are drawn from.

    Attributes:
        name: "prior" or "gaussian".
        particles: whitened coordinates by run [run, particle, d].
        log_share: logarithm of the share of its draws at which the posterior is not zero.
    """

    name: str
    particles: np.ndarray
    log_share: float


class Stage(NamedTuple):
    """What is known after a stage; those of a run together are arrays [stage].

    Temperature t, leapfrog steps of all moves, step size for the next stage, mean acceptance, gain in log-evidence.
    """

    temperature: Any
    n_steps: Any
    step_size: Any
    acceptance: Any
    log_evidence: Any


class Particles(NamedTuple):
    """The end of a run: whitened coordinates [particle, d], their potential [particle], and its stages."""

    y: np.ndarray
    potential: np.ndarray
    stages: Stage


def smc(key: PRNGKeyArray, problem: Problem, settings: FitSettings, progress: ProgressFunction) -> Outcome:
    """Independent runs, each a chain of the result; an interrupt keeps the finished ones.

    Raises:
        InputError: the log-density is finite at too few draws of the prior.
        KeyboardInterrupt: it was interrupted before the first run was finished.
    """
    base_key, run_key = jax.random.split(key)
    tempering = Tempering(problem, settings)
    base = Base(**problem.stage("base", lambda: tempering.base(base_key)._asdict()))
    keys, runs, interrupted = jax.random.split(run_key, settings.chains), [], False
    try:
        with Interrupts() as interrupts:
            for number in range(settings.chains):
                watch = partial(_watch, interrupts, progress, problem.potential, (number + 1, settings.chains))
                runs.append(_run(problem, tempering, (keys[number], base, number), watch))
    except KeyboardInterrupt:
        if not runs:
            raise
        interrupted = True
    return _outcome(problem, base, runs, settings, interrupted=interrupted)


def _run(problem: Problem, tempering: Tempering, which: tuple[Any, Base, int], watch: Watch) -> Particles:
    """One of the runs, as a stage of the fit."""
    key, base, number = which

    def compute():
        found = tempering.run(key, base, base.particles[number], watch)
        return {"y": found.y, "potential": found.potential, **found.stages._asdict()}

    found = problem.stage(f"run-{number + 1}", compute)
    return Particles(found.pop("y"), found.pop("potential"), Stage(**found))


class Tempering:
    """The compiled stage and what it needs: arguments are inputs, data and the whitening Gaussian."""

    def __init__(self, problem: Problem, settings: FitSettings) -> None:
        self.problem, self.settings = problem, settings
        self.potential: Potential = problem.potential
        self.batch = min(settings.particles, settings.smc_batch or self._particles_at_once())
        self._stage = jax.jit(self._move, static_argnums=0)
        self._energies = jax.jit(self._map_energy)

    def _particles_at_once(self) -> int:
        """As many as fit the memory by what the compiled gradient says that it needs."""
        x = jnp.zeros(self.potential.size)
        gradient: Any = self.potential.programs.value_and_grad
        program = gradient.lower(x, self.potential.inputs, self.potential.data).compile()
        analysis = program.memory_analysis()
        if analysis is None:
            return self.settings.particles
        return max(1, int(MEMORY_BYTES / (analysis.temp_size_in_bytes + 1)))

    def base(self, key: PRNGKeyArray) -> Base:
        """Draws of the prior, or of a wide Gaussian around the mode where the prior is too broad."""
        shape = (self.settings.chains, self.settings.particles, self.potential.size)
        if self._base_name() == "gaussian":
            return Base("gaussian", WIDE * np.asarray(jax.random.normal(key, shape)), 0.0)
        draws = self.potential.sample_prior(key, 2 * shape[0] * shape[1])
        good = np.isfinite(self.energies(draws))
        if good.sum() < shape[0] * shape[1]:
            raise InputError(
                f"the log-density is finite at {good.mean():.0%} of the prior's draws only, too few for smc to start "
                'from: narrow the priors, or set smc_start = "gaussian"'
            )
        y = self.problem.approximation.whiten(draws[good][: shape[0] * shape[1]])
        return Base("prior", y.reshape(shape), float(np.log(good.mean())))

    def _base_name(self) -> str:
        if self.settings.smc_start != "auto":
            return self.settings.smc_start
        spread = prior_scale(self.problem.approximation.whiten(self.problem.prior)).spread
        return "gaussian" if spread.max() > BROAD else "prior"

    def energies(self, x: np.ndarray) -> np.ndarray:
        """The potential at many points x [n, d]."""
        self.potential.evaluations.values += len(x)
        return np.asarray(self._energies(x, self.potential.inputs, self.potential.data))

    def _map_energy(self, x: Array, inputs: Any, data: Any) -> Array:
        energy = self.potential.programs.energy
        return jax.lax.map(lambda row: energy(row, inputs, data), x, batch_size=self.batch)

    def run(self, key: PRNGKeyArray, base: Base, particles: np.ndarray, watch: Watch) -> Particles:
        """From the base to the posterior; the last stage resamples and moves at its temperature."""
        uniform = np.full(len(particles), 1.0 / len(particles))
        state = TemperedSMCState(particles, uniform, np.zeros(()))  # pyright: ignore[reportArgumentType]
        step_size, stages = np.asarray(FIRST_STEP * self.potential.size**-0.25), []
        arguments = (self.problem.approximation, self.potential.inputs, self.potential.data)
        for one in jax.random.split(key, MAX_STAGES):
            last = bool(state.tempering_param >= 1.0)
            state, stage = jax.block_until_ready(self._stage(base.name, one, state, step_size, *arguments))
            step_size = stage.step_size
            stages.append(Stage(*map(float, stage)))
            self.potential.evaluations.gradients += len(particles) + int(stage.n_steps)
            self.potential.evaluations.values += 2 * len(particles)
            watch(len(stages), stages[-1])
            if last or not np.isfinite(stages[-1].temperature):
                break
        y = np.asarray(state.particles)
        joined = Stage(*map(np.asarray, zip(*stages, strict=True)))
        return Particles(y, self.energies(self.problem.approximation.colour(y)), joined)

    def _move(
        self, base: str, key: PRNGKeyArray, state: TemperedSMCState, step_size: Array, *arguments: Any
    ) -> tuple[TemperedSMCState, Stage]:
        """One stage: resample, move at the temperature reached, weigh for the next."""
        log_base, log_likelihood = self._densities(base, *arguments)
        kernel = adaptive_tempered.build_kernel(
            log_base,
            log_likelihood,
            _trajectory,
            blackjax.hmc.init,
            resampling.systematic,
            target_ess=self.settings.smc_ess,
            batch_size=self.batch,
        )
        longest = jnp.ceil(LONGEST / step_size).astype(int)
        move: Any = {"step_size": step_size, "inverse_mass_matrix": _covariance(state), "longest": longest}
        state, info = kernel(key, state, self.settings.smc_moves, extend_params(move))
        n_steps = info.update_info.num_integration_steps.sum()
        acceptance = info.update_info.acceptance_rate.mean()
        step_size = update_scale_from_acceptance_rate(step_size[None], acceptance[None], TARGET_ACCEPTANCE)[0]
        temperature = jnp.where(state.tempering_param > 1.0 - 1e-12, 1.0, state.tempering_param)
        state = state._replace(tempering_param=temperature)
        return state, Stage(temperature, n_steps, step_size, acceptance, info.log_likelihood_increment)

    def _densities(self, base: str, whitening: Approximation, inputs: Any, data: Any) -> tuple[LogDensity, LogDensity]:
        """Log-densities, in whitened coordinates, of the base and of the posterior relative to it."""
        log_base = {"prior": self._log_prior, "gaussian": self._log_gaussian}[base](whitening, inputs, data)
        energy = self.potential.programs.energy

        def log_likelihood(y: Array) -> Array:
            value = -energy(whitening.colour(y), inputs, data) - log_base(y)
            return jnp.where(jnp.isfinite(value), value, NO_DENSITY)

        return log_base, log_likelihood

    def _log_prior(self, whitening: Approximation, inputs: Any, data: Any) -> LogDensity:
        energy = prior_potential(self.potential.model, inputs, data, jax.random.key(0)).programs.energy
        return lambda y: -energy(whitening.colour(y), inputs, data)

    def _log_gaussian(self, *arguments: Any) -> LogDensity:
        del arguments
        norm = self.potential.size * np.log(WIDE * np.sqrt(2.0 * np.pi)) + self.problem.approximation.log_volume()
        return lambda y: -0.5 * jnp.sum((y / WIDE) ** 2) - norm


def _trajectory(
    key: PRNGKeyArray, state: Any, log_density: LogDensity, step_size: Array, inverse_mass_matrix: Array, longest: Array
) -> tuple[Any, Any]:
    """A Hamiltonian move of at most so many steps, their number drawn anew for each."""
    length_key, move_key = jax.random.split(key)
    n_steps = jax.random.randint(length_key, (), 1, longest + 1)
    return blackjax.hmc.build_kernel()(move_key, state, log_density, step_size, inverse_mass_matrix, n_steps)


def _covariance(state: TemperedSMCState) -> Array:
    """Weighted covariance of the particles, its correlations shrunk where the particles are few [d, d].

    Every particle has a share in its own metric, so that its moves are not quite those of the posterior: with full
    correlations widths come out too small by d / n (2.3 % at d = 100, n = 4000); shrunk so, by 1 % at most.
    """
    particles: Any = state.particles
    n, d = particles.shape
    raw = jnp.atleast_2d(jnp.cov(particles, rowvar=False, aweights=state.weights))
    shrinkage = min(1.0, CORRELATIONS * d / n)
    return (1.0 - shrinkage) * raw + shrinkage * jnp.diag(jnp.diag(raw))


def _watch(
    interrupts: Interrupts,
    progress: ProgressFunction,
    potential: Potential,
    run: tuple[int, int],
    count: int,
    stage: Stage,
) -> None:
    """Tell of a stage; end the run where that was asked for."""
    name = f"run {run[0]} of {run[1]}"
    line = f"{name}: stage {count}, temperature {stage.temperature:.3g}, acceptance {stage.acceptance:.2f}"
    done = int(100.0 * stage.temperature)
    progress(Progress(name, done, 100, potential.evaluations.gradients, 0, stage.step_size, line))
    if interrupts.asked:
        raise KeyboardInterrupt


def _outcome(
    problem: Problem, base: Base, runs: list[Particles], settings: FitSettings, *, interrupted: bool
) -> Outcome:
    draws = problem.potential.constrain(problem.approximation.colour(np.stack([run.y for run in runs])))
    stages, required = [run.stages for run in runs], settings.required
    found = [f"it was interrupted after {len(runs)} of {settings.chains} runs"] if interrupted else []
    if base.name == "gaussian" and not problem.optimum.converged:
        found.append("the mode to start from was not found")
    slowest = max(len(of_run.temperature) for of_run in stages)
    acceptance = min(of_run.acceptance[-1] for of_run in stages)
    where = "the prior" if base.name == "prior" else f"a Gaussian {WIDE:.0f} times as wide as the mode"
    return Outcome(
        draws,
        {"lp": -np.stack([run.potential for run in runs])},
        found + _failures(stages) + quality(draws).failures(required),
        f"{len(runs)} runs from {where} agree after at most {slowest} stages: R-hat below {required.rhat}, bulk and "
        f"tail ESS above {required.ess:.0f}; the last moves were accepted at a rate of {acceptance:.2f} or more",
        {
            "base": base.name,
            "stages": [len(of_run.temperature) for of_run in stages],
            "temperatures": [of_run.temperature.tolist() for of_run in stages],
            "acceptance": [of_run.acceptance.tolist() for of_run in stages],
            "log_evidence": [base.log_share + float(of_run.log_evidence.sum()) for of_run in stages],
            "interrupted": interrupted,
            "unfinished": interrupted,
        },
    )


def _failures(stages: list[Stage]) -> list[str]:
    """What the stages of each run say against them."""
    found = ["one run alone cannot tell whether the particles are enough"] if len(stages) < 2 else []
    if not all(of_run.temperature[-1] == 1.0 for of_run in stages):
        found.append("a run did not reach the posterior: raise particles")
    worst = min(of_run.acceptance[-1] for of_run in stages)
    if not worst > LEAST_ACCEPTANCE:
        found.append(f"the last moves were accepted at a rate of {worst:.2f}: raise smc_moves or particles")
    return found
