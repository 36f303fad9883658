"""Templates of the pages."""

from __future__ import annotations

import secrets
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from saccade.review.server import Answer

_ENVIRONMENT = Environment(
    loader=PackageLoader("saccade.review"),
    # names are the user's: they must never become markup
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(template: str, **values: Any) -> Answer:
    """A page that may load nothing but what this server gives."""
    nonce = secrets.token_urlsafe(12)
    text = _ENVIRONMENT.get_template(template).render(nonce=nonce, **values)
    policy = (
        f"default-src 'none'; img-src 'self' data:; connect-src 'self'; style-src 'nonce-{nonce}'; "
        f"script-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {"Content-Security-Policy": policy}
    return Answer(text.encode("utf-8", "replace"), "text/html; charset=utf-8", headers=headers)
