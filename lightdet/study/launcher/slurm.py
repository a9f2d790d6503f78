"""Trains runs as jobs of a Slurm cluster with a shared disk, through submitit. No torch here.

The jobs continue when the command that submitted them ends, and the same command finds them again by the job number in
each run folder. The outcome of a run is in its status file; Slurm is queried about runs without an outcome.
"""

import getpass
import importlib.util
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightdet.core.errors import LightdetError, demand_whole, one_line
from lightdet.core.files import read_json, write_json
from lightdet.runs.folder import RunFolder
from lightdet.runs.status import ENDED
from lightdet.study.launcher.queue import Queue
from lightdet.study.launcher.slurm_job import Training
from lightdet.study.process_end import note_failure

CLUSTERS = ("slurm", "local", "debug")
LOOK_AGAIN = 2.0  # seconds between two checks of the files and of the processes of submitit's local executor
QUERY_AGAIN = 15.0  # seconds between two queries to Slurm
NAME = "lightdet"  # of the jobs, by which `squeue --name lightdet` finds them
NOTE = "job.json"  # in the run folder: the number of its job
OVER = {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE"} | {
    "OUT_OF_MEMORY",
    "REVOKED",
    "FINISHED",
    "INTERRUPTED",
}
GONE = "GONE"  # Slurm no longer lists the job, or submitit its process


@dataclass(slots=True)
class _Job:
    """One run and its job."""

    folder: RunFolder
    number: str
    handle: Any  # submitit's
    started: float = field(default_factory=time.monotonic)
    shown: str = ""  # the state that was printed last
    over: int = 0  # consecutive checks in which it was over; a job that is requeued may seem so once


