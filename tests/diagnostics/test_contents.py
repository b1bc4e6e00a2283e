import numpy as np
import pytest
import xarray as xr

from bayescal.diagnostics import contents
from bayescal.diagnostics.correlation import has_covariance


def test_scalars_carry_draws_prior_truth_and_mode(nuts_result, known):
    names, mean, sd, _ = known
    components = contents.scalars(nuts_result)
    assert [c.label for c in components] == list(names)
    np.testing.assert_array_equal(components[0].draws, nuts_result.data["posterior"]["kb"].values)
    np.testing.assert_array_equal(components[0].prior, nuts_result.data["prior"]["kb"].values.ravel())
    assert components[0].truth == 0.0480
    np.testing.assert_allclose([c.mode for c in components], mean)
    np.testing.assert_allclose([c.mode_sd for c in components], sd)
    assert components[1].unit == "cm^2/us"


def test_members_of_a_vector_are_labelled_like_the_curvature(nuts_result):
    assert contents.vectors(nuts_result) == ("event_time",)
    members = contents.members(nuts_result, "event_time")
    assert [m.label for m in members] == ["event_time[0]", "event_time[1]", "event_time[2]"]
    assert members[2].mode == 0.3
    assert members[2].mode_sd == pytest.approx(0.01)
    assert members[2].draws.shape == (4, 500)
    assert members[2].prior.shape == (400,)
    assert members[2].truth is None


def test_spread_of_a_single_draw_is_that_of_the_curvature(map_result, nuts_result):
    assert contents.is_mode(map_result)
    assert not contents.is_mode(nuts_result)
    only, many = contents.scalars(map_result)[0], contents.scalars(nuts_result)[0]
    assert contents.constant(only)
    assert contents.spread(only) == only.mode_sd
    assert contents.spread(many) == pytest.approx(many.draws.std(ddof=1))


def test_a_result_without_prior_or_curvature_is_read(nuts_result):
    groups = {name: group for name, group in nuts_result.data.children.items() if name in {"posterior"}}
    data = type(nuts_result.data).from_dict({f"/{name}": group.to_dataset() for name, group in groups.items()})
    data.attrs = nuts_result.data.attrs
    component = contents.scalars(type(nuts_result)(data))[0]
    assert component.prior.size == 0
    assert component.mode is None


def test_mode_of_a_large_space_has_widths_but_no_covariance(map_result):
    data = map_result.data.copy()
    stored = data["laplace"].to_dataset()
    sd = np.sqrt(np.diag(stored["covariance"]))
    data["laplace"] = xr.DataTree(stored.drop_vars("covariance").assign(sd=("parameter", sd)))
    large = type(map_result)(data)
    assert contents.scalars(large)[0].mode_sd == pytest.approx(contents.scalars(map_result)[0].mode_sd)
    assert contents.curvature(large) is None
    assert not has_covariance(large)
