"""What a target does with a file: operator by operator, and in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from ..text import Fact, aligned, printable_lines

VERDICTS: Mapping[bool | None, str] = {True: "yes", False: "no", None: "unknown"}
NAMES_SHOWN = 4


@dataclass(frozen=True)
class Placement:
    """One operator on a target.

    kind: the name in TFLite's BuiltinOperator.
    name: of the tensor that it writes.
    accepted: True, False, or None where nobody says.
    reason: why.
    source: address of the list that says so; "" where a tool does.
    """

    kind: str
    name: str
    accepted: bool | None
    reason: str
    source: str = ""


@dataclass(frozen=True)
class TargetReport:
    """What `check` found. `print(report)` shows a table, `report.to_dict()` is ready for JSON.

    target, network: what was checked.
    ran: whether the target's own tools saw the file.
    how: what was run to know, or "not run" and what was read instead.
    operators: in the order of the file.
    facts: numbers with their unit in the name, such as "arena_bytes", "cycles", "milliseconds".
    """

    target: str
    network: str
    ran: bool
    how: str
    operators: tuple[Placement, ...]
    facts: Mapping[str, Fact]

    @property
    def accepted(self) -> bool | None:
        """True if every operator is accepted, False if one is refused, None if one is unknown and none refused."""
        verdicts = {operator.accepted for operator in self.operators}
        return False if False in verdicts else None if None in verdicts else True

    @property
    def refused(self) -> tuple[Placement, ...]:
        """The operators that the target does not run."""
        return tuple(operator for operator in self.operators if operator.accepted is False)

    def to_dict(self) -> dict[str, object]:
        """Only dicts, lists, strings, numbers, booleans and None."""
        report = asdict(self)
        facts = {key: list(value) if isinstance(value, tuple) else value for key, value in self.facts.items()}
        return {"accepted": self.accepted, **report, "operators": list(report["operators"]), "facts": facts}

    def __str__(self) -> str:
        return printable_lines("\n".join([self._verdict(), "", *self._table(), "", *self._facts()]))

    def _verdict(self) -> str:
        verdict = {True: "ACCEPTED" if self.ran else "LISTED, NOT RUN", False: "NOT ACCEPTED", None: "NOT KNOWN"}
        accepted = sum(operator.accepted is True for operator in self.operators)
        return (
            f"{self.network} on {self.target}: {verdict[self.accepted]}, {accepted} of {len(self.operators)} operators"
        )

    def _table(self) -> list[str]:
        groups = Counter((placement.kind, placement.accepted, placement.reason) for placement in self.operators)
        rows = [("operator", "count", "accepted", "why")]
        for (kind, accepted, reason), count in groups.items():
            rows.append((kind, str(count), VERDICTS[accepted], f"{reason}{self._named(kind, accepted, reason)}"))
        return aligned(rows, left=4)

    def _named(self, kind: str, accepted: bool | None, reason: str) -> str:
        """The tensors that refused operators write, a few of them; nothing for the accepted."""
        if accepted is not False:
            return ""
        key = (kind, accepted, reason)
        names = [
            placement.name
            for placement in self.operators
            if (placement.kind, placement.accepted, placement.reason) == key
        ]
        more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
        return f" [{', '.join(names[:NAMES_SHOWN])}{more}]"

    def _facts(self) -> list[str]:
        facts = [(key.replace("_", " "), _text(value)) for key, value in self.facts.items()]
        sources = dict.fromkeys(placement.source for placement in self.operators if placement.source)
        return aligned([("how", self.how), *facts, *(("source", source) for source in sources)], left=2)


def _text(value: Fact) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else value
