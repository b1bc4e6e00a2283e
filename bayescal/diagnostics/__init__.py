"""What a result says and whether to believe it: tables, verdicts, figures, comparisons, exports, a report."""

from bayescal.diagnostics.compare import compare as compare
from bayescal.diagnostics.convergence import convergence as convergence
from bayescal.diagnostics.correlation import correlation as correlation
from bayescal.diagnostics.correlation import strongest_pairs as strongest_pairs
from bayescal.diagnostics.export import export_covariance as export_covariance
from bayescal.diagnostics.export import export_csv as export_csv
from bayescal.diagnostics.export import export_json as export_json
from bayescal.diagnostics.export import export_yaml as export_yaml
from bayescal.diagnostics.predictive import predictive_checks as predictive_checks
from bayescal.diagnostics.report import comparison_report as comparison_report
from bayescal.diagnostics.report import report as report
from bayescal.diagnostics.summary import member_rows as member_rows
from bayescal.diagnostics.summary import rows_table as rows_table
from bayescal.diagnostics.summary import summary_rows as summary_rows
from bayescal.diagnostics.summary import summary_table as summary_table
