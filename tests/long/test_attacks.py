"""Kills, full disks and flipped bits: every command ends with the result of an undisturbed run, or says why not.

    make test-long                                              # all of it: hours
    pytest tests/long -m long -n 0 --attack-kills=2 --attack-disks=2 --attack-flips=2 --attack-table=table.md

A table of what happened is printed at the end. Nothing may be lost, silent, or a traceback.
"""

import pytest

from tests.long import attacks, outcomes
from tests.long.attacks import Damage
from tests.long.counts import BAD

pytestmark = pytest.mark.long
SUBJECTS = ("search", "train", "prepare", "export", "detect", "quickstart")


def require_good(counts, kind):
    bad = {name: getattr(counts.kinds[kind], name) for name in BAD}
    assert bad == dict.fromkeys(BAD, 0), counts.kinds[kind].examples[:5]


@pytest.mark.parametrize("name", SUBJECTS)
def test_kills(name, world, counts, chance, ask):
    attacks.kills(getattr(world, name), world, counts, chance, ask("kills"))
    require_good(counts, f"kill {name}")


@pytest.mark.parametrize("name", SUBJECTS)
def test_full_disks(name, world, counts, ask):
    attacks.disks(getattr(world, name), world, counts, ask("disks"))
    require_good(counts, f"disk {name}")


def going_on(name):
    """Of a run that was killed with two states or more, and that the same command goes on with."""

    def make(file):
        def damage(world):
            subject = getattr(world, name)

            def reached(folder):
                states = list(folder.glob("checkpoints/epoch_000[1-9]*.npz"))
                return len(states) > 1 and not subject.is_done(folder)

            base = attacks.interrupted(subject, world, reached)
            return Damage(base, file, subject, world.expected(subject))

        return damage

    return make


def read_by(reader, name):
    """Of something finished that another command reads."""

    def make(file):
        def damage(world):
            subject, source = reader(world), world.whole(getattr(world, name))
            first = world.copy(source)
            ended = world.run(subject, first)
            assert ended.code == 0, ended.said
            return Damage(source, file, subject, subject.outcome(first))

        return damage

    return make


def with_search(world):
    """A training of the search in the folder."""
    return world.train_on(lambda folder: folder, lambda folder: folder / "train")


def exported(world):
    return world.export_of(lambda folder: folder, lambda folder: folder / "backbone")


def trained_on_export(world):
    records = world.whole(world.prepare)
    return world.detect_on(
        lambda folder: folder, lambda folder: records, lambda folder: folder / "detect", outcomes.of_detector, 1
    )


def trained_on_records(world):
    backbone = world.whole(world.export)
    return world.detect_on(
        lambda folder: backbone, lambda folder: folder, lambda folder: folder / "detect", outcomes.of_detector, 1
    )


def all_of(how, files, make):
    """{(how, file): what makes the damage} of several files."""
    return {(how, file): make(file) for file in files}


STATES = ("checkpoints/epoch_*.npz", "checkpoints/best.json", "metrics.csv", "config.yaml")
PREPARED = ("*.tfrecord", "instances_val.json", "stats_val.json")
EXPORTED = ("saved_model.pb", "variables/variables.data*", "variables/variables.index", "manifest.json")
COMPARED = ("result.json", "metrics.csv", "genotypes.csv", "alphas/*.npz", "config.yaml")
DAMAGES = {
    **all_of("search goes on", (*STATES, "genotypes.csv"), going_on("search")),
    **all_of("training goes on", STATES, going_on("train")),
    **all_of("compare reads a search", COMPARED, read_by(lambda world: world.compare, "search")),
    **all_of("train reads a search", ("genotype.json", "result.json"), read_by(with_search, "search")),
    **all_of("export reads a training", ("model.weights.h5", "result.json", "config.yaml"), read_by(exported, "train")),
    **all_of("detect reads an export", EXPORTED, read_by(trained_on_export, "export")),
    **all_of("prepare reads a split", PREPARED, read_by(lambda world: world.prepare, "prepare")),
    **all_of("detect reads a split", PREPARED, read_by(trained_on_records, "prepare")),
    **all_of(
        "eval reads a detector",
        ("ckpt-*.data*", "ckpt-*.index", "checkpoint", "params.yaml"),
        read_by(lambda world: world.evaluate, "detect"),
    ),
}


@pytest.mark.parametrize("kind", DAMAGES, ids=": ".join)
def test_flipped_bits(kind, world, counts, chance, ask):
    name = ": ".join(kind)
    attacks.flips(name, DAMAGES[kind](world), world, counts, chance, ask("flips"))
    require_good(counts, f"flip, {name}")
