"""Trains one run from overrides; used by `lightdet train` without `-m` and by the Python API.

No torch before the training itself.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from lightdet.config.compose import compose_job
from lightdet.config.ineffective import refuse_alone, refuse_ineffective
from lightdet.config.judge import judge, missing_folder
from lightdet.config.trust import composed_here
from lightdet.config.words import with_full_names
from lightdet.core.errors import LightdetError
from lightdet.engine.work import TRAINING, work
from lightdet.logger.wandb_sweep import answer_agent
from lightdet.runs.folder import RunFolder
from lightdet.runs.names import study_name
from lightdet.runs.registration import JobRequest, named, register, request_job
from lightdet.runs.scores import check_monitor
from lightdet.runs.study_files import run_folders


def train_words(words: Sequence[str], config_dir: Path | None = None, train: str = TRAINING) -> RunFolder:
    """Trains the run that the overrides describe and returns its folder; a run that is done is not trained again.

    `config_dir` holds further options, `train` names the training as module:function. Raises LightdetError for
    invalid overrides, before a folder is made, and every error of the training, after recording it.
    """
    cfg = single_config(words, config_dir)
    study = study_name(cfg.study.name or "single")
    (request,) = named(Path(cfg.runs_dir) / study, [request_job(cfg, list(cfg.hydra.overrides.task))])
    if request.trouble:
        raise LightdetError(request.trouble)
    require_data({request.fingerprint: missing_folder(cfg)}, Path(cfg.runs_dir) / study)
    (folder,) = register(Path(cfg.runs_dir), study, [request])
    assert folder is not None
    if cfg.get("name") is not None and folder.path.parent.name != request.slug:
        own = folder.path.parent.name
        print(f"lightdet: name={cfg.name}: these settings have a run, named {own}, which is taken", flush=True)
    if folder.is_done(request.fingerprint):
        print(f"lightdet: this run is done already, in {folder.path}", flush=True)
        print("lightdet: images or labels changed since do not count; study=NAME trains anew", flush=True)
        answer_agent(cfg, folder)
        return folder
    print(f"lightdet: training {_summary(cfg, request)}, in {folder.path}", flush=True)
    print("lightdet: importing PyTorch and Lightning ...", flush=True)
    with composed_here(request.needs_word):
        work(folder, train)
    return folder


def _summary(cfg: DictConfig, request: JobRequest) -> str:
    """A one-line summary of the training: "model=proposed on data=synthetic for 40 epochs"."""
    names = {key: request.choices.get(key, "-") for key in ("model", "data")}
    root = OmegaConf.select(cfg, "data.reader.root")
    folder = f" (folder {root})" if root else ""
    return f"model={names['model']} on data={names['data']}{folder} for {cfg.trainer.max_epochs} epochs"


def require_data(missing: Mapping[str, str], study_path: Path) -> None:
    """Raise LightdetError for a run without its dataset's folder. `missing`: one line by fingerprint; a run that is
    done in this study needs no data."""
    done = list(run_folders(study_path)) if any(missing.values()) else []
    for identity, line in missing.items():
        if line and not any(folder.is_done(identity) for folder in done):
            raise LightdetError(line)


def single_config(words: Sequence[str], config_dir: Path | None = None) -> DictConfig:
    """The configuration of a single run. Raises LightdetError for invalid overrides, and for those that
    change nothing."""
    words = with_full_names(words)
    cfg = compose_job(words, config_dir)
    judge(cfg, words)
    check_monitor(cfg)
    overrides = list(cfg.hydra.overrides.task)
    refuse_alone(overrides)
    refuse_ineffective(overrides, list(cfg.hydra.overrides.hydra), config_dir)
    return cfg
