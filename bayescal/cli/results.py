"""Commands on results: summary, compare, report, export; and convert, for data of others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bayescal.inference import Result

NOT_CONVERGED = 3

ResultFile = Annotated[Path, typer.Argument(metavar="RESULT", help="Result (NetCDF) that `bayescal fit` wrote.")]


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
    first: Annotated[Path, typer.Argument(metavar="A", help="A result, for example of `bayescal fit --method map`.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another, for example the posterior.")],
    output: Annotated[Path, typer.Option(help="Figure to write (PNG, PDF or SVG).")] = Path("comparison.png"),
) -> None:
    """Put two results side by side, usually the mode and the posterior: a table and a figure.

    Needs: two results with parameters in common. Writes: the figure.

    Example: bayescal compare map.nc nuts.nc --output comparison.png
    """
    from bayescal.cli.machine import require_writable, use_cpu_if_idle

    use_cpu_if_idle()
    from bayescal import diagnostics
    from bayescal.cli.display import console
    from bayescal.inference import load

    require_writable(output)
    comparison = diagnostics.compare(load(first), load(second))
    console().print(comparison.table())
    comparison.save(output)
    typer.echo(f"wrote {output}")


def report(
    result: ResultFile,
    output: Annotated[Path | None, typer.Option(help="File to write; RESULT with the ending .html by default.")] = None,
    mode: Annotated[
        Path | None, typer.Option("--map", help="Result of `bayescal fit --method map` to compare with.")
    ] = None,
) -> None:
    """Write one self-contained HTML page: parameters, convergence, figures, predictive check, provenance.

    Needs: a result; nothing else, the page can be sent as it is.

    Example: bayescal report nuts.nc --map map.nc --output report.html
    """
    from bayescal.cli.machine import require_writable, use_cpu_if_idle

    use_cpu_if_idle()
    from bayescal.diagnostics.report import report as write_report
    from bayescal.inference import load

    target = require_writable(output or result.with_suffix(".html"))
    write_report(load(result), target, map_result=None if mode is None else load(mode))
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
