"""What a user can choose about a fit."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Method = Literal["map", "laplace", "pathfinder", "svi", "nuts"]
Guide = Literal[
    "AutoNormal", "AutoMultivariateNormal", "AutoLowRankMultivariateNormal", "AutoIAFNormal", "AutoBNAFNormal"
]
ChainMethod = Literal["auto", "parallel", "vectorized", "sequential"]
RHAT_LIMIT = 1.01  # A. Vehtari et al., Bayesian Analysis 16 (2021) 667, section 4
ESS_PER_CHAIN = 100.0  # the same, section 4.1
KHAT_LIMIT = 0.7  # A. Vehtari et al., JMLR 25 (2024) 72, section 3.2


class FitSettings(BaseModel):
    """Settings of `bayescal.fit`; a study's `[sampler]` table has the same keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Method = Field(
        "nuts",
        description="map (the mode), laplace (the mode and its curvature), pathfinder, svi (approximations) or nuts; "
        "all but map and nuts re-weight their draws and state the bias before.",
    )
    chains: int = Field(4, ge=1, description="Number of Markov chains.")
    warmup: int | None = Field(
        None, ge=0, description="Warm-up iterations a chain; none: 50 where the mode's curvature serves, else 200."
    )
    draws: int = Field(500, ge=4, description="Draws kept a chain (laplace, pathfinder, svi: in all).")
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
