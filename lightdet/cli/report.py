"""`lightdet report`: tables, figures and one HTML page of a study."""

from lightdet.report.command import run as run
