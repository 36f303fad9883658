"""RESULTS.md: what the benchmarks measured, one section each, replaced when measured anew."""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).with_name("RESULTS.md")
HEAD = """# Measured

Every section holds one command, the machine, the date and its figures; a run with `--record`
replaces its own section and leaves the others alone. "met" compares with the goal beside it;
"-" has no goal. Ratios were taken in one run, in turns; times alone depend on the machine.
"""


@dataclass(frozen=True)
class Figure:
    """One line of the table. met: None where there is no goal."""

    what: str
    value: str
    goal: str = "-"
    met: bool | None = None


def machine() -> str:
    """Processor, cores and system in a few words."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        found = re.search(r"model name\s*:\s*(.+)", info.read_text())
        name = found.group(1).strip() if found else name
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}"


def show(figures: list[Figure]) -> str:
    """A table that reads well in a terminal and in Markdown."""
    head = Figure("figure", "measured", "goal")
    words = {True: "yes", False: "no", None: "-"}
    rows = [(each.what, each.value, each.goal, words[each.met]) for each in figures]
    rows = [(head.what, head.value, head.goal, "met"), *rows]
    widths = [max(len(row[place]) for row in rows) for place in range(4)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def record(section: str, figures: list[Figure], *, note: str = "", page: Path = PAGE) -> None:
    """Write the section `## {section}`, in place of an older one of that name."""
    command = " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    body = [
        f"## {section}",
        f"`{command}`  \n{machine()}  \n{datetime.date.today().isoformat()}",
        show(figures),
        *([note] if note else []),
    ]
    text = page.read_text() if page.is_file() else HEAD
    parts = [part.strip() for part in re.split(r"(?m)^(?=## )", text)]
    heads = [part.split("\n")[0] for part in parts]
    place = heads.index(f"## {section}") if f"## {section}" in heads else len(parts)
    parts[place : place + 1] = ["\n\n".join(body)]
    page.write_text("\n\n".join(parts) + "\n")


def add_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--record", action="store_true", help="write the table into RESULTS.md")


def exit_code(figures: list[Figure]) -> int:
    """0 where every goal is met, else 1."""
    return int(any(each.met is False for each in figures))
