"""Prints a measurement and writes it to a JSON file and a section of a README."""

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

EXPERIMENTS = Path(__file__).resolve().parent.parent
README = EXPERIMENTS / "bench" / "README.md"


def command(hidden: Mapping[str, str] | None = None) -> str:
    """This process' command as it is typed at the root of the clone; `hidden`: values shown by a name instead."""
    hidden = hidden or {}
    script = Path(sys.argv[0]).resolve().relative_to(EXPERIMENTS.parent)
    words = ["python", script.as_posix(), *sys.argv[1:]]
    return " ".join(hidden.get(word, shlex.quote(word)) for word in words)


def publish(
    name: str, text: str, facts: Mapping[str, object], json_path: Path | None, keep: bool, readme: Path = README
) -> None:
    """Print the Markdown; write the facts to `json_path`; with `keep`, replace this section of the README."""
    print(text)
    if json_path is not None:
        json_path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    if not keep:
        return
    begin, end = f"<!-- {name} begins -->", f"<!-- {name} ends -->"
    old = readme.read_text(encoding="utf-8") if readme.exists() else "# Speed\n"
    if begin not in old:
        old += f"\n{begin}\n{end}\n"
    before, rest = old.split(begin, 1)
    readme.write_text(f"{before}{begin}\n{text}\n{end}{rest.split(end, 1)[1]}", encoding="utf-8")
