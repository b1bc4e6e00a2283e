"""What a fit returns: draws with names and units, how it went, and where it came from.

The file is NetCDF with the groups of ArviZ (posterior, sample_stats, log_prior, prior, observed_data) and two of ours.
Of each draw `sample_stats` holds `lp`, the log-density in unconstrained coordinates, and `log_likelihood`, that of all
data; `log_prior` holds the prior's log-density of each parameter, members of a vector summed [nats]. `laplace`: mean
and covariance at the mode, in physical and in unconstrained coordinates; in large spaces `mean` and `sd`, and the
covariance in few numbers (`bayescal.inference.gaussian.LowRankGaussian`). `approximation`, of laplace, pathfinder and
svi: `shift` and `sd_ratio` of every scalar parameter, as `bayescal.inference.importance.Bias` defines them, and, of
svi, the evidence's lower bound at every step, `elbo` [nats]. `completed`, of models that integrate something out: draws
of it, one for each of the posterior. The root holds `format`, `version`,
`method`, `converged`, `verdict` and, as JSON text, `provenance`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import arviz_base
import numpy as np
import xarray as xr

from bayescal.errors import InputError
from bayescal.inference.files import replacing
from bayescal.inference.gaussian import LowRankGaussian

FORMAT = "bayescal-result"
VERSION = 1

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Result:
    """The outcome of a fit.

    Attributes:
        data: the groups, in ArviZ's layout (chain, draw, ...); every variable has the attribute `units`.
    """

    data: xr.DataTree

    @property
    def method(self) -> str:
        """Which one: see `bayescal.inference.settings.Method`."""
        return str(self.data.attrs["method"])

    @property
    def converged(self) -> bool:
        """Whether the draws (or the mode) can be used as they are."""
        return bool(self.data.attrs["converged"])

    @property
    def verdict(self) -> str:
        """One sentence: why the fit counts as converged or not."""
        return str(self.data.attrs["verdict"])

    @property
    def attrs(self) -> dict[str, Any]:
        """Provenance: versions, key, settings, gradients, wall time, device and what the caller added."""
        return json.loads(self.data.attrs["provenance"])

    @property
    def interrupted(self) -> bool:
        """Whether the user ended the run early; its draws can be used as far as they go."""
        return bool(self.attrs.get("interrupted", False))

    @property
    def unfinished(self) -> bool:
        """Whether there is more to draw: it was interrupted, or `max_draws` came before what `until` asks for."""
        return bool(self.attrs.get("unfinished", False))

    @property
    def names(self) -> tuple[str, ...]:
        """The posterior's variables."""
        return tuple(str(name) for name in self.data["posterior"].data_vars)

    @property
    def units(self) -> dict[str, str]:
        """The unit of every posterior variable, empty where none was given."""
        return {name: str(self.data["posterior"][name].attrs.get("units", "")) for name in self.names}

    def draws(self, name: str) -> np.ndarray:
        """Draws of one variable in physical units, all chains in a row [chain * draw, ...]."""
        if name not in self.names:
            raise InputError(f"the result has no parameter {name}: it has {', '.join(self.names)}")
        values = np.asarray(self.data["posterior"][name])
        return values.reshape(-1, *values.shape[2:])

    def save(self, path: str | Path) -> None:
        """Write the result as NetCDF; an interrupted write leaves an older file as it was."""
        path = Path(path)
        try:
            with replacing(path) as temporary:
                self.data.to_netcdf(temporary, engine="h5netcdf")
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror}); choose a folder that can") from error


