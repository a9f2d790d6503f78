"""YAML of others: what takes 300 bytes to write takes no more than that to read."""

import time
from pathlib import Path

import pytest
from study_factory import add_job

from lightdet.cli.main import main
from lightdet.config.saved import read_config
from lightdet.core.errors import LightdetError
from lightdet.core.safe_yaml import Budget, load_yaml

ALIASES = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]\n" for k in range(1, 10)
)
MERGED = "a0: &a0 {x: 1}\n" + "".join(f"a{k}: &a{k} {{<<: [{', '.join([f'*a{k - 1}'] * 9)}]}}\n" for k in range(1, 10))
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{k}: &a{k} [*a{k - 1}]\n" for k in range(1, 500))
HOSTILE = {
    "aliases": (ALIASES, "more than 200000 values"),
    "merged": (MERGED, "more than 200000 values"),
    "chain": (CHAIN, "nested more than 60 levels"),
    "loop": ("a: &a\n  b: [*a]\n", "or a part holds itself"),
    "deep": ("[" * 5000, "not readable as YAML|nested"),
    "large": ("a: " + "x" * (9 * 2**20), "more than 8 MiB"),
    "code": ("a: !!python/object/apply:os.system ['true']\n", "could not determine a constructor"),
    "number": ("a: " + "9" * 5000, "ValueError"),
    "date": ("a: 2020-99-99\n", "ValueError"),
    "binary": ("a: \x00\x01", "not readable as YAML"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_yaml_is_one_line_at_once(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(HOSTILE[name][0])
    began = time.process_time()
    with pytest.raises(LightdetError, match=HOSTILE[name][1]) as told:
        load_yaml(path)
    assert str(path) in str(told.value) and "\n" not in str(told.value)
    if name != "date":  # which is text in a configuration
        with pytest.raises(LightdetError, match=r"a\.yaml"):
            read_config(path)
    assert time.process_time() - began < 5


def test_ordinary_yaml_with_aliases_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("base: &base {x: 1, y: [1, 2]}\nmine: {<<: *base, z: *base}\n")
    read = load_yaml(tmp_path / "a.yaml", Budget(nodes=30))
    assert read["mine"] == {"x": 1, "y": [1, 2], "z": {"x": 1, "y": [1, 2]}}
    (tmp_path / "empty.yaml").touch()
    assert load_yaml(tmp_path / "empty.yaml") is None


@pytest.mark.parametrize("name", ["config.yaml", "paper.yaml"])
def test_a_report_of_aliases_of_aliases_ends(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = add_job(tmp_path, {"a": "1"})
    add_job(tmp_path, {"a": "2"})
    path = (folder.path if name == "config.yaml" else tmp_path) / name
    path.write_text(f"model:\n  x: 1\n{ALIASES}")
    began = time.process_time()
    assert main(["report", str(tmp_path), "--sizes", "none", "--resamples", "100"]) == (
        1 if name == "config.yaml" else 2
    )
    assert "more than 200000 values" in capsys.readouterr().err and time.process_time() - began < 20
