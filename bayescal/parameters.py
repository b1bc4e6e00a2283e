"""A parameter of a detector: name, unit, nominal value and prior; priors read from TOML and drawn inside a model."""

from __future__ import annotations

import difflib
import inspect
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float, Int
from numpyro.distributions.transforms import Transform

from bayescal.coordinates import InCoordinate
from bayescal.errors import InputError


class Hierarchical(eqx.Module):
    """A prior whose arguments are other parameters: `{LogNormal = ["yield_location", "yield_spread"]}`.

    Attributes:
        kind: name of a distribution of `numpyro.distributions`.
        arguments: a number, or the name of a parameter that has no hierarchical prior itself, by name of the argument.
    """

    kind: str = eqx.field(static=True)
    arguments: tuple[tuple[str, float | str], ...] = eqx.field(static=True)

    @classmethod
    def of(cls, kind: str, **arguments: float | str) -> Hierarchical:
        """From arguments by name."""
        return cls(kind, tuple(arguments.items()))

    def given(self, values: Mapping[str, Value]) -> dist.Distribution:
        """The distribution for values of the parameters by name."""
        named = {key: values[each] if isinstance(each, str) else each for key, each in self.arguments}
        return getattr(dist, self.kind)(**named)


Prior = dist.Distribution | Hierarchical | float
"""A prior to draw from, or the number at which a parameter is held fixed."""

Groups = Mapping[str, Mapping[str, Int[Array | np.ndarray, " member"]]]
"""For a plate, for another one that groups its members, the group of each: {"sensor": {"kind": [0, 0, 1, ...]}}."""

Value = Float[Array, " member"] | Float[Array, ""] | float
"""A parameter inside a model: one value, or a vector with one value a member of its plate."""


class Parameter(eqx.Module):
    """One constant that a model can infer or hold fixed.

    Attributes:
        name: as the field writes it; the key in study files and in results.
        unit: physical unit of value and prior, empty for a pure number.
        nominal: value when fixed, and the truth of a simulation [unit].
        prior: default prior [unit].
        free: whether it is inferred unless a study says otherwise.
        per: name of the plate that has one value a member ("event"), None for a single value.
        description: one line for people.
        larndsim_key: its name in larnd-sim's detector file, None if it has none.
    """

    name: str = eqx.field(static=True)
    unit: str = eqx.field(static=True)
    nominal: float
    prior: dist.Distribution | Hierarchical
    free: bool = eqx.field(static=True, default=True)
    per: str | None = eqx.field(static=True, default=None)
    description: str = eqx.field(static=True, default="")
    larndsim_key: str | None = eqx.field(static=True, default=None)

    @property
    def default(self) -> Prior:
        """What a study gets that does not mention the parameter."""
        return self.prior if self.free else self.nominal


def is_free(prior: object) -> bool:
    """Whether a prior is one to draw from, not a number or an array of them."""
    return isinstance(prior, dist.Distribution | Hierarchical)


def fixed_or_nominal(parameters: Iterable[Parameter], priors: Mapping[str, Prior]) -> dict[str, Value]:
    """Every parameter at the number that its prior holds it at, at its nominal value where it is free."""
    values: dict[str, Value] = {}
    for parameter in parameters:
        prior = priors.get(parameter.name, parameter.default)
        values[parameter.name] = parameter.nominal if isinstance(prior, dist.Distribution | Hierarchical) else prior
    return values


def draw(
    parameters: Iterable[Parameter],
    priors: Mapping[str, Prior],
    sizes: Mapping[str, int] | None = None,
    groups: Groups | None = None,
    coordinates: Mapping[str, Callable[[Mapping[str, Value]], Transform]] | None = None,
) -> dict[str, Value]:
    """Values of all parameters, to be called inside a NumPyro model.

    Args:
        parameters: what the model knows.
        priors: a distribution to draw from or a number to hold, by name; a parameter that is not named has its default.
        sizes: members of each plate, for parameters with one value a member.
        groups: of these members, for hierarchical priors whose arguments have one value a group.
        coordinates: in which samplers see positive parameters (`bayescal.coordinates`), from the values drawn before:
            first of those without a coordinate or a hierarchical prior, then of these in the order of the coordinates.

    Returns:
        A scalar a parameter, or a vector with one value a member of its plate.

    Raises:
        InputError: a parameter that is not known, or a hierarchical prior whose arguments are of other members.
    """
    by_name = {parameter.name: parameter for parameter in parameters}
    require_known(priors, list(by_name), "priors")
    chosen = {name: priors.get(name, parameter.default) for name, parameter in by_name.items()}
    values: dict[str, Value] = {}
    coordinates = coordinates or {}
    order = {name: 2 + number for number, name in enumerate(coordinates)}
    for name in sorted(by_name, key=lambda name: order.get(name, isinstance(chosen[name], Hierarchical))):
        prior = chosen[name]
        if isinstance(prior, Hierarchical):
            prior = prior.given(_for_members(by_name[name], prior, by_name, values, groups or {}))
        if name in coordinates and isinstance(prior, dist.Distribution):
            prior = InCoordinate(prior, coordinates[name](values))
        values[name] = draw_one(by_name[name], prior, sizes or {})
    return {name: values[name] for name in by_name}


