"""The log-density of a NumPyro model as a function of one flat, unconstrained vector.

`inputs` and `data` are arguments of every compiled program, never constants in it: they may be tens of megabytes,
and other values of the same shapes run without compiling again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray
from numpyro import handlers
from numpyro.distributions import Distribution, biject_to
from numpyro.infer.util import constrain_fn, potential_energy

from bayescal.errors import InputError
from bayescal.inference.subsampling import Plate, every_row, find_plate, summed

CHUNK = 100  # rows that become physical values at once: one compiled program for any number of draws


def _in_order(gather: Callable) -> classmethod:
    """The same names in alphabetical order.

    NumPyro takes the fields of a distribution from a set, in an order that changes from process to process. Programs
    with priors among their arguments would not be found in the compilation cache, nor be the same in another process.
    """
    return classmethod(lambda cls: tuple(sorted(gather(cls))))


for _name in ("gather_pytree_data_fields", "gather_pytree_aux_fields"):
    setattr(Distribution, _name, _in_order(getattr(Distribution, _name).__func__))

Model = Callable[[Any, Any], Any]
Values = dict[str, Any]
Measured = Callable[[Values, Any], tuple[Array, Array]]
"""By (values, inputs): numbers that the data measure about independently, and the inverse variance of each."""


class Programs(NamedTuple):
    """The compiled functions, shared by all potentials of one model.

    Each takes inputs and data after its own argument; `energy` is not compiled, for use inside other programs.
    """

    energy: Callable
    value: Callable
    value_and_grad: Callable
    constrain: Callable
    unconstrain: Callable
    prior: Callable
    information: Callable | None


class Evaluations:
    """Counts what a fit spends: values and gradients of the log-density."""

    def __init__(self) -> None:
        self.values = 0
        self.gradients = 0

    def counts(self) -> tuple[int, int]:
        """Values and gradients so far."""
        return self.values, self.gradients

    def set(self, counts: Sequence[int] | np.ndarray) -> None:
        """Go on from counts that were taken before."""
        self.values, self.gradients = map(int, counts)


class Potential:
    """Minus the log-density of the latent sites, in the unconstrained space; the Jacobian is included.

    Attributes:
        model: the NumPyro function.
        plate: its subsampled plate, if it has one; the potential sums over all rows of it.
        names: the latent sites, in alphabetical order, as in the flat vector.
        labels: one label a component of the flat vector: `kb`, `event_time[0]`, `event_time[1]`, ...
        size: length of the flat vector.
        unravel: unconstrained values by name of a flat vector.
        inputs, data: arguments of the model, on the device.
        evaluations: what was spent so far, shared with the potentials made by `with_inputs` and `with_data`.
        programs: the compiled functions.
    """

    def __init__(
        self, model: Model, inputs: Any, data: Any, key: PRNGKeyArray, measured: Measured | None = None
    ) -> None:
        self.model, self.inputs, self.data = model, _on_device(inputs, "inputs"), _on_device(data, "data")
        self.plate = find_plate(model, self.inputs, self.data, key)
        draw = _prior_draw(every_row(model, self.plate))
        template = jax.eval_shape(draw, key, self.inputs, self.data)
        if not template:
            raise InputError("the model has no free parameter: give at least one a prior")
        self.names = tuple(template)
        self.labels = tuple(label for name in template for label in labels(name, template[name].shape))
        self.size = len(self.labels)
        self.unravel = ravel_pytree({name: jnp.zeros(leaf.shape, leaf.dtype) for name, leaf in template.items()})[1]
        self.programs = _compile(model, self.unravel, self.plate, measured)
        self.evaluations = Evaluations()

    def with_inputs(self, inputs: Any) -> Potential:
        """The potential of other inputs; where their shapes are the same, nothing is compiled again."""
        other = object.__new__(Potential)
        other.__dict__.update(self.__dict__)
        other.inputs = _like(_on_device(inputs, "inputs"), self.inputs)
        return other

    def with_data(self, inputs: Any, data: Any) -> Potential:
        """The potential of another data set; where the shapes are the same, nothing is compiled again."""
        other = self.with_inputs(inputs)
        other.data = _like(_on_device(data, "data"), self.data)
        return other

    def value(self, x: Float[Array, " d"] | np.ndarray) -> float:
        """The potential at x."""
        self.evaluations.values += 1
        return float(self.programs.value(jnp.asarray(x), self.inputs, self.data))

    def value_and_grad(self, x: Float[Array, " d"] | np.ndarray) -> tuple[float, np.ndarray]:
        """The potential at x and its gradient."""
        self.evaluations.gradients += 1
        value, gradient = self.programs.value_and_grad(jnp.asarray(x), self.inputs, self.data)
        return float(value), np.asarray(gradient)

    def information(self, x: Float[Array, " d"] | np.ndarray) -> np.ndarray | None:
        """What the numbers that the data measure tell about x: J' P J [d, d]; None where no such numbers are known."""
        if self.programs.information is None:
            return None
        return np.asarray(self.programs.information(jnp.asarray(x), self.inputs, self.data))

    def constrain(self, x: Float[Array, "*batch d"] | np.ndarray) -> dict[str, np.ndarray]:
        """Physical values of flat vectors, deterministic sites included; leading axes are kept."""
        x = np.asarray(x)
        rows = x.reshape(-1, self.size)
        padded = np.concatenate([rows, np.repeat(rows[-1:], -len(rows) % CHUNK, axis=0)]).reshape(-1, CHUNK, self.size)
        parts = [jax.device_get(self.programs.constrain(part, self.inputs, self.data)) for part in padded]
        values = jax.tree.map(lambda *leaves: np.concatenate(leaves)[: len(rows)], *parts)
        return {name: value.reshape((*x.shape[:-1], *value.shape[1:])) for name, value in values.items()}

    def unconstrain(self, values: Values, default: Float[Array, " d"] | np.ndarray) -> np.ndarray:
        """The flat vector of physical values; names that are missing are taken from the vector `default`."""
        unknown = sorted(set(values) - set(self.names))
        if unknown:
            raise InputError(f"start names {', '.join(unknown)}, but the free parameters are {', '.join(self.names)}")
        complete = {name: value for name, value in self.constrain(default).items() if name in self.names}
        for name, value in values.items():
            complete[name] = np.broadcast_to(np.asarray(value, float), complete[name].shape)
        x = np.asarray(self.programs.unconstrain(complete, self.inputs, self.data))
        if not np.isfinite(x).all():
            outside = self.labels[np.argmin(np.isfinite(x))]
            raise InputError(
                f"the start value of {outside} lies outside its prior's support: move it or widen the prior"
            )
        return x

    def sample_prior(self, key: PRNGKeyArray, n: int) -> np.ndarray:
        """Draws of the prior as flat vectors [n, d]."""
        return np.asarray(self.programs.prior(jax.random.split(key, n), self.inputs, self.data))


