import numpy as np
import pytest
import xarray as xr

from bayescal.diagnostics.residuals import pit_figure, residual_map, residuals
from bayescal.errors import InputError
from bayescal.inference import load
from bayescal.inference.result import Result

N = 300


def with_residuals(result, *, spoilt=None, shift=0.0, places=True):
    """Two quantities of 300 readouts on two planes, the made ones normal with known mean and width 2."""
    rng = np.random.default_rng(2)
    pit = rng.uniform(size=(2, N))
    mean = rng.uniform(5.0, 9.0, (2, N))
    observed = mean + 2.0 * rng.normal(size=(2, N)) + shift
    if spoilt is not None:
        observed[1, spoilt] += 16.0
    pit = np.where(shift > 0, pit**0.3, pit)
    facts = {"observed": observed, "mean": mean, "sd": np.full((2, N), 2.0), "share": np.ones((2, N)), "pit": pit}
    facts["share"][0, 5] = 0.1  # six of 60: too few to tell
    facts["observed"][0, 6] = np.nan
    coordinates = {"event": np.repeat([4, 9], N // 2), "pixel": np.arange(N)}
    if places:
        coordinates |= {"plane": np.arange(N) % 2, "x_cm": rng.uniform(size=N), "y_cm": rng.uniform(size=N)}
    stored = xr.Dataset(
        {name: (("quantity", "readout"), fact) for name, fact in facts.items()},
        coords={"quantity": ["charge", "first_tick"]} | {name: ("readout", c) for name, c in coordinates.items()},
        attrs={"n_replicas": 60},
    )
    groups = result.data.copy()
    groups["residuals"] = xr.DataTree(stored)
    return Result(groups)


def test_residuals_of_a_right_model(nuts_result):
    found = residuals(with_residuals(nuts_result))
    assert found.quantities == ("charge", "first_tick")
    assert np.isnan(found.pulls[0, [5, 6]]).all()
    assert np.isfinite(found.pulls[1]).all()
    assert min(found.uniform.values()) > 0.01
    assert found.sentence.startswith("0 pulls of 300 readouts are beyond 4.")


def test_the_worst_readout_is_named(nuts_result, tmp_path):
    with_residuals(nuts_result, spoilt=211).save(tmp_path / "result.nc")
    found = residuals(load(tmp_path / "result.nc"))
    first = dict(zip(found.headers, found.table(4)[0], strict=True))
    assert (first["quantity"], first["event"], first["pixel"]) == ("first_tick", "9", "211")
    assert float(first["pull"]) > found.limit
    assert len(found.table(4)) == 4
    assert "1 pulls of 300" in found.sentence


def test_pits_of_a_wrong_model(nuts_result):
    assert max(residuals(with_residuals(nuts_result, shift=1.0)).uniform.values()) < 1e-6


def test_results_without_residuals(nuts_result):
    with pytest.raises(InputError, match="no residuals of readouts: fit again"):
        residuals(nuts_result)


def test_figures(nuts_result):
    found = residuals(with_residuals(nuts_result))
    titles = [panel.get_title() for panel in residual_map(found).axes if panel.get_title()]
    assert titles == ["charge, plane 0", "charge, plane 1", "first_tick, plane 0", "first_tick, plane 1"]
    assert [panel.get_title().split()[0] for panel in pit_figure(found).axes] == ["charge", "first_tick"]
    with pytest.raises(InputError, match="no places"):
        residual_map(residuals(with_residuals(nuts_result, places=False)))
