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

LESSONS = ("cwd", "predictions")
FILE_NAME = "lessons.json"


def lessons_of(run: Path, teachers: Sequence[Path], study_path: Path, trust_modules: bool) -> list[str]:
    """The names of those that apply, found once and kept in the study. Raises LightdetError where a teacher cannot be
    used at all."""
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
    given = known.get("lessons")
    return [name for name in LESSONS if name in given] if isinstance(given, list) else []


def main(run: str, file: str, *teachers: str) -> None:
    """Tries each once, on a grey image, and writes the names of those that apply."""
    import torch
    from hydra.utils import instantiate

    from lightdet.config.compose import compose_config
    from lightdet.core.types import Batch
    from lightdet.engine.load import load_run
    from lightdet.nn.inputs import blank_image

    trust = WORD in teachers
    paths = [teacher for teacher in teachers if teacher != WORD]
    student = load_run(Path(run), trust_modules=trust)
    taught = [load_run(Path(path), trust_modules=trust) for path in paths]
    for path, teacher in zip(paths, taught, strict=True):
        if teacher.classes != student.classes:
            raise LightdetError(
                f"{path} knows {', '.join(teacher.classes)}, and the run {', '.join(student.classes)}; "
                "name a model that is trained on these"
            )
    image = blank_image(student.model.network, student.image_size, 0.5)
    options = compose_config([f"distill=[{','.join(LESSONS)}]"]).distill
    found, models = [], [teacher.model for teacher in taught]
    for name in LESSONS:
        try:
            lesson = instantiate(options[name], student.model, models, student.image_size, _convert_="all")
            with torch.no_grad():
                student.model.eval().network(image)
                lesson.losses(student.model, Batch(image, [None]))  # type: ignore[list-item]
        except LightdetError:
            continue
        found.append(name)
    write_json(Path(file), {"teachers": paths, "lessons": found})


if __name__ == "__main__":
    main(*sys.argv[1:])
