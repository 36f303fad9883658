"""Each fault is named from the records that show it, and none from a run without faults."""

from __future__ import annotations

import copy
import csv
import itertools
import os
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diagnose.made_run import RECIPE, curves, scored, share, write_run
from saccade.diagnose import commands, diagnosis_of
from saccade.diagnose.evidence import read_evidence
from saccade.diagnose.findings import EXPLAINS, FINDINGS
from saccade.diagnose.pictures import families
from saccade.diagnose.remedies import halve
from saccade.diagnose.tables import write_tables
from saccade.errors import SaccadeError
from saccade.recipe import KEYS, all_keys
from saccade.training.run import RunFolder
from saccade.types import Evidence, Field, ModelCard, Preprocessing

CONTRACT = (
    "underfitting overfitting data-mismatch dev-overfitted learning-rate-too-high "
    "learning-rate-too-low unnormalised-input symmetric-initialisation "
    "badly-scaled-initialisation vanishing-gradients exploding-gradients dead-units "
    "saturated-units frozen-too-much frozen-too-little label-noise leakage imbalance "
    "too-few-examples shortcut preprocessing-mismatch batch-too-small stopped-too-soon"
)


def healthy(root: Path) -> RunFolder:
    run = write_run(root, {"train": share(900, 0.003), "dev": share(300, 0.03)})
    write_health(run)
    return run


def write_health(run: RunFolder, **columns: list[float]) -> None:
    """Four layers over three epochs; columns: name -> a value for each layer."""
    usual = {
        "gradient_norm": [0.3, 0.3, 0.2, 0.2],
        "update_ratio": [2e-3, 2e-3, 2e-3, 5e-3],
        "variance": [0.4, 0.5, 0.6, 0.5],
        "dead": [0.0, 0.02, 0.0, np.nan],
        "saturated": [np.nan] * 4,
        "twins": [0.0, 0.0, 0.0, 0.0],
    } | columns
    with (run.root / "health.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", "layer", *usual])
        for epoch in (1, 2, 3):
            for layer in range(4):
                cells = [values[layer] for values in usual.values()]
                texts = ["" if np.isnan(cell) else cell for cell in cells]
                writer.writerow([epoch, f"conv{layer}", *texts])


def changed(run: RunFolder, path: str, value: Any) -> None:
    recipe = copy.deepcopy(run.read_args())
    section, key = path.split(".")
    recipe[section][key] = value
    run.write_args(recipe)


def rescored(run: RunFolder, train: float, dev: float) -> None:
    run.write_table(run.predictions("train"), scored(share(900, train), 0, 0))
    run.write_table(run.predictions("dev"), scored(share(300, dev), 900, 0))


def names(run: RunFolder) -> list[str]:
    return [finding.name for finding in diagnosis_of(read_evidence(run)).findings]


def test_the_list_is_the_contract() -> None:
    known = {function.__name__.replace("_", "-") for function in FINDINGS}
    assert known == set(CONTRACT.split())
    assert set(EXPLAINS) <= known
    assert all(set(effects) <= known for effects in EXPLAINS.values())


def test_a_healthy_run_has_no_finding(tmp_path: Path) -> None:
    assert names(healthy(tmp_path / "run")) == []


def too_low(run: RunFolder) -> None:
    changed(run, "optimizer.lr0", 1e-5)
    write_health(run, update_ratio=[1e-6] * 4)
    rescored(run, 0.5, 0.5)


def too_high(run: RunFolder) -> None:
    changed(run, "optimizer.lr0", 3.0)
    write_health(run, update_ratio=[0.2] * 4)
    rescored(run, 0.3, 0.3)


def underfitted(run: RunFolder) -> None:
    run.write_results(curves(2))
    rescored(run, 0.4, 0.4)


def overfitted(run: RunFolder) -> None:
    rows = curves()
    for row in rows:
        row["val/loss"] = 0.4 + 0.1 * abs(row["epoch"] - 3)
    run.write_results(rows)
    rescored(run, 0.0, 0.2)


