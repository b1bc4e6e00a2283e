"""What a user can choose about a fit."""

from __future__ import annotations

import math
import re
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Method = Literal[
    "auto", "map", "laplace", "pathfinder", "svi", "nuts", "hmc", "blackjax_nuts", "mclmc", "smc", "hmcecs"
]
Guide = Literal[
    "AutoNormal", "AutoMultivariateNormal", "AutoLowRankMultivariateNormal", "AutoIAFNormal", "AutoBNAFNormal"
]
Start = Literal["auto", "prior", "gaussian"]
ChainMethod = Literal["auto", "parallel", "vectorized", "sequential"]
RHAT_LIMIT = 1.01  # A. Vehtari et al., Bayesian Analysis 16 (2021) 667, section 4
ESS_PER_CHAIN = 100.0  # the same, section 4.1
KHAT_LIMIT = 0.7  # A. Vehtari et al., JMLR 25 (2024) 72, section 3.2


GOAL = re.compile(r"\s*(?:ess\s*>\s*(?P<ess>[^\s<>]+)|rhat\s*<\s*(?P<rhat>[^\s<>]+))\s*")


class Goal(NamedTuple):
    """Bulk and tail effective sample size to exceed, and R-hat to fall below, in every parameter; None: any."""

    ess: float | None = None
    rhat: float | None = None


def parse_goal(text: str) -> Goal:
    """Read a goal such as `ess > 400`, `rhat < 1.01`, or both joined by `and`.

    Raises:
        ValueError: the text is no goal, names a figure twice, or a number is out of range.
    """
    found: dict[str, float] = {}
    for part in re.split(r"\band\b", text):
        match = GOAL.fullmatch(part)
        name = match.lastgroup if match else None
        if match is None or name is None or name in found:
            raise ValueError(f"expected 'ess > 400', 'rhat < 1.01' or both joined by 'and', not {text!r}")
        found[name] = float(match[name])
    goal = Goal(**found)
    if not (goal.ess is None or 0 < goal.ess < math.inf) or not (goal.rhat is None or 1 < goal.rhat < math.inf):
        raise ValueError(f"ess must be above a positive number and rhat below one that exceeds 1, not {text!r}")
    return goal


class FitSettings(BaseModel):
    """Settings of `bayescal.fit`; a study's `[sampler]` table has the same keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Method = Field(
        "nuts",
        description="map (the mode), laplace (the mode and its curvature), pathfinder, svi (approximations), or draws: "
        "nuts, hmc, blackjax_nuts, mclmc, smc (several modes), hmcecs (much data, in a plate with subsample_size); "
        "laplace, pathfinder and svi re-weight their draws and state the bias before; auto: laplace where its weights "
        "are good, else nuts.",
    )
    chains: int = Field(4, ge=1, description="Number of Markov chains (smc: independent runs).")
    warmup: int | None = Field(
        None,
        ge=0,
        description="Warm-up iterations a chain; none: 50 where the mode's curvature serves (nuts, hmc: 20), else 200.",
    )
    draws: int = Field(
        500, ge=4, description="Draws kept a chain (laplace, pathfinder, svi: in all; smc: see particles)."
    )
    until: str | None = Field(
        None, description="Go on after `draws` until this holds for every parameter: ess > 400 and rhat < 1.01."
    )
    max_draws: int = Field(5000, ge=4, description="With until: stop at this many draws a chain.")
    target_accept: float = Field(
        0.8,
        gt=0,
        lt=1,
        description="Acceptance that the step size is tuned to; nuts and hmc on a nearly normal posterior take a step "
        "that is known to be good there, unless more than 0.8 is asked for.",
    )
    max_tree_depth: int = Field(
        10,
        ge=1,
        le=15,
        description="Of the tree of nuts, blackjax_nuts, hmcecs: a trajectory takes at most 2^depth - 1 gradients.",
    )
    leaps: int | None = Field(
        None,
        ge=1,
        description="hmc: leapfrog steps of a trajectory, a gradient each; none: those of a quarter of a period.",
    )
    chain_method: ChainMethod = Field(
        "auto", description="parallel (over devices), vectorized, sequential; auto: parallel, on one GPU vectorized."
    )
    block: int = Field(10, ge=1, description="Iterations between two looks at progress, interrupts and until.")
    checkpoint_seconds: float = Field(60.0, ge=0, description="Time between two checkpoints of a run kept on disk.")
    importance_draws: int = Field(
        200,
        ge=20,
        description="Log-densities that judge an approximation (laplace, pathfinder, svi: at least `draws`).",
    )
    paths: int = Field(8, ge=1, description="pathfinder: paths to the mode, weighed together.")
    path_steps: int = Field(15, ge=1, description="pathfinder: steps of a path at most.")
    path_draws: int = Field(10, ge=2, description="pathfinder: log-densities that judge each step of a path.")
    guide: Guide = Field(
        "AutoLowRankMultivariateNormal",
        description="svi: NumPyro's guide: AutoNormal (mean field), AutoMultivariateNormal (full rank), "
        "AutoLowRankMultivariateNormal, AutoIAFNormal or AutoBNAFNormal (normalising flows).",
    )
    svi_steps: int = Field(
        3000, ge=10, description="svi: steps at most; it ends when the ELBO stays and k-hat is good."
    )
    svi_particles: int = Field(
        8, ge=1, description="svi: gradients a step; taken at once on accelerators and where chains are vectorized."
    )
    learning_rate: float = Field(0.01, gt=0, description="svi: of Adam, at the start; it falls to 0 by a cosine.")
    particles: int = Field(500, ge=20, description="smc: particles of a run; each is one draw.")
    smc_moves: int = Field(3, ge=1, description="smc: Hamiltonian moves of every particle at each temperature.")
    smc_ess: float = Field(
        0.5, gt=0, lt=1, description="smc: effective share of the particles that sets the next temperature."
    )
    smc_start: Start = Field(
        "auto",
        description="smc: prior, gaussian (wide, around the mode), auto: gaussian where the prior is very broad.",
    )
    smc_batch: int | None = Field(
        None, ge=1, description="smc: particles that move at the same time; none: as many as 1 GB of memory takes."
    )
    ecs_blocks: int = Field(10, ge=1, description="hmcecs: parts of the subsample, of which each draw renews one.")
    max_gradients: int = Field(1500, ge=1, description="Gradients after which one search for the mode gives up.")
    restarts: int = Field(2, ge=0, description="Further starts, from prior draws, when a search gave up.")
    prior_draws: int = Field(500, ge=20, description="Draws of the prior kept with the result and used as a scale.")

    @field_validator("until")
    @classmethod
    def _until_is_a_goal(cls, text: str | None) -> str | None:
        if text is not None:
            parse_goal(text)
        return text

    @model_validator(mode="after")
    def _draws_in_order(self) -> FitSettings:
        if self.until is not None and self.max_draws < self.draws:
            raise ValueError(f"max_draws = {self.max_draws} must not be below draws = {self.draws}")
        return self

    @property
    def stop(self) -> Goal | None:
        """What ends the draws, none: their number alone."""
        return None if self.until is None else parse_goal(self.until)

    @property
    def required(self) -> Goal:
        """What draws must reach to count as converged: what `until` says, else the usual limits."""
        asked = self.stop or Goal()
        return Goal(
            ESS_PER_CHAIN * self.chains if asked.ess is None else asked.ess,
            RHAT_LIMIT if asked.rhat is None else asked.rhat,
        )
