"""The command line: `lightdet COMMAND ...`; every command is a file beside this one, imported when it is used.

Little is imported at the top: `program` re-executes the process with allocator settings, and modules imported before
that would be imported twice.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from lightdet.core.allocator import keep_memory
from lightdet.core.import_path import share_import_path
from lightdet.core.openmp import sleep_at_barriers
from lightdet.core.output import LOST, guard_output
from lightdet.core.outside import end_on_signals, exit_code_of_interruption
from lightdet.core.temporary import settle_temporary_folder

COMMANDS = {  # name, which is a module's: (its words, what it does)
    "train": ("[key=value ...] [-m]", "train one detector, or with -m every combination of a sweep"),
    "evaluate": ("RUN [split=val] [key=value ...]", "measure a finished run again, with pictures and curves"),
    "predict": ("RUN SOURCE ... [--out DIR]", "detect defects in an image, a folder of images or a glob"),
    "threshold": ("RUN [--escape 0.01]", "choose the threshold that bounds what escapes, and freeze it"),
    "explain": ("RUN IMAGE ... [--method A,B]", "heat maps of where a model finds what it predicts"),
    "export": ("RUN [--out DIR]", "write a finished model as a folder to pass on, without code"),
    "compress": ("RUN --latency 0.6", "a smaller model from a finished run: cut, taught, exported, judged"),
    "search": ("SPACE [key=value ...]", "look for the best settings in many short trainings"),
    "study": ("STUDY [retry|clean|...]", "the state of every run of a sweep, live; and what to do about it"),
    "report": ("STUDY [--baseline CHOICES]", "tables, figures and one HTML page of a study"),
    "doctor": ("[data=NAME] [key=value ...]", "look for trouble in a dataset"),
    "convert": ("[data=NAME] to=FORMAT out=FOLDER", "write a dataset in another format"),
    "benchmark": ("[model=A,B ...] [RUN ...]", "parameters, operations, memory and time of detectors"),
}
BAD_INPUT = 2  # exit code: something in the input is wrong, and one line names it
TRAINING = ("train", "compress", "search")  # commands that go on when the reader of their output has ended


def program(*command: str) -> int:
    """Runs `command` with the shell's arguments, in a process with allocator settings for training; the exit code."""
    words = [*command, *sys.argv[1:]]
    os.environ["PYTHONSAFEPATH"] = (
        "1"  # of the fork server, which would look for modules in the working directory first
    )
    guard_output(LOST if words and words[0] in TRAINING else "")
    sleep_at_barriers()
    if words[:1] != ["predict"]:  # it may run for months, and memory that is never given back grows with fragments
        keep_memory()
    end_on_signals()
    return main(words)


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code: 0 done, 1 failed in part or in whole, 2 bad input."""
    words = list(arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage(), end="")
        return 0 if words else BAD_INPUT
    if words[0] in ("-V", "--version"):
        from importlib.metadata import version

        print(f"lightdet {version('lightdet')}")
        return 0
    if words[0] not in COMMANDS:
        return complain(f"no command {words[0]!r}; choose one of {', '.join(COMMANDS)}")
    try:
        share_import_path()
        settle_temporary_folder()
        code: int = import_module(f"lightdet.cli.{words[0]}").run(words[1:])
        return code
    except KeyboardInterrupt:
        print("lightdet: stopped; the same command continues", file=sys.stderr)
        return exit_code_of_interruption()
    except Exception as error:
        from lightdet.config.refusals import is_user_error, reason

        if not is_user_error(error):
            raise
        return complain(reason(error))


def usage() -> str:
    """One line per command."""
    lines = [f"  {f'lightdet {name} {words}':<48} {does}" for name, (words, does) in COMMANDS.items()]
    commands = "\n".join(lines)
    title = "lightdet: train, compare and run light defect detectors"
    return f"{title}\n\n{commands}\n\n`lightdet COMMAND --help` describes each.\n"


def complain(message: str) -> int:
    """Print one line on stderr, in which text of a file steers no terminal; the exit code of bad input."""
    from lightdet.core.shown import shown

    print(f"lightdet: {shown(message)}", file=sys.stderr)
    return BAD_INPUT


if __name__ == "__main__":
    sys.exit(program())
