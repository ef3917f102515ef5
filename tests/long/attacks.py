"""The attacks, and the verdict on each: see `counts`."""

import contextlib
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.long import commands
from tests.long.commands import Ended
from tests.long.counts import Counts
from tests.long.subject import Subject
from tests.long.world import World

KILLS_IN_A_ROW = 4


class Verdict(NamedTuple):
    """What an attack came to, and what the command said."""

    word: str
    about: str


def _has_come_to(subject: Subject, folder: Path, expected: object) -> str | None:
    """How the outcome differs from what was expected; None where it does not."""
    try:
        found = subject.outcome(folder)
    except (OSError, ValueError, KeyError, IndexError, zipfile.BadZipFile) as error:
        return f"no outcome ({type(error).__name__}: {error})"
    return None if found == expected else f"another outcome: {_difference(expected, found)}"


def _difference(expected: object, found: object, where: str = "") -> str:
    """The first place where two trees differ."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in {**expected, **found}:
            if expected.get(key) != found.get(key):
                return _difference(expected.get(key), found.get(key), f"{where}/{key}")
    return f"{where}: {str(expected)[:200]} became {str(found)[:200]}"


def last_line(said: str) -> str:
    """The end of what was said."""
    return (said.strip().splitlines() or ["nothing was said"])[-1][:300]


def judge(subject: Subject, folder: Path, ended: Ended, expected: object) -> Verdict:
    """Of a command that nobody disturbs any more."""
    if ended.is_fault:
        return Verdict("traceback", last_line(ended.said))
    if ended.code:
        return Verdict("refused", last_line(ended.said))
    differs = _has_come_to(subject, folder, expected)
    return Verdict("mended", last_line(ended.said)) if differs is None else Verdict("silent", differs)


def after_help(subject: Subject, world: World, folder: Path, expected: object, refusal: Verdict) -> Verdict:
    """Of a refused command: what made it refuse is gone now, and it is given again."""
    again = judge(subject, folder, world.run(subject, folder), expected)
    if again.word == "mended":
        return refusal
    return Verdict("lost" if again.word == "refused" else again.word, f"{refusal.about} and then {again.about}")


def kills(subject: Subject, world: World, counts: Counts, chance: random.Random, number: int) -> None:
    """SIGKILL at random moments, a few in a row, the same command again after each; then to the end."""
    expected, done = world.expected(subject), 0
    for _ in range(3 * number):  # a kill may come too late to be one
        if done >= number:
            return
        folder, row = world.new(f"killed {subject.name}"), 0
        for _ in range(min(KILLS_IN_A_ROW, number - done)):
            ended = world.run(subject, folder, kill_after=chance.uniform(0, world.seconds[subject.name]))
            row += ended.code < 0
            if ended.code >= 0:
                break
        if not row:
            continue
        done += row
        if not (ended.code == 0 or (folder.exists() and subject.is_done(folder))):
            ended = world.run(subject, folder)
        verdict = judge(subject, folder, ended._replace(code=max(ended.code, 0)), expected)
        word = "lost" if verdict.word == "refused" else verdict.word
        counts.note(f"kill {subject.name}", word, f"{verdict.about} ({row} kills)", row)


def disks(subject: Subject, world: World, counts: Counts, number: int) -> None:
    """Disks of several sizes, up to what the command writes; then there is room, and the command is given again.

    Without the right to mount one, no file may grow beyond a size instead.
    """
    expected, whole = world.expected(subject), world.whole(subject)
    mounts = commands.can_mount(world.new("probe"))
    largest = max(path.stat().st_size for path in whole.rglob("*") if path.is_file())
    for index in range(number):
        share = (index + 0.5) / number
        disk = world.new(f"full {subject.name}")
        folder = disk / "run"
        size = max(4096, int(share * (commands.size_of(whole) if mounts else largest)))
        with commands.small_disk(disk, size) if mounts else contextlib.nullcontext():
            ended = world.run(subject, folder, **({} if mounts else {"limit": size}))
            verdict = judge(subject, folder, ended, expected)
            if verdict.word == "refused":
                if mounts:
                    commands.enlarge(disk)
                verdict = after_help(subject, world, folder, expected, verdict)
            counts.note(f"disk {subject.name}", verdict.word, f"{size} bytes: {verdict.about}")


class Damage(NamedTuple):
    """A kind of file that is damaged.

    Args:
        base: a whole folder, which is copied.
        file: pattern of the file in it; the last one that matches is damaged.
        subject: the command that reads it, and goes on with the copy.
        expected: what that comes to undisturbed.
    """

    base: Path
    file: str
    subject: Subject
    expected: object


def flips(name: str, damage: Damage, world: World, counts: Counts, chance: random.Random, number: int) -> None:
    """One bit of a file is flipped; where that is refused the bit is flipped back, and nothing may be lost."""
    for _ in range(number):
        folder = world.copy(damage.base)
        path = sorted(folder.glob(damage.file))[-1]
        content = path.read_bytes()
        place, bit = chance.randrange(len(content)), chance.randrange(8)
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :])
        verdict = judge(damage.subject, folder, world.run(damage.subject, folder), damage.expected)
        if verdict.word == "refused":
            path.write_bytes(content)
            verdict = after_help(damage.subject, world, folder, damage.expected, verdict)
        counts.note(f"flip, {name}", verdict.word, f"byte {place}, bit {bit} of {path.name}: {verdict.about}")


def interrupted(subject: Subject, world: World, reached: Callable[[Path], bool]) -> Path:
    """A folder of a run that was killed when it had `reached` something."""
    folder = world.folder / f"interrupted {subject.name}"
    for _ in range(20):
        if folder.exists() and reached(folder):
            return folder
        world.new(folder.name)
        world.run(subject, folder, kill_when=lambda: reached(folder))
    raise AssertionError(f"{subject.name} was never killed at the right moment")
