"""Computation in bfloat16 where the processor has it, by runtimes that convert the graph themselves."""

from lightdet.export.budget import Budget
from lightdet.export.choice import Precision
from lightdet.export.precisions.float32 import convert

PRECISION = Precision(Budget(score=0.1, near=0.1, pixels=4.0, missed=0.02), convert)
