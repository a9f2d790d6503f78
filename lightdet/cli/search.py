"""`lightdet search`: search for the best settings in many short trainings."""

from lightdet.study.search.command import run as run
