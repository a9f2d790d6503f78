"""The machine that a measurement was made on."""

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

import torch

CPU_FLAGS = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
PACKAGES = ("torch", "onnxruntime", "openvino")


def machine_facts(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """The machine and the versions, in words. Numbers for which they differ do not belong into one column."""
    found = {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
    }
    if torch.cuda.is_available():
        found["accelerator"] = torch.cuda.get_device_name()
    return found | {package: _version(package) for package in packages}


def load() -> str:
    """How busy the machine is: processes that run or wait, the mean of the last minute."""
    return f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _processor() -> str:
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            lines = dict(line.split(":", 1) for line in file.read().split("\n\n")[0].splitlines() if ":" in line)
    except OSError:
        return name
    fields = {key.strip(): value.strip() for key, value in lines.items()}
    flags = " ".join(flag for flag in CPU_FLAGS if flag in fields.get("flags", "").split())
    return f"{fields.get('model name', name)} ({flags})"
