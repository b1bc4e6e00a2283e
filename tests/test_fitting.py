"""A study's fit from Python."""

from pathlib import Path

import numpy as np
import pytest

from bayescal.fitting import fit_study
from bayescal.study import override, read_study

LINE = Path(__file__).parent / "own_model" / "line.py"


def test_a_fit_near_another_one_begins_where_that_ended(tmp_path):
    x = np.linspace(0.0, 1.0, 12).reshape(3, 4)
    noise = 0.1 * np.random.default_rng(4).normal(size=x.shape)
    np.savez(tmp_path / "points.npz", x=x)
    np.savez(tmp_path / "volts.npz", volts=30.0 * x + 0.5 + noise)
    path = tmp_path / "study.toml"
    path.write_text(
        f'model = "{LINE}"\ndata = "volts.npz"\n[inputs]\npoints = "points.npz"\n[sampler]\nmethod = "map"\n'
    )
    far = fit_study(read_study(path))
    near = fit_study(override(read_study(path), output=tmp_path / "near.nc"), near=far)
    assert near.converged
    assert near.attrs["gradients"] < far.attrs["gradients"]
    for name in far.names:
        assert near.draws(name)[0] == pytest.approx(far.draws(name)[0], rel=1e-4)
