"""Where a measurement goes: the screen, a JSON file, and a section of the README beside this file."""

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

README = Path(__file__).resolve().parent / "README.md"


def command(hidden: Mapping[str, str] | None = None) -> str:
    """This process' command as it is typed at the root of the clone; `hidden`: values shown by a name instead."""
    hidden = hidden or {}
    words = ["python", f"experiments/{Path(sys.argv[0]).name}", *sys.argv[1:]]
    return " ".join(hidden.get(word, shlex.quote(word)) for word in words)


def publish(name: str, text: str, facts: Mapping[str, object], json_path: Path | None, keep: bool) -> None:
    """Print the Markdown; write the facts as JSON where asked; with `keep`, replace this section of the README."""
    print(text)
    if json_path is not None:
        json_path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    if not keep:
        return
    begin, end = f"<!-- {name} begins -->", f"<!-- {name} ends -->"
    old = README.read_text(encoding="utf-8") if README.exists() else "# Speed\n"
    if begin not in old:
        old += f"\n{begin}\n{end}\n"
    before, rest = old.split(begin, 1)
    README.write_text(f"{before}{begin}\n{text}\n{end}{rest.split(end, 1)[1]}", encoding="utf-8")