def prior_potential(model: Model, inputs: Any, data: Any, key: PRNGKeyArray) -> Potential:
    """The potential of the priors alone: observed sites and factors are hidden."""
    hidden = handlers.block(model, hide_fn=lambda site: _is_observed(site) and not _is_jacobian(site))
    return Potential(hidden, inputs, data, key)


def hessian(potential: Potential, x: np.ndarray, basis: np.ndarray, step: float = 0.05) -> np.ndarray:
    """Second derivatives at x by central differences of the gradient, 2d gradients.

    Args:
        potential: what is differentiated; reverse mode alone is used.
        x: where [d].
        basis: columns are the directions of the differences [d, d]; best are those in which the potential curves by
            one, such as a Cholesky factor of a guessed covariance.
        step: of the differences, in units of the columns; small enough that the cubic terms cancel to `step` squared.

    Returns:
        The symmetric matrix in x [d, d].
    """
    ahead, behind = (_gradients(potential, x, side * step * basis) for side in (1.0, -1.0))
    return _from_whitened((ahead - behind) / (2.0 * step) @ basis, basis)


def rough_hessian(
    potential: Potential, x: np.ndarray, gradient: np.ndarray, basis: np.ndarray, step: float = 0.05
) -> np.ndarray:
    """As `hessian`, by forward differences from the known gradient at x: d gradients, error of first order in step."""
    return _from_whitened((_gradients(potential, x, step * basis) - gradient) / step @ basis, basis)


