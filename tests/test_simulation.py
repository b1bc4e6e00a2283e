from pathlib import Path

import jax
import numpy as np
import pytest

from bayescal.errors import InputError
from bayescal.model_files import load_model
from bayescal.parameters import Hierarchical, Parameter
from bayescal.simulation import simulate, site_sampler
from bayescal.study import read_study

PADS = load_model(Path(__file__).parent / "own_model" / "pads.py")


@pytest.fixture(scope="module")
def inputs():
    return PADS.module.example(jax.random.key(0))[0]


def test_sites_that_are_given_keep_their_values(inputs):
    sites = site_sampler(PADS)(jax.random.key(1), inputs, {"gain": np.float64(0.0), "pedestal": np.float64(7.0)})
    assert sites.keys() == {"gain", "pedestal", "charge"}
    assert sites["gain"] == 0.0
    assert abs(sites["charge"].mean() - 7.0) < 5 * 0.2 / np.sqrt(96)  # false alarm 6e-7


def test_all_sites_are_drawn_anew_by_key(inputs):
    sample = site_sampler(PADS)
    first, again, other = (sample(jax.random.key(key), inputs, {}) for key in (1, 1, 2))
    assert first["gain"] == again["gain"] != other["gain"]
    np.testing.assert_array_equal(first["charge"], again["charge"])


def test_a_model_without_the_observed_site(inputs, monkeypatch):
    monkeypatch.setattr(PADS.module, "OBSERVED", "current")
    with pytest.raises(InputError, match=r"pads\.py: the model has no site 'current'; set OBSERVED"):
        site_sampler(PADS)(jax.random.key(1), inputs, {})


def test_what_has_a_hierarchical_prior_is_drawn_unless_the_study_names_it(tmp_path, monkeypatch):
    line = Path(__file__).parent / "own_model" / "line.py"
    np.savez(tmp_path / "points.npz", x=np.zeros((3, 4)))
    text = f'model = "{line}"\n[inputs]\npoints = "points.npz"\n'
    module = load_model(line).module
    pedestal = Parameter("pedestal", "V", 0.0, Hierarchical.of("Normal", loc=5.0, scale="noise"), per="event")
    monkeypatch.setattr(module, "PARAMETERS", (*module.PARAMETERS[:3], pedestal))
    truths = []
    for truth in ("", "[truth]\npedestal = 1.0\n"):
        (tmp_path / "study.toml").write_text(text + truth)
        made = simulate(jax.random.key(1), read_study(tmp_path / "study.toml"))
        truths.append(np.broadcast_to(made.truth["pedestal"], 3))
        assert np.abs(np.asarray(made.data).mean(axis=1) - truths[-1] - 0.5).max() < 5 * 0.1 / 2  # false alarm 2e-6
    assert np.ptp(truths[0]) > 0
    np.testing.assert_array_equal(truths[1], 1.0)
