"""What people look at: a run's page and pictures, drawn results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from saccade.diagnose import Diagnosis
    from saccade.training.run import RunFolder
    from saccade.tune.outcome import Outcome


def write(run: RunFolder, diagnosis: Diagnosis | None = None) -> Path:
    """Write results.png, confusion_matrix.png, val_batch0_pred.jpg and report.html into `run`.

    diagnosis: what the page begins with. Whatever the run lacks (it may still be training) is left
    out. Returns the path of the page.
    """
    # matplotlib takes half a second to import, and most verbs never draw
    from saccade.report import figures, run_page

    figures.write(run)
    return run_page.write(run, diagnosis)


def write_search(outcome: Outcome) -> Path:
    """Write the page of a search into its folder. Returns the path of the page."""
    from saccade.report import search_page

    search_page.write(outcome)
    return outcome.page
