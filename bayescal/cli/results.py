"""Commands on results: summary, compare, report, export; and convert, for data of others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bayescal.inference import Result

NOT_CONVERGED = 3

ResultFile = Annotated[Path, typer.Argument(metavar="RESULT", help="Result (NetCDF) that `bayescal fit` wrote.")]
ResultFiles = Annotated[
    list[Path], typer.Argument(metavar="RESULT...", help="Results (NetCDF) that `bayescal fit` wrote.")
]


def summary(result: ResultFile) -> None:
    """Print a result's table: estimate, intervals, R-hat, effective sample sizes, and the verdict.

    Exit code 3: the fit did not converge.

    Example: bayescal summary result.nc
    """
    from bayescal.cli.machine import use_cpu_if_idle

    use_cpu_if_idle()
    from bayescal.inference import load

    loaded = load(result)
    show_summary(loaded)
    leave_unless_converged(loaded)


def compare(
    results: ResultFiles,
    output: Annotated[Path, typer.Option(help="Figure to write (PNG, PDF or SVG).")] = Path("comparison.png"),
    report: Annotated[Path | None, typer.Option(help="HTML page to write on all of them.")] = None,
) -> None:
    """Put results side by side: methods on the same data, or the same constants in several runs.

    The last one is what the others are compared with. Of runs (one method, each with data of its own) the figure shows
    every constant against the runs, otherwise the densities one over the other.

    Needs: two or more results with parameters in common. Writes: the figure, and a page if asked to.

    Example: bayescal compare map.nc laplace.nc nuts.nc --output comparison.png --report comparison.html
    """
    from bayescal.cli.machine import require_writable, use_cpu_if_idle

    use_cpu_if_idle()
    from bayescal import diagnostics
    from bayescal.cli.display import console
    from bayescal.diagnostics.files import write_text
    from bayescal.diagnostics.names import file_names
    from bayescal.diagnostics.report import comparison_page
    from bayescal.inference import load

    targets = [require_writable(path) for path in (output, report) if path is not None]
    loaded = [load(path) for path in results]
    comparison = diagnostics.compare(loaded, file_names(results, loaded))
    console().print(comparison.table())
    comparison.save(output)
    if report is not None:
        write_text(report, comparison_page(comparison))
    for path in targets:
        typer.echo(f"wrote {path}")


def report(
    results: ResultFiles,
    output: Annotated[
        Path | None,
        typer.Option(help="File to write; by default RESULT with the ending .html, comparison.html for several."),
    ] = None,
) -> None:
    """Write one self-contained HTML page: on one result, or on several side by side.

    On one: verdict, constants, correlations, checks, provenance, and the command that makes it again. On several: what
    they say of each constant, the verdict on each and what it cost; the last is what the others are compared with.

    Needs: the results; nothing else, the page can be sent as it is.

    Example: bayescal report nuts.nc --output report.html
    """
    from bayescal.cli.machine import require_writable, use_cpu_if_idle

    use_cpu_if_idle()
    from bayescal import diagnostics
    from bayescal.diagnostics.names import file_names
    from bayescal.inference import load

    alone = len(results) == 1
    target = require_writable(output or (results[0].with_suffix(".html") if alone else Path("comparison.html")))
    loaded = [load(path) for path in results]
    if alone:
        diagnostics.report(loaded[0], target)
    else:
        diagnostics.comparison_report(loaded, target, file_names(results, loaded))
    typer.echo(f"wrote {target}")


def export(
    result: ResultFile,
    yaml: Annotated[Path | None, typer.Option(help="File of constants that larnd-sim reads.")] = None,
    json: Annotated[Path | None, typer.Option(help="File of estimates, intervals and covariance.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Table of estimates and intervals.")] = None,
    covariance: Annotated[Path | None, typer.Option(help="Table (CSV) of covariance and correlation.")] = None,
) -> None:
    """Write a result's constants for other programs: YAML for larnd-sim, JSON with everything, CSV tables.

    Every number reads back exactly as it is in the result. Without options YAML and JSON are written beside it.

    Example: bayescal export nuts.nc --yaml constants.yaml --csv constants.csv --covariance covariance.csv
    """
    from bayescal.cli.machine import require_writable, use_cpu_if_idle

    use_cpu_if_idle()
    from bayescal.diagnostics import export_covariance, export_csv, export_json, export_yaml
    from bayescal.inference import load

    if yaml is None and json is None and csv is None and covariance is None:
        yaml, json = result.with_suffix(".yaml"), result.with_suffix(".json")
    loaded = load(result)
    writers = ((yaml, export_yaml), (json, export_json), (csv, export_csv), (covariance, export_covariance))
    for path, write in writers:
        if path is not None:
            write(loaded, require_writable(path))
            typer.echo(f"wrote {path}")


def convert(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Output files of larnd-sim-jax (HDF5).")],
    output: Annotated[Path, typer.Option(help="File of hits to write (HDF5).")],
    detector: Annotated[str, typer.Option(help="Shipped detector by name, or path of a detector file.")] = "module0",
) -> None:
    """Convert output files of larnd-sim-jax into the file of hits that a fit reads.

    Give several files in the order of the input files in the study, so that their events belong together.

    Example: bayescal convert reference_0.h5 reference_1.h5 --output hits.h5
    """
    from bayescal.cli.machine import require_writable, use_cpu_if_idle

    use_cpu_if_idle()
    from bayescal.readers.detector import read_detector
    from bayescal.readers.hits import write_hits
    from bayescal.readers.larndsim_jax import convert as read_foreign

    require_writable(output)
    geometry = read_detector(detector).geometry
    hits = read_foreign(files, geometry.n_pixels)
    write_hits(output, hits, attributes={"source": ", ".join(str(path) for path in files)})
    typer.echo(f"wrote {output}: {hits.n_hits} hits")


def show_summary(result: Result) -> None:
    """Print the table of a result and the verdict on it."""
    from bayescal import diagnostics
    from bayescal.cli.display import console

    console().print(diagnostics.summary_table(result))
    typer.echo(diagnostics.convergence(result).sentence)


def leave_unless_converged(result: Result) -> None:
    """Leave with the exit code for a fit that did not converge."""
    from bayescal.diagnostics import convergence

    verdict = convergence(result)
    if not verdict.good:
        typer.echo(f"not converged: {verdict.sentence}", err=True)
        raise typer.Exit(NOT_CONVERGED)
