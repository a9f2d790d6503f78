"""The scores that a configuration's model declares, for a search that imports no torch.

Read in a separate process: `python -m lightdet.study.search.declared FOLDER CONFIG_DIR OVERRIDE ...`.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lightdet.core.errors import LightdetError
from lightdet.core.score import Score
from lightdet.runs.folder import RunFolder
from lightdet.runs.scores import FILE_NAME, scores_of, write_scores
from lightdet.runs.study_files import run_folders


def declared_scores(study_path: Path, words: Sequence[str], config_dir: Path | None) -> tuple[Score, ...]:
    """Of a run of the study where there is one, otherwise of the model that the overrides `words` describe.

    Raises LightdetError when the model cannot be built.
    """
    for run in run_folders(study_path):
        if (run.path / FILE_NAME).is_file():
            return scores_of(run)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-P", "-m", __name__, folder, str(config_dir or ""), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise LightdetError(f"search.objectives: the scores of the model are not known: {last}")
        return scores_of(RunFolder(folder))


def main(folder: str, config_dir: str, words: Sequence[str]) -> None:
    """Writes scores.json into `folder`."""
    from lightdet.config.compose import compose_job
    from lightdet.engine.load import build_model

    cfg = compose_job(list(words), Path(config_dir) if config_dir else None)
    model = build_model(cfg, 1, fetch=False)
    write_scores(RunFolder(folder), model.task, model.metric(("class",)).scores)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
