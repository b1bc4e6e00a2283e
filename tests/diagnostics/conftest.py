"""Small synthetic results with known moments; no detector and no sampler involved."""

from html.parser import HTMLParser

import numpy as np
import pytest

from bayescal.inference.result import Moments, Result, assemble, laplace_group

NAMES = ("kb", "long_diff", "electrons_per_mev")
UNITS = {"kb": "(kV/cm)(g/cm^2)/MeV", "long_diff": "cm^2/us", "electrons_per_mev": "e-/MeV", "event_time": "us"}
MEAN = np.array([0.0486, 4.0e-6, 4.237e4])
SD = np.array([1.5e-3, 2.0e-7, 150.0])
CORRELATION = np.array([[1.0, 0.2, 0.92], [0.2, 1.0, 0.1], [0.92, 0.1, 1.0]])
COVARIANCE = CORRELATION * np.outer(SD, SD)
LABELS = (*NAMES, "event_time[0]", "event_time[1]", "event_time[2]")
PROVENANCE = {
    "versions": {"bayescal": "0.1.0", "jax": "0.10.2"},
    "seed": 7,
    "priors": {"kb": "Uniform(0.04, 0.07)"},
    "command": "bayescal fit study.toml",
    "wall_time_s": 12.5,
    "gradients": 4321,
    "truth": {"kb": 0.0480, "long_diff": 4.0e-6, "electrons_per_mev": 4.24e4},
    "larndsim_keys": {"kb": "kb", "long_diff": "long_diff", "electrons_per_mev": "MeVToElectrons"},
}


def normal_draws(rng, chains, draws):
    """Independent draws of all six numbers [chain, draw, 6]."""
    scalar = MEAN + rng.standard_normal((chains, draws, 3)) @ np.linalg.cholesky(COVARIANCE).T
    times = rng.normal([0.1, 0.2, 0.3], 0.01, (chains, draws, 3))
    return np.concatenate([scalar, times], axis=-1)


def by_name(draws):
    """The same as a posterior group holds them."""
    return {name: draws[..., i] for i, name in enumerate(NAMES)} | {"event_time": draws[..., 3:]}


def curvature():
    covariance = np.zeros((6, 6))
    covariance[:3, :3] = COVARIANCE
    covariance[3:, 3:] = 1e-4 * np.eye(3)
    moments = Moments(LABELS, np.concatenate([MEAN, [0.1, 0.2, 0.3]]), covariance)
    return laplace_group(moments, moments, {"khat": 0.1})


def prior_draws(rng, size=400):
    wide = rng.uniform(MEAN - 10 * SD, MEAN + 10 * SD, (1, size, 3))
    return by_name(np.concatenate([wide, rng.uniform(-1, 1, (1, size, 3))], axis=-1))


def attributes(method, *, converged=True, verdict="fine"):
    return {"method": method, "converged": converged, "verdict": verdict, "provenance": PROVENANCE}


def predictive(rng, chains, draws):
    """Observed and replicated summaries that agree."""
    rate = np.array([3.0, 10.0, 30.0, 12.0, 4.0])
    observed = {"adc_histogram": rng.poisson(rate).astype(float), "total_charge": np.array(100.0)}
    replicated = {
        "adc_histogram": rng.poisson(rate, (chains, draws, 5)).astype(float),
        "total_charge": rng.normal(100.0, 3.0, (chains, draws)),
    }
    return {"observed_data": observed, "posterior_predictive": replicated}


def sampled(seed=0, chains=4, draws=500, *, diverging=0, checks=True) -> Result:
    """A result as NUTS returns it."""
    rng = np.random.default_rng(seed)
    stats = {
        "diverging": np.arange(chains * draws).reshape(chains, draws) < diverging,
        "energy": rng.normal(50.0, 2.0, (chains, draws)),
        "step_size": np.full((chains, draws), 0.6),
        "acceptance_rate": rng.uniform(0.6, 1.0, (chains, draws)),
    }
    groups = {
        "posterior": by_name(normal_draws(rng, chains, draws)),
        "sample_stats": stats,
        "prior": prior_draws(rng),
    } | (predictive(rng, chains, draws) if checks else {})
    return assemble(groups, curvature(), attributes("nuts"), UNITS)


def mode() -> Result:
    """A result as a search for the mode returns it: one draw, and the curvature."""
    rng = np.random.default_rng(1)
    at_mode = np.concatenate([MEAN, [0.1, 0.2, 0.3]])[None, None]
    groups = {"posterior": by_name(at_mode), "sample_stats": {"lp": np.zeros((1, 1))}, "prior": prior_draws(rng)}
    return assemble(groups, curvature(), attributes("map", verdict="The mode was found."), UNITS)


@pytest.fixture(scope="session")
def nuts_result() -> Result:
    return sampled()


@pytest.fixture(scope="session")
def map_result() -> Result:
    return mode()


@pytest.fixture(scope="session")
def make_sampled():
    """The function that makes sampled results."""
    return sampled


@pytest.fixture(scope="session")
def known():
    """Names, mean, standard deviation and correlation behind the results."""
    return NAMES, MEAN, SD, CORRELATION


VOID = {"meta", "br", "link", "img", "hr", "input"}


class Strict(HTMLParser):
    """Reads a page, checks that its elements nest, and collects text, links and identities."""

    def __init__(self):
        super().__init__()
        self.open, self.words, self.links, self.ids = [], [], [], []

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in {"src", "href", "xlink:href", "action", "data"}]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="session")
def read_page():
    """The function that reads a page: one file that needs no other, whose elements nest and whose links lead on."""

    def read(html):
        parser = Strict()
        parser.feed(html)
        parser.close()
        assert parser.open == []
        assert "http" not in html
        assert "<script" not in html
        assert parser.links
        assert all(link.startswith(("#", "data:")) for link in parser.links)
        assert len(parser.ids) == len(set(parser.ids))
        assert {link[1:] for link in parser.links if link.startswith("#")} <= set(parser.ids)
        return parser

    return read
