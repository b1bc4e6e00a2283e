"""Where a result came from, and how to make it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bayescal.inference.settings import FitSettings

KEPT_ELSEWHERE = ("study",)
"""Facts that the page shows by themselves."""


@dataclass(frozen=True)
class Reproduction:
    """How to make a result again.

    Attributes:
        command: for a shell, or None where no study was fitted.
        call: for Python, where no study was fitted and the key is known, else None.
        study_path: where the study was; paths in it are relative to its folder.
        study: the study's text.
        files: what must be the same, by name: path and SHA-256 of the data and of the model file.
    """

    command: str | None
    call: str | None
    study_path: str | None
    study: str | None
    files: Mapping[str, tuple[str, str]]


def reproduction(facts: Mapping[str, Any]) -> Reproduction:
    """How to make a result again, from its provenance."""
    path, study, settings = facts.get("study_path"), facts.get("study"), facts.get("settings") or {}
    files = {
        name: (str(facts[f"{name}_path"]), str(facts[f"{name}_sha256"]))
        for name in ("data", "model")
        if facts.get(f"{name}_path") and facts.get(f"{name}_sha256")
    }
    command = None if path is None else fit_command(str(path), settings, facts)
    call = fit_call(settings, facts["key"]) if command is None and "key" in facts else None
    return Reproduction(command, call, path, study, files)


def fit_command(study_path: str, settings: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """The command that fits the study with everything that the command line had changed.

    What it changes are method, seed, until and device; the device's kind is part of a bit-identical answer.
    """
    chosen = {
        "method": settings.get("method"),
        "seed": facts.get("seed"),
        "until": settings.get("until"),
        "device": facts.get("platform"),
        "output": "reproduced.nc",
    }
    options = [word for name, value in chosen.items() if value is not None for word in (f"--{name}", str(value))]
    return shlex.join(["bayescal", "fit", study_path, *options])


def fit_call(settings: Mapping[str, Any], key: Any) -> str:
    """The call in Python, with the settings that are not the default ones."""
    usual = FitSettings.model_validate({}).model_dump()
    own = {name: value for name, value in settings.items() if usual.get(name) != value}
    arguments = ", ".join(f"{name}={value!r}" for name, value in own.items())
    return (
        f"key = jax.random.wrap_key_data(jax.numpy.uint32({key}))\n"
        f"settings = bayescal.FitSettings({arguments})\n"
        "bayescal.fit(model, inputs, data, key=key, settings=settings)"
    )


def provenance_rows(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Everything stored with a result but the study as name and text; nested names are joined by a dot."""
    rows = []
    for name, value in facts.items():
        if isinstance(value, Mapping):
            rows += [(f"{name}.{inner}", text) for inner, text in provenance_rows(value)]
        elif name not in KEPT_ELSEWHERE:
            rows.append((str(name), fact_text(value)))
    return rows


def fact_text(value: Any) -> str:
    """One fact as text; a long list by its first members."""
    if isinstance(value, list) and len(value) > 12:
        return f"{', '.join(map(fact_text, value[:12]))}, … ({len(value)} in all)"
    if isinstance(value, list):
        return ", ".join(map(fact_text, value))
    return f"{value:.6g}" if isinstance(value, float) else "none" if value is None else str(value)