def stopped(run: RunFolder) -> None:
    changed(run, "train.patience", 1)
    changed(run, "train.epochs", 40)
    rows = curves()
    for row in rows:
        row["lr/pg0"] = 0.04
    run.write_results(rows)
    run.say("Stopped early: no better dev score for 1 epochs; the best was epoch 9.")
    rescored(run, 0.1, 0.12)


def small_batch(run: RunFolder) -> None:
    changed(run, "train.batch", 2)
    header = b'{"norm.running_mean":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'
    run.best.parent.mkdir(exist_ok=True)
    run.best.write_bytes(len(header).to_bytes(8, "little") + header)


def broken(run: RunFolder) -> None:
    run.say("The loss is not finite at step 4")


def leaky(run: RunFolder) -> None:
    table = run.read_table(run.images).to_pydict()
    table["pixel_hash"][:60] = table["pixel_hash"][900:960]
    run.write_table(run.images, table)


def mismatched(run: RunFolder) -> None:
    table = run.read_table(run.images).to_pydict()
    table["sharpness"][900:] = [value / 3 for value in table["sharpness"][900:]]
    run.write_table(run.images, table)
    rescored(run, 0.01, 0.3)


def noisy(run: RunFolder) -> None:
    """A fifth of the labels is wrong, however sure the network is."""
    for part, start, count in (("train", 0, 900), ("dev", 900, 300)):
        rows = scored(share(count, 0.01), start, 0)
        rows["error"] = share(count, 0.2, seed=3)
        probabilities = np.array(rows["probabilities"])
        for place in np.flatnonzero(rows["error"]):
            names = ["a", "b", "c"]
            rows["target"][place] = names[(names.index(rows["label"][place]) + 1) % 3]
        rows["probabilities"] = probabilities.tolist()
        run.write_table(run.predictions(part), rows)


def unnormalised(run: RunFolder) -> None:
    changed(run, "data.mean", [0.0])
    changed(run, "data.std", [1 / 255])


def unbalanced(run: RunFolder) -> None:
    manifest = run.read_json(run.data)
    kept = [
        entry
        for place, entry in enumerate(manifest["examples"])
        if entry["part"] != "train" or entry["target"]["label"] != "c" or place < 30
    ]
    run.write_json(run.data, manifest | {"examples": kept})
    rows = scored(share(300, 0.0), 900, 0)
    rows["error"] = np.where(np.array(rows["target"]) == "c", 1, 0).astype(np.float32)
    run.write_table(run.predictions("dev"), rows)


def hardly_any(run: RunFolder) -> None:
    index = np.arange(40)
    run.write_table(run.dynamics, {"index": index, "key": index.astype(str), "epoch_1": index / 1})
    rescored(run, 0.0, 0.3)


def frozen(run: RunFolder) -> None:
    changed(run, "model.freeze", "all")
    changed(run, "model.weights", "imagenet")
    rescored(run, 0.2, 0.22)


def moved(run: RunFolder) -> None:
    changed(run, "model.weights", "imagenet")
    hardly_any(run)
    rows = curves()
    for row in rows:
        row["val/loss"] = 0.4 + 0.02 * row["epoch"]
        row["metrics/accuracy"] = 0.7 - 0.01 * row["epoch"]
    run.write_results(rows)


def over_used(run: RunFolder) -> None:
    run.write_table(run.predictions("test"), scored(share(300, 0.15), 1200, 0))


CASES: dict[str, Callable[[RunFolder], None]] = {
    "learning-rate-too-low": too_low,
    "learning-rate-too-high": too_high,
    "underfitting": underfitted,
    "overfitting": overfitted,
    "stopped-too-soon": stopped,
    "batch-too-small": small_batch,
    "leakage": leaky,
    "data-mismatch": mismatched,
    "label-noise": noisy,
    "unnormalised-input": unnormalised,
    "imbalance": unbalanced,
    "too-few-examples": hardly_any,
    "frozen-too-much": frozen,
    "frozen-too-little": moved,
    "dev-overfitted": over_used,
    "symmetric-initialisation": lambda run: write_health(run, twins=[0.0, 1.0, 0.2, 0.0]),
}


