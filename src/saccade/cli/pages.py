"""What verbs say when they serve a page."""

from __future__ import annotations

import webbrowser
from collections.abc import Mapping
from typing import Any

from saccade.cli.output import Output


def offer(output: Output, url: str, told: Mapping[str, Any], *, browser: bool) -> None:
    """Print the address (in the JSON: url), and open it in the user's browser."""
    output.line(f"{url}  (Ctrl-C ends)")
    output.value({**told, "url": url})
    if browser:
        webbrowser.open(url)
