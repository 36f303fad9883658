"""Every verb on real input: exit codes, what stands on stdout, JSON as promised."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from saccade import api
from saccade.cli import predict as predict_verb
from saccade.cli.main import main
from saccade.errors import Stopped
from saccade.models.catalog import PIXEL_MODELS, names

RUN = "runs/classification/train"
MEASURED = {"run", "task", "split", "examples", "metrics", "intervals", "seconds"}


class Program:
    """Runs command lines in the folder of the training."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        out, err = self.capsys.readouterr()
        return code, out, err

    def value(self, *arguments: str, code: int = 0) -> Any:
        """The one JSON value on stdout."""
        found, out, _ = self(*arguments, "--json")
        assert found == code
        return json.loads(out)


@pytest.fixture
def program(
    trained: tuple[Path, list[str]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Program:
    monkeypatch.chdir(trained[0])
    return Program(capsys)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two pictures of the same name, one of them large, and a broken one."""
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    random = np.random.default_rng(0)
    for path, size in ((folder / "a.png", (8, 8)), (folder / "more" / "a.png", (300, 200))):
        Image.fromarray(random.integers(0, 255, size, dtype=np.uint8)).save(path)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff no more")
    return folder


def test_train_prints_the_run_first_and_last(trained: tuple[Path, list[str]]) -> None:
    place, lines = trained
    assert lines[0] == lines[-1] == str(Path(RUN))
    assert lines[1].split()[:2] == ["metric", "value"]
    assert lines[2].startswith("accuracy")
    made = {path.name for path in (place / RUN).iterdir()}
    assert {"report.html", "results.png", "confusion_matrix.png", "val_batch0_pred.jpg"} <= made


def test_train_says_what_limits_it_before_the_run(trained: tuple[Path, list[str]]) -> None:
    place, lines = trained
    told = json.loads((place / RUN / "diagnosis.json").read_text(encoding="utf-8"))
    assert lines[-4:-1] == told["verdict"]["lines"]
    assert lines[-2] == f"Next: {told['verdict']['command']}"


def test_val_json(program: Program) -> None:
    value = program.value("val", RUN)
    assert set(value) == MEASURED
    assert (value["task"], value["split"], value["run"]) == ("classification", "dev", RUN)
    for name, (low, high) in value["intervals"].items():
        assert low <= value["metrics"][name] <= high


def test_val_of_other_data_says_what_was_scored(program: Program) -> None:
    code, out, _ = program("val", RUN, "--data", "sample:digits")
    assert code == 0 and out.startswith("all of sample:digits, 1797 examples")
    assert program.value("val", RUN, "--data", "sample:digits")["split"] == "all"


def test_a_training_needs_a_dev_part(program: Program) -> None:
    settings = ["--set", "data.dev=0", "--set", "data.test=0", "--name", "undeveloped"]
    value = program.value("train", "sample:digits", *settings, code=1)
    assert value["error"]["name"] == "no-dev"
    assert not Path("runs/classification/undeveloped").exists()


def test_val_of_the_test_part_is_counted(program: Program) -> None:
    program.value("val", RUN, "--split", "test")
    code, out, _ = program("val", RUN, "--split", "test")
    assert code == 0
    assert out.startswith("test, ")
    looks = json.loads((Path(RUN) / "test_looks.json").read_text(encoding="utf-8"))
    assert len(looks) == 2


def test_predict_names_what_cannot_be_read(program: Program, pictures: Path) -> None:
    code, out, err = program("predict", RUN, str(pictures))
    assert code == 0
    assert len(out.splitlines()) == 2
    assert "broken.jpg" in err
    value = program.value("predict", RUN, str(pictures))
    assert [set(item) for item in value] == [
        {"source", "label", "score", "scores"},
        {"source", "error"},
        {"source", "label", "score", "scores"},
    ]
    assert value[0]["label"] in value[0]["scores"]


def test_predict_of_nothing_readable_is_1(program: Program, pictures: Path) -> None:
    value = program.value("predict", RUN, str(pictures / "broken.jpg"), code=1)
    assert value["error"]["files"] == [str(pictures / "broken.jpg")]


def test_predict_saves_pictures_and_a_table(program: Program, pictures: Path) -> None:
    code, out, _ = program("predict", RUN, str(pictures), "--save")
    assert code == 0
    folder = Path(out.splitlines()[-1].removeprefix("saved in "))
    assert folder == Path("runs/predict/train")
    rows = list(csv.DictReader(io.StringIO((folder / "predictions.csv").read_text("utf-8"))))
    assert [row["picture"] for row in rows] == ["a.png", "", "a-2.png"]
    assert rows[1]["error"]
    assert float(rows[0]["score"]) == float(rows[0][f"scores.{rows[0]['label']}"])
    # enlarged until the caption can be read
    with Image.open(folder / "a.png") as drawn:
        assert max(drawn.size) >= 320


def test_predict_never_writes_among_the_pictures(program: Program, pictures: Path) -> None:
    before = sorted(pictures.rglob("*"))
    value = program.value("predict", RUN, str(pictures), "--save", str(pictures), code=1)
    assert value["error"]["name"] == "inside-data"
    assert sorted(pictures.rglob("*")) == before
    code, _, err = program("predict", RUN, "--save", str(pictures / "a.png"), str(pictures))
    assert code == 2
    assert "put --save last" in err


def test_results_in_words() -> None:
    said = predict_verb.in_words
    assert said({"label": "cat", "score": 0.5, "scores": {}}) == "cat  50.0%"
    assert said({"labels": ["a"], "scores": {"a": 0.9, "b": 0.1}}) == "a 90.0%"
    assert said({"labels": [], "scores": {"a": 0.1}}) == "(none)"
    assert said({"labels": ["a"], "scores": [0.25], "boxes": [[0, 0, 1, 1]]}) == "a 25.0%"
    assert said({"values": {"age": 3.0}}) == "age=3"
    assert said({"kind": {"label": "x", "score": 1.0}, "n": {"values": {"age": 2.5}}}) == (
        "kind: x  100.0%  n: age=2.5"
    )


def test_check_json_and_page(program: Program, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    value = program.value("check", "sample:digits", "--html", str(page))
    assert set(value) == {"examples", "classes", "splits", "findings"}
    assert value["examples"] == 1797
    _, out, _ = program("check", "sample:digits")
    last = next(line.split() for line in out.splitlines() if line.startswith("pictures"))
    assert sum(int(cell.replace(",", "")) for cell in last[1:]) == 1797
    assert sum(value["classes"].values()) == 1797
    assert page.stat().st_size > 1000


def test_split_writes_a_table_that_trains_the_same(program: Program, tmp_path: Path) -> None:
    data = tmp_path / "data"
    random = np.random.default_rng(1)
    for number in range(30):
        path = data / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (12, 12), dtype=np.uint8)).save(path)
    before = sorted(data.rglob("*"))
    table = tmp_path / "splits.csv"
    value = program.value("split", str(data), "--test", "0.2", "--out", str(table))
    assert sum(value["splits"].values()) == 30
    assert value["splits"]["test"] == 6
    again = program.value("split", str(table), "--out", str(tmp_path / "again.json"))
    assert again["splits"] == value["splits"]
    assert sorted(data.rglob("*")) == before


def test_split_refuses_the_data_folder(program: Program, tmp_path: Path) -> None:
    value = program.value("split", str(tmp_path), "--out", str(tmp_path / "s.csv"), code=1)
    assert value["error"]["name"] == "inside-data"
    assert not list(tmp_path.iterdir())


def test_report_can_be_written_again(program: Program) -> None:
    value = program.value("report", RUN)
    assert value == {"run": RUN, "report": f"{RUN}/report.html"}


def test_models_and_describe(program: Program) -> None:
    assert program.value("models") == [*names(), *PIXEL_MODELS]
    value = program.value("describe", "resnet18", "--classes", "2", "--channels", "1")
    assert set(value) == {"name", "input", "parameters", "multiply_adds", "layers"}
    assert value["input"] == [1, 224, 224]
    # torchvision's number, less 998 classes, less two input channels
    assert value["parameters"] == 11_689_512 - 998 * 513 - 2 * 64 * 49
    assert sum(layer["parameters"] for layer in value["layers"]) == value["parameters"]
    assert set(value["layers"][0]) == {
        "name",
        "output",
        "parameters",
        "multiply_adds",
        "receptive_field",
    }
    _, out, _ = program("describe", "resnet20", "lenet5", "--imgsz", "32")
    assert out.splitlines()[0].split() == ["resnet20", "lenet5"]
    assert [item["name"] for item in program.value("describe", "resnet20", "lenet5")] == [
        "resnet20",
        "lenet5",
    ]


def test_benchmark_compares_in_turns(program: Program) -> None:
    arguments = ("benchmark", "--model", "lenet5", "--batch", "4", "--rounds", "1")
    value = program.value(*arguments, "--device", "cpu")
    assert value["ways"][0]["ratio"] == 1
    assert sum(way["chosen"] for way in value["ways"]) == 1
    assert all(way["gflops"] > 0 for way in value["ways"])
    _, out, _ = program(*arguments)
    assert "`train` chooses" in out


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["train", "no/such/data"], None),
        (["val", "no/such/run"], "no-run"),
        (["predict", RUN, "no/such/*.jpg"], "no-pictures"),
        (["describe", "resnet19"], "unknown-model"),
        (["train", "sample:digits", "--set", "data.nonsense=1"], "unknown-setting"),
        (["train", "sample:digits", "--optimizer", "nonsense"], "unknown-optimizer"),
        (["train", "sample:digits", "--task", "nonsense"], None),
    ],
)
def test_the_users_mistakes_are_1_with_a_name(
    program: Program, arguments: list[str], name: str | None
) -> None:
    code, out, err = program(*arguments)
    assert code == 1
    assert "Traceback" not in out + err
    assert err.startswith("saccade: ")
    error = program.value(*arguments, code=1)["error"]
    assert set(error) == {"name", "message", "files"}
    assert name is None or error["name"] == name


def test_json_of_train_is_alone_on_stdout(program: Program) -> None:
    arguments = ("--model", "lenet5_modern", "--epochs", "1", "--fraction", "0.1", "--batch", "64")
    value = program.value("train", "sample:digits", *arguments, "--name", "other")
    assert set(value) == MEASURED
    assert value["run"] == str(Path("runs/classification/other"))
    assert value["split"] == "dev"


@pytest.mark.parametrize("code", [130, 143])
def test_signals_keep_their_codes(
    program: Program, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise Stopped("Stopped in epoch 1.", exit_code=code)

    monkeypatch.setattr(api, "train", stop)
    assert program.value("train", "sample:digits", code=code)["error"]["name"] == "stopped"


def test_our_own_mistakes_are_told_and_raised(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        print("a library that prints")
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(api, "check", fail)
    with pytest.raises(ZeroDivisionError):
        main(["check", "sample:digits", "--json"])
    out, err = program.capsys.readouterr()
    assert json.loads(out)["error"]["name"] == "internal-error"
    assert "a library that prints" in err


def test_system_errors_are_the_machines(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied", "photos/1.jpg")

    monkeypatch.setattr(api, "check", fail)
    error = program.value("check", "photos", code=1)["error"]
    assert error["message"] == "photos/1.jpg: Permission denied."
    assert error["files"] == ["photos/1.jpg"]


def test_compare_measures_what_limits_name(
    trained: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    place, lines = trained
    monkeypatch.chdir(place)
    limits = ["--limit", "latency<10000", "--limit", "size<0.001"]
    assert main(["compare", lines[0], lines[0], *limits, "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["best"] is None
    assert value["runs"][0]["broken"] == ["size < 0.001"]
    assert 0 < value["runs"][0]["values"]["latency"] < 10000


def test_split_says_what_it_cannot_do(program: Program, tmp_path: Path) -> None:
    out = tmp_path / "splits.csv"
    value = program.value(
        "split", "sample:digits", "--dev", "0.6", "--test", "0.6", "--out", str(out), code=1
    )
    assert "error" in value and not out.exists()
    out.write_text("mine")
    value = program.value("split", "sample:digits", "--out", str(out), code=1)
    assert value["error"]["name"] == "exists" and out.read_text() == "mine"


def test_pages_and_predictions_never_replace_what_is_there(
    program: Program, tmp_path: Path, pictures: Path
) -> None:
    page = pictures / "a.png"
    value = program.value("check", str(pictures), "--html", str(page), code=1)
    assert value["error"]["name"] == "inside-data"
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_text("mine")
    for _ in range(2):
        value = program.value(
            "predict", RUN, str(pictures), "--save", str(tmp_path / "out"), code=1
        )
        assert value["error"]["name"] == "exists"
    assert (tmp_path / "out" / "a.png").read_text() == "mine"
    assert program("predict", RUN, str(pictures), "--save", str(tmp_path / "new"))[0] == 0
    assert program("predict", RUN, str(pictures), "--save", str(tmp_path / "new"))[0] == 0
    assert program("predict", RUN, str(page), "--batch", "0")[0] == 2


def test_hidden_pictures_are_not_predicted(program: Program, pictures: Path) -> None:
    (pictures / "._a.png").write_bytes(b"resource fork")
    answers = program.value("predict", RUN, str(pictures))
    assert all("._a" not in answer["source"] for answer in answers)
