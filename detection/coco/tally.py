"""What a preparation repaired or left out, counted by reason."""

import collections

_SHOWN, _LONGEST = 3, 80


class Tally(collections.Counter):
    """Counts by reason, and the first few things of each reason that are worth a name.

    Attributes:
      examples: up to three different texts by reason.
    """

    def __init__(self):
        super().__init__()
        self.examples: dict[str, list[str]] = {}

    def note(self, reason: str, what: str, value: object) -> None:
        """Counts one more of `reason`, met at `what`, such as "bbox", which holds `value`."""
        self[reason] += 1
        shown, text = self.examples.setdefault(reason, []), repr(value)
        text = f"{what} {text if len(text) <= _LONGEST else text[: _LONGEST - 3] + '...'}"
        if len(shown) < _SHOWN and text not in shown:
            shown.append(text)

    def lines(self, reasons: tuple[str, ...]) -> list[str]:
        """ "reason count (examples)" of those of `reasons` that there are, the most frequent first."""
        found = sorted((reason for reason in reasons if self[reason]), key=lambda reason: -self[reason])
        return [f"{reason} {self[reason]} ({', '.join(self.examples[reason])})" for reason in found]
