"""Python programs forked from a process that has imported torch, Lightning and the trackers already.

A cold `python train.py` spends seconds on its imports before its first line. Tests whose subject is something else
(a kill, a resume, another process in the same folder) start their programs here.
"""

import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver, get_context, reduction
from pathlib import Path
from typing import Any
from unittest import mock

PRELOAD = ["warm", "lightdet.engine.train", "lightdet.engine.rank", "lightdet.study.worker", "timm", "wandb"]

_server = forkserver.ForkServer()  # apart from the one that lightdet's own launchers fork from
_server.set_forkserver_preload(PRELOAD)


class Popen:
    """The part of `subprocess.Popen` that the tests use, for [sys.executable, [-P] FILE | -m MODULE | -c CODE, ...].

    `stdout` and `stderr` are open files or DEVNULL; without them the program writes where the tests do.
    """

    def __init__(
        self,
        command: Sequence[str],
        cwd: str | Path = ".",
        env: Mapping[str, str] | None = None,
        stdin: int | None = None,
        stdout: Any = None,
        stderr: Any = None,
    ) -> None:
        assert command[0] == sys.executable
        words = [str(word) for word in command[1:]]
        environment = {**(os.environ if env is None else env), "GLIBC_TUNABLES": ""}  # so that it is not re-executed
        descriptors = [_descriptor(file) for file in (stdout, stderr)]
        arguments = (words, str(Path(cwd).resolve()), environment, _Streams(descriptors))
        self._process = get_context("forkserver").Process(target=_run, args=arguments)
        with mock.patch.object(forkserver, "connect_to_new_process", _server.connect_to_new_process):
            self._process.start()
        self.pid = self._process.pid
        for descriptor in descriptors:
            if descriptor is not None:
                os.close(descriptor)

    @property
    def returncode(self) -> int | None:
        """The exit code, -N after signal N, None while the program runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0.0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None and self.pid is not None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _descriptor(file: Any) -> int | None:
    """Of a stream that the program is given, to be closed when it has it."""
    if file is None:
        return None
    return os.open(os.devnull, os.O_WRONLY) if file == subprocess.DEVNULL else os.dup(file.fileno())


class _Streams:
    """Descriptors that travel to the child and become its standard output and error."""

    def __init__(self, descriptors: Sequence[Any]) -> None:
        self.descriptors = descriptors

    def __reduce__(self) -> tuple[Any, ...]:
        return _Streams, ([None if number is None else reduction.DupFd(number) for number in self.descriptors],)

    def take(self) -> None:
        for number, sent in enumerate(self.descriptors, start=1):
            if sent is not None:
                os.dup2(sent.detach(), number)


def _run(words: list[str], cwd: str, environment: dict[str, str], streams: _Streams) -> None:
    """What the interpreter does with its words, in a child that has the modules already."""
    import torch

    streams.take()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    if "OMP_NUM_THREADS" in environment:
        torch.set_num_threads(int(environment["OMP_NUM_THREADS"]))
    first, *rest = words[words[0] == "-P" :]  # -P: the working directory is not searched, and is not here
    if first in ("-c", "-m"):
        body, *rest = rest
    sys.argv = [first, *rest]
    if first == "-c":
        exec(compile(body, "<string>", "exec"), {"__name__": "__main__"})
    elif first == "-m":
        runpy.run_module(body, run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(first, run_name="__main__")
