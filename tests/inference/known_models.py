"""Models whose posterior is known: the yardstick of every method.

Loaded by path (fixture `known_models`); each function makes a `Known`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import scipy.stats
from arviz_stats.base import array_stats

FALSE_ALARM = 0.0027  # of all parameters of a model together: three standard errors of one
SD_TOLERANCE = 0.05  # relative, where the effective sample size can tell so much
NORMAL = 3.0  # kurtosis


class Known(NamedTuple):
    """A model with inputs and data, and its posterior's means, standard deviations and kurtoses by parameter."""

    model: Any
    inputs: Any
    data: Any
    mean: dict[str, np.ndarray]
    sd: dict[str, np.ndarray]
    kurtosis: dict[str, np.ndarray | float]

    @property
    def case(self) -> tuple[Any, Any, Any]:
        """Model, inputs, data."""
        return self.model, self.inputs, self.data


def gaussian(size: int = 10) -> Known:
    """Correlated normal posterior, widths from 1e-2 to 10, neighbours correlated by 0.9, under a flat prior."""
    covariance = _covariance(size)

    def model(inputs, data=None):
        mean = numpyro.sample("mean", dist.Normal(0.0, 1e4).expand([size]).to_event(1))
        numpyro.sample("observed", dist.MultivariateNormal(mean, inputs["covariance"]), obs=data)

    data = np.arange(1.0, size + 1.0)
    sd = {"mean": np.sqrt(np.diag(covariance))}
    return Known(model, {"covariance": covariance}, data, {"mean": data}, sd, {"mean": NORMAL})


def gaussian_rows(rows: int = 2003, part: int = 100, size: int = 10) -> Known:
    """The same posterior from many rows that a subsampled plate looks at in parts."""
    covariance, centre = _covariance(size), np.arange(1.0, size + 1.0)
    noise = np.random.default_rng(1).multivariate_normal(np.zeros(size), rows * covariance, rows)
    data = centre + noise - noise.mean(axis=0)

    def model(inputs, data=None):
        mean = numpyro.sample("mean", dist.Normal(0.0, 1e4).expand([size]).to_event(1))
        with numpyro.plate("rows", rows, subsample_size=part) as row:
            seen = None if data is None else data[row]
            numpyro.sample("observed", dist.MultivariateNormal(mean, scale_tril=inputs["factor"]), obs=seen)

    inputs = {"factor": np.linalg.cholesky(rows * covariance)}
    return Known(model, inputs, data, {"mean": centre}, {"mean": np.sqrt(np.diag(covariance))}, {"mean": NORMAL})


def poisson_rates(number: int = 1000, shape: float = 3.0, exposure: float = 5.0) -> Known:
    """Counts of many sources whose rates share an unknown scale: Gamma-Poisson, exact but for one quadrature.

    Given the inverse scale b, rate i is Gamma(shape + count, b + exposure); b itself has the density
    b^(n shape + 1) exp(-b) (b + exposure)^-(n shape + counts) under its prior Gamma(2, 1).
    """
    generator = np.random.default_rng(2)
    counts = generator.poisson(exposure * generator.gamma(shape, 1.0 / 1.5, number))

    def model(inputs, data=None):
        inverse_scale = numpyro.sample("inverse_scale", dist.Gamma(2.0, 1.0))
        rate = numpyro.sample("rate", dist.Gamma(shape, inverse_scale).expand([number]).to_event(1))
        numpyro.sample("count", dist.Poisson(rate * inputs["exposure"]).to_event(1), obs=data)

    b = np.linspace(0.5, 4.0, 20001)
    total = number * shape + counts.sum()
    log_density = (number * shape + 1.0) * np.log(b) - b - total * np.log(b + exposure)
    weight = np.exp(log_density - log_density.max())
    weight /= weight.sum()
    first, second = weight @ (1.0 / (b + exposure)), weight @ (1.0 / (b + exposure) ** 2)
    alpha = shape + counts
    mean = {"inverse_scale": weight @ b, "rate": alpha * first}
    spread = weight @ b**2 - mean["inverse_scale"] ** 2
    variance = alpha * second + alpha**2 * (second - first**2)
    sd = {"inverse_scale": np.sqrt(spread), "rate": np.sqrt(variance)}
    kurtosis = {"inverse_scale": NORMAL, "rate": 3.0 + 6.0 / alpha}  # the inverse scale is known to some per cent
    return Known(model, {"exposure": exposure}, counts, mean, sd, kurtosis)


