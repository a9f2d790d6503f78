"""Trains one registered run, from its request to its results; the only place where a training begins and ends.

The process that trains (this one, a child, a node of a cluster) needs only the run's folder. No torch here.
"""

import os
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lightdet.config.saved import read_config
from lightdet.config.tree import resolve
from lightdet.core.errors import Ended, LightdetError, one_line
from lightdet.core.files import now, write_text
from lightdet.core.named import named
from lightdet.core.outside import outside
from lightdet.core.paths import refuse_links_out
from lightdet.runs.folder import TRACKERS, RunFolder
from lightdet.runs.scores import write_results

Train = Callable[[DictConfig, RunFolder], dict[str, Any]]
TRAINING = "lightdet.engine.train:train"  # a Train, as module:function, so that naming it imports nothing


class HeldElsewhere(LightdetError):  # noqa: N818  # a fact, not a mistake
    """Another process is training in the folder."""


def work(folder: RunFolder, train: str = TRAINING) -> dict[str, Any]:
    """Trains what `request.yaml` of the folder describes, from its last checkpoint on; returns the results.

    `status.json` becomes done only after everything else is written. Raises HeldElsewhere when the folder's lock is
    taken, and every error of the training, recorded first: Ended as "pruned", what is no fault of the training (an
    interruption, a full disk, a closed terminal: `outside`) as "killed", another error as "failed". A record that
    cannot be written leaves "running" without a holder of the lock, which reads as killed.
    """
    identity = str(folder.read_status().get("fingerprint"))
    refuse_links_out(folder.path, besides=TRACKERS)
    with folder.lock() as holder:
        if folder.is_done(identity):
            return folder.read_results()
        if holder is not None:
            who = f"by another process (pid {holder or 'unknown'})"
            raise HeldElsewhere(f"{folder.path} is being trained {who}; wait for it, or end it and try again")
        return _train(folder, train)


def _train(folder: RunFolder, train: str) -> dict[str, Any]:
    """Trains in a folder that this process has locked."""
    folder.end_path.unlink(missing_ok=True)  # a request to an earlier process
    for unfinished in (*folder.path.glob("[!.]*.tmp"), *folder.checkpoints.glob("*.tmp")):  # of one that was killed
        unfinished.unlink(missing_ok=True)
    folder.write_status("running", pid=os.getpid(), host=socket.gethostname(), started=now())
    try:
        cfg = read_config(folder.request_path)
        OmegaConf.set_struct(cfg, True)
        write_text(folder.config_path, OmegaConf.to_yaml(OmegaConf.create(resolve(cfg))))
        results = named(train)(cfg, folder)
        write_results(folder, results)
        folder.write_status("done", finished=now())
        return folder.read_results()
    except Ended as end:
        folder.write_status("pruned", reason=str(end), finished=now())
        raise
    except BaseException as error:
        with suppress(OSError):  # nothing can be recorded on a full disk
            _record(folder, error)
        raise
    finally:
        folder.end_path.unlink(missing_ok=True)
        close_trackers()


def _record(folder: RunFolder, error: BaseException) -> None:
    """Writes why a training ended without results."""
    world = outside(error)
    if not isinstance(error, Exception):  # Ctrl-C, a signal, or Lightning's exit after it
        folder.write_status("killed", reason=world)
        return
    write_text(folder.traceback_path, traceback.format_exc())
    facts = {"reason": world or one_line(error), "traceback": str(folder.traceback_path)}
    folder.write_status("killed" if world else "failed", **facts)


def close_trackers() -> None:
    """Closes what this training's trackers have open, or the next run of this process would write into it."""
    trackers = sys.modules.get("lightdet.logger.run_logger")  # loaded with torch, by a training
    if trackers is not None:
        trackers.close_trackers()
