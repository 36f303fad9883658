"""The command line: finds the verb, runs it, and turns what went wrong into a message and a code.

0 done; 1 the user's input or data is at fault; 2 wrong usage; 130 / 143 stopped by a signal.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
from collections.abc import Sequence

import click

from saccade import __version__
from saccade.cli.output import Output
from saccade.errors import SaccadeError, Stopped

# what --help shows; a verb's own file is imported only when the verb is called
VERBS = {
    "train": "Train a network on your pictures.",
    "tune": "Search for settings by many trainings, or nurse one.",
    "val": "Measure a trained network on a part of its data, or on other data.",
    "predict": "Use a trained network on pictures, folders or patterns.",
    "diagnose": "Say what limits a run, how sure that is, and what to type next.",
    "errors": "List mistakes, what they have in common, and what mending them could gain.",
    "human": "Measure how well people do on the same pictures.",
    "labels": "Rank labels that look wrong; accept, change or drop them beside the data.",
    "compare": "Say which run is better, and whether that is beyond noise.",
    "curve": "Foresee what twice the pictures would bring.",
    "sources": "Say how pictures of different sources differ, and try what helps.",
    "ensemble": "Let several runs answer as one.",
    "report": "Write a run's report, one HTML file that needs no network.",
    "check": "Look for what is wrong with a data set, before any training.",
    "split": "Cut a data set into train, dev and test, and write it down.",
    "convert": "Write boxes or points in another format: VOC, COCO, YOLO, a table.",
    "models": "List the networks.",
    "describe": "Show networks layer by layer: shapes, parameters, cost, receptive field.",
    "probe": "Show how signals pass through an untrained network, by initialisation.",
    "benchmark": "Measure what this machine trains fastest with.",
}

EPILOG = """\b
DATA is a folder with one folder per class, a CSV table, a zip of either, or a
sample that comes with saccade (sample:digits). RUN is a folder that `saccade
train` printed, or a weights file in it. Your data are never written to.

\b
  saccade check my_photos       what is in there, and what is wrong with it
  saccade train my_photos       prints the run: runs/classification/train
  saccade predict runs/classification/train new.jpg
  saccade VERB --help           every key of a verb
"""


class Verbs(click.Group):
    """Imports the file of a verb only when that verb is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"saccade.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(
    cls=Verbs,
    epilog=EPILOG,
    subcommand_metavar="VERB SUBJECT [--key value]...",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message="saccade %(version)s")
def saccade() -> None:
    """From your own pictures to a convolutional network you can trust."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (without the program's name) and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        # file names may hold bytes that are no text; they must not stop a message
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    output = Output(as_json="--json" in given)
    # with --json nothing but the one value may reach stdout, whatever a library prints
    quiet = contextlib.redirect_stdout(sys.stderr) if output.as_json else contextlib.nullcontext()
    with quiet:
        return _run(given, output)


def _run(given: list[str], output: Output) -> int:
    try:
        # click returns the code of an early exit (--help) instead of raising it
        return saccade.main(given, prog_name="saccade", standalone_mode=False, obj=output) or 0
    except click.ClickException as error:
        error.show(file=sys.stderr)
        output.error("usage", error.format_message())
        return error.exit_code
    except click.Abort:
        return _fail(Stopped("stopped.", exit_code=130), output)
    except SaccadeError as error:
        return _fail(error, output)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        files = [str(error.filename)] if error.filename else []
        told = f"{place}{error.strerror or error}."
        return _fail(SaccadeError(told, name="system", files=files), output)
    except Exception as error:
        # ours to mend: the traceback is what a report of it needs
        output.error("internal-error", f"{type(error).__name__}: {error}")
        raise


def _fail(error: SaccadeError, output: Output) -> int:
    output.note(f"saccade: {error.message}")
    output.error(error.name, error.message, error.files)
    return error.exit_code if isinstance(error, Stopped) else 1
