"""Tables of a study file: what a model file needs to declare the inputs that it reads."""

from __future__ import annotations

from pathlib import Path as Path
from typing import Annotated, Any
from typing import Literal as Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic import Field as Field


def resolve(value: Any, info: ValidationInfo) -> Any:
    """Paths of a study start at the study's folder."""
    folder = (info.context or {}).get("folder")
    if folder is None:
        return value
    if isinstance(value, Path):
        return Path(folder) / value.expanduser()
    if isinstance(value, list | tuple):
        return type(value)(resolve(each, info) for each in value)
    return value


def resolve_name_or_path(value: str, info: ValidationInfo) -> str:
    """A bare name stays; anything with `/` or a suffix is a path that starts at the study's folder."""
    return str(resolve(Path(value), info)) if "/" in value or Path(value).suffix else value


NameOrPath = Annotated[str, AfterValidator(resolve_name_or_path)]
"""A shipped thing's bare name, or the path of a file of the user's own."""


class Table(BaseModel):
    """A table of a study file: no unknown keys, paths relative to the study's folder."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    @field_validator("*", mode="after")
    @classmethod
    def resolve_paths(cls, value: Any, info: ValidationInfo) -> Any:
        """Make every path absolute with respect to the study's folder."""
        return resolve(value, info)


class InputSettings(Table):
    """The [inputs] of a study; a model file's `Settings` adds its keys, each a `Field` with a description."""