def _for_members(
    parameter: Parameter,
    prior: Hierarchical,
    by_name: Mapping[str, Parameter],
    values: Mapping[str, Value],
    groups: Groups,
) -> dict[str, Value]:
    """What the arguments of a hierarchical prior are for each member of the parameter's plate."""
    found = {}
    for name in (each for _, each in prior.arguments if isinstance(each, str)):
        plate = by_name[name].per
        if plate in (None, parameter.per):
            found[name] = values[name]
        elif plate in groups.get(parameter.per or "", {}):
            found[name] = jnp.asarray(values[name])[jnp.asarray(groups[parameter.per or ""][plate])]
        else:
            member = parameter.per or "single value"
            raise InputError(
                f"prior of {parameter.name}: {name!r} has one value a {plate}, and no {member} belongs to one; name "
                "another parameter"
            )
    return found


def draw_one(parameter: Parameter, prior: dist.Distribution | float, sizes: Mapping[str, int]) -> Value:
    """Value of one parameter inside a NumPyro model: a sample site for a distribution, else the number itself."""
    if parameter.per is None:
        return jnp.asarray(numpyro.sample(parameter.name, prior)) if isinstance(prior, dist.Distribution) else prior
    size = sizes[parameter.per]
    if not isinstance(prior, dist.Distribution):
        return jnp.broadcast_to(jnp.asarray(prior, dtype=float), (size,))
    with numpyro.plate(parameter.per, size):
        return jnp.asarray(numpyro.sample(parameter.name, prior))


def units(parameters: Iterable[Parameter]) -> dict[str, str]:
    """Unit of each parameter by name."""
    return {parameter.name: parameter.unit for parameter in parameters}


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a mistyped name: the nearest known one, or all known ones."""
    by_lower_case = {other.lower(): other for other in known}
    close = difflib.get_close_matches(name.lower(), by_lower_case, n=1, cutoff=0.5)
    if close:
        return f"did you mean {by_lower_case[close[0]]!r}?"
    return f"expected one of {', '.join(sorted(by_lower_case.values()))}" if by_lower_case else "none is expected here"


def require_known(names: Iterable[str], known: Sequence[str], where: str) -> None:
    """Refuse a name that no parameter has."""
    for name in names:
        if name not in known:
            raise InputError(f"{where}: {name!r} is not a parameter of this model; {nearest(name, known)}")


def priors_from_toml(parameters: Iterable[Parameter], table: Mapping[str, object], where: str) -> dict[str, Prior]:
    """Prior or fixed number of every parameter of a model.

    Args:
        parameters: what the model knows.
        table: the study's [parameters]: "free", "fixed", a number, or {Distribution = arguments}, by name.
        where: file and table, for errors.
    """
    by_name = {parameter.name: parameter for parameter in parameters}
    require_known(table, list(by_name), where)
    words = {"free": lambda p: p.prior, "fixed": lambda p: p.nominal}
    priors = {name: parameter.default for name, parameter in by_name.items()}
    for name, value in table.items():
        if isinstance(value, str) and value in words:
            priors[name] = words[value](by_name[name])
        else:
            priors[name] = prior_from_toml(value, f"{where} {name}", [other for other in by_name if other != name])
    for name, prior in priors.items():
        if isinstance(prior, Hierarchical):
            _refuse_second_level(name, prior, priors, where)
    return priors


def _refuse_second_level(name: str, prior: Hierarchical, priors: Mapping[str, Prior], where: str) -> None:
    for _, other in prior.arguments:
        if isinstance(other, str) and isinstance(priors[other], Hierarchical):
            raise InputError(f"{where} {name}: {other!r} has a hierarchical prior itself; one level is possible")


def prior_from_toml(value: object, where: str, others: Sequence[str] = ()) -> Prior:
    """A prior as a study writes it: a number, or one distribution of `numpyro.distributions` with its arguments.

    Args:
        value: 0.5, {Uniform = [0.04, 0.07]}, {Normal = {loc = 0.5, scale = 0.1}} or {Normal = ["location", 0.1]}.
        where: file, table and key, for errors.
        others: names of parameters that may stand for arguments.

    Raises:
        InputError: unknown distribution, wrong arguments, or a support that is empty or not one real number.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return finite(value, where)
    if not isinstance(value, dict) or len(value) != 1:
        raise InputError(
            f"{where}: expected a number, 'free', 'fixed' or a distribution such as {{Uniform = [0, 1]}}, got {value!r}"
        )
    ((name, arguments),) = value.items()
    kind = distribution_type(name, where)
    found = named_arguments(name, kind, arguments, where, others)
    numbers = {key: float(each) for key, each in found.items() if not isinstance(each, str)}
    if len(numbers) == len(found):
        return build_prior(name, kind, numbers, where)
    return Hierarchical.of(name, **found)


