"""The judgement of the mode's curvature."""

import numpy as np

from bayescal.inference.laplace import gaussian
from bayescal.inference.optimise import minimise, prior_scale
from bayescal.inference.potential import Potential
from bayescal.inference.problem import Problem
from bayescal.inference.weighing import weigh


def test_a_normal_posterior_is_trusted_and_progress_is_told(gaussian_case, key):
    potential = Potential(*gaussian_case, key)
    prior = potential.sample_prior(key, 100)
    optimum = minimise(potential, np.zeros(10), prior_scale(prior), 500)
    lines = []
    weighed = weigh(key, Problem(potential, prior, optimum, gaussian(optimum)), 200, lines.append)
    assert weighed.trusted
    assert len(weighed.weights) == 200
    assert [(line.stage, line.done, line.total) for line in lines] == [("laplace", 0, 200), ("laplace", 200, 200)]
