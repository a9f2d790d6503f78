"""Opens a W&B run that neither prompts nor hangs: online where that works, offline otherwise."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightdet.core.errors import first_cause
from lightdet.logger.wandb_mode import decide, without_mode

DATA = "WANDB_DATA_DIR"
_set_here: dict[str, str] = {}  # values that this module wrote into the environment


def open_run(option: str, arguments: dict[str, Any], finish_seconds: float) -> Any:
    """The run, or None where W&B is switched off; prints one line with its address. Raises what offline W&B raises.

    `option`: logger.wandb.mode. `arguments`: those of `wandb.init`, `dir` among them. Where a W&B agent started this
    process (WANDB_SWEEP_ID), the agent sets id, project and entity.
    """
    _keep_artifacts_in(Path(arguments["dir"]))
    with without_mode():
        import wandb

        known = wandb.setup(wandb.Settings(silent=True)).settings
    configured = known.mode if known.mode in ("offline", "disabled") and option == "auto" else None
    mode, reason = decide(configured or option, os.environ, known.base_url)
    if mode == "disabled":
        return None
    if known.sweep_id:
        arguments = {key: value for key, value in arguments.items() if key not in ("id", "project", "entity")}
    Path(arguments["dir"]).mkdir(parents=True, exist_ok=True)
    try:
        run = _init(mode, arguments, finish_seconds)
    except Exception as error:
        reason = f"online it refused: {first_cause(error)}" if mode == "online" else reason
        with suppress(Exception):  # remains of the first attempt would still hold the id
            wandb.teardown(exit_code=0)
        run = _init("offline", arguments, finish_seconds)
    if reason:
        print(f"lightdet: W&B writes offline, {reason}; `wandb sync {arguments['dir']}/wandb/offline-run-*` sends it")
    else:
        print(f"lightdet: W&B run {run.url}")
    return run


def kill_service() -> None:
    """Kills W&B's service process, for which W&B would wait without limit when Python exits.

    Files that it has written stay, and the next run starts another process. W&B has no public function for this
    (`wandb.teardown` waits); where its internals have changed, nothing happens.
    """
    with suppress(Exception, SystemExit):  # teardown exits Python with the exit code of the service
        import wandb

        wandb.sdk.wandb_setup.singleton()._connection._proc._process.kill()  # type: ignore[union-attr]
        wandb.teardown(exit_code=1)


def _keep_artifacts_in(folder: Path) -> None:
    """Sets WANDB_DATA_DIR, by default in the home folder: tables of an offline run wait there for `wandb sync` and
    belong beside their run."""
    if os.environ.get(DATA) in (None, _set_here.get(DATA)):
        os.environ[DATA] = _set_here[DATA] = str((folder / "wandb").resolve())


def _init(mode: str, arguments: dict[str, Any], finish_seconds: float) -> Any:
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
            **arguments,
            mode=mode,  # type: ignore[arg-type]
            resume="allow",
            reinit="finish_previous",
            settings=settings,
        )
