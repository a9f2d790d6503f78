"""`lightdet study`: the state of every run of a sweep, and what to do about it."""

from lightdet.study.command import run as run
