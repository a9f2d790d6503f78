"""`lightdet export`: pass a trained model on."""

from lightdet.export.command import run as run
