import arviz_stats
import numpy as np
import pytest
from rich.console import Console

from bayescal.diagnostics.summary import (
    contraction,
    member_rows,
    rows_table,
    stacked_columns,
    summary_rows,
    summary_table,
)


def printed(table, width=120):
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(table)
    return console.export_text()


def test_numbers_equal_those_of_numpy(nuts_result):
    row = summary_rows(nuts_result)[0]
    draws = nuts_result.draws("kb")
    assert row["mean"] == pytest.approx(draws.mean())
    assert row["sd"] == pytest.approx(draws.std(ddof=1))
    assert row["median"] == pytest.approx(np.median(draws))
    assert [row["low_68"], row["high_68"]] == pytest.approx(np.quantile(draws, [0.16, 0.84]))
    assert [row["low_95"], row["high_95"]] == pytest.approx(np.quantile(draws, [0.025, 0.975]))
    prior = nuts_result.data["prior"]["kb"].values
    assert row["contraction"] == pytest.approx(1 - draws.var(ddof=1) / prior.var(ddof=1))
    assert row["truth"] == 0.0480
    assert row["unit"] == "(kV/cm)(g/cm^2)/MeV"


def test_figures_of_the_chain_equal_those_of_arviz(nuts_result):
    posterior = nuts_result.data["posterior"].to_dataset()
    rhat = arviz_stats.rhat(posterior)
    tail = arviz_stats.ess(posterior, method="tail", prob=(0.05, 0.95))
    for row in member_rows(nuts_result)[:3]:
        name = row["parameter"]
        assert row["r_hat"] == pytest.approx(float(rhat[name]))
        assert row["ess_tail"] == pytest.approx(float(tail[name]))
        assert row["mcse"] == pytest.approx(row["sd"] / np.sqrt(row["ess_bulk"]), rel=0.1)


def test_a_vector_takes_one_row_with_its_worst_figures(nuts_result):
    last = summary_rows(nuts_result)[-1]
    members = member_rows(nuts_result)[-3:]
    assert last["parameter"] == "event_time (3 values)"
    assert last["r_hat"] == max(m["r_hat"] for m in members)
    assert last["ess_bulk"] == min(m["ess_bulk"] for m in members)
    assert last["mean"] == pytest.approx(np.mean([m["mean"] for m in members]))
    assert last["low_68"] is None


def test_a_mode_shows_mode_and_curvature(map_result, known):
    _, mean, sd, _ = known
    row = summary_rows(map_result)[0]
    assert row["mode"] == mean[0]
    assert row["sd"] == pytest.approx(sd[0])
    assert row["high_95"] - row["mode"] == pytest.approx(1.959964 * sd[0], rel=1e-5)
    assert row["mean"] is None
    assert row["r_hat"] is None
    assert "R-hat" not in " ".join(stacked_columns(summary_rows(map_result)))


def test_draws_that_do_not_move_have_no_figures(make_sampled):
    result = make_sampled(draws=50)
    result.data["posterior"]["kb"].values[:] = 1.0
    row = summary_rows(result)[0]
    assert row["sd"] == 0
    assert np.isnan(row["r_hat"])
    assert np.isnan(row["ess_bulk"])


def test_contraction_needs_draws_of_the_prior():
    assert contraction(1.0, np.empty(0)) is None
    assert contraction(1.0, np.ones(5)) is None
    assert contraction(0.0, np.arange(5.0)) == 1.0


def test_the_table_shows_every_parameter_with_unit(nuts_result):
    text = printed(summary_table(nuts_result))
    for words in (
        "kb",
        "long_diff",
        "cm²/µs",
        "electrons_per_mev",
        "event_time (3 values)",
        "R-hat",
        "0.0486",
        "method nuts",
    ):
        assert words in text


def test_a_narrow_terminal_loses_no_digits(nuts_result):
    rows = member_rows(nuts_result)
    assert "…" not in printed(rows_table(rows, "all"), width=80)
