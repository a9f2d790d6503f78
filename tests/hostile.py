"""What a hostile folder may hold, and the commands that read it: for test_trust.py."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

CALL = "_target_: shutil.copyfile, src: stuff.txt, dst: MARK"  # a function that Hydra itself does not refuse
# Lines of the section `model`, and lines at the top of the file.
PAYLOADS: dict[str, tuple[str, str]] = {
    "direct": (f"evil: {{{CALL}}}", ""),
    "a list": (f"evil: [1, [{{{CALL}}}]]", ""),
    "deep": (f"evil: {{a: {{b: [{{c: {{{CALL}}}}}]}}}}", ""),
    "partial": ("evil: {_target_: shutil.copyfile, _partial_: true, src: stuff.txt, dst: MARK}", ""),
    "args": ("evil: {_target_: shutil.copyfile, _args_: [stuff.txt, MARK]}", ""),
    "not recursive": (f"evil: {{_recursive_: false, inner: {{{CALL}}}}}", ""),
    "converted": (f"evil: {{_convert_: object, {CALL}}}", ""),
    "inside an option": (f"evil: {{_target_: lightdet.attention.eca.Eca, channels: {{{CALL}}}}}", ""),
    "alias": ("evil: *known", f"aa: &known {{{CALL}}}"),
    "merge key": ("evil: {<<: *known, a: 1}", f"aa: &known {{{CALL}}}"),
    "interpolated node": ("evil: ${zz}", f"zz: {{{CALL}}}"),
    "interpolated target": ("evil: {_target_: '${zz}', src: stuff.txt, dst: MARK}", "zz: shutil.copyfile"),
    "target in pieces": ("evil: {_target_: '${zz}.copyfile', src: stuff.txt, dst: MARK}", "zz: shutil"),
    "nested interpolation": ("evil: ${zz.${num_classes}}", f"zz: {{'6': {{{CALL}}}}}"),
    "late target": ("evil: {_target_: '${classes.0}'}", ""),
    "default of select": (f"evil: '${{oc.select:nothing,{{{CALL}}}}}'", ""),
    "decoded": (f"evil: '${{oc.decode:\"{{{CALL}}}\"}}'", ""),
    "created": ("evil: '${oc.create:${zz}}'", f"zz: {{{CALL}}}"),
    "hydra's": ("evil: '${hydra:runtime.cwd}'", ""),
    "environment": ("evil: '${oc.env:HOME}'", ""),
    "environment with a default": ("evil: '${oc.env:SECRET,none}'", ""),
    "default of the environment": (
        "evil: {_target_: lightdet.backbone.timm.Timm, name: '${oc.env:LIGHTDET_DATA,a/b}'}",
        "",
    ),
    "looked up": ("evil: {_target_: hydra.utils.get_object, path: mine_evil.Evil}", ""),
    "looked up by position": ("evil: {_target_: hydra.utils.get_object, _args_: [mine_evil.Evil]}", ""),
    "looked up late": ("evil: {_target_: hydra.utils.get_object, path: '${zz}'}", "zz: mine_evil.Evil"),
    "a class looked up": ("evil: {_target_: hydra.utils.get_class, path: mine_evil.Evil}", ""),
    "a method looked up": ("evil: {_target_: hydra.utils.get_method, path: mine_evil.run}", ""),
    "module of the folder": ("evil: {_target_: mine_evil.Evil}", ""),
    "module named torchx": ("evil: {_target_: torch.optimx.SGD}", ""),
    "sympify": ("evil: {_target_: sympy.sympify, a: \"open('MARK', 'w')\"}", ""),
    "pickle": ("evil: {_target_: torch.load, f: bomb.pkl, weights_only: false}", ""),
    "pickle by way of lightdet": (
        "evil: {_target_: lightdet.nn.blocks.torch.load, f: bomb.pkl, weights_only: false}",
        "",
    ),
    "function of lightdet": ("evil: {_target_: lightdet.core.files.write_text, path: MARK, text: a}", ""),
    "moved name": (
        "evil: {_target_: lightdet.data.module.DetectionData.load_from_checkpoint, checkpoint_path: bomb.pkl}",
        "",
    ),
    "torch.hub": ("evil: {_target_: torch.hub.load, repo_or_dir: ., model: evil, source: local}", ""),
    "launcher": ("evil: {_target_: lightdet.study.launcher.processes.Processes}", ""),
    "tracker": ("evil: {_target_: lightdet.logger.csv.CsvLogger, folder: ., config: {}}", ""),
    "reader": ("evil: {_target_: lightdet.data.reader.coco.Coco, root: .}", ""),
    "hub": ("evil: {_target_: lightdet.backbone.timm.Timm, name: 'hf-hub:some/one'}", ""),
    "hub, other spelling": ("evil: {_target_: lightdet.backbone.timm.Timm, name: 'hf_hub:some/one'}", ""),
    "hub by position": ("evil: {_target_: lightdet.backbone.timm.Timm, _args_: ['hf-hub:some/one']}", ""),
    "hub in pieces": ("evil: {_target_: lightdet.backbone.timm.Timm, name: '${zz}hub:a'}", "zz: hf-"),
    "folder of weights": ("evil: {_target_: lightdet.backbone.timm.Timm, name: 'local-dir:.'}", ""),
    "address": ("evil: {_target_: lightdet.backbone.timm.Timm, name: 'https://127.0.0.1:9/a'}", ""),
    "path": ("evil: {_target_: lightdet.backbone.timm.Timm, name: ./bomb.pkl}", ""),
    "target that is no name": (f"evil: {{_target_: [{{{CALL}}}]}}", ""),
    "target that is a number": ("evil: {_target_: 5}", ""),
    "training": ("training: mine_evil:run", ""),
    "training late": ("training: ${zz}", "zz: mine_evil:run"),
    "tag": ("evil: !!python/object/apply:shutil.copyfile [stuff.txt, MARK]", ""),
    "itself": ("evil: &known [*known]", ""),
}
UNREADABLE = ("tag", "itself")
EVIL = 'open("MARK", "w").close()\nclass Evil: pass\ndef run(*_): pass\n'


class Bomb:
    """Writes the mark when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return shutil.copyfile, ("stuff.txt", "MARK")


def put(run: Path, lines: str, at_top: str = "", section: str = "model") -> None:
    """Writes lines into a section of both configurations of a run."""
    for name in ("config.yaml", "request.yaml"):
        text, known = re.subn(
            rf"^{section}:.*$", f"{section}:\n  {lines}", (run / name).read_text(), flags=re.MULTILINE
        )
        (run / name).write_text(f"{at_top}\n{text}" if known else f"{section}:\n  {lines}\n{text}")


def commands(run: Path) -> dict[str, list[str]]:
    return {
        "predict": ["predict", str(run), "image.png", "--checkpoint", "last"],
        "evaluate": ["evaluate", str(run), "checkpoint=last"],
        "benchmark": ["benchmark", str(run), "--backends", "eager", "--rounds", "1"],
        "retry": ["study", "runs/kept", "retry"],
    }