def finite(value: object, where: str) -> float:
    """A finite number, or an error that says what stands there."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{where}: expected a finite number, got {value!r}")
    return float(value)


def distribution_type(name: str, where: str) -> type:
    """The distribution of a name, from `numpyro.distributions`."""
    known = set(dist.__all__) - {"biject_to", "constraints", "kl_divergence", "transforms", "Distribution"}
    if name not in known:
        common = {"Uniform", "Normal", "LogNormal", "TruncatedNormal", "HalfNormal", "Gamma", "Beta", "StudentT"}
        close = difflib.get_close_matches(name.lower(), [other.lower() for other in known], n=1, cutoff=0.5)
        raise InputError(f"{where}: numpyro.distributions has no {name!r}; {nearest(name, known if close else common)}")
    return getattr(dist, name)


def named_arguments(
    name: str, kind: type, arguments: object, where: str, others: Sequence[str] = ()
) -> dict[str, float | str]:
    """Arguments of a distribution by name; every one must be given unless the distribution can do without it.

    Each is a number, or one of the names of `others`.
    """
    accepted = {k: p for k, p in inspect.signature(kind).parameters.items() if k != "validate_args"}
    needed = [k for k, p in accepted.items() if p.default is not None]
    expected = f"{name} takes {', '.join(k if k in needed else f'[{k}]' for k in accepted)}"
    if not isinstance(arguments, dict):
        arguments = arguments if isinstance(arguments, list) else [arguments]
        if not len(needed) <= len(arguments) <= len(accepted):
            raise InputError(f"{where}: {expected}, got {len(arguments)} argument{'s' * (len(arguments) != 1)}")
        arguments = dict(zip(accepted, arguments, strict=False))
    for key in arguments:
        if key not in accepted:
            raise InputError(f"{where}: {expected}, not {key!r}")
    for key in needed:
        if key not in arguments:
            raise InputError(f"{where}: {expected}, but {key!r} is missing")
    return {key: _argument(value, f"{where} {name} {key}", others) for key, value in arguments.items()}


def _argument(value: object, where: str, others: Sequence[str]) -> float | str:
    if isinstance(value, str) and others:
        require_known([value], others, where)
        return value
    return finite(value, where)


def build_prior(name: str, kind: type, arguments: dict[str, float], where: str) -> dist.Distribution:
    """The distribution, once its arguments and its support have been checked."""
    written = f"{name}({', '.join(f'{key}={value:g}' for key, value in arguments.items())})"
    try:
        kind(**arguments, validate_args=True)
        prior = kind(**arguments)
        support = prior.support
        scalar = prior.batch_shape == prior.event_shape == () and not support.is_discrete
    except (ValueError, TypeError, AttributeError, NotImplementedError, AssertionError, IndexError) as error:
        raise InputError(f"{where}: {written} is not a distribution of one real number: {error}") from error
    if not scalar or name == "Delta":
        raise InputError(f"{where}: {written} is not a continuous prior of one number; write a number to hold it fixed")
    low, high = getattr(support, "lower_bound", -math.inf), getattr(support, "upper_bound", math.inf)
    if not low < high:
        raise InputError(f"{where}: {written} has an empty support, its lower bound must be below its upper bound")
    return prior


def prior_to_toml(prior: dist.Distribution | Hierarchical) -> str:
    """How a study file writes a prior; the inverse of `prior_from_toml`."""
    if isinstance(prior, Hierarchical):
        written = (
            f"{key} = {json.dumps(each) if isinstance(each, str) else number(each)}" for key, each in prior.arguments
        )
        return f"{{{prior.kind} = {{{', '.join(written)}}}}}"
    truncated = (dist.LeftTruncatedDistribution, dist.RightTruncatedDistribution, dist.TwoSidedTruncatedDistribution)
    name = type(prior).__name__
    if isinstance(prior, truncated):
        base = prior.base_dist
        values = {"loc": base.loc, "scale": base.scale}
        values |= {key: getattr(prior, key) for key in ("low", "high") if hasattr(prior, key)}
        name = f"Truncated{type(base).__name__}"
    else:
        keys = [key for key in inspect.signature(type(prior)).parameters if key != "validate_args"]
        values = {key: getattr(prior, key) for key in keys}
    if name == type(prior).__name__:
        return f"{{{name} = [{', '.join(number(value) for value in values.values())}]}}"
    return f"{{{name} = {{{', '.join(f'{key} = {number(value)}' for key, value in values.items())}}}}}"


def number(value: Any) -> str:
    """A number as TOML writes it, shortest form that reads back the same."""
    return repr(float(value))
