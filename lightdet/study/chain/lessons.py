"""Which distillations can teach a run's own network: `python -m lightdet.study.chain.lessons RUN FILE TEACHER ...`.

In a process of its own, so that the one that waits for the trainings imports no torch.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from lightdet.config.trust import WORD
from lightdet.core.errors import LightdetError
from lightdet.core.files import read_json, write_json
from lightdet.core.shown import shown
from lightdet.runs.teachers import settle_teachers

LESSONS = ("cwd", "predictions")
FILE_NAME = "lessons.json"


def lessons_of(run: Path, teachers: Sequence[Path], study_path: Path, trust_modules: bool) -> list[str]:
    """The names of those that apply, found once and kept in the study; says what is left out. Raises LightdetError
    where a teacher can teach nothing."""
    asked = [str(teacher) for teacher in teachers]
    file = study_path / FILE_NAME
    known = read_json(file)
    if known.get("teachers") != asked:
        study_path.mkdir(parents=True, exist_ok=True)
        words = [sys.executable, "-P", "-m", __name__, str(run), str(file), *asked]
        done = subprocess.run([*words, *([WORD] if trust_modules else [])], capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise LightdetError(f"--teacher: {last.partition('LightdetError: ')[2] or last}")
        known = read_json(file)
    given, unfit = known.get("lessons"), known.get("unfit")
    found = [name for name in LESSONS if isinstance(given, list) and name in given]
    reasons = [str(reason) for reason in unfit.values()] if isinstance(unfit, dict) else []
    if not found:
        raise LightdetError(f"--teacher: it can teach nothing: {'; '.join(reasons)}; or take --teacher none")
    for reason in reasons:
        print(f"lightdet: left out: {shown(reason)}", flush=True)
    return found


def main(run: str, file: str, *teachers: str) -> None:
    """Tries each once, on a grey image, and writes the names of those that apply."""
    import torch
    from omegaconf import OmegaConf

    from lightdet.config.compose import compose_config
    from lightdet.core.types import Batch
    from lightdet.engine.distillation import distillations
    from lightdet.engine.load import load_run
    from lightdet.nn.inputs import blank_image

    paths = [teacher for teacher in teachers if teacher != WORD]
    options = compose_config([f"distill=[{','.join(LESSONS)}]"]).distill
    found, unfit = [], {}
    for name in LESSONS:
        student = load_run(Path(run), trust_modules=WORD in teachers)
        image = blank_image(student.model.network, student.image_size, 0.5)
        asked = {"distill": {name: options[name]}, "teacher": paths, "image_size": student.image_size}
        cfg = settle_teachers(OmegaConf.create(asked))
        try:
            [lesson] = distillations(cfg, student.model, student.classes)
            with torch.no_grad():
                student.model.eval().network(image)
                lesson.losses(student.model, Batch(image, [None]))  # type: ignore[list-item]
        except LightdetError as error:
            unfit[name] = str(error)
            continue
        found.append(name)
    write_json(Path(file), {"teachers": paths, "lessons": found, "unfit": unfit})


if __name__ == "__main__":
    main(*sys.argv[1:])
