"""What the checks of an exported file found: as text, JSON and a small page. No torch here."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from html import escape
from typing import Any

from lightdet.core.table import to_text

HEADER = ("check", "", "found", "allowed")


@dataclass(frozen=True, slots=True)
class Check:
    """One check. found, allowed: in words; where: the stage, class or output that is wrong; "" where none is."""

    name: str
    passed: bool
    found: str
    allowed: str
    where: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)

    def with_cause(self, cause: str) -> "Check":
        """The same check, naming one thing more that is wrong."""
        return replace(self, where="; ".join(part for part in (self.where, cause) if part))


@dataclass(frozen=True, slots=True)
class Verdict:
    """All checks of one file on one machine."""

    file: str
    form: str  # format and precision
    checks: Sequence[Check]
    machine: Mapping[str, str]

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    def reasons(self) -> list[str]:
        """A line for each check that failed."""
        return [
            f"{check.name}: {check.found}, allowed {check.allowed}{f' ({check.where})' if check.where else ''}"
            for check in self.checks
            if not check.passed
        ]

    def as_json(self) -> dict[str, Any]:
        return {
            "file": self.file,
            "format": self.form,
            "passed": self.passed,
            "checks": [asdict(check) for check in self.checks],
            "machine": dict(self.machine),
        }

    def as_text(self) -> str:
        return to_text(HEADER, self._rows(), [False] * len(HEADER))

    def as_html(self) -> str:
        """A page that needs no other file."""
        rows = "".join(
            f"<tr class={'ok' if check.passed else 'bad'}>{''.join(f'<td>{escape(cell)}' for cell in row)}"
            for check, row in zip(self.checks, self._rows(), strict=True)
        )
        machine = "".join(f"<tr><td>{escape(name)}<td>{escape(value)}" for name, value in self.machine.items())
        headers = "".join(f"<th>{escape(name)}" for name in HEADER)
        result = "passed every check" if self.passed else "REJECTED"
        reasons = "".join(f"<p class=bad>{escape(reason)}" for reason in self.reasons())
        return (
            "<!doctype html><meta charset=utf-8><meta http-equiv=Content-Security-Policy content=\"default-src 'none'; "
            "style-src 'unsafe-inline'\"><meta name=viewport content='width=device-width'>"
            f"<title>{escape(self.file)}</title><style>body{{font:15px/1.5 system-ui;margin:2em auto;max-width:60em;"
            "padding:0 1em;color:#222}table{border-collapse:collapse}td,th{text-align:left;padding:.3em .8em;"
            "border-bottom:1px solid #ddd;vertical-align:top}h1{font-size:1.6em;overflow-wrap:anywhere}"
            "p.bad{padding:.4em .8em}.bad{background:#fbe3df}</style>"
            f"<h1>{escape(self.file)}: {result}</h1>{reasons}<p>{escape(self.form)}, measured on this machine:"
            f"<table><tr>{headers}{rows}</table><h2>Machine</h2><table>{machine}</table>"
        )

    def _rows(self) -> list[list[str]]:
        return [
            [check.name, "passed" if check.passed else "FAILED", check.found, check.allowed] for check in self.checks
        ]
