"""Commands on what the data say of the constants: correlations, forecast, profile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayescal.cli.results import ResultFile
from bayescal.cli.studies import Device, Seed, StudyFile

if TYPE_CHECKING:
    from bayescal.diagnostics.correlation_study import CorrelationStudy
    from bayescal.diagnostics.pseudo_correlation import PseudoCorrelation
    from bayescal.inference import Result

FACTORS = (1.0, 10.0, 100.0, 1000.0)
"""On the study's exposure, for a forecast that names none."""

MOST_ROWS = 15
"""Rows of a table in the terminal; a file holds all."""


def correlations(
    result: ResultFile,
    study: Annotated[
        Path | None, typer.Option(metavar="STUDY", help="The result's study: adds the pseudo-correlation, see above.")
    ] = None,
    batches: Annotated[int, typer.Option(min=1, help="With --study: batches of whole events, at most.")] = 10,
    output: Annotated[
        Path | None, typer.Option(help="Figure (PNG, PDF, SVG), or every number (JSON); by default no file.")
    ] = None,
    device: Device = None,
) -> None:
    """Show what data and priors each say: contraction, prior sensitivity, open directions, correlations.

    Contraction: how much of each prior's variance the data have removed. Sensitivity: how the posterior moves when
    priors or likelihood are made stronger or weaker (power scaling). Directions: combinations of constants that the
    data leave to the priors, by name. With --study, correlations by the likelihood alone beside the posterior's: the
    pseudo-correlation, from the inverse Hessian averaged over batches of events, and the partial one, with all other
    constants held; two gradients a constant and batch.

    Needs: a result with prior draws; with --study the study's inputs and data. Writes: --output.

    Example: bayescal correlations nuts.nc --study study.toml --output correlations.png
    """
    from bayescal.cli.machine import require_writable, use_cpu_if_idle, use_device_of

    if study is None:
        use_cpu_if_idle()
    else:
        use_device_of(study, device)
    from bayescal.diagnostics.correlation_study import correlation_study
    from bayescal.inference import load

    if output is not None:
        require_writable(output)
    loaded = load(result)
    likelihood = None if study is None else by_likelihood(study, loaded, batches)
    found = correlation_study(loaded, likelihood)
    show_correlations(found)
    if output is not None:
        write_correlations(found, output)
        typer.echo(f"wrote {output}")


def by_likelihood(study: Path, result: Result, batches: int) -> PseudoCorrelation:
    """Correlations by the likelihood alone, at the result's mode."""
    from bayescal.diagnostics.pseudo_correlation import PseudoCorrelation
    from bayescal.information import at_mode, batch_hessians
    from bayescal.study import read_study

    likelihood, basis = at_mode(read_study(study), result)
    return PseudoCorrelation(likelihood.labels, batch_hessians(likelihood, basis, batches))


def show_correlations(found: CorrelationStudy) -> None:
    """Print the tables and what to know."""
    from bayescal.cli.display import show_table
    from bayescal.diagnostics import contraction, directions, pseudo_correlation, sensitivity

    show_table("Contraction", contraction.HEADERS, (each.cells() for each in found.contractions[:MOST_ROWS]))
    if found.sensitivities:
        rows = (each.cells() for each in found.sensitivities[:MOST_ROWS])
        show_table("Sensitivity", sensitivity.HEADERS, rows)
    else:
        typer.echo(f"no sensitivity: {found.lacking}")
    show_table("Directions", directions.HEADERS, (each.cells() for each in found.directions[:MOST_ROWS]))
    pairs = found.pairs(MOST_ROWS)
    if pairs:
        show_table("Correlations", pseudo_correlation.HEADERS[: len(pairs[0])], pairs)
    for sentence in found.sentences:
        typer.echo(sentence)


def write_correlations(found: CorrelationStudy, path: Path) -> None:
    """Write every number, or the figure, by the path's suffix."""
    from bayescal.diagnostics.files import write_figure, write_text
    from bayescal.diagnostics.plots_correlations import correlation_study_figure

    if path.suffix.lower() == ".json":
        write_text(path, found.as_json())
    else:
        write_figure(correlation_study_figure(found), path)


