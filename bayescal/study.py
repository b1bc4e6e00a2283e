"""A study: which model, which data, which priors and how to sample, read from a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from jax import Array
from pydantic import BaseModel, Field, PrivateAttr, ValidationError

from bayescal.errors import InputError
from bayescal.inference.settings import FitSettings
from bayescal.model_files import ModelFile, load_model
from bayescal.parameters import Prior, nearest, priors_from_toml, require_known
from bayescal.settings import InputSettings as InputSettings
from bayescal.settings import NameOrPath as NameOrPath
from bayescal.settings import Table

T = TypeVar("T", bound=BaseModel)


class SamplerSettings(FitSettings):
    """The [sampler] of a study: what a fit can be told, and the device it runs on."""

    device: Literal["auto", "cpu", "gpu"] = Field("auto", description="auto, cpu or gpu; gpu never falls back to cpu.")

    @property
    def fit_settings(self) -> FitSettings:
        """The same without the device."""
        return FitSettings(**self.model_dump(exclude={"device"}))


class Study(Table):
    """A study as read from its file."""

    model: str = Field(min_length=1)
    data: Path | None = None
    output: Path | None = None
    seed: int = Field(1, ge=0)
    inputs: dict[str, Any] = Field(default_factory=dict)
    parameters: dict[str, Any] = Field(default_factory=dict)
    truth: dict[str, float | list[float]] = Field(default_factory=dict)
    sampler: SamplerSettings = Field(default_factory=lambda: SamplerSettings.model_validate({}))
    _path: Path = PrivateAttr(Path("study.toml"))
    _text: str = PrivateAttr("")

    @property
    def path(self) -> Path:
        """File that the study was read from."""
        return self._path

    @property
    def text(self) -> str:
        """The file as it was read, for the provenance."""
        return self._text

    @property
    def result_path(self) -> Path:
        """Where the result goes: `output`, or the study's name with the ending .nc."""
        return self.output or self._path.with_suffix(".nc")

    def remember(self, path: Path, text: str) -> Self:
        """Attach the file that it came from."""
        self._path, self._text = path, text
        return self


def read_study(path: str | Path) -> Study:
    """Read and check a study; nothing that it names is opened yet.

    Raises:
        InputError: missing or unreadable file, wrong TOML, unknown key, wrong type.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such study file; `bayescal init` writes one") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the study cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not valid TOML: {error}") from error
    return validate(Study, table, str(path), path.parent).remember(path, text)


def validate(kind: type[T], table: Mapping[str, Any], where: str, folder: Path) -> T:
    """A checked table of a study, or one sentence on its first fault."""
    try:
        return kind.model_validate(dict(table), context={"folder": folder})
    except ValidationError as error:
        raise InputError(first_fault(error, kind, where)) from error


def first_fault(error: ValidationError, kind: type[BaseModel], where: str) -> str:
    """One sentence: file, table and key, what was expected, what stands there.

    Unknown keys come first, since a mistyped key is missing under its right name, too.
    """
    fault = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    location = [str(part) for part in fault["loc"]]
    table, key = location[:-1], location[-1] if location else ""
    inner = kind.model_fields[table[0]].annotation if table and table[0] in kind.model_fields else None
    if isinstance(inner, type) and issubclass(inner, BaseModel):
        kind, where, table = inner, f"{where} [{table[0]}]", table[1:]
    if fault["type"] == "extra_forbidden":
        return f"{where}: unknown key {key!r}; {nearest(key, kind.model_fields)}"
    if fault["type"] == "missing":
        return f"{where}: the key {key!r} is missing"
    return f"{where}: {'.'.join([*table, key])}: {fault['msg']}, got {fault['input']!r}"


def study_priors(study: Study, model: ModelFile) -> dict[str, Prior]:
    """Prior, or fixed number, of every parameter of the model."""
    return priors_from_toml(model.parameters, study.parameters, f"{study.path} [parameters]")


def study_truth(study: Study, model: ModelFile) -> dict[str, float | list[float]]:
    """Value of every parameter for a simulation: [truth], else the number it is fixed at, else nominal."""
    require_known(study.truth, [parameter.name for parameter in model.parameters], f"{study.path} [truth]")
    fixed = {name: value for name, value in study_priors(study, model).items() if isinstance(value, float)}
    return {p.name: study.truth.get(p.name, fixed.get(p.name, p.nominal)) for p in model.parameters}


def study_model(study: Study) -> ModelFile:
    """The model file that a study names; a relative path starts at the study's folder."""
    try:
        return load_model(study.model, study.path.parent)
    except InputError as error:
        raise InputError(f"{study.path}: model: {error}") from error


def load_inputs(study: Study, model: ModelFile, priors: Mapping[str, Prior | Array]) -> Any:
    """The model's inputs, read from the files that the study's [inputs] name."""
    load = model.hook("load")
    settings = validate(model.settings, study.inputs, f"{study.path} [inputs]", study.path.parent)
    return load(settings, dict(priors))


def build(study: Study) -> tuple[ModelFile, Any, Any]:
    """Everything that a study names, read and prepared.

    Returns:
        The model file, its inputs (with their plan), and the data, None if the study names no data.
    """
    model = study_model(study)
    inputs = load_inputs(study, model, study_priors(study, model))
    data = None if study.data is None else model.hook("read")(study.data, inputs)
    return model, prepared(model, inputs, data), data


def override(study: Study, seed: int | None = None, output: Path | None = None, **sampler: Any) -> Study:
    """The study with what the command line says instead; None leaves it as it is.

    Raises:
        InputError: a value that the study's own key would not accept either.
    """
    chosen = {key: value for key, value in sampler.items() if value is not None}
    merged = study.sampler.model_dump() | chosen
    settings = validate(SamplerSettings, merged, "command line", study.path.parent)
    changes = {"seed": seed, "output": output and Path(output).absolute()}
    kept = {key: value for key, value in changes.items() if value is not None}
    return study.model_copy(update={**kept, "sampler": settings})


def prepared(model: ModelFile, inputs: Any, data: Any = None) -> Any:
    """The inputs with what the model can plan before the fit, where it plans at all."""
    return model.hook("prepare")(inputs, data) if model.has("prepare") else inputs


def common_inputs(model: ModelFile, inputs: list[Any]) -> list[Any]:
    """Prepared inputs of several data sets in common shapes, where the model can pad them."""
    return model.hook("common")(inputs) if model.has("common") else inputs
