"""What became of the attacks, by kind."""

from dataclasses import dataclass, field
from pathlib import Path

from dartsminus_tf.foundation.disk.tables import markdown

GOOD, BAD = ("refused", "mended"), ("lost", "silent", "traceback")


@dataclass
class Count:
    """Of one kind of attack.

    Attributes:
        refused: said on one line; the same command goes on, or what was damaged works again once it is put back.
        mended: done, with the result of an undisturbed run.
        lost: what was there, or what should have come, is not to be had any more.
        silent: exit code 0, and another result.
        traceback: the program itself failed.
    """

    refused: int = 0
    mended: int = 0
    lost: int = 0
    silent: int = 0
    traceback: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def row(self) -> dict[str, int]:
        """The numbers."""
        numbers = {name: getattr(self, name) for name in (*GOOD, *BAD)}
        return {"trials": sum(numbers.values()), **numbers}

    @property
    def is_good(self) -> bool:
        """Whether nothing bad happened."""
        return not any(getattr(self, name) for name in BAD)


class Counts:
    """All kinds; the table is written to `file` after every trial."""

    def __init__(self, file: Path | None):
        self.file = file
        self.kinds: dict[str, Count] = {}

    def note(self, kind: str, verdict: str, about: str, times: int = 1) -> None:
        """One more of `kind` ended with `verdict`; `about` says which it was."""
        count = self.kinds.setdefault(kind, Count())
        setattr(count, verdict, getattr(count, verdict) + times)
        if verdict in BAD:
            count.examples.append(f"{verdict}: {about}")
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.file.write_text(self.text(), encoding="utf-8")

    def text(self) -> str:
        """The table, and below it what was bad."""
        table = markdown([{"kind": kind, **count.row} for kind, count in self.kinds.items()]) if self.kinds else ""
        bad = [f"- {kind}: {example}\n" for kind, count in self.kinds.items() for example in count.examples[:5]]
        return table + ("\n" + "".join(bad) if bad else "")
