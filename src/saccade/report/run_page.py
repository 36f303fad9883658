"""report.html: all that is known of a run, in one file that asks the network for nothing."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from saccade.diagnose import Diagnosis
from saccade.files import write_atomic
from saccade.report import advice, charts, health, masks, objects, outcomes, sections
from saccade.report.records import Records
from saccade.training.run import RunFolder


def write(run: RunFolder, diagnosis: Diagnosis | None = None) -> Path:
    """Write report.html into `run` and return its path. A run that still trains is fine."""
    # a file name may hold bytes that are no text; the page shows a question mark for each
    write_atomic(run.report, render(Records(run), diagnosis).encode("utf-8", "replace"))
    return run.report


def render(records: Records, diagnosis: Diagnosis | None = None) -> str:
    """The page as text, with the diagnosis on top where there is one."""
    environment = Environment(
        loader=PackageLoader("saccade.report"),
        # class and file names are the user's: they must never become markup
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(told=lambda value, metric: sections.told(metric, value))
    environment.filters.update(short=charts.short, count=lambda value: f"{value:,}")
    origin = records.args.get("run") or {}
    subject = str(origin.get("data", "DATA"))
    return environment.get_template("run.html.jinja").render(
        records=records,
        headline=_headline(records),
        told=None if diagnosis is None else advice.told(records, diagnosis),
        scores=sections.scores(records),
        curves=sections.curves(records),
        best=sections.best_epoch(records),
        health=health.maps(records.health),
        confusions=outcomes.confusions(records),
        class_tables=outcomes.class_tables(records),
        regressions=outcomes.regressions(records),
        mistakes=outcomes.mistakes(records),
        objects=objects.section(records),
        masks=masks.section(records),
        shown_measures=sections.without_classes,
        data=sections.data(records),
        batch=sections.picture(records.batch_picture),
        recipe=_recipe(records.args),
        origin=origin,
        commands={
            "again": shlex.join(["saccade", "train", subject, "--recipe", str(records.run.args)]),
            "test": shlex.join(["saccade", "val", str(records.run.root), "--split", "test"]),
        },
    )


def _headline(records: Records) -> dict[str, Any]:
    """The main metric with its interval, and the facts beside it."""
    card = records.card
    main = records.main
    epochs = len(records.results)
    planned = (records.args.get("train") or {}).get("epochs")
    preprocessing = card.get("preprocessing") or {}
    size = " x ".join(str(preprocessing[key]) for key in ("height", "width") if preprocessing)
    time = next((line for line in reversed(records.log) if line.startswith("Finished after")), None)
    facts = [
        ("task", records.task),
        ("network", card.get("model") or (records.args.get("model") or {}).get("name")),
        ("input", size and f"{size}, {'grey' if preprocessing['channels'] == 1 else 'RGB'}"),
        ("epochs", f"{epochs} of {planned}" if planned and planned != epochs else str(epochs)),
        ("time", time and time.removeprefix("Finished after ").rstrip(".")),
    ]
    return {
        "metric": main,
        "measure": card["metrics"][main] if main else None,
        "facts": [(name, value) for name, value in facts if value],
    }


def _recipe(args: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Sections of the recipe with their settings, as they stand in args.yaml."""
    found: list[tuple[str, list[tuple[str, str]]]] = []
    for name, value in args.items():
        if name == "run":
            continue
        settings = value if isinstance(value, Mapping) else {name: value}
        title = name if isinstance(value, Mapping) else ""
        found.append((title, [(key, _yaml(setting)) for key, setting in settings.items()]))
    return found


def _yaml(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6)
    return text.removesuffix("\n").removesuffix("\n...")
