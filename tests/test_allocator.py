"""A program begins once more with the allocator's settings, and its big blocks then stay."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lightdet.core.allocator import SETTINGS, VARIABLE, _is_glibc

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = """
import json, os, resource, sys
from lightdet.core.allocator import keep_memory
keep_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
bytearray(48 << 20)
before = faults()
for _ in range(8):
    bytearray(48 << 20)
print(json.dumps({"words": sys.argv[1:], "pid": os.getpid(), "set": os.environ.get("GLIBC_TUNABLES"),
                  "faults": faults() - before}))
"""


def begun(*words: str, **environment: str) -> tuple[dict[str, object], int]:
    """What the script says of itself, and the id of the process that was started."""
    inherited = {name: value for name, value in os.environ.items() if name != VARIABLE}
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SCRIPT, *words],
        cwd=ROOT,
        env={**inherited, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return json.loads(told), process.pid


@pytest.mark.skipif(not _is_glibc(), reason="another C library")
def test_it_is_the_same_process_with_the_same_words_and_freed_blocks_are_used_again() -> None:
    kept, pid = begun("a=1", "b c")
    assert kept["words"] == ["a=1", "b c"] and kept["pid"] == pid
    assert all(f"{name}={value}" in str(kept["set"]) for name, value in SETTINGS.items())
    plain, _ = begun(**{VARIABLE: ""})
    assert plain["set"] == "", "a value that somebody has set is left alone"
    block = (48 << 20) // os.sysconf("SC_PAGE_SIZE")
    assert int(str(kept["faults"])) < block // 10, "eight blocks of 48 MiB, and hardly a new page"
    assert int(str(plain["faults"])) > 4 * block, "without the settings each block is fetched anew"
