from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diagnose.made_run import RECIPE, share, write_run
from saccade.diagnose.evidence import read_evidence
from saccade.diagnose.findings.label_noise import wrong_labels
from saccade.diagnose.labels import advice, average_losses, find_suspects, learned_late
from saccade.errors import SaccadeError


def test_what_is_learned_late_is_suspect() -> None:
    losses = np.full((100, 8), 0.4)
    losses[:5] = [[3.0, 3, 3, 3, 2, 2, 1, 1]] * 5  # learned by heart in the end
    losses[7] = np.nan
    losses[8, :4] = np.nan
    average = average_losses(losses)
    assert np.isnan(average[7]) and average[8] == pytest.approx(0.4)
    assert learned_late(average, 4).tolist() == [0, 1, 2, 3, 4]
    # where most of it is not learned, nothing can be said
    assert len(learned_late(np.full(100, 2.0), 4)) == 0


def test_planted_dev_labels_come_first_and_are_counted(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"train": share(900, 0.0), "dev": share(300, 0.1)})
    rows = run.read_table(run.predictions("dev")).to_pydict()
    planted = [place for place, error in enumerate(rows["error"]) if error][:20]
    for place in planted:  # the network is sure of another class
        answer = "abc".index(rows["label"][place])
        rows["probabilities"][place] = [0.97 if n == answer else 0.015 for n in range(3)]
        rows["score"][place] = 0.97
    run.write_table(run.predictions("dev"), rows)
    found = find_suspects(read_evidence(run))
    assert {each.key for each in found.suspects[:20]} == {rows["key"][place] for place in planted}
    said = dict(zip(rows["key"], rows["label"], strict=True))
    assert all(each.guess == said[each.key] for each in found.suspects[:20])
    assert found.labels == {"train": 900, "dev": 300}
    assert found.counts()["train"] == 0 and found.counts()["dev"] >= 20
    assert found.mistakes == 30 and found.mislabelled.value >= 2 / 3
    assert found.ceiling == pytest.approx(0.1 * (1 - found.mislabelled.value))
    told = advice(found, test_scored=False)
    assert "of 30 dev mistakes are wrong labels" in told[0] and told[1].startswith(
        "Correcting pays"
    )
    assert "same criteria" in told[2]


def test_clean_labels_do_not_pay(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"train": share(900, 0.0), "dev": share(300, 0.05)})
    found = find_suspects(read_evidence(run))
    assert not found.pays and found.mislabelled.value == 0
    assert advice(found, test_scored=True, judged=["dev"])[-1].startswith("Judge test")


def test_other_tasks_are_sent_elsewhere(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"train": share(60, 0.0), "dev": share(60, 0.05)})
    run.write_args({**RECIPE, "task": "multilabel"})
    with pytest.raises(SaccadeError, match="no single class per picture"):
        find_suspects(read_evidence(run))


def ranked(count: int, wrong: float, error: float, fall: float) -> dict[str, np.ndarray]:
    """Answers on ten classes, as unsure as they are wrong, and labels of which `wrong` are drawn.

    The label of a hard picture is at each further place of the order `fall` times as frequent.
    """
    random = np.random.default_rng(3)
    names = np.array(list("abcdefghij"), dtype=object)
    orders = np.array([random.permutation(10) for _ in range(count)])
    sure = random.uniform(0.15, 0.95, count)
    weights = np.linspace(1.5, 0.5, 9) / 9
    probabilities = np.empty((count, 10))
    scores = np.concatenate([sure[:, None], (1 - sure)[:, None] * weights], axis=1)
    np.put_along_axis(probabilities, orders, scores, axis=1)
    places = np.where(
        random.random(count) < 2 * error * (1 - sure),
        1 + random.choice(9, count, p=fall ** np.arange(9) / (fall ** np.arange(9)).sum()),
        0,
    )
    places = np.where(random.random(count) < wrong, random.integers(1, 10, count), places)
    labels = orders[np.arange(count), places]
    answers = probabilities.argmax(axis=1)
    return {
        "key": np.array([str(n) for n in range(count)], dtype=object),
        "target": names[labels],
        "label": names[answers],
        "score": probabilities.max(axis=1),
        "error": (labels != answers).astype(np.float32),
        "probabilities": probabilities,
    }


def test_labels_drawn_by_mistake_are_told_from_hard_pictures(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"train": share(60, 0.0), "dev": share(60, 0.0)})
    empty = read_evidence(run)
    for part, fall in (("train", 0.5), ("dev", 0.7)):
        for wrong in (0.0, 0.1, 0.3):
            rows = ranked(6000, wrong, 0.5, fall)
            found = wrong_labels(replace(empty, predictions={"train": rows, part: rows}), part)
            if not wrong:
                assert found is None
                continue
            assert found is not None
            assert found.low < found.value < found.high
            assert found.value == pytest.approx(wrong, abs=0.05)
