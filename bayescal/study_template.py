"""A commented study file for a model, to start from: every key, every parameter with unit, nominal value and prior."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from bayescal.model_files import ModelFile
from bayescal.parameters import Parameter, number, prior_to_toml
from bayescal.study import SamplerSettings

HEADER = """\
# A study for `bayescal`: what is calibrated, on which data, with which priors. Paths start at this file's folder.
#   bayescal simulate STUDY.toml --output hits.h5   draws data from the model
#   bayescal check STUDY.toml                       reads everything; sizes, memory and the time to expect
#   bayescal fit STUDY.toml                         draws from the posterior
"""

PARAMETERS_HELP = """\
# name = {Distribution = [arguments]}   free, with any prior of numpyro.distributions
# name = "free" or "fixed"              free with the default prior, or fixed at the nominal value
# name = 0.5                            fixed at this number
"""

TRUTH_HELP = "# Values that `bayescal simulate` uses; a parameter that is not named has its fixed or nominal value.\n"


def write_template(model: ModelFile, values: Mapping[str, Any] | None = None) -> str:
    """Text of a study file that the reader of studies accepts once its input files are filled in.

    Args:
        model: a loaded model file.
        values: what is known already, as in the study: {"data": "hits.h5", "inputs": {"segments": [...]}, ...}.
    """
    values = dict(values or {})
    return "\n".join(
        [
            HEADER,
            "\n".join(top_lines(model, values)),
            "\n[inputs]",
            "\n".join(input_lines(model, values.get("inputs", {}))),
            "\n[parameters]",
            PARAMETERS_HELP + "\n".join(parameter_lines(model.parameters, values.get("parameters", {}))),
            "\n[truth]",
            TRUTH_HELP + "\n".join(truth_lines(model.parameters, values.get("truth", {}))),
            "\n[sampler]",
            "\n".join(field_lines(SamplerSettings, values.get("sampler", {}))),
            "",
        ]
    )


def top_lines(model: ModelFile, values: Mapping[str, Any]) -> Iterator[str]:
    """Model, data, result and seed."""
    yield f"model = {toml(values.get('model', model.name))}  # {model.summary}"
    yield f"data = {toml(values.get('data', 'hits.h5'))}  # observed data; `bayescal simulate` writes such a file"
    yield f"output = {toml(values.get('output', 'result.nc'))}  # where `bayescal fit` writes the posterior"
    yield f"seed = {toml(values.get('seed', 1))}"


def input_lines(model: ModelFile, values: Mapping[str, Any]) -> Iterator[str]:
    """What the model reads, from its Settings."""
    if not model.has("Settings"):
        return iter(["# this model defines no Settings: it reads no files"])
    return field_lines(model.settings, values)


def field_lines(kind: type[BaseModel], values: Mapping[str, Any]) -> Iterator[str]:
    """A line a key: given values and compulsory keys active, defaults as comments."""
    for key, field in kind.model_fields.items():
        comment = f"  # {field.description}" if field.description else ""
        if key in values or field.is_required():
            yield f"{key} = {toml(values.get(key, placeholder(field)))}{comment}"
        else:
            default = field.get_default(call_default_factory=True)
            shown = "..." if default is None else toml(default)
            yield f"# {key} = {shown}{comment}"


def placeholder(field: FieldInfo) -> Any:
    """What to write for a compulsory key: its first example, or a name that says that it is to be replaced."""
    if field.examples:
        return field.examples[0]
    return ["FILE.h5"] if "list" in str(field.annotation) or "tuple" in str(field.annotation) else "FILE.h5"


def parameter_lines(parameters: Sequence[Parameter], values: Mapping[str, Any]) -> Iterator[str]:
    """A parameter a line, aligned: free ones active, fixed ones as the comment that frees them."""
    for parameter in parameters:
        prior = prior_to_toml(parameter.prior)
        if parameter.name in values:
            line, state = f"{parameter.name} = {toml(values[parameter.name])}", "set here"
        elif parameter.free:
            line, state = f"{parameter.name} = {prior}", "free"
        else:
            line, state = f"# {parameter.name} = {prior}", "fixed; remove the leading # to free it"
        yield f"{line:<52} # {about(parameter)}; {state}"


def about(parameter: Parameter) -> str:
    """Description, unit and nominal value of a parameter in one line."""
    unit = f" [{parameter.unit}]" if parameter.unit else ""
    article = "an" if (parameter.per or "")[:1] in "aeiou" else "a"
    one_each = f", one value {article} {parameter.per}" if parameter.per else ""
    return f"{parameter.description or parameter.name}{unit}{one_each}; nominal {float(parameter.nominal):g}"


def truth_lines(parameters: Sequence[Parameter], values: Mapping[str, Any]) -> Iterator[str]:
    """True values for a simulation: given ones active, nominal ones as comments."""
    for parameter in parameters:
        if parameter.name in values:
            yield f"{parameter.name} = {toml(values[parameter.name])}"
        elif parameter.free:
            yield f"# {parameter.name} = {number(parameter.nominal)}"


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return number(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(each) for each in value) + "]"
    if isinstance(value, str | Path):
        return json.dumps(str(value), ensure_ascii=False)
    raise TypeError(f"no TOML for {type(value).__name__}")