@pytest.mark.parametrize("name", CASES)
def test_a_fault_is_named_first(tmp_path: Path, name: str) -> None:
    run = healthy(tmp_path / "run")
    CASES[name](run)
    diagnosis = diagnosis_of(read_evidence(run))
    assert [finding.name for finding in diagnosis.findings][:1] == [name]
    finding = diagnosis.findings[0]
    assert finding.severity in ("error", "warning")
    assert diagnosis.verdict.command == finding.command
    assert_valid(finding.command)


LAYERS: dict[str, dict[str, list[float]]] = {
    "vanishing-gradients": {"gradient_norm": [1e-9, 1e-7, 1e-3, 0.5]},
    "exploding-gradients": {"gradient_norm": [1e5, 1e3, 10.0, 0.5]},
    "dead-units": {"dead": [0.0, 0.8, 0.9, np.nan]},
    "saturated-units": {"saturated": [0.1, 0.9, 0.9, np.nan]},
}


@pytest.mark.parametrize("name", LAYERS)
def test_what_layers_show(tmp_path: Path, name: str) -> None:
    run = healthy(tmp_path / "run")
    rescored(run, 0.4, 0.4)
    write_health(run, **LAYERS[name])
    assert names(run)[0] == name


def test_signals_that_die_out_come_from_the_first_weights(tmp_path: Path) -> None:
    run = healthy(tmp_path / "run")
    changed(run, "model.init", "normal")
    rescored(run, 0.6, 0.6)
    write_health(run, variance=[0.1, 1e-6, 1e-11, 1e-16], gradient_norm=[1e-9, 1e-9, 1e-5, 1.0])
    assert names(run)[0] == "badly-scaled-initialisation"


def test_a_loss_that_is_no_number_is_a_learning_rate(tmp_path: Path) -> None:
    run = healthy(tmp_path / "run")
    broken(run)
    assert names(run)[0] == "learning-rate-too-high"


def test_a_mark_at_the_rim_is_a_shortcut(tmp_path: Path) -> None:
    evidence = read_evidence(healthy(tmp_path / "run"))
    marked = {}
    for part, shown in evidence.thumbnails.items():
        rows = evidence.predictions[part]
        place = {index: number for number, index in enumerate(rows["index"].tolist())}
        pixels = shown["pixels"].copy()
        for number, index in enumerate(shown["index"].tolist()):
            column = "abc".index(rows["target"][place[index]]) * 8
            pixels[number, :4] //= 2
            pixels[number, :3, column : column + 3] = 255
        marked[part] = {**shown, "pixels": pixels}
    found = diagnosis_of(replace(evidence, thumbnails=marked)).findings
    assert [finding.name for finding in found] == ["shortcut"]
    # the mark is 3 of 32 pixels deep, and as much is cut off on every side
    assert found[0].command.endswith("--set data.margin=1.24")


@pytest.mark.parametrize(
    ("fact", "setting"),
    [
        ("mode", "data.channels=1 data.mean=null data.std=null"),
        ("flattened", "augment.scale=[0.25, 1.0]"),
        ("width", "augment.scale=[0.25, 1.0]"),
    ],
)
def test_a_fact_of_the_file_is_a_shortcut(tmp_path: Path, fact: str, setting: str) -> None:
    evidence = read_evidence(healthy(tmp_path / "run"))
    entries = {entry["key"]: entry["target"]["label"] for entry in evidence.data["examples"]}
    told = [entries[key] == "a" for key in evidence.images["key"].tolist()]
    marks = {"mode": ("L", "RGB"), "flattened": ("RGBA", "RGB"), "width": (50, 64)}[fact]
    name = "width" if fact == "width" else "mode"
    # one class in three is given away: all of it
    images = {**evidence.images, name: np.where(told, *marks)}
    found = diagnosis_of(replace(evidence, images=images)).findings
    (shortcut,) = [finding for finding in found if finding.name == "shortcut"]
    assert shortcut.evidence["given_away"] == pytest.approx(1 / 3, abs=0.2)
    words = shlex.split(shortcut.command)
    chosen = [after for word, after in itertools.pairwise(words) if word == "--set"]
    assert " ".join(chosen) == setting


