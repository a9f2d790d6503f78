"""MLflow: a database beside the runs, or the server that `tracking_uri` names."""

import logging
import os
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from lightdet.core.files import locked
from lightdet.logger.names import drawn, summary
from lightdet.logger.run_logger import RunLogger
from lightdet.logger.wandb_mode import answers
from lightdet.runs.folder import RunFolder
from lightdet.runs.scores import scores_of

STATES = {"failed": "FAILED", "killed": "KILLED"}
SQLITE = "sqlite:///"
ID = "lightdet_id"  # the tag by which a resumed training finds its run
# MLflow retries a silent server seven times, two minutes each, and sends usage reports: not during a training.
PATIENT = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet"}


class MlflowLogger(RunLogger):
    """One MLflow run per run folder, through Lightning's own logger.

    `tracking_uri`: None means MLFLOW_TRACKING_URI, else the database `mlflow.db` in runs_dir, with the pictures beside
    it. `experiment`: None means the study. A resumed training continues its run; repeated rows are left out.
    """

    title, extra = "MLflow", "mlflow"

    def __init__(
        self,
        folder: RunFolder,
        config: dict[str, Any],
        tracking_uri: str | None = None,
        experiment: str | None = None,
    ) -> None:
        super().__init__(folder, config)
        runs = Path(config.get("runs_dir", "runs")).resolve()
        self.tracking_uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}{runs}/mlflow.db"
        self.database = Path(self.tracking_uri.removeprefix(SQLITE)) if self.tracking_uri.startswith(SQLITE) else None
        self.experiment = experiment or str(self.identity["study"] or "lightdet")
        self.inner: Any = None
        self.last_steps: dict[str, int] = {}  # name of a number -> last step that MLflow has
        self.last_step = 0
        self.guard(self._start)

    def write_row(self, values: dict[str, float], step: int) -> None:
        """Logs the numbers that MLflow does not have for this step."""
        self.last_step = max(step, self.last_step)
        new = {name: value for name, value in values.items() if step > self.last_steps.get(name, -1)}
        if self.inner is not None and new:
            self.inner.log_metrics(new, step)
            self.last_steps |= dict.fromkeys(new, step)

    def write_results(self, results: dict[str, Any]) -> None:
        """Logs the final numbers, pictures and the configuration."""
        if self.inner is None:
            return
        self.write_row(summary(results, scores_of(self.folder)), max([self.last_step, *self.last_steps.values()]))
        client, run_id = self.inner.experiment, self.inner.run_id
        for name, paths in drawn(self.folder).items():
            for path in paths:
                client.log_artifact(run_id, str(path), "curves" if name.startswith("curves/") else "pictures")
        if self.folder.config_path.is_file():
            client.log_artifact(run_id, str(self.folder.config_path))

    def close(self, state: str) -> None:
        """Ends the run as finished, failed or killed."""
        if self.inner is not None:
            self.inner.finalize(STATES.get(state, "FINISHED"))

    def _start(self) -> None:
        for name, value in (PATIENT | QUIET).items():
            os.environ.setdefault(name, value)
        from mlflow.entities import ViewType
        from mlflow.tracking import MlflowClient
        from pytorch_lightning.loggers import MLFlowLogger

        logging.getLogger("mlflow").setLevel(logging.CRITICAL)  # no tracebacks: `guard` prints the error in one line
        logging.getLogger("alembic").setLevel(logging.WARNING)
        if self.tracking_uri.startswith(("http://", "https://")) and not answers(self.tracking_uri):
            raise TimeoutError(f"{self.tracking_uri} does not answer")
        with self._alone():  # two processes must not create the tables of one database at once
            if self.database is not None and not self.database.exists():
                make_database(self.database)
            client = MlflowClient(self.tracking_uri)
            place = self._experiment(client)
            wanted = f"tags.{ID} = '{self.version}'"
            found = client.search_runs([place], wanted, ViewType.ACTIVE_ONLY, max_results=1)
            choices = self.identity["choices"]
            tags = {ID: self.version, "group": self.identity["group"], "run_folder": str(self.folder.path)}
            inner = MLFlowLogger(
                self.experiment,
                self.name,
                self.tracking_uri,
                tags={**tags, **{f"tag{index}": tag for index, tag in enumerate(self.identity["tags"])}},
                run_id=found[0].info.run_id if found else None,
            )
            if found:
                client.update_run(inner.run_id, status="RUNNING")
                for name in found[0].data.metrics:
                    self.last_steps[name] = max(point.step for point in client.get_metric_history(inner.run_id, name))
            else:
                inner.log_hyperparams(choices)
        self.inner = inner
        print(f"lightdet: MLflow run {inner.run_id} in {self.tracking_uri}, experiment {self.experiment}", flush=True)

    def _alone(self) -> Any:
        """Held while a local database is opened."""
        return nullcontext() if self.database is None else locked(self.database.with_suffix(".lock"), wait=True)

    def _experiment(self, client: Any) -> str:
        """The experiment's id; created where there is none, with its pictures beside the database."""
        place = None
        if self.database is not None:
            place = (self.database.parent / "mlartifacts" / self.experiment).resolve().as_uri()
        with suppress(Exception):  # it exists, or another process creates it now
            client.create_experiment(self.experiment, artifact_location=place)
        return str(client.get_experiment_by_name(self.experiment).experiment_id)


def make_database(path: Path) -> None:
    """Creates a complete database or none: MLflow cannot use one whose creation was killed."""
    from mlflow.tracking import MlflowClient

    fresh = path.with_name(f"{path.name}.new")
    for left in path.parent.glob(f"{fresh.name}*"):
        left.unlink()
    client = MlflowClient(f"{SQLITE}{fresh.resolve()}")
    client.search_experiments(max_results=1)
    with suppress(AttributeError):
        client._tracking_client.store.engine.dispose()
    os.replace(fresh, path)
