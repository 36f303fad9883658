from __future__ import annotations

from pathlib import Path

import pytest

from made import labelled
from saccade.data.corrections import Correction, correct, read_corrections, write_corrections
from saccade.errors import SaccadeError

DATA = labelled(["a", "b", "a"])


def test_file_and_back(tmp_path: Path) -> None:
    said = (
        Correction(key="a/0.png", was="a", verdict="relabel", label="b"),
        Correction(key='b/"1",\n.png', was="b", verdict="drop"),
    )
    write_corrections(tmp_path / "c.csv", reversed(said))
    assert read_corrections(tmp_path / "c.csv") == said


def test_labels_change_and_dropped_rows_are_told() -> None:
    corrected, kept = correct(
        DATA,
        [
            Correction(key="a/0.png", was="a", verdict="relabel", label="b"),
            Correction(key="b/1.png", was="b", verdict="drop"),
            Correction(key="a/2.png", was="a", verdict="accept"),
            Correction(key="gone.png", was="a", verdict="drop"),
        ],
    )
    assert [example.target["label"] for example in corrected.examples] == ["b", "b", "a"]
    assert kept.tolist() == [True, False, True]
    assert DATA.examples[0].target["label"] == "a"
    # once the user has mended the data too, the correction says nothing new
    again, _ = correct(
        corrected, [Correction(key="a/0.png", was="a", verdict="relabel", label="b")]
    )
    assert again == corrected


@pytest.mark.parametrize(
    ("was", "label", "told"),
    [("a", "zebra", "have the classes a, b"), ("b", "b", "was 'b' .* and is 'a' now")],
)
def test_what_does_not_fit_is_refused(was: str, label: str, told: str) -> None:
    with pytest.raises(SaccadeError, match=told):
        correct(DATA, [Correction(key="a/0.png", was=was, verdict="relabel", label=label)])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("key,was\na,b\n", "line 2 lacks verdict, label"),
        ("key,was,verdict,label\na,b,maybe,\n", "line 2: verdict 'maybe'"),
        ("key,was,verdict,label\na,b,relabel,\n", "line 2: relabel goes with a label"),
        ("key,was,verdict,label\na,b,drop,\na,b,drop,\n", "'a' stands there twice"),
    ],
)
def test_files_that_make_no_sense(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "c.csv").write_text(text, encoding="utf-8")
    with pytest.raises(SaccadeError, match=told):
        read_corrections(tmp_path / "c.csv")
