import numpy as np

from bayescal.diagnostics.convergence import convergence


def checks(result):
    return {check.name: check.good for check in convergence(result).checks}


def test_good_chains(nuts_result):
    verdict = convergence(nuts_result)
    assert verdict.good
    assert verdict.sentence.startswith("The chains have converged")
    assert all(checks(nuts_result).values())
    assert set(checks(nuts_result)) == {"R-hat", "bulk ESS", "tail ESS", "divergences", "E-BFMI"}


def test_a_divergence_is_enough(make_sampled):
    verdict = convergence(make_sampled(diverging=1))
    assert not verdict.good
    assert "divergences 1 in 2000 draws (required 0)" in verdict.sentence
    assert "target_accept" in verdict.sentence


def test_a_chain_elsewhere_is_seen_and_named(make_sampled):
    result = make_sampled()
    result.data["posterior"]["long_diff"].values[0] += 1e-6
    verdict = convergence(result)
    assert not verdict.good
    assert "long_diff" in verdict.sentence
    assert not checks(result)["R-hat"]


def test_too_few_draws(make_sampled):
    found = checks(make_sampled(draws=50))
    assert not found["bulk ESS"]
    assert not found["tail ESS"]


def test_a_parameter_that_does_not_move_is_named(make_sampled):
    result = make_sampled(draws=50)
    result.data["posterior"]["kb"].values[:] = 1.0
    assert "cannot be computed for kb" in convergence(result).sentence


def test_a_constant_of_the_model_is_not_checked(make_sampled):
    result = make_sampled(draws=500)
    for group in ("posterior", "prior"):
        result.data[group]["kb"].values[:] = 1.0
    assert convergence(result).good


def test_slow_energy_is_seen(make_sampled):
    result = make_sampled()
    energy = np.cumsum(np.random.default_rng(3).normal(size=(4, 500)), axis=1)
    result.data["sample_stats"]["energy"].values[:] = energy
    assert not checks(result)["E-BFMI"]


def test_a_stored_failure_is_not_overruled(make_sampled):
    result = make_sampled()
    result.data.attrs.update(converged=0, verdict="Stopped by the user.")
    verdict = convergence(result)
    assert not verdict.good
    assert verdict.sentence == "Stopped by the user."


def test_a_mode_keeps_its_own_verdict(map_result):
    assert convergence(map_result).good
    assert convergence(map_result).sentence == "The mode was found."
