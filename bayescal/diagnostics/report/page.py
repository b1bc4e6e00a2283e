"""The page on one result: verdict first, then constants, correlations, checks, and how to make it again."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bayescal.diagnostics.contents import has_chains
from bayescal.diagnostics.convergence import convergence
from bayescal.diagnostics.correlation import has_covariance, strongest_pairs
from bayescal.diagnostics.files import write_text
from bayescal.diagnostics.judgement import judgement
from bayescal.diagnostics.names import method_title
from bayescal.diagnostics.predictive import predictive_checks, result_summaries
from bayescal.diagnostics.report import pictures, tables
from bayescal.diagnostics.report.reproduction import provenance_rows, reproduction
from bayescal.inference.result import Result

LINKS = {
    "constants": "Constants",
    "marginals": "Prior and posterior",
    "priors": "Priors",
    "correlations": "Correlations",
    "checks": "Checks",
    "data": "Model and data",
    "reproduce": "Make it again",
    "provenance": "Provenance",
}
"""Headings of the page by their anchor."""


def report(result: Result, path: str | Path) -> None:
    """Write the page on a result: one HTML file that needs no other.

    Args:
        result: draws or a mode.
        path: HTML file to write.

    Raises:
        InputError: the file cannot be written.
    """
    write_text(path, page(result))


def page(result: Result) -> str:
    """The page as HTML that needs no other file."""
    checks = predictive_checks(result_summaries(result))
    correlated = has_covariance(result) and len(result.names) > 1
    content = {
        "judgement": judgement(result, checks),
        "convergence": convergence(result),
        "constants": tables.constants_sheet(result),
        "vectors": tables.vectors_sheet(result),
        "members": tables.members_sheet(result),
        "marginals": pictures.marginals_picture(result),
        "correlations": tables.correlation_cells(result) if correlated else [],
        "pairs_in_words": strongest_pairs(result) if correlated else [],
        "leaning": tables.sensitivity_sheet(result),
        "directions": tables.directions_sheet(result),
        "pairs": pictures.pairs_picture(result),
        "chains": tables.chains_sheet(result) if has_chains(result) else None,
        "bias": tables.bias_sheet(result),
        "curvature": curvature_in_words(result),
        "chain_pictures": pictures.chain_pictures(result),
        "checks": checks,
        "predictive": pictures.predictive_picture(checks),
        "events": tables.events_sheet(result),
        "events_picture": pictures.events_picture(result),
        "readouts": tables.readouts_sheet(result),
        "readout_pictures": pictures.readout_pictures(result),
        "made": reproduction(result.attrs),
        "provenance": provenance_rows(result.attrs),
    }
    shown = {anchor for anchor in ("marginals", "correlations") if not content[anchor]}
    links = {anchor: heading for anchor, heading in LINKS.items() if anchor not in shown}
    return render("single.html.j2", title="Calibration report", subtitle=subtitle(result), links=links, **content)


def subtitle(result: Result) -> str:
    """Model, method, data and time of a result, as far as they are known."""
    facts = result.attrs
    data = Path(str(facts["data_path"])).name if facts.get("data_path") else None
    parts = (facts.get("model"), method_title(result.method), data, facts.get("created"))
    return ", ".join(str(part) for part in parts if part)


def curvature_in_words(result: Result) -> str | None:
    """What k-hat says of the normal at the mode, where chains were started from it."""
    facts = result.attrs
    if not has_chains(result) or facts.get("khat") is None:
        return None
    use = (
        "served as metric of the chains" if facts.get("metric_trusted") else "did not fit; the chains adapted their own"
    )
    return f"The normal at the mode has k-hat {facts['khat']:.2f}: it {use}."


def render(template: str, **content: Any) -> str:
    """A template of this folder with its content and the style sheet."""
    environment = Environment(
        loader=PackageLoader("bayescal.diagnostics", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = resources.files("bayescal.diagnostics.report").joinpath("style.css").read_text(encoding="utf-8")
    return environment.get_template(template).render(style=Markup(style), **content)