def forecast(  # noqa: PLR0913 one option each
    study: StudyFile,
    exposure: Annotated[
        list[float] | None,
        typer.Option(help="To forecast for, in the study's unit; several times; by default 1 to 1000 times its."),
    ] = None,
    replicas: Annotated[int, typer.Option(min=1, help="Made data sets that the information is averaged over.")] = 2,
    batches: Annotated[int, typer.Option(min=1, help="Of whole events, at most; their scatter is the error.")] = 10,
    output: Annotated[Path | None, typer.Option(help="Figure to write; STUDY with -forecast.png by default.")] = None,
    json: Annotated[Path | None, typer.Option(help="File of every number, too.")] = None,
    seed: Seed = None,
    device: Device = None,
) -> None:
    """Forecast the precision of every constant against exposure, before data are taken.

    Data are made at the study's truth; the curvature of their likelihood there is the information of its exposure,
    which grows in proportion as more of the same is taken. The prior is added as a normal one with its covariance.
    Constants with one value an event come anew with each event and are left free. The errors say how far the forecast
    may be off because the study's events are few: the next ones are not quite the same.

    Needs: the study's inputs, priors and truth; no data. Writes: the figure.

    Example: bayescal forecast study.toml --exposure 100 --exposure 10000
    """
    import jax

    from bayescal.cli.machine import require_writable, use_device_of

    use_device_of(study, device)
    from bayescal.cli.display import show_table
    from bayescal.diagnostics.files import write_figure, write_text
    from bayescal.diagnostics.plots_precision import forecast_figure
    from bayescal.errors import InputError
    from bayescal.forecast import forecast as look_ahead
    from bayescal.study import override, read_study

    for each in exposure or ():
        if not 0.0 < each < float("inf"):
            raise InputError(f"--exposure: expected a number above 0, got {each:g}")
    read = override(read_study(study), seed=seed, device=device)
    target = require_writable(output or study.with_name(f"{study.stem}-forecast.png"))
    if json is not None:
        require_writable(json)
    found = look_ahead(jax.random.key(read.seed), read, replicas, batches)
    exposures = sorted(exposure or [factor * found.exposure for factor in FACTORS])
    headers = ("constant", "unit", "prior sd", *(f"{each:.4g}" for each in exposures))
    show_table(f"Expected standard deviations by {found.exposure_unit}", headers, found.table(exposures))
    write_figure(forecast_figure(found, exposures), target)
    typer.echo(f"wrote {target}")
    if json is not None:
        write_text(json, found.as_json(exposures))
        typer.echo(f"wrote {json}")


def profile(  # noqa: PLR0913 one option each
    study: StudyFile,
    result: Annotated[Path, typer.Option(metavar="RESULT", help="The study's result: where to scan, and how far.")],
    parameter: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="To scan; several times if wished; by default all.")
    ] = None,
    points: Annotated[int, typer.Option(min=5, help="Values of a constant, within 3 standard deviations.")] = 13,
    output: Annotated[Path | None, typer.Option(help="Figure to write; RESULT with -profile.png by default.")] = None,
    json: Annotated[Path | None, typer.Option(help="File of every number, too.")] = None,
    device: Device = None,
) -> None:
    """Scan each constant with all others fitted anew: profiles of likelihood and posterior over the marginals.

    A profile maximises what a marginal integrates out. Where the two differ, the volume of the others decides, or a
    prior; the likelihood's profile knows no prior and gives a frequentist's interval.

    Needs: the study's inputs and data, and its result by any method; some five gradients a point. Writes: the figure.

    Example: bayescal profile study.toml --result nuts.nc --parameter kb --parameter lifetime
    """
    from bayescal.cli.machine import require_writable, use_device_of

    use_device_of(study, device)
    from bayescal.cli.display import show_table
    from bayescal.diagnostics.files import write_figure, write_text
    from bayescal.diagnostics.plots_precision import profile_figure
    from bayescal.inference import load
    from bayescal.profiles import HEADERS, profiles
    from bayescal.study import override, read_study

    target = require_writable(output or result.with_name(f"{result.stem}-profile.png"))
    if json is not None:
        require_writable(json)
    loaded = load(result)
    found = profiles(override(read_study(study), device=device), loaded, parameter or (), points, show_scan)
    show_table("Intervals", HEADERS, (one.cells() for one in found.each))
    write_figure(profile_figure(found.each, loaded), target)
    typer.echo(f"wrote {target}")
    if json is not None:
        write_text(json, found.as_json())
        typer.echo(f"wrote {json}")
    typer.echo(found.sentence)


def show_scan(label: str, done: int, total: int) -> None:
    """A line when a constant has been scanned."""
    if done == total:
        typer.echo(f"{label}: {total} fits")
