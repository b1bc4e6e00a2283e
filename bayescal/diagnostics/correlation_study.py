"""What a result says on how its parameters hang together: contraction, sensitivity, directions, correlations."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import xarray as xr

from bayescal.diagnostics.contraction import Contraction, contractions
from bayescal.diagnostics.correlation import correlation, strongest
from bayescal.diagnostics.directions import Direction, directions
from bayescal.diagnostics.numbers import rounded
from bayescal.diagnostics.pseudo_correlation import PseudoCorrelation
from bayescal.diagnostics.sensitivity import Sensitivity, sensitivities
from bayescal.errors import InputError
from bayescal.inference.result import Result


@dataclass(frozen=True)
class CorrelationStudy:
    """All of it.

    Attributes:
        contractions: of every number, the least contracted first.
        sensitivities: the same; empty where the result cannot tell, as `lacking` says.
        lacking: why there are no sensitivities; empty if there are.
        directions: of the scalar parameters, the least constrained first.
        posterior: correlations [parameter, parameter_2].
        likelihood: correlations by the likelihood alone, None where they were not asked for.
    """

    contractions: list[Contraction]
    sensitivities: list[Sensitivity]
    lacking: str
    directions: list[Direction]
    posterior: xr.DataArray
    likelihood: PseudoCorrelation | None

    @property
    def sentences(self) -> list[str]:
        """What to know, in words: directions that the data leave open, and parameters that lean on their priors."""
        free = [each.sentence for each in self.directions if not each.constrained]
        leaning = [f"{each.label}: {each.words}" for each in self.sensitivities if not each.good]
        alone = [] if self.likelihood is None else [self.likelihood.sentence]
        return [*(free or ["The data constrain every combination of the parameters."]), *leaning, *alone]

    def pairs(self, most: int) -> list[tuple[str, ...]]:
        """Rows for people on the most correlated pairs, under `pseudo_correlation.HEADERS` as far as they go."""
        if self.likelihood is not None:
            return self.likelihood.table(self.posterior, most)
        return [(f"{a}, {b}", rounded(value, 2)) for a, b, value in strongest(self.posterior)[:most]]

    def as_json(self) -> str:
        """Every number, for a file."""
        content: dict[str, Any] = {
            "contraction": [{**asdict(each), "value": each.value, "words": each.words} for each in self.contractions],
            "sensitivity": [{**_known(asdict(each)), "words": each.words} for each in self.sensitivities],
            "directions": [
                {"share": each.share, "steps": dict(zip(each.labels, each.steps.tolist(), strict=True))}
                for each in self.directions
            ],
            "correlation": {
                "parameters": [str(label) for label in self.posterior["parameter"].values],
                "posterior": self.posterior.values.tolist(),
            },
            "likelihood": None if self.likelihood is None else self.likelihood.as_json(),
            "sentences": self.sentences,
        }
        return json.dumps(content, indent=1)


def correlation_study(result: Result, likelihood: PseudoCorrelation | None = None) -> CorrelationStudy:
    """Ask a result everything.

    Args:
        result: draws, or a mode with its curvature.
        likelihood: correlations by the likelihood alone, if they are known.

    Raises:
        InputError: the result lacks prior draws or a covariance.
    """
    try:
        found, lacking = sensitivities(result), ""
    except InputError as error:
        found, lacking = [], str(error)
    return CorrelationStudy(contractions(result), found, lacking, directions(result), correlation(result), likelihood)


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    """Numbers that do not exist become None, as JSON can hold them."""
    return {name: None if value != value else value for name, value in fields.items()}