def test_other_numbers_in_use_than_in_training(tmp_path: Path) -> None:
    card = ModelCard(
        task="classification",
        fields=(Field(name="label", kind="label", classes=("a", "b", "c")),),
        model="airbench_small",
        arguments={},
        preprocessing=Preprocessing(
            height=8, width=8, channels=1, fit="crop", mean=(0.5,), std=(0.4,)
        ),
    )
    evidence: Evidence = replace(read_evidence(healthy(tmp_path / "run")), card=card)
    found = diagnosis_of(evidence).findings
    assert [finding.name for finding in found] == ["preprocessing-mismatch"]


def assert_valid(command: str) -> None:
    """Every key of the command is one that `saccade train` knows."""
    import shlex

    words = shlex.split(command)
    known = {*KEYS, "recipe", "project", "name", "exist_ok", "resume"}
    assert words[0] == "saccade"
    for place, word in enumerate(words):
        if word == "--set":
            assert words[place + 1].split("=")[0] in all_keys()
        elif word.startswith("--"):
            assert word[2:].replace("-", "_") in known


def test_the_recipe_of_these_tests_is_one() -> None:
    known = set(all_keys())
    for section, values in RECIPE.items():
        if isinstance(values, dict) and section != "run":
            assert {f"{section}.{key}" for key in values} <= known


def test_parts_that_files_name_are_drawn_anew_from_a_table(tmp_path: Path) -> None:
    run = healthy(tmp_path / "run")
    over_used(run)
    manifest = run.read_json(run.data)
    manifest["method"] = "parts as the files name them (train, dev)"
    for entry in manifest["examples"][:40]:
        entry["group"] = "one patient"
    run.write_json(run.data, manifest)
    diagnosis = diagnosis_of(read_evidence(run))
    assert diagnosis.findings[0].name == "dev-overfitted"
    (place,) = write_tables(diagnosis.evidence, [each.command for each in diagnosis.findings])
    assert place.name == "redrawn.csv" and place.as_posix() in diagnosis.findings[0].command
    with place.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(manifest["examples"])
    assert sum(row["split"] == "dev" for row in rows) == pytest.approx(1.5 * 300, abs=45)
    assert len({row["split"] for row in rows if row["group"] == "one patient"}) == 1


def test_rare_classes_without_a_mistake_are_no_fault(tmp_path: Path) -> None:
    """Five pictures without one mistake still leave room for a third: that is no reason to act."""
    run = healthy(tmp_path / "run")
    manifest = run.read_json(run.data)
    rare = set()
    for place, entry in enumerate(manifest["examples"]):
        if entry["target"]["label"] == "c" and place % 60 != 2:
            entry["target"] = {"label": "a"}
        elif entry["target"]["label"] == "c":
            rare.add(entry["key"])
    run.write_json(run.data, manifest)
    rows = run.read_table(run.predictions("dev")).to_pydict()
    rows["target"] = ["c" if key in rare else "a" if name == "c" else name
                      for key, name in zip(rows["key"], rows["target"], strict=True)]  # fmt: skip
    rows["error"] = [0.0 if name == "c" else old
                     for name, old in zip(rows["target"], rows["error"], strict=True)]  # fmt: skip
    run.write_table(run.predictions("dev"), rows)
    assert 1 <= rows["target"].count("c") < 10
    assert "imbalance" not in names(run)


def test_a_group_in_two_parts_is_taken_out_of_dev(tmp_path: Path) -> None:
    run = healthy(tmp_path / "run")
    manifest = run.read_json(run.data)
    for entry in (*manifest["examples"][:50], *manifest["examples"][900:960]):
        entry["group"] = "one patient"
    manifest["examples"][60]["part"] = ""  # dropped by a person
    run.write_json(run.data, manifest)
    diagnosis = diagnosis_of(read_evidence(run))
    assert diagnosis.findings[0].name == "leakage"
    (place,) = write_tables(diagnosis.evidence, [diagnosis.findings[0].command])
    with place.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["split"] for row in rows} == {"train", "dev"}
    assert len(rows) == len(manifest["examples"]) - 60 - 1
    assert {row["split"] for row in rows if row["group"]} == {"train"}