def _gradients(potential: Potential, x: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Gradients [d, d] after each step away from x; the steps are columns."""
    return np.asarray([potential.value_and_grad(x + column)[1] for column in steps.T])


def _from_whitened(curvature: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """The symmetric part of second derivatives along the basis, in the coordinates themselves."""
    inverse = np.linalg.inv(basis)
    return inverse.T @ (0.5 * (curvature + curvature.T)) @ inverse


def labels(name: str, shape: tuple[int, ...]) -> list[str]:
    """Labels of the components of an array: `kb`, or `shift[0]`, `shift[1]`, ..."""
    return [name + (f"[{','.join(map(str, index))}]" if index else "") for index in np.ndindex(*shape)]


def _compile(model: Model, unravel: Callable, plate: Plate | None, measured: Measured | None) -> Programs:
    whole = every_row(model, plate)

    def energy(x, inputs, data):
        return summed(lambda part: potential_energy(part, (inputs, data), {}, unravel(x)), model, plate)

    def constrain(x, inputs, data):
        return jax.lax.map(
            lambda row: constrain_fn(whole, (inputs, data), {}, unravel(row), return_deterministic=True), x
        )

    def unconstrain(values, inputs, data):
        return ravel_pytree(_unconstrained(handlers.substitute(whole, data=values), inputs, data))[0]

    def prior(keys, inputs, data):
        return jax.lax.map(lambda key: ravel_pytree(_prior_draw(whole)(key, inputs, data))[0], keys)

    def information(x, inputs, data):
        def numbers(x):
            assert measured is not None
            return measured(constrain_fn(whole, (inputs, data), {}, unravel(x)), inputs)

        slope = jax.jacfwd(lambda x: numbers(x)[0])(x)
        return slope.T @ (numbers(x)[1][:, None] * slope)

    values, place, draws = (jax.jit(program) for program in (constrain, unconstrain, prior))
    known = None if measured is None else jax.jit(information)
    return Programs(energy, jax.jit(energy), jax.jit(jax.value_and_grad(energy)), values, place, draws, known)


def _prior_draw(model: Model) -> Callable[[PRNGKeyArray, Any, Any], Values]:
    """A function that draws the latent sites, unconstrained; what only observed sites need is compiled away."""

    def draw(key, inputs, data):
        return _unconstrained(handlers.seed(model, key), inputs, data)

    return draw


def _unconstrained(model: Model, inputs: Any, data: Any) -> Values:
    """The unconstrained values of the latent sites in one run of the model, in alphabetical order."""
    trace = handlers.trace(model).get_trace(inputs, data)
    latent = {name: site for name, site in sorted(trace.items()) if site["type"] == "sample" and not _is_observed(site)}
    discrete = [name for name, site in latent.items() if site["fn"].support.is_discrete]
    if discrete:
        raise InputError(f"the prior of {', '.join(discrete)} is discrete: sum over its values inside the model")
    return {name: biject_to(site["fn"].support).inv(site["value"]) for name, site in latent.items()}


def _is_observed(site: dict) -> bool:
    return site["type"] == "sample" and site["is_observed"]


def _is_jacobian(site: dict) -> bool:
    """Whether NumPyro made the site, for the transform of a latent one."""
    return site["name"].startswith("_") and site["name"].endswith("_log_det")


def _on_device(tree: Any, what: str) -> Any:
    try:
        return jax.tree.map(jax.device_put, tree)
    except TypeError as error:
        raise InputError(f"{what} of a model must be a pytree of arrays and numbers: {error}") from error


def _like(tree: Any, reference: Any) -> Any:
    """The tree with the types of the reference's leaves, so that nothing is compiled again for them."""
    if jax.tree.structure(tree) != jax.tree.structure(reference):
        return tree
    return jax.tree.map(lambda leaf, like: leaf if leaf.aval == like.aval else _cast(leaf, like), tree, reference)


def _cast(leaf: Array, like: Array) -> Array:
    return jax.device_put(leaf.item()) if like.weak_type and leaf.ndim == 0 else jnp.asarray(leaf, like.dtype)