def load(path: str | Path) -> Result:
    """Read a result that `Result.save` wrote."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; give a result that `bayescal fit` wrote")
    try:
        with xr.open_datatree(path, engine="h5netcdf") as stored:
            data = stored.load()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise InputError(f"{path}: not a readable NetCDF file ({error}); run the fit again") from error
    if data.attrs.get("format") != FORMAT:
        raise InputError(
            f"{path}: not a result of bayescal (attribute format is not {FORMAT}); give one of `bayescal fit`"
        )
    if int(data.attrs["version"]) > VERSION:
        raise InputError(
            f"{path}: version {data.attrs['version']} is newer than this bayescal reads ({VERSION}); update it"
        )
    return Result(data)


def assemble(
    groups: Mapping[str, Arrays], laplace: xr.Dataset, attributes: Mapping[str, Any], units: Mapping[str, str]
) -> Result:
    """Make a result from arrays.

    Args:
        groups: arrays by group and name; those of posterior, sample_stats, log_prior and prior lead with (chain, draw).
        laplace: the curvature at the mode, from `laplace_group`.
        attributes: `method`, `converged`, `verdict` and `provenance` (a dict that JSON can hold).
        units: unit by name of a posterior variable; names without one are dimensionless or unknown.
    """
    data = arviz_base.from_dict({name: dict(group) for name, group in groups.items() if group})
    for group in ("posterior", "prior"):
        for name, variable in data[group].data_vars.items():
            variable.attrs["units"] = units.get(str(name), "")
    data["laplace"] = xr.DataTree(laplace)
    data.attrs = {
        "format": FORMAT,
        "version": VERSION,
        "method": attributes["method"],
        "converged": int(attributes["converged"]),
        "verdict": attributes["verdict"],
        "provenance": json.dumps(attributes["provenance"], default=str),
    }
    return Result(data)


def laplace_group(physical: Moments, unconstrained: Moments, attributes: Mapping[str, float]) -> xr.Dataset:
    """The group `laplace`: mean and covariance by parameter, and the same in unconstrained coordinates."""
    return xr.Dataset(
        {
            "mean": ("parameter", physical.mean),
            "covariance": (("parameter", "parameter_2"), physical.covariance),
            "unconstrained_mean": ("coordinate", unconstrained.mean),
            "unconstrained_covariance": (("coordinate", "coordinate_2"), unconstrained.covariance),
        },
        coords={
            "parameter": list(physical.labels),
            "parameter_2": list(physical.labels),
            "coordinate": list(unconstrained.labels),
            "coordinate_2": list(unconstrained.labels),
        },
        attrs=dict(attributes),
    )


def low_rank_group(
    physical: Marginals, approximation: LowRankGaussian, labels: Sequence[str], attributes: Mapping[str, float]
) -> xr.Dataset:
    """The group `laplace` in a large space: marginals by parameter, and the covariance's parts by coordinate."""
    return xr.Dataset(
        {
            "mean": ("parameter", physical.mean),
            "sd": ("parameter", physical.sd),
            "unconstrained_mean": ("coordinate", approximation.mode),
            "unconstrained_scale": ("coordinate", approximation.scale),
            "unconstrained_directions": (("direction", "coordinate"), approximation.directions),
            "unconstrained_variances": ("direction", approximation.variances),
        },
        coords={"parameter": list(physical.labels), "coordinate": list(labels)},
        attrs=dict(attributes),
    )


def approximation_group(
    labels: Sequence[str], shift: np.ndarray, sd_ratio: np.ndarray, elbo: np.ndarray | None
) -> xr.Dataset:
    """The group `approximation`: its bias by parameter [p], and the bound at every step of a fit by steps."""
    figures = xr.Dataset(
        {"shift": ("parameter", shift), "sd_ratio": ("parameter", sd_ratio)}, coords={"parameter": list(labels)}
    )
    return figures if elbo is None else figures.assign(elbo=("step", elbo))


@dataclass(frozen=True)
class Marginals:
    """Means and standard deviations [p] with the label of each component."""

    labels: tuple[str, ...]
    mean: np.ndarray
    sd: np.ndarray


@dataclass(frozen=True)
class Moments:
    """A mean [d] and a covariance [d, d] with the label of each component."""

    labels: tuple[str, ...]
    mean: np.ndarray
    covariance: np.ndarray
