"""Whether the curvature at the mode can be trusted: by the weights of draws from its Gaussian."""

from __future__ import annotations

from dataclasses import asdict

from jaxtyping import PRNGKeyArray

from bayescal.inference import laplace
from bayescal.inference.problem import Problem
from bayescal.inference.progress import Progress, ProgressFunction


def weigh(key: PRNGKeyArray, problem: Problem, n: int, progress: ProgressFunction) -> laplace.Importance:
    """Weigh n draws of the Gaussian at the mode by the true density, see `laplace.importance`."""
    spent = problem.potential.evaluations.gradients

    def compute():
        progress(Progress("laplace", 0, n, spent, message=f"judging the mode's curvature by {n} log-densities"))
        return asdict(laplace.importance(key, problem.potential, problem.approximation, n))

    weighed = laplace.Importance(**problem.stage(f"importance-{n}", compute))
    progress(Progress("laplace", n, n, spent, message=f"k-hat {weighed.khat:.2f}, {weighed.ess:.0f} effective"))
    return weighed