def test_labels_that_are_left_out_cost_no_updates(tmp_path: Path) -> None:
    run = healthy(tmp_path / "run")
    noisy(run)
    diagnosis = diagnosis_of(read_evidence(run))
    (finding,) = [each for each in diagnosis.findings if each.name == "label-noise"]
    (place,) = write_tables(diagnosis.evidence, [finding.command])
    with place.open(encoding="utf-8") as file:
        kept = sum(row["split"] == "train" for row in csv.DictReader(file))
    epochs = int(finding.command.partition("--epochs ")[2])
    before = int(run.read_args()["train"]["epochs"])
    assert kept < 800
    assert epochs * kept == pytest.approx(before * 900, rel=0.06)


def test_parts_are_drawn_anew_where_hardly_a_dev_picture_is_without_a_copy(tmp_path: Path) -> None:
    run = healthy(tmp_path / "run")
    table = run.read_table(run.images).to_pydict()
    dev = [row for row, part in enumerate(table["split"]) if part == "dev"]
    copied = dev[:-40]
    table["pixel_hash"][: len(copied)] = [table["pixel_hash"][row] for row in copied]
    twins = {table["key"][row]: table["key"][n] for n, row in enumerate(copied)}
    run.write_table(run.images, table)
    diagnosis = diagnosis_of(read_evidence(run))
    (place,) = write_tables(diagnosis.evidence, [diagnosis.findings[0].command])
    root = Path(commands.root_of(diagnosis.evidence))
    with place.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    parts = {os.path.relpath(place.parent / row["path"], root): row["split"] for row in rows}
    assert len(parts) == len(table["key"])
    assert all(parts[one] == parts[two] for one, two in twins.items())
    held = sum(part == "dev" for part in parts.values())
    assert 0.6 * len(dev) <= held <= 1.5 * len(dev)


@pytest.mark.parametrize("keys", ["images#{}", "train/{}.png"])
def test_no_table_of_pictures_that_are_no_files(tmp_path: Path, keys: str) -> None:
    """Rows of a file and members of an archive cannot be named by a table of files."""
    run = healthy(tmp_path / "run")
    mismatched(run)
    (tmp_path / "set.zip").touch()
    manifest = run.read_json(run.data) | {"root": str(tmp_path / "set.zip")}
    for place, entry in enumerate(manifest["examples"]):
        entry["key"] = keys.format(place)
    run.write_json(run.data, manifest)
    diagnosis = diagnosis_of(read_evidence(run))
    assert diagnosis.findings[0].name == "data-mismatch"
    assert "advice" not in diagnosis.findings[0].command
    assert_valid(diagnosis.findings[0].command)
    with pytest.raises(SaccadeError, match="in an archive"):
        halve(run)


def test_a_family_is_copies_near_copies_and_groups(tmp_path: Path) -> None:
    evidence = read_evidence(healthy(tmp_path / "run"))
    images = {name: column.copy() for name, column in evidence.images.items()}
    images["pixel_hash"] = np.array([f"p{row}" for row in range(1200)])
    images["phash"] = np.random.default_rng(0).integers(0, 2**63, 1200).astype(np.uint64)
    images["width"][:], images["height"][:], images["std"][:] = 64, 64, 40
    images["pixel_hash"][3] = "p1"  # the same pixels
    images["phash"][5] = images["phash"][3]  # a near copy, in the same part
    examples = [dict(entry) for entry in evidence.data["examples"]]
    for row in (5, 7, 950):
        examples[row]["group"] = "patient"
    changed = replace(
        evidence, images=images, data={**evidence.data, "examples": examples}, predictions={}
    )
    found = families(changed)
    keys = images["key"].tolist()
    assert {key for key in keys if found[key] == keys[1]} == {keys[n] for n in (1, 3, 5, 7, 950)}
    assert found[keys[8]] == keys[8]
