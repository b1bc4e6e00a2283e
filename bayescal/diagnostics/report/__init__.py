"""One self-contained HTML page on a result: verdict first, then numbers, figures and provenance."""

from bayescal.diagnostics.report.page import page as page
from bayescal.diagnostics.report.page import report as report
