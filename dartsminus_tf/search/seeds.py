"""One search for every seed, and their results side by side: how much of a difference is the seed's."""

import statistics
from collections.abc import Sequence
from pathlib import Path

import keras

from dartsminus_tf.config import SearchConfig
from dartsminus_tf.foundation.disk.files import is_leftover, sweep, write_atomically
from dartsminus_tf.foundation.disk.tables import markdown, write_csv
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.search.runner import run_search
from dartsminus_tf.spaces.genotype import Genotype


def run_seeds(config: SearchConfig, model_dir: str | Path, seeds: Sequence[int]) -> list[dict]:
    """Run `config` with every seed of `seeds`, each in `model_dir/seed_<n>`, and write `seeds.md` and `seeds.csv`.

    A finished seed is left alone and an interrupted one goes on.

    Returns:
        the rows of the table: one a seed, then their mean and standard deviation.

    Raises:
        UsageError: where `model_dir` holds anything else, or the search cannot be; nothing is written then.
    """
    path = Path(model_dir)
    _check_directory(path)
    results = []
    for seed in seeds:
        print(f"seed {seed} ({len(results) + 1}/{len(seeds)})", flush=True)
        runtime = config.runtime.model_copy(update={"seed": seed})
        results.append(run_search(config.model_copy(update={"runtime": runtime}), path / f"seed_{seed}"))
        keras.backend.clear_session()
    rows = seed_rows(results)
    sweep(path)
    write_csv(path / "seeds.csv", rows)
    write_atomically(path / "seeds.md", markdown(rows))
    return rows


def _check_directory(path: Path) -> None:
    """Only what an earlier call left may be there."""
    if path.exists() and not path.is_dir():
        raise UsageError(f"model_dir must be a directory. Received: {path}")
    allowed = ("seed_", "seeds.")
    if path.is_dir() and not all(child.name.startswith(allowed) or is_leftover(child) for child in path.iterdir()):
        raise UsageError(f"With --seeds, model_dir holds only seed_<n> directories, or is new. Received: {path}")


def seed_rows(results: Sequence[dict]) -> list[dict]:
    """The table's rows from searches' results: one a seed, then mean and (sample) standard deviation.

    Columns: the seed, the validation accuracy, the skip connections of every kind of cell, the true accuracies where
    they are known, the genotype, the seconds. A value that was not measured is None; it is left out of mean and
    deviation. One value has no deviation.
    """
    rows = [
        {
            "seed": result["seed"],
            "validation_accuracy": result["validation_accuracy"],
            **{f"skips_{kind}": number for kind, number in result["skip_connects"].items()},
            **result.get("true_accuracies", {}),
            "genotype": Genotype.from_dict(result["genotype"]).short,
            "seconds": result["seconds"],
        }
        for result in results
    ]
    measured = [name for name in rows[0] if name not in ("seed", "genotype")]
    values = {name: [row[name] for row in rows if row[name] is not None] for name in measured}
    means = {name: statistics.fmean(found) if found else None for name, found in values.items()}
    deviations = {name: statistics.stdev(found) if len(found) > 1 else None for name, found in values.items()}
    empty = dict.fromkeys(rows[0])
    return [*rows, empty | {"seed": "mean"} | means, empty | {"seed": "std"} | deviations]
