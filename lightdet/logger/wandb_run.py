"""Opening a W&B run so that it can neither ask, nor hang, nor be lost: online where that works, offline otherwise."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightdet.core.errors import first_cause
from lightdet.logger.wandb_mode import decide, without_mode

DATA = "WANDB_DATA_DIR"
_ours: dict[str, str] = {}  # what this module has put into the environment


def open_run(asked_mode: str, told: dict[str, Any], finish_seconds: float) -> Any:
    """The run, or None where W&B is switched off; one line says where it goes. Raises what even offline W&B raises.

    `told` are arguments of `wandb.init`, `dir` among them. Where a W&B agent started this process (WANDB_SWEEP_ID), W&B
    takes id, project and entity from the agent and not from here.
    """
    _keep_artifacts_in(Path(told["dir"]))
    with without_mode():
        import wandb

        known = wandb.setup(wandb.Settings(silent=True)).settings
    configured = known.mode if known.mode in ("offline", "disabled") and asked_mode == "auto" else None
    mode, reason = decide(configured or asked_mode, os.environ, known.base_url, known.api_key)
    if mode == "disabled":
        return None
    if known.sweep_id:
        told = {key: value for key, value in told.items() if key not in ("id", "project", "entity")}
    Path(told["dir"]).mkdir(parents=True, exist_ok=True)
    try:
        run = _init(mode, told, finish_seconds)
    except Exception as error:
        reason = f"online it refused: {first_cause(error)}" if mode == "online" else reason
        with suppress(Exception):  # what is left of the first try would still hold the id
            wandb.teardown(exit_code=0)
        run = _init("offline", told, finish_seconds)
    if reason:
        print(f"lightdet: W&B writes offline, {reason}; `wandb sync {told['dir']}/wandb/offline-run-*` sends it")
    else:
        print(f"lightdet: W&B run {run.url}")
    return run


def kill_service() -> None:
    """End W&B's own process beside this one, for which W&B would wait for ever when Python ends. What it has written
    stays, and the next run gets another process. W&B has no public way to do so; where its inside has changed, nothing
    happens."""
    with suppress(Exception, SystemExit):  # it ends Python with the exit code of its process
        import wandb

        wandb.sdk.wandb_setup.singleton()._connection._proc._process.kill()  # type: ignore[union-attr]
        wandb.teardown(exit_code=1)


def _keep_artifacts_in(folder: Path) -> None:
    """Tables of an offline run wait for `wandb sync` under WANDB_DATA_DIR, in the home folder unless somebody says
    otherwise: they shall lie beside the run that needs them."""
    if os.environ.get(DATA) in (None, _ours.get(DATA)):
        os.environ[DATA] = _ours[DATA] = str((folder / "wandb").resolve())


def _init(mode: str, told: dict[str, Any], finish_seconds: float) -> Any:
    import wandb

    settings = wandb.Settings(
        console="off",
        silent=True,
        disable_git=True,
        disable_code=True,
        save_code=False,
        x_disable_stats=True,
        init_timeout=15,
        login_timeout=10,
        finish_timeout=finish_seconds,
    )
    with without_mode():
        return wandb.init(
            **told,
            mode=mode,  # type: ignore[arg-type]
            resume="allow",
            reinit="finish_previous",
            settings=settings,
        )