def banana(precision: float = 0.02, spread: float = 0.3) -> Known:
    """Gain against recombination at short exposure: only their product is measured, beside four other constants.

    Given the gain g the recombination r is normal (linear regression of the product), and g has the density
    N(g; 1, spread) N(1; g, (precision^2 + g^2 spread^2)^1/2): moments by one quadrature.
    """

    def model(inputs, data=None):
        gain = numpyro.sample("gain", dist.Normal(1.0, inputs["spread"]))
        recombination = numpyro.sample("recombination", dist.Normal(1.0, inputs["spread"]))
        others = numpyro.sample("others", dist.Normal(0.0, 1.0).expand([4]).to_event(1))
        numpyro.sample("product", dist.Normal(gain * recombination, inputs["precision"]), obs=data)
        numpyro.sample("sum", dist.Normal(jnp.sum(others), 0.5), obs=0.0)

    g = np.linspace(1.0 - 8.0 * spread, 1.0 + 8.0 * spread, 200001)
    variance = precision**2 + (g * spread) ** 2
    weight = scipy.stats.norm.pdf(g, 1.0, spread) * scipy.stats.norm.pdf(1.0, g, np.sqrt(variance))
    weight /= weight.sum()
    regression = 1.0 + g * spread**2 / variance * (1.0 - g)
    noise = spread**2 * precision**2 / variance
    mean = {"gain": weight @ g, "recombination": weight @ regression, "others": np.zeros(4)}
    sd = {
        "gain": np.sqrt(weight @ g**2 - mean["gain"] ** 2),
        "recombination": np.sqrt(weight @ (noise + regression**2) - mean["recombination"] ** 2),
        "others": np.full(4, np.sqrt(1.0 - 1.0 / (4.0 + 0.25))),
    }
    away = regression - mean["recombination"]
    fourth = {
        "gain": weight @ (g - mean["gain"]) ** 4,
        "recombination": weight @ (away**4 + 6.0 * away**2 * noise + 3.0 * noise**2),
    }
    kurtosis = {name: value / sd[name] ** 4 for name, value in fourth.items()} | {"others": NORMAL}
    return Known(model, {"spread": spread, "precision": precision}, np.array(1.0), mean, sd, kurtosis)


def check(result: Any, known: Known) -> None:
    """Means within three Monte-Carlo errors, family-wise; standard deviations within 5 % or what the draws can tell.

    The error of a standard deviation is that of the known posterior: its estimate from draws that lack the tail is
    small together with theirs.
    """
    draws = np.concatenate([_columns(result.data["posterior"][name].values) for name in known.mean], axis=2)
    mean, sd, kurtosis = (
        np.concatenate([np.broadcast_to(values[name], np.shape(known.mean[name])).ravel() for name in known.mean])
        for values in (known.mean, known.sd, known.kurtosis)
    )
    limit = scipy.stats.norm.isf(0.5 * FALSE_ALARM / len(mean))
    axes: Any = {"chain_axis": 0, "draw_axis": 1}
    error = np.asarray(array_stats.mcse(draws, method="mean", **axes))
    pull = (draws.mean(axis=(0, 1)) - mean) / error
    worst = int(np.abs(pull).argmax())
    assert abs(pull[worst]) < limit, f"component {worst}: mean {pull[worst]:.1f} standard errors from {mean[worst]:.6g}"
    found = draws.std(axis=(0, 1), ddof=1)
    squares = (draws - draws.mean(axis=(0, 1))) ** 2
    ess = np.asarray(array_stats.ess(squares, method="mean", **axes))
    error_sd = 0.5 * sd * np.sqrt((kurtosis - 1.0) / ess)
    excess = np.abs(found - sd) - np.maximum(SD_TOLERANCE * sd, limit * error_sd)
    worst = int(excess.argmax())
    assert excess[worst] < 0.0, (
        f"component {worst}: sd {found[worst]:.4g} +- {error_sd[worst]:.2g}, known {sd[worst]:.4g}"
    )


def _columns(values: np.ndarray) -> np.ndarray:
    return values.reshape(*values.shape[:2], -1)


def _covariance(size: int) -> np.ndarray:
    widths, index = np.logspace(-2, 1, size), np.arange(size)
    return 0.9 ** np.abs(np.subtract.outer(index, index)) * np.outer(widths, widths)
