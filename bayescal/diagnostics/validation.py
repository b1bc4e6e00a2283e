"""The verdict on a study's posteriors from the ranks of its replicas: uniform, covering at their rate, or not.

Two families of exact tests, of ranks and of coverage, each with a false alarm of `LEVEL` for all quantities together
(S. Holm, Scandinavian Journal of Statistics 6 (1979) 65). Replicas with a fault are counted: those that have ranks
stay in the tests, and more than `MOST_FAULTS` of all make a verdict impossible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayescal.diagnostics.calibration import CoverageTest, RanksTest, central_coverage_test, holm, sbc_ranks_test
from bayescal.errors import InputError

LEVEL = 0.01
MOST_FAULTS = 0.02
LEVELS = (0.68, 0.95)
"""Central intervals whose coverage is tested."""


@dataclass(frozen=True)
class Quantity:
    """One ranked number.

    Attributes:
        name: of the parameter, or what else was ranked.
        ranks: number of draws below the truth [replica].
        uniform: test of the ranks; uniform_p: its p-value after Holm.
        coverage: tests of the central intervals of `LEVELS`; coverage_p: their p-values after Holm.
    """

    name: str
    ranks: np.ndarray
    uniform: RanksTest
    uniform_p: float
    coverage: tuple[CoverageTest, ...]
    coverage_p: tuple[float, ...]

    @property
    def good(self) -> bool:
        """Whether no test rejects."""
        return min(self.uniform_p, *self.coverage_p) > LEVEL

    @property
    def words(self) -> str:
        """What is wrong with it."""
        found = [] if self.uniform_p > LEVEL else [f"ranks are not uniform (p = {self.uniform_p:.1e})"]
        for level, test, p in zip(LEVELS, self.coverage, self.coverage_p, strict=True):
            if p <= LEVEL:
                size = "narrow" if test.rate < test.nominal else "wide"
                found.append(f"{level:.0%} intervals cover {test.rate:.1%}: too {size} (p = {p:.1e})")
        return f"{self.name}: {', '.join(found)}"


@dataclass(frozen=True)
class Validation:
    """The outcome of a validation.

    Attributes:
        quantities: the ranked numbers with their tests.
        n_draws: draws of each posterior.
        replicas: number of replicas, those with a fault included.
        faults: what went wrong, by number of the replica.
    """

    quantities: tuple[Quantity, ...]
    n_draws: int
    replicas: int
    faults: dict[int, str]

    @property
    def trustworthy(self) -> bool:
        """Whether so few replicas failed that the others can speak for all."""
        return len(self.faults) <= MOST_FAULTS * self.replicas

    @property
    def good(self) -> bool:
        """Whether the posteriors are calibrated, as far as so many replicas can tell."""
        return self.trustworthy and all(quantity.good for quantity in self.quantities)

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        failed = f"{len(self.faults)} of {self.replicas} replicas failed"
        wrong = [quantity.words for quantity in self.quantities if not quantity.good]
        if wrong:
            return f"Not calibrated: {'; '.join(wrong)}. {failed}."
        if not self.trustworthy:
            number, reason = next(iter(self.faults.items()))
            return f"No verdict: {failed}, more than {MOST_FAULTS:.0%} (the first, {number}: {reason})."
        uniform = min(quantity.uniform_p for quantity in self.quantities)
        covers = min(min(quantity.coverage_p) for quantity in self.quantities)
        return (
            f"Calibrated: ranks are uniform (smallest p {uniform:.2f} after Holm) and intervals cover at their rates "
            f"(smallest p {covers:.2f} after Holm) for all {len(self.quantities)} quantities. {failed}."
        )

    def table(self) -> list[tuple[str, ...]]:
        """Rows for people: name, p-value of the ranks, and rate with p-value of each coverage."""
        return [
            (
                quantity.name,
                f"{quantity.uniform_p:.3g}",
                *(
                    f"{test.rate:.1%} [{test.rate_interval[0]:.1%}, {test.rate_interval[1]:.1%}], p {p:.3g}"
                    for test, p in zip(quantity.coverage, quantity.coverage_p, strict=True)
                ),
            )
            for quantity in self.quantities
        ]

    def as_json(self) -> dict[str, Any]:
        """Everything as JSON can hold it."""
        return {
            "calibrated": self.good,
            "verdict": self.sentence,
            "replicas": self.replicas,
            "draws": self.n_draws,
            "faults": {str(number): reason for number, reason in self.faults.items()},
            "quantities": {quantity.name: _quantity_json(quantity) for quantity in self.quantities},
        }


def validation(ranks: Sequence[Mapping[str, int]], n_draws: int, faults: Mapping[int, str]) -> Validation:
    """Judge the ranks of replicas.

    Args:
        ranks: by quantity, of each replica; empty for a replica without draws, which must have a fault.
        n_draws: nearly independent draws of each posterior.
        faults: what went wrong, by number of the replica.

    Raises:
        InputError: no replica has ranks.
    """
    with_ranks = [one for one in ranks if one]
    if not with_ranks:
        reason = f"; the first failed with: {next(iter(faults.values()))}" if faults else ""
        raise InputError(f"none of {len(ranks)} replicas has ranks, so that there is nothing to judge{reason}")
    columns = {name: np.array([one[name] for one in with_ranks]) for name in with_ranks[0]}
    uniform = {name: sbc_ranks_test(values, n_draws) for name, values in columns.items()}
    coverage = {
        name: tuple(central_coverage_test(values, n_draws, level) for level in LEVELS)
        for name, values in columns.items()
    }
    uniform_p = holm({name: test.p_value for name, test in uniform.items()})
    coverage_p = holm({f"{name} {i}": test.p_value for name, tests in coverage.items() for i, test in enumerate(tests)})
    quantities = (
        Quantity(
            name,
            values,
            uniform[name],
            uniform_p[name],
            coverage[name],
            tuple(coverage_p[f"{name} {i}"] for i in range(len(LEVELS))),
        )
        for name, values in columns.items()
    )
    return Validation(tuple(quantities), n_draws, len(ranks), dict(faults))


def _quantity_json(quantity: Quantity) -> dict[str, Any]:
    return {
        "good": quantity.good,
        "ranks": quantity.ranks.tolist(),
        "uniform": {"p": quantity.uniform.p_value, "p_holm": quantity.uniform_p},
        "coverage": {
            f"{level:.0%}": {
                "nominal": test.nominal,
                "covered": test.covered,
                "rate": test.rate,
                "rate_interval_95": list(test.rate_interval),
                "p": test.p_value,
                "p_holm": p,
            }
            for level, test, p in zip(LEVELS, quantity.coverage, quantity.coverage_p, strict=True)
        },
    }
