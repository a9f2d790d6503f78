"""The command line: `lightdet train | search | study | evaluate | predict | report | doctor | benchmark`.

Only Hydra, OmegaConf and the standard library are imported at the top, so that help and a mistyped override answer at
once; everything that needs torch is imported by the command that uses it.
"""

import argparse
import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from lightdet.config.compose import compose_config, require_words
from lightdet.config.conf_folder import conf_folder
from lightdet.config.refusals import (
    for_people,
    not_written,
    refusal,
    require_mappings,
    require_places,
    require_read,
    require_values,
)
from lightdet.core.allocator import keep_memory
from lightdet.core.errors import LightdetError, underneath
from lightdet.runs.find import find_run

USAGE = """\
lightdet: train, compare and run light defect detectors

  lightdet train [key=value ...] [-m]               train one detector, or with -m every combination of a sweep
  lightdet evaluate RUN [split=val] [key=value ...] measure a finished run again, with pictures and curves
  lightdet predict RUN SOURCE ... [--out DIR]       find defects in a photo, a folder of photos or a glob
  lightdet search SPACE [key=value ...]             look for the best settings in many short trainings
  lightdet study STUDY [retry|prune|...]            what became of every run of a sweep, live; and what to do about it
  lightdet report STUDY [--baseline CHOICES]        tables, figures and one HTML page of a study
  lightdet doctor [data=NAME] [key=value ...]       look for trouble in a dataset
  lightdet benchmark [model=A,B ...] [RUN ...]      parameters, operations, memory and time of detectors

`lightdet COMMAND --help` tells more about each.
"""
RUN_HELP = "run folder, `last`, or the name of a run, or of a study with one run"
EVALUATE_KEYS = ("split", "threshold", "checkpoint", "device", "out")
BAD_INPUT = 2  # exit code: something a person gave is wrong, and one line said what
INTERRUPTED = 130


def program(*command: str) -> int:
    """What a shell starts: `command`, and the shell's words, in a process whose memory is set up for training."""
    keep_memory()
    return main([*command, *sys.argv[1:]])


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code: 0 done, 1 failed in part or in whole, 2 bad input."""
    words = list(arguments)
    commands: dict[str, Callable[[list[str]], int]] = {
        "train": train,
        "evaluate": evaluate,
        "predict": predict,
        "search": search,
        "study": study,
        "report": report,
        "doctor": doctor,
        "benchmark": benchmark,
    }
    if not words or words[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0 if words else BAD_INPUT
    if words[0] in ("-V", "--version"):
        from importlib.metadata import version

        print(f"lightdet {version('lightdet')}")
        return 0
    if words[0] not in commands:
        return complain(f"no command {words[0]!r}; choose one of {', '.join(commands)}")
    share_import_path()
    try:
        return commands[words[0]](words[1:])
    except KeyboardInterrupt:
        print("lightdet: stopped; the same command continues", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if not for_people(error):
            raise
        return complain(reason(error))


def complain(message: str) -> int:
    """One line on stderr; the exit code of bad input."""
    print(f"lightdet: {message}", file=sys.stderr)
    return BAD_INPUT


def reason(error: Exception) -> str:
    """What a person should read: one line of the LightdetError underneath, where there is one, or of the error."""
    if unwritten := not_written(error):
        return unwritten
    told = underneath(error)
    return refusal(error) if told is None else " ".join(str(told).split())


def share_import_path() -> None:
    """Let modules in the working directory be named in a configuration, here and in the processes a launcher starts."""
    clone = str(Path(__file__).resolve().parents[2])
    for folder in (os.getcwd(), clone):
        if folder not in sys.path:
            sys.path.append(folder)
    inherited = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    missing = [folder for folder in (os.getcwd(), clone) if folder not in inherited]
    os.environ["PYTHONPATH"] = os.pathsep.join(inherited + missing)


# ---------------------------------------------------------------- train


def train(words: list[str]) -> int:
    """Compose, train and report one run, or with `-m` a sweep of them; `words` are Hydra's arguments."""
    given = sys.argv
    if earlier := sys.modules.get("lightdet.study.sweep"):
        earlier._collecting.clear()  # of a command that was refused in this process
    # Hydra reads its arguments there and nowhere else
    words = sorted(words, key=lambda word: word not in ("-m", "--multirun"))  # argparse wants overrides in one piece
    words = [re.sub(r"^study=", "study.name=", word) for word in words]
    require_words(words)
    sys.argv = [given[0], *words]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # it raises its errors then, and `main` tells them in one line
    try:
        hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="train")(job)()
    except ValueError as error:  # of Hydra alone: `job` tells its own
        return complain(str(error))
    except SystemExit as stop:  # Hydra's way of saying that it is done, or that it is not
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    finally:
        sys.argv = given
        del os.environ["HYDRA_FULL_ERROR"]
    if "lightdet.study.sweep" not in sys.modules:  # --cfg and the like
        return 0
    from lightdet.study.sweep import collected, run_sweep

    sweep = collected()
    return 0 if sweep is None else run_sweep(sweep)


