"""The rows of a study of transfer, as configs: a search where there is one, then a training.

    whole       the published network, fine-tuned; it is the teacher of the others
    searched    found by DARTS- in a supernet that starts from the whole one; takes its weights from there
    random      drawn at the cost of a searched one; takes its weights from that one's supernet
    plain       as searched, by DARTS without the auxiliary skip
    scratch     as searched, in a supernet of random weights: nothing is from published ones but the teacher
    untaught    as searched, without a teacher

Resolved configs differ in genotype, init and teacher alone, by construction: `_training` and `_search` set nothing else
(and the seed, and the method of the row that is named after it).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dartsminus_tf.config import SearchConfig, TrainConfig
from dartsminus_tf.studies.settings import TransferSettings

ROWS = ("whole", "searched", "random", "plain", "scratch", "untaught")


@dataclass(frozen=True)
class Chain:
    """One network of the study.

    Attributes:
        row: of ROWS.
        seed: of its search and training.
        path: of its own folder.
        source: the folder of a chain whose search has drawn its cost and trained its weights; its own but in random
            rows.
        has_teacher: whether it learns from the whole network.
        starts_whole: whether its supernet starts from the whole network's weights.
    """

    row: str
    seed: int
    path: Path
    source: Path
    has_teacher: bool = True
    starts_whole: bool = True

    @property
    def searches(self) -> bool:
        """Whether it has a search of its own."""
        return self.row not in ("whole", "random")

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name


class Plan:
    """All chains of a study in `directory`, in the order in which they can run."""

    def __init__(self, settings: TransferSettings, directory: Path):
        self.settings, self.directory = settings, directory
        self.whole = directory / "whole"

    def chains(self) -> Iterator[Chain]:
        """Teacher first, then row by row."""
        seeds = self.settings.seeds
        yield self._chain("whole", seeds[0], self.whole, has_teacher=False)
        yield from (self._chain("searched", seed) for seed in seeds)
        for number in range(self.settings.random_genotypes):
            seed = seeds[number % len(seeds)]
            path = self.directory / f"random_{number}"
            yield Chain("random", seed, path, self._path("searched", seed))
        yield from (self._chain("plain", seed) for seed in seeds)
        yield self._chain("scratch", seeds[0], starts_whole=False)
        yield self._chain("untaught", seeds[0], has_teacher=False)

    def _chain(self, row: str, seed: int, path: Path | None = None, **about: bool) -> Chain:
        path = path or self._path(row, seed)
        return Chain(row, seed, path, path, **about)

    def _path(self, row: str, seed: int) -> Path:
        return self.directory / f"{row}_seed_{seed}"

    def search(self, chain: Chain, multiply_adds: int) -> SearchConfig:
        """Its search, for a network that costs the study's share of `multiply_adds`."""
        given = self.settings.search
        changes = {
            "method": "darts" if chain.row == "plain" else "darts-",
            "init": str(self.whole / "train") if chain.starts_whole else None,
            "distill": self._distill(chain, given),
            "flops": {**given.flops.model_dump(), "target_mflops": self.settings.share * multiply_adds / 1e6},
        }
        return SearchConfig.model_validate(_seeded(given.model_dump(exclude_unset=True) | changes, chain.seed))

    def training(self, chain: Chain, genotype: str | dict | None = None) -> TrainConfig:
        """Its training, of `genotype` where it is not the whole network's or its own search's."""
        given = self.settings.train
        changes: dict[str, Any] = {"distill": self._distill(chain, given)}
        if chain.row != "whole":
            changes["genotype"] = genotype or str(chain.path / "search")
            changes["init"] = str(chain.source / "search")
        return TrainConfig.model_validate(_seeded(given.model_dump(exclude_unset=True) | changes, chain.seed))

    def _distill(self, chain: Chain, given: SearchConfig | TrainConfig) -> dict | None:
        return {**given.distill.model_dump(), "teacher": str(self.whole / "train")} if chain.has_teacher else None


def _seeded(settings: dict, seed: int) -> dict:
    return settings | {"runtime": {**settings.get("runtime", {}), "seed": seed}}
