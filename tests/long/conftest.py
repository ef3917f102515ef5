"""Options of the attacks, and what all of them start from."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.long.counts import Counts
from tests.long.world import World

OPTIONS = {
    "--attack-seed": (0, "of the moments, sizes and bits of the attacks"),
    "--attack-kills": (20, "kills of each command"),
    "--attack-disks": (8, "sizes of a disk for each command"),
    "--attack-flips": (25, "flipped bits of each kind of file"),
}


def pytest_addoption(parser) -> None:
    group = parser.getgroup("attacks")
    for name, (default, text) in OPTIONS.items():
        group.addoption(name, type=int, default=default, help=f"{text} (default {default})")
    group.addoption("--attack-table", default=None, help="a file for the table of what happened")


@pytest.fixture(scope="session")
def ask(request):
    """The value of an option, such as "kills"."""

    def value(name: str) -> int:
        option = f"--attack-{name}"
        return request.config.getoption(option, OPTIONS[option][0])

    return value


@pytest.fixture(scope="session")
def counts(request) -> Iterator[Counts]:
    file = request.config.getoption("--attack-table", None)
    counted = Counts(None if file is None else Path(file))
    yield counted
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\n{counted.text()}")


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.fixture
def chance(request, ask) -> random.Random:
    """Of this test, whatever others draw."""
    return random.Random(f"{ask('seed')} {request.node.name}")
