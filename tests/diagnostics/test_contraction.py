import numpy as np
import pytest

from bayescal.diagnostics.contraction import HEADERS, WIDER, Contraction, contractions
from bayescal.errors import InputError
from bayescal.inference.result import Result


def made(prior_sd, posterior_sd, error=0.01):
    return Contraction("kb", "cm^2/us", prior_sd, posterior_sd, error)


def test_contraction_by_hand():
    assert made(2.0, 1.0).value == 0.75
    assert made(1.0, 0.0).value == 1.0
    assert made(1.0, 1.0).value == 0.0


@pytest.mark.parametrize(
    ("posterior_sd", "words"),
    [
        (0.05, "set by the data"),
        (0.3, "mostly set by the data"),
        (0.7, "set by data and prior"),
        (0.95, "left to the prior"),
        (1.01, "left to the prior"),  # a contraction of -0.02, within three standard errors of none
        (1.2, WIDER),
    ],
)
def test_words(posterior_sd, words):
    assert made(1.0, posterior_sd).words == words


def test_made_result(nuts_result, map_result, known):
    """Uniform priors of 20 sd: 1 - 12/400 = 0.97; times of 0.01 in (-1, 1): 0.9997; five standard errors of each."""
    for result, draws in ((nuts_result, 2000), (map_result, None)):
        found = {each.label: each for each in contractions(result)}
        assert set(found) == {*known[0], "event_time[0]", "event_time[1]", "event_time[2]"}
        for label in known[0]:
            own = 0.0 if draws is None else np.sqrt(2.0 / draws) * 0.03
            assert abs(found[label].value - 0.97) < 5.0 * np.hypot(found[label].error, own)
            assert found[label].error == pytest.approx(0.03 * np.sqrt(2.0 / 399), rel=0.4)
        assert found["event_time[1]"].value == pytest.approx(0.9997, abs=1e-4)


def test_least_contracted_come_first_and_are_shown(nuts_result):
    found = contractions(nuts_result)
    assert [each.value for each in found] == sorted(each.value for each in found)
    row = dict(zip(HEADERS, found[0].cells(), strict=True))
    assert row["contraction"] == f"{found[0].value:.1%}"
    assert row["it is"] == "mostly set by the data"


def test_results_without_prior_are_refused(nuts_result):
    groups = {f"/{name}": each.to_dataset() for name, each in nuts_result.data.children.items() if name != "prior"}
    data = type(nuts_result.data).from_dict(groups)
    data.attrs = nuts_result.data.attrs
    with pytest.raises(InputError, match=r"no draws of the prior; fit again"):
        contractions(Result(data))
