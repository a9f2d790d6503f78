"""Printing never ends a program: readers and terminals that go, closed streams, encodings that lack a character."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
GUARD = "import sys; from lightdet.core.output import guard_output; guard_output('TOLD\\n')\n"
# What a long program does: it prints, also by file descriptor of a child process, and ends in order.
PRINTS = GUARD + "for number in range(20000): print('line', number)\nprint('end', file=sys.stderr)\nsys.exit(7)"


def start(program: str, redirection: str = "", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A Python program under a shell that redirects its streams."""
    command = ["bash", "-c", f'exec "$0" -c "$1" {redirection}', sys.executable, program]
    inherited = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(command, env=inherited, capture_output=True, timeout=60, check=False)


@pytest.mark.parametrize("place", ["> >(head -1 >&2)", "> /dev/full", ">&-", "<&- >&-"])
def test_a_program_whose_output_goes_nowhere_runs_to_its_end(place: str) -> None:
    done = start(PRINTS, place)
    assert done.returncode == 7
    errors = done.stderr.decode()
    assert errors.endswith("end\n") and "Traceback" not in errors and "Exception" not in errors
    assert errors.count("TOLD") == ("head" in place), "told once, and only where somebody has stopped reading"


@pytest.mark.parametrize("place", ["2>&-", "2> /dev/full", "2> >(true)"])
def test_standard_error_may_be_gone_as_well(place: str) -> None:
    done = start(PRINTS, place)
    assert done.returncode == 7 and done.stdout.endswith(b"line 19999\n")


def test_a_file_does_not_take_the_place_of_a_closed_stream() -> None:
    """The lowest free descriptor is given to the next file, which would then receive what is printed."""
    program = GUARD + "file = open('/dev/null'); sys.stderr.write(str(file.fileno()))"
    assert int(start(program, "<&- >&-").stderr) > 2


def test_a_terminal_that_is_gone_ends_nothing() -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", GUARD + "print('ready', flush=True); sys.stdin.readline()\n" + PRINTS],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=slave,
        stderr=subprocess.PIPE,
    )
    os.close(slave)
    assert os.read(master, 100).startswith(b"ready")
    os.close(master)
    _, errors = process.communicate(b"\n", timeout=60)
    assert (process.returncode, errors) == (7, b"end\n")


@pytest.mark.parametrize("name", ["ascii", "latin-1", "utf-8"])
def test_every_text_can_be_printed(name: str) -> None:
    text = "0.5 ± 0.1 … a → b Grün \U0001f600 \udcff"
    done = start(GUARD + f"print({text!a})", PYTHONIOENCODING=name)
    plain = {"latin-1": "0.5 ± 0.1 ... a -> b Grün ?", "ascii": "0.5 +- 0.1 ... a -> b Gr?n ?"}
    expected = plain.get(name, text.removesuffix(" \udcff")).encode(name) + b" ?\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, expected, b"")


def test_a_command_whose_reader_has_ended_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "lightdet.cli", "--help"], stdout=write, stderr=subprocess.PIPE, cwd=ROOT, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")
