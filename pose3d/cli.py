"""The ``pose3d`` command: sub-commands, exit codes, and errors in one line.

Exit codes: 0 all done; 2 bad input or usage; 1 a fault of the program; 130 interrupted (143 by
SIGTERM).
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import traceback
from collections.abc import Callable

import typer

from pipeline.version import VERSION
from pose3d import terminal, weights, weights_store
from pose3d.attention import attention
from pose3d.batch import batch
from pose3d.compare import compare
from pose3d.detect import detect
from pose3d.doctor import doctor
from pose3d.eval2d import eval_2d
from pose3d.evaluate import evaluate
from pose3d.export_onnx import export_onnx
from pose3d.export_results import export, schema
from pose3d.lift_keypoints import lift
from pose3d.lifters import lifters
from pose3d.live import live
from pose3d.plot import plot
from pose3d.render import render
from pose3d.report import report, view
from pose3d.train import train
from pose3d.train2d import train_2d
from pose3d.video import video
from weights.errors import Pose3dError

# Click's, or that of typer's own copy of click, which newer ones have.
UsageError = typer.BadParameter.__base__

app = typer.Typer(
    name="pose3d",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"pose3d {VERSION}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", help="Show the version.", callback=_show_version, is_eager=True
    ),
) -> None:
    """Turns videos of people into 3D skeletons."""


def _guarded(command: Callable) -> Callable:
    """The command with every failure as one line and an exit code; nobody sees a traceback."""

    @functools.wraps(command)
    def guarded(*args: object, **options: object) -> None:
        try:
            command(*args, **options)
        except Pose3dError as error:
            terminal.fail(str(error))
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            terminal.fail("interrupted; files that were finished remain")
            raise typer.Exit(130) from None
        except typer.Exit:
            raise
        except BrokenPipeError:
            # Whoever reads (head, say) has enough; Python must not complain at exit either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except Exception as error:
            if options.get("verbose"):
                traceback.print_exc()
            hint = "--verbose shows where; " if "verbose" in options else ""
            terminal.fail(
                f"a fault in pose3d: {type(error).__name__}: {error} ({hint}please report it)"
            )
            raise typer.Exit(1) from None

    return guarded


app.command("video")(_guarded(video))
app.command("batch")(_guarded(batch))
app.command("lift")(_guarded(lift))
app.command("detect")(_guarded(detect))
app.command("render")(_guarded(render))
app.command("report")(_guarded(report))
app.command("view")(_guarded(view))
app.command("export")(_guarded(export))
app.command("schema")(_guarded(schema))
app.command("plot")(_guarded(plot))
app.command("compare")(_guarded(compare))
app.command("live")(_guarded(live))
app.command("lifters")(_guarded(lifters))
app.command("attention")(_guarded(attention))
app.command("train")(_guarded(train))
app.command("eval")(_guarded(evaluate))
app.command("train-2d")(_guarded(train_2d))
app.command("eval-2d")(_guarded(eval_2d))
app.command("export-onnx")(_guarded(export_onnx))
app.command("doctor")(_guarded(doctor))
weights.app.command("inspect")(_guarded(weights.inspect))
weights.app.command("convert")(_guarded(weights.convert))
weights.app.command("list")(_guarded(weights_store.list_))
weights.app.command("fetch")(_guarded(weights_store.fetch))
weights.app.command("verify")(_guarded(weights_store.verify))
weights.app.command("path")(_guarded(weights_store.path))
weights.app.command("remove")(_guarded(weights_store.remove))
app.add_typer(weights.app, name="weights")


def main() -> None:
    """Entry point of the command."""
    # Paths are printed as they are, even where their bytes are no text.
    sys.stdout.reconfigure(errors="surrogateescape")
    # Unwinds like any other exit, so that unfinished files are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        code = app(prog_name="pose3d", standalone_mode=False)
    except UsageError as error:
        code = 2
        if message := error.format_message():  # empty where help was shown instead
            command = error.ctx.command_path if error.ctx else "pose3d"
            terminal.fail(f"{message.rstrip('.')}; {command} --help shows the usage")
    sys.exit(code)
