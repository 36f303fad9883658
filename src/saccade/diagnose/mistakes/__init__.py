"""Error analysis: which pictures are wrong, what they share, what mending would gain."""

from saccade.diagnose.mistakes.marks import Marked, Marks
from saccade.diagnose.mistakes.reading import import_sheet
from saccade.diagnose.mistakes.sheets import has_openpyxl, is_taken, write_sheets
from saccade.diagnose.mistakes.slices import Slice, automatic_slices, tag_slices
from saccade.diagnose.mistakes.table import MistakeTable, Row, mistake_table

__all__ = [
    "Marked",
    "Marks",
    "MistakeTable",
    "Row",
    "Slice",
    "automatic_slices",
    "has_openpyxl",
    "import_sheet",
    "is_taken",
    "mistake_table",
    "tag_slices",
    "write_sheets",
]
