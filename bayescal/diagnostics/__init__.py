"""What a result says and whether to believe it: tables, verdicts, figures, comparisons, exports, a report."""

from bayescal.diagnostics.compare import compare as compare
from bayescal.diagnostics.convergence import convergence as convergence
from bayescal.diagnostics.summary import member_rows as member_rows
from bayescal.diagnostics.summary import rows_table as rows_table
from bayescal.diagnostics.summary import summary_rows as summary_rows
from bayescal.diagnostics.summary import summary_table as summary_table
