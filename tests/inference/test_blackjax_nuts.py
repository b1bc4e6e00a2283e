"""BlackJAX's NUTS."""

import jax
import pytest

from bayescal.inference import FitSettings, fit


@pytest.fixture(scope="module")
def run(known_models):
    known = known_models.gaussian()
    return fit(*known.case, key=jax.random.key(11), method="blackjax_nuts", units={"mean": "cm"}), known


def test_known_posterior(run, known_models):
    result, known = run
    assert result.converged, result.verdict
    assert result.attrs["metric_trusted"]
    known_models.check(result, known)


def test_result_has_what_that_of_nuts_has(run):
    result, _ = run
    stats = result.data["sample_stats"]
    for name in ("diverging", "lp", "energy", "acceptance_rate", "n_steps", "step_size"):
        assert stats[name].shape == (4, 500)
    assert result.units == {"mean": "cm"}
    assert result.attrs["gradients"] > result.attrs["chain_gradients"] >= stats["n_steps"].values.sum()


def test_trajectories_cut_short_are_told(known_models):
    """A tree of depth one holds one step: every trajectory is cut."""
    settings = FitSettings(method="blackjax_nuts", draws=20, warmup=10, max_tree_depth=1)
    result = fit(*known_models.gaussian().case, key=jax.random.key(1), settings=settings)
    assert not result.converged
    assert "100% of the trajectories were cut at max_tree_depth = 1" in result.verdict
