"""What inference costs: time beside the gradients, and how many of them.

    python benchmarks/inference.py overhead                 time a gradient beyond what NumPyro takes, called directly
    python benchmarks/inference.py gradients                sharp posterior of six parameters, every method
    python benchmarks/inference.py gradients --charge 50    the charge calibration on so much made track [cm]
    python benchmarks/inference.py gradients --methods nuts laplace    some of ours
    python benchmarks/inference.py steps                    NUTS by step size, and HMC, on standard normals

For `gradients` all methods are held to the same rule: bulk and tail effective sample size of the worst parameter above
400 and R-hat below 1.01. Everything counts: search for the mode, curvature, weights (a log-density is half a gradient),
warm-up.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax import Array
from numpyro.infer import HMC, MCMC, NUTS
from numpyro.infer.hmc import hmc
from numpyro.infer.util import ParamInfo

import bayescal
from bayescal.inference.checkpoint import opened
from bayescal.inference.convergence import quality
from bayescal.inference.gaussian import Gaussian
from bayescal.inference.machine import Attempt, Machine, State
from bayescal.inference.mcmc import HELD_STEP
from bayescal.inference.optimum import prior_scale
from bayescal.inference.potential import Potential
from bayescal.inference.sampler import FIRST_STEP, TRAJECTORY, Sampler, quarter_leaps, quarter_step
from bayescal.inference.settings import KHAT_LIMIT, FitSettings, Goal
from bayescal.likelihoods.hits import SelfTriggeredReadout
from bayescal.likelihoods.pixel_hits import charge_inputs
from bayescal.model_files import load_model
from bayescal.readers.detector import read_detector
from bayescal.tracks import demo_tracks

GRADIENTS_S = (0.01, 0.1)
"""Times of a gradient at which the overhead is measured [s]."""
DRAWS, PAIRS = 40, 5
"""Draws of a run, and runs of ours beside runs of NumPyro, in turn."""
SIZE = 6
UNTIL = "ess > 1000000"
"""Never reached, but judged."""

Call = tuple[float, int]
"""Seconds and gradients of a run."""
REFERENCE = "numpyro NUTS, default"
WANTED, RHAT = 400.0, 1.01  # effective samples of the worst parameter, and its R-hat
WIDTHS = np.array([1e-4, 1e-3, 1e-2, 0.05, 0.2, 1.0])  # of the sharp posterior, in units of its uniform priors
CENTRE = np.array([0.3, 0.6, 0.5, 0.4, 0.7, 0.5])
CHAINS, WARMUP, BLOCK = 4, 500, 10  # of NumPyro's own run
TIMES_NUTS, TIMES_LAPLACE = 5.0, 20.0  # how much cheaper than NumPyro's own run ours must be where k-hat is below 0.7
METHODS = ("laplace", "nuts", "hmc", "blackjax_nuts", "mclmc", "smc")


def slow_model(inputs, data=None):
    """A standard normal in six dimensions whose gradient takes time in proportion to the inputs."""
    place = numpyro.sample("place", dist.Normal(0.0, 1.0).expand([SIZE]).to_event(1))
    work = inputs + place.sum()
    for _ in range(8):
        work = jnp.exp(-work * work)
    numpyro.factor("nothing", 1e-300 * work.sum())


def slow_potential(gradient_s: float) -> tuple[Potential, float]:
    """A potential whose gradient takes about so long, and the time it takes [s]."""
    size, seconds = 1 << 14, 0.0
    while True:
        potential = Potential(slow_model, np.linspace(-1.0, 1.0, size), None, jax.random.key(0))
        seconds = seconds_a_gradient(potential)
        if seconds > 0.8 * gradient_s:
            return potential, seconds
        size = int(size * max(1.2, gradient_s / seconds))


def seconds_a_gradient(potential: Potential) -> float:
    """Shortest time of a gradient [s]."""
    times = []
    for _ in range(8):
        begin = time.perf_counter()
        potential.value_and_grad(np.zeros(SIZE))
        times.append(time.perf_counter() - begin)
    return min(times)


class Ours:
    """Draws of one chain, kept on the disk and judged as a study's are."""

    def __init__(self, potential: Potential, settings: FitSettings, folder: Path) -> None:
        self.settings, self.folder = settings, folder
        self.machine = Machine(Sampler(potential, settings), [Attempt([], settings.target_accept, last=True)])
        identity = np.eye(SIZE)
        self.start = self.machine.start(jax.random.key(1), Gaussian(np.zeros(SIZE), identity, identity))

    def __call__(self) -> Call:
        """Time one run."""
        begin = time.perf_counter()
        with opened(self.folder, {}, "restart", self.settings.checkpoint_seconds) as store:
            state: State = self.start
            while not self.machine.finished(state):
                state = self.machine.advance(state)
                if store.due():
                    store.save(*self.machine.saved(state))
            store.save(*self.machine.saved(state))
        return time.perf_counter() - begin, round(state.gradients - self.start.gradients)


