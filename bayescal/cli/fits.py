"""Commands that fit: fit, demo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayescal.cli.results import leave_unless_converged, show_summary
from bayescal.cli.studies import Device, Seed, StudyFile

if TYPE_CHECKING:
    from bayescal.inference import Result
    from bayescal.study import Study


def fit(
    study: StudyFile,
    method: Annotated[str | None, typer.Option(metavar="nuts|laplace|map", help="Instead of the study's.")] = None,
    output: Annotated[Path | None, typer.Option(help="Result to write (NetCDF), instead of the study's.")] = None,
    seed: Seed = None,
    device: Device = None,
) -> None:
    """Fit a study: the posterior (nuts), the mode with its curvature (laplace), or the mode alone (map).

    Needs: the study's inputs and its data. Writes: the result as NetCDF in ArviZ's layout, with everything needed to
    run it again. Prints a table of the parameters. Exit code 3: the fit did not converge; the result is written, too.

    Example: bayescal fit study.toml --method nuts --output result.nc
    """
    from bayescal.study import override, read_study

    read = override(read_study(study), method=method, output=output, seed=seed, device=device)
    result = run_fit(read)
    typer.echo(f"wrote {read.result_path}")
    leave_unless_converged(result)


def run_fit(study: Study) -> Result:
    """Fit a study, write its result and print its table."""
    from bayescal.cli.display import fit_progress
    from bayescal.cli.machine import require_writable, use_device
    from bayescal.fitting import fit_study

    require_writable(study.result_path)
    device = use_device(study.sampler.device, study.sampler.chains)
    with fit_progress() as progress:
        result = fit_study(study, device=device, progress=progress)
    result.save(study.result_path)
    show_summary(result)
    return result
