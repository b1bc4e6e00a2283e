import json

import numpy as np
import pytest

from bayescal.diagnostics.plots_validation import coverage_figure, ecdf_figure
from bayescal.diagnostics.validation import validation
from bayescal.errors import InputError

N_DRAWS = 79


def rows(width=1.0, shift=0.0, n=200, seed=1):
    """Ranks of three quantities; the posterior of the last has a width or a place that is wrong."""
    rng = np.random.default_rng(seed)
    good = rng.integers(0, N_DRAWS + 1, (n, 2))
    wrong = (shift + width * rng.normal(size=(n, N_DRAWS)) < rng.normal(size=(n, 1))).sum(axis=1)
    return [{"a": int(a), "b": int(b), "c": int(c)} for (a, b), c in zip(good, wrong, strict=True)]


def test_right_posteriors_are_calibrated():
    found = validation(rows(), N_DRAWS, {})
    assert found.good
    assert found.sentence.startswith("Calibrated: ranks are uniform (smallest p ")
    assert "0 of 200 replicas failed" in found.sentence


@pytest.mark.parametrize(
    ("fault", "words"),
    [({"width": 0.7}, "68% intervals cover"), ({"width": 1.6}, "too wide"), ({"shift": 0.6}, "ranks are not uniform")],
)
def test_wrong_posteriors_are_named(fault, words):
    found = validation(rows(**fault), N_DRAWS, {})
    assert not found.good
    assert found.sentence.startswith("Not calibrated: c: ")
    assert words in found.sentence
    assert [quantity.good for quantity in found.quantities] == [True, True, False]


def test_faults_count_and_too_many_leave_no_verdict():
    replicas = rows()
    replicas[7] = {}
    few = validation(replicas, N_DRAWS, {7: "no mode", 9: "2 of 80 trajectories diverged"})
    assert few.good
    assert few.quantities[0].uniform.n_replicas == 199
    assert "2 of 200 replicas failed" in few.sentence
    many = validation(replicas, N_DRAWS, dict.fromkeys(range(5), "no mode"))
    assert not many.good
    assert many.sentence.startswith("No verdict: 5 of 200 replicas failed, more than 2% (the first, 0: no mode)")


def test_nothing_to_judge():
    with pytest.raises(InputError, match=r"none of 2 replicas has ranks.*the first failed with: no mode"):
        validation([{}, {}], N_DRAWS, {0: "no mode", 1: "no mode"})


def test_numbers_as_json():
    found = validation(rows(), N_DRAWS, {3: "no mode"})
    stored = json.loads(json.dumps(found.as_json()))
    assert stored["calibrated"] == found.good
    assert stored["faults"] == {"3": "no mode"}
    coverage = stored["quantities"]["a"]["coverage"]["68%"]
    assert coverage["nominal"] == pytest.approx(54 / 80)
    assert coverage["rate_interval_95"][0] < coverage["rate"] == coverage["covered"] / 200
    assert stored["quantities"]["c"]["ranks"] == found.quantities[2].ranks.tolist()
    assert found.table()[0][0] == "a"


def test_the_band_agrees_with_the_verdict():
    """The exact p-value of ranks is below 0.01 / 3 where the line leaves its band, and only there."""
    outcomes = set()
    for seed in range(6):
        found = validation(rows(width=0.7, n=150, seed=seed), N_DRAWS, {})
        figure = ecdf_figure(found)
        for quantity, panel in zip(found.quantities, figure.axes, strict=True):
            band = panel.collections[0].get_paths()[0].vertices
            x, y = (np.asarray(values) for values in panel.lines[1].get_data())
            upper, lower = (np.array([f(band[np.isclose(band[:, 0], at), 1]) for at in x]) for f in (np.max, np.min))
            leaves = ((y > upper + 1e-9) | (y < lower - 1e-9)).any()
            assert leaves == (quantity.uniform.p_value < 0.01 / 3)
            outcomes.add(bool(leaves))
    assert outcomes == {True, False}


def test_coverage_has_a_panel_a_level():
    figure = coverage_figure(validation(rows(), N_DRAWS, {}))
    assert [panel.get_xlabel() for panel in figure.axes] == [
        "coverage of central 68% intervals",
        "coverage of central 95% intervals",
    ]
