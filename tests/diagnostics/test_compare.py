import re

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import chi2

from bayescal.diagnostics import compare
from bayescal.diagnostics.answers import skewness_in_words
from bayescal.diagnostics.report import page
from bayescal.diagnostics.summary import summary_rows
from bayescal.errors import InputError


def test_numbers_equal_those_of_numpy(map_result, nuts_result, known):
    names, mean, sd, _ = known
    comparison = compare([map_result, nuts_result])
    assert comparison.names == ("MAP", "NUTS")
    assert comparison.reference == "NUTS"
    assert [line.parameter for line in comparison.lines] == list(names)
    for line, name, mode, mode_sd in zip(comparison.lines, names, mean, sd, strict=True):
        draws = nuts_result.draws(name)
        first, last = line.answers
        assert (first.value, first.sd) == pytest.approx((mode, mode_sd))
        assert first.difference == pytest.approx((mode - draws.mean()) / draws.std(ddof=1))
        assert first.width_ratio == pytest.approx(mode_sd / draws.std(ddof=1))
        assert first.agrees
        assert (last.difference, last.width_ratio) == (0.0, 1.0)
        assert last.comment == "symmetric"


def test_skewed_draws_are_called_so(map_result, make_sampled):
    result = make_sampled()
    values = result.data["posterior"]["kb"].values
    values[:] = 0.0486 + 0.004 * np.random.default_rng(8).gamma(1.5, size=values.shape)
    mode, draws = compare([map_result, result]).lines[0].answers
    assert draws.skewness > 1
    assert draws.comment == "strongly skewed, longer tail to high values"
    assert re.fullmatch(r"1\.\d sd lower; narrower by \d+%", mode.comment)  # gamma(1.5): (0 - 1.5) / 1.22, 1.5 / 4.9
    assert not mode.agrees


def test_words_for_skewness():
    assert skewness_in_words(None) == ""
    assert skewness_in_words(0.1) == "symmetric"
    assert skewness_in_words(-0.5) == "skewed, longer tail to low values"


def test_several_of_a_kind_are_told_apart(nuts_result, make_sampled, map_result):
    comparison = compare([nuts_result, map_result, make_sampled(seed=5)])
    assert comparison.names == ("NUTS 1", "MAP", "NUTS 2")
    assert all(abs(answer.difference) < 0.2 for line in comparison.lines for answer in line.answers)


def test_names_must_fit(nuts_result, map_result):
    assert compare([map_result, nuts_result], ["before", "after"]).names == ("before", "after")
    for names in (["one"], ["same", "same"]):
        with pytest.raises(InputError, match="2 results need as many different names"):
            compare([map_result, nuts_result], names)
    with pytest.raises(InputError, match="at least two results, got 1"):
        compare([map_result])


def test_table_and_figure(tmp_path, map_result, nuts_result):
    comparison = compare([map_result, nuts_result])
    console = Console(width=150)
    with console.capture() as capture:
        console.print(comparison.table())
    assert "MAP: mode ± sd by its curvature." in capture.get()
    assert "42370 ± 150" in capture.get()
    assert capture.get().count("reference") == 3
    comparison.save(tmp_path / "c.png")
    assert (tmp_path / "c.png").stat().st_size > 10_000


def test_runs_have_one_method_and_data_of_their_own(make_sampled, map_result):
    first, second, again = make_sampled(seed=1), make_sampled(seed=2), make_sampled(seed=1)
    assert compare([first, second]).runs
    assert compare([first, again]).same_data
    assert not compare([first, again]).runs
    assert compare([map_result, first]).same_data is None


def test_a_constant_that_changes_is_found_and_one_that_does_not_is_not(make_sampled, known):
    runs = [make_sampled(seed=seed) for seed in range(4)]
    for result, step in zip(runs, (0.0, 2.0, 4.0, 6.0), strict=True):
        result.data["posterior"]["long_diff"].values[:] += step * known[2][1]
    lines = {line.parameter: line.constancy for line in compare(runs).lines}
    assert lines["long_diff"].chi_square == pytest.approx(20.0, rel=0.1)  # 9 + 1 + 1 + 9; sd of a pull 1/sqrt(2000)
    assert lines["long_diff"].degrees == 3
    assert lines["long_diff"].p_value == pytest.approx(chi2.sf(lines["long_diff"].chi_square, 3))
    assert lines["long_diff"].sd == pytest.approx(known[2][1] / 2.0, rel=0.05)
    assert lines["kb"].p_value > 0.99


def test_nothing_in_common_is_refused(nuts_result, make_sampled):
    other = make_sampled(draws=10)
    renamed = other.data["posterior"].to_dataset().rename({name: f"other_{name}" for name in other.names})
    other.data["posterior"] = type(other.data)(renamed)
    with pytest.raises(InputError, match="share no parameter"):
        compare([nuts_result, other])


def test_what_was_computed_from_parameters_has_no_curvature_and_is_left_out(map_result, make_sampled):
    sampled = make_sampled(draws=50)
    wider = []
    for result in (map_result, sampled):
        posterior = result.data["posterior"].to_dataset()
        data = result.data.copy()
        data["posterior"] = type(data)(posterior.assign(ratio=posterior["kb"] / posterior["long_diff"]))
        wider.append(type(result)(data))
    assert [line.parameter for line in compare(wider).lines] == ["kb", "long_diff", "electrons_per_mev"]
    row = {row["parameter"]: row for row in summary_rows(wider[0])}["ratio"]
    assert row["mode"] == pytest.approx(0.0486 / 4e-6)
    assert row["sd"] is None
    assert "ratio" in page(wider[0])


def test_draws_that_do_not_move_have_no_width_to_compare_with(map_result, make_sampled):
    result = make_sampled(draws=10)
    result.data["posterior"]["kb"].values[:] = 1.0
    mode, draws = compare([map_result, result]).lines[0].answers
    assert (mode.difference, mode.width_ratio, mode.agrees) == (None, None, False)
    assert draws.comment == "does not move"
    assert compare([map_result, result]).lines[0].constancy is None
