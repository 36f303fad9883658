"""Pictures as a person wants to see them: the user's own file, or the run's thumbnail of it."""

from __future__ import annotations

import io
import threading
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from PIL import Image

from saccade.data.dataset import Dataset
from saccade.data.masks import with_names
from saccade.data.open import open_dataset
from saccade.data.read import load
from saccade.errors import SaccadeError
from saccade.experiment.scoring import printable
from saccade.review.server import Answer
from saccade.training.run import RunFolder

LARGEST = 1024  # pixels of the longer side that a page is sent
SMALL = 256  # pixels up to which a picture is sent without loss

FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}
"""A picture behind an address that holds the token never changes."""


class Originals:
    """Pictures by their key, read from the run's data where these still are where they were."""

    def __init__(self, run: RunFolder, thumbnails: Mapping[str, bytes]) -> None:
        self._run = run
        self._thumbnails = thumbnails
        self._lock = threading.Lock()  # the data are opened once, and decoded one by one

    @cached_property
    def dataset(self) -> Dataset | None:
        """The run's data as they are now; None where they are gone or cannot be read any more."""
        values = self._run.read_args()
        origin = str((values.get("run") or {}).get("data") or "")
        if not origin.startswith("sample:") and not Path(origin).expanduser().exists():
            return None
        try:
            dataset = open_dataset(origin, task=values.get("task"))
            names = (values.get("data") or {}).get("names")
            return with_names(dataset, names) if names else dataset
        except SaccadeError:
            # the data changed their form since; the run's own thumbnails remain
            return None

    @cached_property
    def _keys(self) -> dict[str, str]:
        examples = self.dataset.examples if self.dataset else ()
        return {printable(example.key): example.key for example in examples}

    def thumbnail(self, key: str) -> Answer:
        """The run's small JPEG of a picture, else the picture itself."""
        jpeg = self._thumbnails.get(key)
        return Answer(jpeg, "image/jpeg", headers=FOREVER) if jpeg else self.original(key)

    def original(self, key: str) -> Answer:
        """The picture, at most LARGEST pixels; its thumbnail where the file is gone."""
        with self._lock:
            found = self._decoded(key)
        if found is not None:
            return found
        jpeg = self._thumbnails.get(key)
        if jpeg is None:
            return Answer(b"no picture", "text/plain", 404)
        return Answer(jpeg, "image/jpeg", headers=FOREVER)

    def _decoded(self, key: str) -> Answer | None:
        known = self._keys.get(key)
        if self.dataset is None or known is None:
            return None
        try:
            return _encoded(
                Image.fromarray(load(self.dataset.source, known, channels=3, at_least=LARGEST))
            )
        except SaccadeError:
            # gone or damaged since the training: its thumbnail is what remains
            return None


def _encoded(image: Image.Image) -> Answer:
    image.thumbnail((LARGEST, LARGEST))
    small = max(image.size) <= SMALL
    file = io.BytesIO()
    image.save(file, "PNG" if small else "JPEG", quality=90)
    return Answer(file.getvalue(), "image/png" if small else "image/jpeg", headers=FOREVER)
