"""What inference costs, in gradients of the log-density.

    python benchmarks/inference.py gradients                sharp posterior of six parameters, every method
    python benchmarks/inference.py gradients --charge 50    the charge calibration on so much made track [cm]
    python benchmarks/inference.py gradients --method smc   one method

All methods are held to the same rule: bulk and tail effective sample size of the worst parameter above 400 and R-hat
below 1.01. Everything counts: search for the mode, curvature, weights (a log-density is half a gradient), warm-up.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.infer.hmc import hmc
from numpyro.infer.util import ParamInfo

import bayescal
from bayescal.inference import FitSettings
from bayescal.inference.convergence import quality
from bayescal.inference.optimise import prior_scale
from bayescal.inference.potential import Potential
from bayescal.likelihoods.hits import SelfTriggeredReadout
from bayescal.likelihoods.pixel_hits import charge_inputs
from bayescal.model_files import load_model
from bayescal.readers.detector import read_detector
from bayescal.tracks import demo_tracks

WANTED = 400.0  # effective samples of the worst parameter
WIDTHS = np.array([1e-4, 1e-3, 1e-2, 0.05, 0.2, 1.0])  # of the sharp posterior, in units of its uniform priors
CENTRE = np.array([0.3, 0.6, 0.5, 0.4, 0.7, 0.5])
CHAINS, WARMUP, BLOCK = 4, 500, 10  # of NumPyro's own run
TIMES_NUTS, TIMES_LAPLACE = 5.0, 20.0  # how much cheaper than NumPyro's own run ours must be where k-hat is below 0.7
KHAT_LIMIT = 0.7
METHODS = ("laplace", "nuts", "blackjax_nuts", "mclmc", "smc")


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
            min_ess=WANTED,
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
        failures = judged.failures(WANTED) if judged else ["still warming up"]
        if not failures or spent > most:
            ess = float(judged.ess_bulk.min()) if judged else math.nan
            return Cost(spent, ess, math.nan, "; ".join(failures))


def gradients(arguments: argparse.Namespace) -> None:
    """Print gradients to 400 effective samples, method by method, and the ratios to NumPyro's own run."""
    case = sharp() if arguments.charge is None else charge(arguments.charge)
    print(f"{'method':<24}{'gradients':>12}{'ESS':>8}{'per 1000':>10}{'k-hat':>8}  not good because")
    costs = {"numpyro NUTS, default": lambda: numpyro_default(case, arguments.most)}
    costs |= {method: lambda method=method: ours(case, method) for method in METHODS}
    found = {}
    for name, cost in costs.items():
        if arguments.method in (None, name):
            found[name] = each = cost()
            rate = 1000.0 * each.ess / each.gradients
            print(f"{name:<24}{each.gradients:>12,.0f}{each.ess:>8.0f}{rate:>10.2f}{each.khat:>8.2f}  {each.failures}")
    reference = found.get("numpyro NUTS, default")
    for name, times in (("nuts", TIMES_NUTS), ("laplace", TIMES_LAPLACE)):
        if reference is not None and name in found:
            print(ratio(name, reference, found[name], times))


def ratio(name: str, reference: Cost, cost: Cost, times: float) -> str:
    """How much cheaper a method is than NumPyro's own run, beside what is asked of it."""
    least = "at least " if reference.failures else ""
    asked = f"{times:.0f} asked" if cost.khat < KHAT_LIMIT else f"none asked, k-hat is {cost.khat:.2f}"
    return f"{name}: {least}{reference.gradients / cost.gradients:.1f} times cheaper than NumPyro's default ({asked})"


def main() -> None:
    """Answer one question."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    questions = parser.add_subparsers(required=True, metavar="QUESTION")
    question = questions.add_parser("gradients", help="gradients to 400 effective samples of the worst parameter")
    question.add_argument("--charge", type=float, metavar="CM", help="charge calibration on so much track, from 50")
    question.add_argument("--method", help="only this one")
    question.add_argument("--most", type=int, default=1_000_000, help="gradients after which NumPyro's run gives up")
    question.set_defaults(answer=gradients)
    arguments = parser.parse_args()
    arguments.answer(arguments)


if __name__ == "__main__":
    main()
