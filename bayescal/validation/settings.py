"""What a validation is told: how many replicas, how their posteriors are drawn from, and which part runs here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from bayescal.errors import InputError

if TYPE_CHECKING:
    from bayescal.study import Study

Method = Literal["chain", "laplace", "fit"]


@dataclass(frozen=True)
class ValidationSettings:
    """Settings of a validation.

    Attributes:
        method: `chain` (short whitened Hamiltonian chains), `laplace` (importance draws at the mode) or `fit` (the
            study's own fit in full, thinned; compiles anew for each replica).
        draws: nearly independent draws of each posterior; 79 make 80 possible ranks.
        seed: of all replicas; replica k is the same whatever ran before it.
    """

    method: Method = "chain"
    draws: int = 79
    seed: int = 1


class Shard(NamedTuple):
    """Part `part` of `parts` parts of the replicas, counted from 1."""

    part: int = 1
    parts: int = 1

    @property
    def suffix(self) -> str:
        """What tells the part's file from others."""
        return "" if self.parts == 1 else f"-{self.part}-of-{self.parts}"

    def numbers(self, replicas: int) -> range:
        """The replicas of the part."""
        return range(self.part - 1, replicas, self.parts)


def parse_shard(text: str) -> Shard:
    """A part written as i/n.

    Raises:
        InputError: it is not written so, or i is not from 1 to n.
    """
    part, separator, count = text.partition("/")
    if not (separator and part.isdecimal() and count.isdecimal() and 1 <= int(part) <= int(count)):
        raise InputError(f"--shard: expected i/n with i from 1 to n, such as 2/4, got {text!r}")
    return Shard(int(part), int(count))


def study_settings(study: Study, method: str | None = None, draws: int = 79) -> ValidationSettings:
    """Settings for a study: its seed, and the way to draw that stands for its method unless another is asked for.

    Raises:
        InputError: an unknown way, or the study's method gives no posterior.
    """
    stand_ins = {"nuts": "chain", "laplace": "laplace"}
    if method is None and study.sampler.method == "map":
        raise InputError(
            f'{study.path} [sampler]: method = "map" gives no posterior to validate; use "nuts" or "laplace", or name '
            "a way to draw with --method"
        )
    chosen = method or stand_ins.get(study.sampler.method, "fit")
    for known in get_args(Method):
        if chosen == known:
            return ValidationSettings(known, draws, study.seed)
    raise InputError(f"--method: expected one of {', '.join(get_args(Method))}, got {chosen!r}")
