import pytest

from bayescal.diagnostics import compare, comparison_report
from bayescal.diagnostics.report import comparison_page, page, report
from bayescal.diagnostics.report.reproduction import fact_text, provenance_rows, reproduction
from bayescal.errors import InputError


@pytest.fixture(scope="module")
def written(nuts_result, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    report(nuts_result, path)
    assert path.stat().st_size < 5_000_000
    return path.read_text()


@pytest.fixture(scope="module")
def compared(map_result, make_sampled, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "comparison.html"
    comparison_report([map_result, make_sampled(seed=3), make_sampled(seed=4)], path)
    return path.read_text()


def test_the_page_stands_alone(written, read_page):
    read_page(written)


def test_verdict_comes_first(written):
    places = [written.index(f'id="{part}"') for part in ("verdict", "constants", "correlations", "checks", "reproduce")]
    assert places == sorted(places)


def test_every_part_is_there(written, read_page):
    text = read_page(written).text
    for words in ("kb", "long_diff", "electrons_per_mev", "event_time[2]", "(kV/cm)(g/cm²)/MeV", "R-hat", "bulk ESS"):
        assert words in text
    for heading in ("Converged", "Prior and posterior", "Pairs", "Correlations", "Traces", "Ranks", "Energy"):
        assert heading in text
    for fact in ("bayescal fit study.toml", "Uniform(0.04, 0.07)", "versions.jax", "0.10.2", "4321"):
        assert fact in text
    assert "adc_histogram: p = " in text
    assert "kb and electrons_per_mev rise together" in text
    assert "Combinations that the data constrain least" in text
    assert "No sensitivity to the priors: the result (method nuts) holds no log-prior" in text


def test_figures_are_read_out(written):
    assert "<title>Prior and posterior: kb: mean 0.0486, standard deviation 0.0015" in written


def test_a_failed_fit_says_so(make_sampled):
    text = page(make_sampled(diverging=2, draws=40, checks=False))
    assert "Not converged: do not use these numbers" in text
    assert "The result holds no data made with the posterior" in text


def test_a_mode_has_a_page(map_result, read_page):
    text = page(map_result)
    assert "The mode was found." in read_page(text).text
    assert 'id="traces"' not in text
    assert 'id="marginals"' in text


def test_a_parameter_that_does_not_move_has_a_page(make_sampled):
    result = make_sampled(draws=20)
    result.data["posterior"]["kb"].values[:] = 1.0
    assert "cannot be computed for kb" in page(result)


def test_one_parameter_has_a_page(make_sampled, read_page):
    result = make_sampled(draws=20, checks=False)
    result.data["posterior"] = type(result.data)(result.data["posterior"].to_dataset()[["kb"]])
    text = page(result)
    read_page(text)
    assert 'id="pairs"' not in text
    assert 'id="correlations"' not in text


def test_text_from_outside_is_escaped(make_sampled):
    result = make_sampled(draws=20, checks=False)
    result.data.attrs["verdict"] = "<b>bold</b>"
    result.data.attrs["converged"] = 0
    result.data.attrs["provenance"] = '{"command": "<script>alert(1)</script>"}'
    assert "<script" not in page(result)


def test_a_comparison_stands_alone(compared, read_page):
    text = read_page(compared).text
    for words in ("MAP", "NUTS 1", "NUTS 2", "Intervals", "Marginal distributions", "What each result cost", "12.5 s"):
        assert words in text
    assert text.count("reference") == 3


def test_runs_are_compared_over_time(make_sampled, read_page):
    runs = [make_sampled(seed=seed, draws=200) for seed in range(10)]
    html = comparison_page(compare(runs, [f"run {number}" for number in range(10)]))
    text = read_page(html).text
    assert "Comparison of 10 runs" in text
    assert "Constancy" in text
    assert "Constants by run" in text
    assert 'id="marginals"' not in html  # ten densities cannot be told apart


def test_the_command_that_makes_it_again():
    facts = {
        "study_path": "my study/study.toml",
        "study": "model = 'm.py'",
        "settings": {"method": "nuts", "until": "ess > 400", "chains": 4},
        "seed": 7,
        "platform": "cpu",
        "data_path": "hits.h5",
        "data_sha256": "ab",
    }
    made = reproduction(facts)
    assert made.command == (
        "bayescal fit 'my study/study.toml' --method nuts --seed 7 --until 'ess > 400' --device cpu "
        "--output reproduced.nc"
    )
    assert made.files == {"data": ("hits.h5", "ab")}
    called = reproduction({"key": [0, 7], "settings": {"method": "hmc", "chains": 2}})
    assert called.command is None
    assert "FitSettings(method='hmc', chains=2)" in called.call
    assert reproduction({}).call is None


def test_facts_as_text():
    rows = dict(provenance_rows({"a": {"b": 1.23456789, "c": None}, "d": list(range(20))}))
    assert rows["a.b"] == "1.23457"
    assert rows["a.c"] == "none"
    assert rows["d"].endswith("… (20 in all)")
    assert fact_text(["x", 2]) == "x, 2"


def test_unwritable_output_is_one_sentence(tmp_path, map_result, nuts_result):
    with pytest.raises(InputError, match=r"nowhere/report.html: cannot be written"):
        report(map_result, tmp_path / "nowhere" / "report.html")
    with pytest.raises(InputError, match=r"nowhere/c.html: cannot be written"):
        comparison_report([map_result, nuts_result], tmp_path / "nowhere" / "c.html")
