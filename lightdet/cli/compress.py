"""`lightdet compress`: a smaller, faster model from a trained one, and what each step costs."""

from lightdet.study.chain.command import run as run
