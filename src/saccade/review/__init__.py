"""Pages on which a person looks at pictures: mistakes to tag, labels to judge, a quiz.

They are served to this machine alone, need no network, and keep every answer in the run.
"""

from saccade.review.errors_page import errors_page
from saccade.review.server import Page, serve

__all__ = ["Page", "errors_page", "serve"]
