from __future__ import annotations

from collections import Counter

from saccade.improve.folds import draw_folds


def test_each_training_picture_is_in_one_fold_and_copies_are_together() -> None:
    examples = [
        {"key": f"{number}.png", "part": "train" if number % 5 else "dev", "sha256": f"{number}"}
        for number in range(300)
    ]
    for copied in (1, 2, 3):
        examples[copied]["sha256"] = "one picture"
    for number in range(101, 105):
        examples[number]["group"] = "one patient"
    folds = draw_folds(examples, 3)
    assert set(folds) == {entry["key"] for entry in examples if entry["part"] == "train"}
    assert len({folds[f"{copied}.png"] for copied in (1, 2, 3)}) == 1
    assert len({folds[f"{number}.png"] for number in range(101, 105)}) == 1
    assert all(abs(count - 80) <= 4 for count in Counter(folds.values()).values())
    assert draw_folds(examples, 3) == folds
