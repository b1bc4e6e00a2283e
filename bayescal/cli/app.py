"""All commands in one place, and the one handler of errors."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from bayescal.cli import conditions, fits, precision, results, studies, validation
from bayescal.errors import InputError

HELP = """Posteriors of detector constants.

A study file names the model, the data, the priors and the sampler. From nothing to a posterior:

\b
  bayescal init charge_constants --output study.toml   # then edit it
  bayescal simulate study.toml --output hits.h5        # or take observed hits
  bayescal check study.toml
  bayescal fit study.toml --output result.nc
  bayescal report result.nc

To question it: bayescal validate, loo, residuals, correlations and profile. To plan: bayescal forecast.

Exit codes: 0 good, 2 bad input, 3 the fit did not converge or is not calibrated, 130 interrupted.
"""

app = typer.Typer(
    help=HELP, no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
)
for command in (
    studies.models,
    studies.init,
    studies.check,
    studies.simulate,
    fits.fit,
    results.summary,
    results.compare,
    results.report,
    results.export,
    results.convert,
    validation.validate,
    validation.loo,
    validation.residuals,
    precision.correlations,
    precision.forecast,
    precision.profile,
    fits.demo,
):
    app.command()(command)
app.add_typer(conditions.app, name="constants")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit code; bad input becomes one line on standard error."""
    try:
        app(args=arguments, prog_name="bayescal")
    except InputError as error:
        typer.echo("error: " + " ".join(str(error).split()), err=True)
        sys.exit(2)
