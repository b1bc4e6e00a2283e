"""Self-contained HTML pages on a result, and on several side by side: verdict first, then numbers and figures."""

from bayescal.diagnostics.report.comparison import comparison_page as comparison_page
from bayescal.diagnostics.report.comparison import comparison_report as comparison_report
from bayescal.diagnostics.report.page import page as page
from bayescal.diagnostics.report.page import report as report