class Theirs:
    """The same by NumPyro's own loop, each run from where the last one ended."""

    def __init__(self, potential: Potential, settings: FitSettings) -> None:
        self.inputs = potential.inputs
        shared: dict[str, Any] = {"step_size": FIRST_STEP * SIZE**-0.25, "adapt_step_size": False}
        shared |= {"adapt_mass_matrix": False}
        if settings.method == "hmc":
            kernel: Any = HMC(slow_model, trajectory_length=TRAJECTORY, **shared)
        else:
            kernel = NUTS(slow_model, **shared)
        self.mcmc = MCMC(kernel, num_warmup=0, num_samples=DRAWS, progress_bar=False, jit_model_args=True)

    def __call__(self) -> Call:
        """Time one run."""
        begin = time.perf_counter()
        self.mcmc.post_warmup_state = self.mcmc.last_state
        self.mcmc.run(jax.random.key(1), self.inputs, None, extra_fields=("num_steps",))
        steps = np.asarray(self.mcmc.get_extra_fields()["num_steps"])
        return time.perf_counter() - begin, int(steps.sum())


def overhead(method: str, potential: Potential, folder: Path) -> tuple[float, float]:
    """Time a gradient of ours over NumPyro's, less one: median of pairs of runs, and half of their range."""
    settings = FitSettings(method=method, chains=1, draws=DRAWS // 2, max_draws=DRAWS, until=UNTIL)  # pyright: ignore
    ours, theirs = Ours(potential, settings, folder), Theirs(potential, settings)
    ours(), theirs(), theirs()  # compilation, also of a run that goes on
    ratios = []
    for _ in range(PAIRS):
        (seconds, gradients), (their_seconds, their_gradients) = ours(), theirs()
        ratios.append(seconds / gradients / (their_seconds / their_gradients) - 1.0)
    return float(np.median(ratios)), 0.5 * float(np.ptp(ratios))


def overheads(arguments: argparse.Namespace) -> None:
    """Print the overhead of NUTS and HMC."""
    del arguments
    for wanted in GRADIENTS_S:
        potential, seconds = slow_potential(wanted)
        for method in ("nuts", "hmc"):
            with tempfile.TemporaryDirectory() as folder:
                found, spread = overhead(method, potential, Path(folder) / "run")
            print(f"{method}, gradient of {1e3 * seconds:.0f} ms: {found:+.1%} ± {spread:.1%} over NumPyro's time")


class Case(NamedTuple):
    """A model with inputs and data, and what it knows of its start."""

    model: Callable
    inputs: Any
    data: Any
    hooks: dict[str, Any]


class Cost(NamedTuple):
    """Gradients spent, smallest bulk effective sample size reached, k-hat, and what keeps the draws from being good."""

    gradients: float
    ess: float
    khat: float
    failures: str


def sharp() -> Case:
    """Widths from 1e-4 to 1 of the priors, neighbours correlated by 0.93, curved by 12 % of a width."""
    index = np.arange(len(WIDTHS))
    precision = np.linalg.inv(0.93 ** np.abs(np.subtract.outer(index, index)))

    def model(inputs, data=None):
        share = numpyro.sample("share", dist.Uniform(0.0, 1.0).expand([len(WIDTHS)]).to_event(1))
        pull = (share - data) / inputs["width"]
        pull = pull.at[1:].add(0.12 * jnp.tanh(pull[:-1]) ** 2)
        numpyro.factor("likelihood", -0.5 * pull @ inputs["precision"] @ pull)

    return Case(model, {"width": WIDTHS, "precision": precision}, CENTRE, {})


def charge(length_cm: float) -> Case:
    """The charge calibration on made tracks."""
    study = load_model("charge_constants").module
    track_key, hit_key = jax.random.split(jax.random.key(1))
    detector = read_detector("module0")
    inputs = charge_inputs(demo_tracks(track_key, detector.geometry, length_cm), detector, {})
    constants = study.charge_constants(study.fixed_or_nominal(inputs) | {"event_time": 0.0})
    signals = study.simulate(constants, inputs.coverage, detector)
    data = SelfTriggeredReadout(signals, detector.electronics, live=inputs.live).sample(hit_key)
    inputs = study.prepare(inputs, data)
    return Case(study.model, inputs, data, {"start": study.start(inputs, data), "tempered": study.tempered})


def ours(case: Case, method: str) -> Cost:
    """A method of `bayescal.fit`, with as many draws as it needs."""
    for doubling in range(6):
        settings = FitSettings(
            method=method,
            draws=100 if method != "laplace" else 500 << doubling,
            until=f"ess > {WANTED:.0f} and rhat < {RHAT}",
            max_draws=20_000,
            importance_draws=200 if method != "laplace" else 500 << doubling,
            particles=500 << doubling,
        )
        result = bayescal.fit(
            case.model, case.inputs, case.data, key=jax.random.key(2), settings=settings, **case.hooks
        )
        facts = result.attrs
        ess = facts["importance_ess"] if method == "laplace" else smallest_ess(result)
        if method not in ("laplace", "smc") or ess > WANTED:
            break
    spent = facts["gradients"] + 0.5 * facts["values"]
    return Cost(spent, ess, facts.get("khat", math.nan), "" if result.converged else result.verdict)


def smallest_ess(result: bayescal.inference.Result) -> float:
    """Of the bulk of all parameters that move."""
    return float(quality({name: result.data["posterior"][name].values for name in result.names}).ess_bulk.min())


def numpyro_default(case: Case, most: int) -> Cost:
    """NumPyro's NUTS as it comes, diagonal metric, from the prior's median, in units of the prior's spread.

    Args:
        case: what is fitted.
        most: gradients after which it gives up.
    """
    potential = Potential(case.model, case.inputs, case.data, jax.random.key(3))
    scale = prior_scale(potential.sample_prior(jax.random.key(4), 500))

    def standardised(inputs, data):
        return lambda z: potential.programs.energy(scale.centre + scale.spread * z, inputs, data)

    init, step = hmc(potential_fn_gen=standardised, algo="NUTS")
    arguments = (potential.inputs, potential.data)

    def begin(key):
        zeros = jnp.zeros(potential.size)
        value, slope = jax.value_and_grad(standardised(*arguments))(zeros)
        return init(ParamInfo(zeros, value, slope), num_warmup=WARMUP, model_args=arguments, rng_key=key)

    @jax.jit
    def block(states, arguments):
        def iterate(states, _):
            states = jax.vmap(lambda state: step(state, arguments))(states)
            return states, (states.z, states.num_steps)

        return jax.lax.scan(iterate, states, length=BLOCK)

    states = jax.vmap(begin)(jax.random.split(jax.random.key(5), CHAINS))
    draws, spent, done = [], 0, 0
    while True:
        states, (z, steps) = block(states, arguments)
        spent, done = spent + int(steps.sum()), done + BLOCK
        draws += [np.swapaxes(z, 0, 1)] if done > WARMUP else []
        judged = quality({"x": np.concatenate(draws, axis=1)}) if draws else None
        failures = judged.failures(Goal(WANTED, RHAT)) if judged else ["still warming up"]
        if not failures or spent > most:
            ess = float(judged.ess_bulk.min()) if judged else math.nan
            return Cost(spent, ess, math.nan, "; ".join(failures))


def gradients(arguments: argparse.Namespace) -> None:
    """Print gradients to 400 effective samples, method by method, and the ratios to NumPyro's own run."""
    case = sharp() if arguments.charge is None else charge(arguments.charge)
    print(f"{'method':<24}{'gradients':>12}{'ESS':>8}{'per 1000':>10}{'k-hat':>8}  not good because")
    costs = {REFERENCE: lambda: numpyro_default(case, arguments.most)}
    costs |= {method: lambda method=method: ours(case, method) for method in arguments.methods or METHODS}
    found = {}
    for name, cost in costs.items():
        found[name] = each = cost()
        rate = 1000.0 * each.ess / each.gradients
        line = f"{name:<24}{each.gradients:>12,.0f}{each.ess:>8.0f}{rate:>10.2f}{each.khat:>8.2f}  {each.failures}"
        print(line, flush=True)
    for name, times in (("nuts", TIMES_NUTS), ("laplace", TIMES_LAPLACE)):
        if name in found:
            print(ratio(name, found[REFERENCE], found[name], times))


def ratio(name: str, reference: Cost, cost: Cost, times: float) -> str:
    """How much cheaper a method is than NumPyro's own run, beside what is asked of it."""
    least = "at least " if reference.failures else ""
    asked = f"{times:.0f} asked" if cost.khat < KHAT_LIMIT else f"none asked, k-hat is {cost.khat:.2f}"
    return f"{name}: {least}{reference.gradients / cost.gradients:.1f} times cheaper than NumPyro's default ({asked})"


def steps(_: argparse.Namespace) -> None:
    """Print acceptance, gradients a draw and effective draws a gradient of NUTS and HMC for steps that are held."""
    print("| dimensions | method | step | acceptance | gradients a draw | bulk ESS a gradient | tail ESS a gradient |")
    held: dict[str, Any] = {"adapt_step_size": False, "adapt_mass_matrix": False}
    for size in (2, 6, 15, 30, 50):
        for step in (0.5, 0.65, 0.8, 0.9, 1.0, HELD_STEP, 1.1, 1.2):
            print(f"| {size} | nuts | {step} | {figures(NUTS(potential_fn=normal, step_size=step, **held), size)} |")
        count = quarter_leaps(size)
        kernel = HMC(potential_fn=normal, step_size=quarter_step(size), trajectory_length=TRAJECTORY, **held)
        print(f"| {size} | hmc, {count} leaps | {TRAJECTORY / count:.3f} | {figures(kernel, size)} |")


def normal(z: Array) -> Array:
    """Minus the log-density of a standard normal."""
    return 0.5 * jnp.sum(z**2)


def figures(kernel: HMC, size: int) -> str:
    """What a kernel does on standard normals in so many dimensions, as cells of a table."""
    chains = 20
    run = MCMC(kernel, num_warmup=1, num_samples=400, num_chains=chains, chain_method="vectorized", progress_bar=False)
    start = jax.random.normal(jax.random.key(1), (chains, size))
    run.run(jax.random.key(0), init_params=start, extra_fields=("num_steps", "accept_prob"))
    spent, accepted = (np.asarray(run.get_extra_fields()[name]) for name in ("num_steps", "accept_prob"))
    found = quality({"z": np.asarray(run.get_samples(group_by_chain=True))})
    ess = (np.mean(each) / spent.sum() for each in (found.ess_bulk, found.ess_tail))
    return " | ".join([f"{accepted.mean():.2f}", f"{spent.mean():.2f}", *(f"{each:.3f}" for each in ess)])


def main() -> None:
    """Answer one question."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    questions = parser.add_subparsers(required=True, metavar="QUESTION")
    question = questions.add_parser("overhead", help="time a gradient beyond what NumPyro takes")
    question.set_defaults(answer=overheads)
    question = questions.add_parser("gradients", help="gradients to 400 effective samples of the worst parameter")
    question.add_argument("--charge", type=float, metavar="CM", help="charge calibration on so much track, from 50")
    question.add_argument("--methods", nargs="+", choices=METHODS, help="of ours; default: all")
    question.add_argument("--most", type=int, default=100_000, help="gradients after which NumPyro's run gives up")
    question.set_defaults(answer=gradients)
    question = questions.add_parser("steps", help="NUTS by step size, and HMC, on standard normals")
    question.set_defaults(answer=steps)
    arguments = parser.parse_args()
    print(f"JAX {jax.__version__} on {jax.devices()[0]}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    arguments.answer(arguments)


if __name__ == "__main__":
    main()