class Slurm:
    """Each run is a job, all of one command an array; conf/launcher/slurm.yaml lists the settings.

    Raises LightdetError where Slurm's programs are missing and for what sbatch refuses.
    """

    def __init__(
        self,
        cluster: str = "slurm",
        minutes: int = 240,
        requeues: int = 20,
        warn_seconds: int = 120,
        cpus: int = 2,
        gpus: int = 0,
        memory_gb: float | None = None,
        partition: str | None = None,
        at_once: int = 64,
        sbatch: Mapping[str, Any] | None = None,
        setup: Sequence[str] = (),
        stall_minutes: float | None = 30.0,
    ) -> None:
        if cluster not in CLUSTERS:
            raise LightdetError(f"launcher.cluster={cluster}: one of {', '.join(CLUSTERS)}")
        for name, value, least in (
            ("minutes", minutes, 1),
            ("cpus", cpus, 1),
            ("gpus", gpus, 0),
            ("at_once", at_once, 1),
        ):
            demand_whole(f"launcher.{name}", value, least)
        if importlib.util.find_spec("submitit") is None:
            raise LightdetError("launcher=slurm needs the package submitit: pip install '.[slurm]' in the clone")
        absent = [program for program in ("sbatch", "squeue", "srun") if shutil.which(program) is None]
        if cluster == "slurm" and absent:
            raise LightdetError(
                f"launcher=slurm: there is no {absent[0]} here; start the command on a machine that submits jobs, or "
                "take launcher.cluster=local"
            )
        self.cluster = cluster
        self.cpus = cpus
        self.at_once = at_once
        self.requeues = requeues
        self.stall_minutes = stall_minutes
        extra = {"requeue": True, **(sbatch or {})}
        self.parameters = {
            "name": NAME,
            "timeout_min": minutes,
            "cpus_per_task": cpus,
            "gpus_per_node": gpus or None,
            "mem_gb": memory_gb,
            "stderr_to_stdout": True,
            "slurm_partition": partition,
            "slurm_array_parallelism": at_once,
            "slurm_signal_delay_s": warn_seconds,
            "slurm_additional_parameters": extra,
            "slurm_srun_args": [f"--cpus-per-task={cpus}"],  # srun does not take it from sbatch any more
            f"{'local' if cluster == 'local' else 'slurm'}_setup": list(setup) or None,
        }

    def run(self, folders: Sequence[RunFolder], train: str, stop_on_error: bool) -> None:
        """See the contract. Ctrl-C leaves the jobs to Slurm, and ends those of submitit's local executor."""
        queue = Queue(folders, stop_on_error)
        if not queue:
            return
        jobs = self._known(queue)
        queried, states = 0.0, dict[str, str]()
        try:
            while queue or jobs:
                jobs += self._submit(queue, len(jobs), train)
                if time.monotonic() - queried >= (QUERY_AGAIN if self.cluster == "slurm" else 0.0):
                    queried, states = time.monotonic(), self._states(jobs)
                else:
                    states = {}
                for job in list(jobs):
                    self._print(job)
                    if self._is_over(job, states):
                        jobs.remove(job)
                        if job.folder.holder() is None:
                            queue.report_end(job.folder, job.started)
                        else:
                            queue.defer(job.folder)
                if queue.stopped:
                    jobs = self._withdraw(jobs)
                time.sleep(LOOK_AGAIN)
                queue.take_over()
        except BaseException:
            self._leave(jobs)
            raise

    def _known(self, queue: Queue) -> list[_Job]:
        """Jobs of an earlier command that are still waiting or running: they are not submitted again."""
        if self.cluster != "slurm":
            return []
        numbers = {_noted(folder): folder for folder in queue.waiting}
        states = squeue([number for number in numbers if number]) or {}
        jobs = []
        for number, folder in numbers.items():
            if states.get(number, GONE) not in (OVER | {GONE}):
                queue.waiting.remove(folder)
                jobs.append(_Job(folder, number, self._handle(folder, number)))
                queue.report_start(folder, f" is already Slurm job {number}")
        return jobs

    def _handle(self, folder: RunFolder, number: str) -> Any:
        import submitit

        return submitit.SlurmJob(self._logs(folder), number)

    def _logs(self, folder: RunFolder) -> Path:
        """Path pattern of submitit's logs, beside the runs of the study; %j is the job number."""
        return folder.path.absolute().parents[1] / "submitit" / "%j"

    def _submit(self, queue: Queue, under_way: int, train: str) -> list[_Job]:
        """Submits all runs to Slurm, which limits those at once; to other executors as many as may run at once."""
        import submitit

        count = len(queue) if self.cluster == "slurm" else self.at_once - under_way
        folders: list[RunFolder] = []
        while len(folders) < count and (folder := queue.take()) is not None:
            folders.append(folder)
        if not folders:
            return []
        calls = []
        for folder in folders:
            folder.write_status("queued")
            calls.append(Training(folder.path.absolute(), train, self.cpus, self.stall_minutes))
        try:
            limit = {"slurm_max_num_timeout": self.requeues, "local_max_num_timeout": self.requeues}
            executor = submitit.AutoExecutor(self._logs(folders[0]), cluster=self.cluster, **limit)
            executor.update_parameters(**self.parameters)
            with executor.batch():
                handles = [executor.submit(call) for call in calls]
        except Exception as error:
            raise LightdetError(f"launcher=slurm: no job was submitted: {one_line(error)}") from error
        jobs = []
        for folder, handle in zip(folders, handles, strict=True):
            write_json(folder.path / NOTE, {"job": handle.job_id, "log": str(handle.paths.stdout)})
            queue.report_start(folder, f" is job {handle.job_id}")
            jobs.append(_Job(folder, str(handle.job_id), handle))
        return jobs

    def _states(self, jobs: Sequence[_Job]) -> dict[str, str]:
        """The state of each job; {} when Slurm does not answer, as may happen while it is busy."""
        if self.cluster == "slurm":
            found = squeue([job.number for job in jobs])
            return {} if found is None else {job.number: found.get(job.number, GONE) for job in jobs}
        if self.cluster == "debug":
            for job in jobs:
                job.handle.results()
            return {job.number: "FINISHED" for job in jobs}
        return {job.number: str(job.handle.state).upper() for job in jobs}

    def _is_over(self, job: _Job, states: Mapping[str, str]) -> bool:
        """Whether a job has ended; records the end where the run itself could not."""
        status = job.folder.read_status()
        state = states.get(job.number)
        if state is None:
            return status.get("state") == "done"
        ended = state in OVER or state == GONE or state.startswith("NO PROCESS")
        job.over = job.over + 1 if ended else 0
        if status.get("state") in ENDED and ended:
            return True
        if job.over < 2:
            return False
        plain = state in ("COMPLETED", "FINISHED", GONE)
        recorded = status.get("state") == "done" or (plain and status.get("state") == "killed")
        if not recorded and job.folder.holder() is None:
            self._record(job, "ended without a message" if plain else f"is {state}", status)
        return True

    def _record(self, job: _Job, end: str, status: Mapping[str, Any]) -> None:
        """Records the end of a job as the reason, with the run's earlier reason, its traceback and the job's log."""
        before = f"; {status['reason']}" if status.get("reason") else ""
        reason = f"its job {job.number} {end}{before}"
        details = f"{reason}\n"
        for path in (job.folder.traceback_path, job.handle.paths.stdout):
            if path.exists():
                details += f"the last of {path}:\n{path.read_text(encoding='utf-8', errors='replace')[-3000:]}\n"
        note_failure(job.folder, "killed", reason, details)

    def _print(self, job: _Job) -> None:
        """Prints when a run has started and when it was requeued."""
        status = job.folder.read_status()
        state = str(status.get("state"))
        if state != (job.shown or "queued") and state in ("queued", "running"):
            where = f" on {status.get('host')}" if state == "running" else f": {status.get('reason', '')}"
            print(f"lightdet: {job.folder.path} is {state} (job {job.number}){where}", flush=True)
        job.shown = state

    def _withdraw(self, jobs: Sequence[_Job]) -> list[_Job]:
        """Cancels the jobs that have not started, because a run failed; returns the others."""
        states = self._states(jobs)
        for job in jobs:
            if states.get(job.number) == "PENDING":
                job.handle.cancel(check=False)
        return [job for job in jobs if states.get(job.number) != "PENDING"]

    def _leave(self, jobs: Sequence[_Job]) -> None:
        """Leaves the jobs to Slurm; ends processes of this machine."""
        if self.cluster == "slurm" and jobs:
            numbers = sorted({job.number.partition("_")[0] for job in jobs})
            print(
                f"lightdet: {len(jobs)} jobs remain in Slurm; the same command waits for them again, "
                f"`scancel {' '.join(numbers)}` ends them",
                flush=True,
            )
        elif self.cluster == "local":
            for job in jobs:
                job.handle.cancel()
            for job in jobs:
                job.handle._process.wait()
                if job.folder.holder() is None and job.folder.is_running():
                    job.folder.write_status("killed", reason="interrupted")


def squeue(numbers: Sequence[str]) -> dict[str, str] | None:
    """States of this user's jobs by number, without those that Slurm no longer lists; None when it does not answer.

    squeue knows a job for some minutes after its end, and needs no accounting database, as sacct would.
    """
    if not numbers:
        return {}
    heads = sorted({number.partition("_")[0] for number in numbers})
    command = ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T", f"--jobs={','.join(heads)}"]
    command += [f"--user={getpass.getuser()}", f"--name={NAME}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return None
    if answer.returncode and "Invalid job id" not in answer.stderr:
        return None
    lines = [line.split("|") for line in answer.stdout.split()]
    return {line[0]: line[1] for line in lines if len(line) == 2}


def _noted(folder: RunFolder) -> str:
    """The number of the job that an earlier command submitted for a run; "" where none is known."""
    try:
        return str(read_json(folder.path / NOTE).get("job") or "")
    except LightdetError:
        return ""
