"""What goes wrong at the user's hand, said once and clearly."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SaccadeError(Exception):
    """The user's input, data or machine is at fault; the message is all the user sees.

    `message` says which file or field, what was found, what was expected and what to do. `name`
    is a short kebab-case word that scripts can rely on, `files` lists the paths concerned.
    """

    def __init__(self, message: str, *, name: str = "bad-input", files: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.name = name
        self.files = tuple(str(file) for file in files)


class Stopped(SaccadeError):
    """A signal asked the run to stop; its state is saved. exit_code: 130 SIGINT, 143 SIGTERM."""

    def __init__(self, message: str, *, exit_code: int) -> None:
        super().__init__(message, name="stopped")
        self.exit_code = exit_code


def unknown_name(kind: str, name: str, known: Iterable[str]) -> SaccadeError:
    """An error for a name that is not in a table: the near names, else all of them."""
    known = sorted(known)
    near = difflib.get_close_matches(name.lower(), known, n=5, cutoff=0.5)
    hint = f"near names: {', '.join(near)}" if near else f"known: {', '.join(known)}"
    return SaccadeError(
        f"there is no {kind} {name!r}; {hint}", name=f"unknown-{kind.replace(' ', '-')}"
    )
