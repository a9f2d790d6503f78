"""What every measurement says about itself: the machine, the versions, the command; and the file it goes to."""

import json
import os
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

import numpy as np

HERE = Path(__file__).resolve().parent
README = HERE / "README.md"
CPU_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def fingerprint(packages: Sequence[str]) -> dict[str, str]:
    """The machine and the versions, in words."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "none"
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "load before": f"{os.getloadavg()[0]:.2f} (1 minute)",
        **found,
    }


def _processor() -> str:
    name, flags = platform.processor() or platform.machine(), ""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            lines = dict(line.split(":", 1) for line in file.read().split("\n\n")[0].splitlines() if ":" in line)
    except OSError:
        return name
    fields = {key.strip(): value.strip() for key, value in lines.items()}
    flags = " ".join(flag for flag in CPU_FLAGS if flag in fields.get("flags", "").split())
    return f"{fields.get('model name', name)} ({flags})"


def command(hidden: Mapping[str, str] | None = None) -> str:
    """This process' command as it is typed at the root of the clone; `hidden`: values shown by a name instead."""
    hidden = hidden or {}
    words = ["python", f"experiments/{Path(sys.argv[0]).name}", *sys.argv[1:]]
    return " ".join(hidden.get(word, shlex.quote(word)) for word in words)


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, quartiles and 95th percentile."""
    low, high, tail = np.percentile(values, (25, 75, 95))
    return {"median": median(values), "q25": float(low), "q75": float(high), "p95": float(tail)}


def ratio_cell(ratios: Sequence[float]) -> str:
    """A paired ratio as a table shows it: median and quartiles over the rounds."""
    found = spread(ratios)
    return f"{found['median']:.3f} ({found['q25']:.3f} - {found['q75']:.3f})"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown; the first column is text, the others are numbers."""
    rule = ["---"] + ["---:"] * (len(header) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, rule, *rows])


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
