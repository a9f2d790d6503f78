"""`lightdet study`: the state of every job of a study; train again, clean, export, publish."""

from lightdet.study.command import run as run
