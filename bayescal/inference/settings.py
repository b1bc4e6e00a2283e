"""What a user can choose about a fit; the defaults serve up to about a hundred parameters."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Method = Literal["map", "laplace", "nuts", "blackjax_nuts", "mclmc", "smc", "hmcecs"]
ChainMethod = Literal["auto", "parallel", "vectorized", "sequential"]
Start = Literal["auto", "prior", "gaussian"]
RHAT_LIMIT = 1.01  # A. Vehtari et al., Bayesian Analysis 16 (2021) 667, section 4
ESS_PER_CHAIN = 100.0  # the same, section 4.1
KHAT_LIMIT = 0.7  # A. Vehtari et al., JMLR 25 (2024) 72, section 3.2


class FitSettings(BaseModel):
    """Settings of `bayescal.fit`; a study's `[sampler]` table has the same keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Method = Field(
        "nuts",
        description="map (the mode), laplace (the mode and its curvature), or draws: nuts, blackjax_nuts, mclmc, smc "
        "(several modes), hmcecs (much data, in a plate with subsample_size).",
    )
    chains: int = Field(4, ge=1, description="Number of Markov chains (smc: independent runs).")
    warmup: int | None = Field(
        None, ge=0, description="Warm-up iterations a chain; none: 50 where the mode's curvature serves, else 200."
    )
    draws: int = Field(500, ge=4, description="Draws kept a chain (laplace: in all; smc: see particles).")
    min_ess: float | None = Field(
        None, gt=0, description="Go on after `draws` until every parameter has this bulk and tail ESS and R-hat < 1.01."
    )
    max_draws: int = Field(5000, ge=4, description="With min_ess: stop at this many draws a chain.")
    target_accept: float = Field(0.8, gt=0, lt=1, description="Acceptance that the step size of NUTS is tuned to.")
    max_tree_depth: int = Field(10, ge=1, le=15, description="A trajectory takes at most 2^depth - 1 gradients.")
    chain_method: ChainMethod = Field(
        "auto", description="parallel (over devices), vectorized, sequential; auto: parallel, on one GPU vectorized."
    )
    block: int = Field(10, ge=1, description="Iterations between two looks at progress, interrupts and min_ess.")
    importance_draws: int = Field(
        200, ge=20, description="Log-densities that judge the mode's curvature (laplace: at least `draws`)."
    )
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

    @model_validator(mode="after")
    def _draws_in_order(self) -> FitSettings:
        if self.min_ess is not None and self.max_draws < self.draws:
            raise ValueError(f"max_draws = {self.max_draws} must not be below draws = {self.draws}")
        return self

    @property
    def required_ess(self) -> float:
        """The bulk and tail effective sample size below which a fit counts as not converged."""
        return ESS_PER_CHAIN * self.chains if self.min_ess is None else self.min_ess
