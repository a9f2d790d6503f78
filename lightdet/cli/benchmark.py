"""`lightdet benchmark`: parameters, operations, memory and time of detectors."""

from lightdet.benchmark.command import benchmark as run

__all__ = ["run"]
