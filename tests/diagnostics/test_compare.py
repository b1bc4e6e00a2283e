import numpy as np
import pytest
from rich.console import Console

from bayescal.diagnostics import compare
from bayescal.diagnostics.compare import skewness_in_words
from bayescal.diagnostics.report import page
from bayescal.diagnostics.summary import summary_rows
from bayescal.errors import InputError


def test_numbers_equal_those_of_numpy(map_result, nuts_result, known):
    names, mean, sd, _ = known
    comparison = compare(map_result, nuts_result)
    assert comparison.names == ("MAP", "NUTS")
    assert [line.parameter for line in comparison.lines] == list(names)
    for line, name, mode, mode_sd in zip(comparison.lines, names, mean, sd, strict=True):
        draws = nuts_result.draws(name)
        assert (line.first.value, line.first.sd) == pytest.approx((mode, mode_sd))
        assert line.difference == pytest.approx((mode - draws.mean()) / draws.std(ddof=1))
        assert line.width_ratio == pytest.approx(mode_sd / draws.std(ddof=1))
        assert "symmetric" in line.comment


def test_skewed_draws_are_called_so(map_result, make_sampled):
    result = make_sampled()
    values = result.data["posterior"]["kb"].values
    values[:] = 0.0486 + 0.004 * np.random.default_rng(8).gamma(1.5, size=values.shape)
    line = compare(map_result, result).lines[0]
    assert line.skewness > 1
    assert line.comment.startswith("strongly skewed, longer tail to high values; centres ")
    assert "first narrower by" in line.comment


def test_words_for_skewness():
    assert skewness_in_words(None) == ""
    assert skewness_in_words(0.1) == "symmetric"
    assert skewness_in_words(-0.5) == "skewed, longer tail to low values"


def test_two_of_a_kind_are_told_apart(nuts_result, make_sampled):
    comparison = compare(nuts_result, make_sampled(seed=5))
    assert comparison.names == ("NUTS A", "NUTS B")
    assert all(abs(line.difference) < 0.2 for line in comparison.lines)


def test_table_and_figure(tmp_path, map_result, nuts_result):
    comparison = compare(map_result, nuts_result)
    console = Console(width=150)
    with console.capture() as capture:
        console.print(comparison.table())
    assert "MAP: mode ± sd" in capture.get()
    assert "42370 ± 150" in capture.get()
    comparison.save(tmp_path / "c.png")
    assert (tmp_path / "c.png").stat().st_size > 10_000


def test_nothing_in_common_is_refused(nuts_result, make_sampled):
    other = make_sampled(draws=10)
    renamed = other.data["posterior"].to_dataset().rename({name: f"other_{name}" for name in other.names})
    other.data["posterior"] = type(other.data)(renamed)
    with pytest.raises(InputError, match="share no parameter"):
        compare(nuts_result, other)


def test_what_was_computed_from_parameters_has_no_curvature_and_is_left_out(map_result, make_sampled):
    sampled = make_sampled(draws=50)
    wider = []
    for result in (map_result, sampled):
        posterior = result.data["posterior"].to_dataset()
        data = result.data.copy()
        data["posterior"] = type(data)(posterior.assign(ratio=posterior["kb"] / posterior["long_diff"]))
        wider.append(type(result)(data))
    assert [line.parameter for line in compare(*wider).lines] == ["kb", "long_diff", "electrons_per_mev"]
    row = {row["parameter"]: row for row in summary_rows(wider[0])}["ratio"]
    assert row["mode"] == pytest.approx(0.0486 / 4e-6)
    assert row["sd"] is None
    assert "ratio" in page(wider[0])


def test_draws_that_do_not_move_are_refused(map_result, make_sampled):
    result = make_sampled(draws=10)
    result.data["posterior"]["kb"].values[:] = 1.0
    with pytest.raises(InputError, match="draws of kb are all equal"):
        compare(map_result, result)