def job(config: DictConfig) -> dict[str, Any]:
    """One row of a sweep, or a single run; what Hydra calls once per job.

    An error that a person caused becomes one line and an exit; of another one the traceback is what helps, without
    what Hydra did before.
    """
    from lightdet.study.sweep import job as run_job

    try:
        require_places(config)
        require_values(config)
        words = HydraConfig.get().overrides.task
        require_mappings(config, words)
        require_read(config, words)
        results = run_job(config)
    except Exception as error:
        if for_people(error):
            raise SystemExit(complain(reason(error))) from error
        traceback.print_exc()
        raise SystemExit(1) from error
    if "metrics" in results:  # a sweep ends with a table of its own
        from lightdet.metric.detection_text import metrics_text

        print(metrics_text(results["metrics"]))
    return results


# ---------------------------------------------------------------- doctor


def doctor(words: list[str]) -> int:
    """Examine the data that `lightdet train` would read; exit code 0 when clean, 1 for warnings, 2 for errors."""
    parser = argparse.ArgumentParser("lightdet doctor", description=doctor.__doc__)
    parser.add_argument("--config-dir", "-cd", type=Path, help="a folder with config groups of your own")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("override", nargs="*", help="as for train: data=neu_det image_size=224 ...")
    options = parser.parse_intermixed_args(words)
    config = compose_config(options.override, options.config_dir)
    require_values(config)
    from lightdet.doctor.command import run_doctor

    return run_doctor(config, options.json)


# ---------------------------------------------------------------- evaluate


def evaluate(words: list[str]) -> int:
    """Measure a finished run again on a split of its data: the numbers, the curves and the pictures."""
    parser = argparse.ArgumentParser(
        "lightdet evaluate",
        description=evaluate.__doc__,
        epilog="keys: split=val|train|test, checkpoint=best|last, threshold=0.5 (default: the best F1), device=cpu, "
        "out=FOLDER (default: RUN/evaluate-SPLIT), and the keys of the run's config under data and model, such as "
        "data.reader.root=FOLDER or model.nms_iou=0.5",
    )
    parser.add_argument("run", help=RUN_HELP)
    parser.add_argument("setting", nargs="*", help="key=value")
    options = parser.parse_args(words)
    own, overrides = split_settings(options.setting)
    run = find_run(options.run)
    from lightdet.engine.evaluate_run import evaluate_run

    return evaluate_run(run.path, own, overrides)


def split_settings(settings: list[str]) -> tuple[dict[str, str], list[str]]:
    """`key=value` words -> (ours, those that change the run's config)."""
    own: dict[str, str] = {}
    overrides: list[str] = []
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise LightdetError(f"{setting!r} is not of the form key=value")
        if key in EVALUATE_KEYS:
            own[key] = value
        elif "." in key:
            overrides.append(setting)
        else:
            raise LightdetError(f"{key}: choose one of {', '.join(EVALUATE_KEYS)}, or a dotted key of the run's config")
    return own, overrides


# ---------------------------------------------------------------- predict


def predict(words: list[str]) -> int:
    """Find defects in photos: boxes drawn on copies, predictions.json, predictions.coco.json, and the speed."""
    parser = argparse.ArgumentParser("lightdet predict", description=predict.__doc__)
    parser.add_argument("run", help=RUN_HELP)
    parser.add_argument("source", nargs="+", help="photos, folders of photos, or globs in quotes")
    parser.add_argument("--out", type=Path, default=Path("predictions"), help="where results go (default: predictions)")
    parser.add_argument("--threshold", type=share, help="least score of a box (default: the run's best F1, or 0.25)")
    parser.add_argument("--overlap", type=share, default=0.5, help="IoU above which two boxes are one (default: 0.5)")
    parser.add_argument("--checkpoint", default="best", choices=("best", "last"))
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, ...")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    options = parser.parse_args(words)
    run = find_run(options.run)
    from lightdet.engine.predict import find_photos, predict_run

    photos = find_photos(options.source, options.out)
    summary = predict_run(
        run.path, photos, options.out, options.threshold, options.checkpoint, options.device, options.overlap
    )
    print(json.dumps(summary.as_json(), indent=1) if options.json else summary.as_text())
    for line in summary.broken:
        print(f"lightdet: skipped {line}", file=sys.stderr)
    return 1 if summary.broken else 0


# ---------------------------------------------------------------- benchmark


def benchmark(words: list[str]) -> int:
    """Measure detectors beside each other."""
    from lightdet.benchmark.command import benchmark as measure

    return measure(words)


def share(text: str) -> float:
    """A number from 0 to 1, for argparse."""
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return number


# ---------------------------------------------------------------- search, study, report


def search(words: list[str]) -> int:
    """Look for the best settings."""
    from lightdet.study.search.command import run

    return run(words)


def study(words: list[str]) -> int:
    """What became of a sweep's runs, and what to do about it."""
    from lightdet.study.command import run

    return run(words)


def report(words: list[str]) -> int:
    """Tables, figures and one HTML page of a study, from the files of its runs alone."""
    from lightdet.report.command import run

    return run(words)


if __name__ == "__main__":
    sys.exit(program())
