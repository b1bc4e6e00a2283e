"""Model files: found by name or path, loaded without being imported as a package, and known by their digest.

A model file defines `PARAMETERS`, `model(inputs, data=None)` and `example(key) -> (inputs, data)`. Studies need more:
- `OBSERVED`: name of the observed site, "hits" if absent; `Settings`: the study's [inputs], from `bayescal.settings`;
- `load(settings, priors) -> inputs`; `read(path, inputs) -> data`; `write(path, data, inputs, truth)`.
Where a file has them, these are used, too:
- `prepare(inputs, data=None) -> inputs`: work outside compiled programs; `start(inputs, data)`: values to start from;
- `common([inputs, ...]) -> [inputs, ...]`: prepared inputs of several data sets, padded to common shapes, so that all
  share one compiled program;
- `tempered(inputs, stage)`: inputs of an easier problem, None where there is no such stage;
- `quick(inputs)`: inputs with which the log-density is computed cheaply, to 1e-2 nats or better, for many evaluations;
- `measured(values, inputs) -> (numbers, precision)`: what the data measure, about independently, and the inverse
  variance of each; their derivatives by the free values tell the search for the mode where to go;
- `describe(inputs, data)`: sizes by name; `read_truth(path)`: what simulated data were drawn with, by parameter;
- `exposure(inputs) -> (amount, unit)`: of the inputs, (50.0, "cm of track"); the number of events where it is absent;
- `complete(key, draws, inputs, data) -> {name: array [draw, ...]}`: of what the model integrated out, an exact draw for
  each of the posterior's, {parameter: array [draw, ...]};
- `predictive(key, inputs, data, draws) -> {name: (observed, replicas)}`: summaries [...] of the data and of data made
  with posterior draws [draw, ...];
- `readouts(inputs) -> {column: array [readout]}`: what is known of each row of the observed site's batch: `live`
  (whether it records), `event` (number of its event) and what tables and maps name (`pixel`, `x_cm`, `y_cm`, ...);
- `recorded(data, inputs) -> {quantity: array [readout]}`: what each readout recorded, NaN for nothing; can be compiled.
  A file has both of these or neither.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from pydantic import BaseModel

from bayescal.errors import InputError
from bayescal.parameters import Parameter, nearest

COMPULSORY = ("PARAMETERS", "model", "example")
"""What every model file must define; each other hook only where a command needs it."""


class ModelFile(NamedTuple):
    """A model file that was run.

    Attributes:
        module: the executed file; its hooks are attributes.
        name: the file's name without `.py`.
        path: where it was found.
        digest: SHA-256 of its text.
    """

    module: ModuleType
    name: str
    path: Path
    digest: str

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The constants that it can infer."""
        return tuple(self.module.PARAMETERS)

    @property
    def observed(self) -> str:
        """Name of the observed site."""
        return getattr(self.module, "OBSERVED", "hits")

    @property
    def settings(self) -> type[BaseModel]:
        """Its table of inputs in a study."""
        kind = self.hook("Settings")
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            raise InputError(f"{self.path}: Settings must be a class derived from bayescal.study.InputSettings")
        return kind

    @property
    def summary(self) -> str:
        """First line of its docstring."""
        return (inspect.getdoc(self.module) or "").partition("\n")[0]

    def has(self, hook: str) -> bool:
        """Whether the file defines a hook."""
        return hasattr(self.module, hook)

    def hook(self, name: str) -> Callable:
        """A function of the file, or an error that says that it is missing."""
        if not self.has(name):
            raise InputError(f"{self.path}: the model file defines no {name!r}, which this command needs")
        return getattr(self.module, name)


def folder_of_models() -> Path:
    """Folder of the shipped model files: inside an installed package, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "models"
    return inside if inside.is_dir() else package.parent / "models"


def list_models() -> dict[str, Path]:
    """Shipped model files by name."""
    return {path.stem: path for path in sorted(folder_of_models().glob("*.py"))}


def find_model(name_or_path: str | Path, folder: Path | None = None) -> Path:
    """Path of a model file.

    Args:
        name_or_path: a shipped model's bare name, or the path of a file (anything with `/` or `.py`).
        folder: where a relative path starts, the working folder by default.
    """
    text = str(name_or_path)
    if "/" not in text and not text.endswith(".py"):
        shipped = list_models()
        if text not in shipped:
            hint = nearest(text, shipped)
            raise InputError(f"no shipped model is called {text!r}; {hint} (a file of your own needs its path)")
        return shipped[text]
    path = (folder or Path()) / Path(text).expanduser()
    if not path.is_file():
        raise InputError(f"{path}: no such model file")
    return path


def load_model(name_or_path: str | Path, folder: Path | None = None) -> ModelFile:
    """Find and execute a model file; arguments as `find_model`.

    Raises:
        InputError: no such file, it cannot be executed, or it lacks a compulsory part.
    """
    path = find_model(name_or_path, folder)
    text = path.read_bytes()
    digest = hashlib.sha256(text).hexdigest()
    module = execute(path, f"bayescal_model_{path.stem}_{digest[:12]}")
    missing = [name for name in COMPULSORY if not hasattr(module, name)]
    if missing:
        raise InputError(f"{path}: a model file must define {', '.join(COMPULSORY)}; missing: {', '.join(missing)}")
    require_parameters(module.PARAMETERS, path)
    return ModelFile(module, path.stem, path, digest)


def execute(path: Path, name: str) -> ModuleType:
    """Run a file as a module of its own name, never as part of a package; an unchanged file runs once."""
    known = sys.modules.get(name)
    if known is not None and known.__file__ == str(path):
        return known
    specification = importlib.util.spec_from_file_location(name, path)
    if specification is None or specification.loader is None:
        raise InputError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    try:
        specification.loader.exec_module(module)
    except Exception as error:  # a user's file may fail in any way
        del sys.modules[name]
        raise InputError(f"{path}: the model file failed with {type(error).__name__}: {error}") from error
    return module


def require_parameters(parameters: object, path: Path) -> None:
    """Refuse a PARAMETERS that is no sequence of distinct parameters."""
    if not isinstance(parameters, list | tuple) or not all(isinstance(each, Parameter) for each in parameters):
        raise InputError(f"{path}: PARAMETERS must be a tuple of bayescal.parameters.Parameter")
    names = [each.name for each in parameters]
    if len(set(names)) < len(names):
        raise InputError(f"{path}: PARAMETERS names a parameter twice: {', '.join(names)}")
