"""The settings of studies; they need no TensorFlow."""

from typing import Annotated

from pydantic import Field, model_validator

from dartsminus_tf.config import SearchConfig, TrainConfig
from dartsminus_tf.foundation.config.typed import OpenFraction
from dartsminus_tf.report.request import AnalysisSettings

Seed = Annotated[int, Field(ge=0, lt=2**31)]


class TransferSettings(AnalysisSettings):
    """What a search that starts from published weights is worth; see `studies.transfer`.

    Args:
        search: of all searches; its `flops.target_mflops` is not read, `share` takes its place.
        train: of all trainings; its genotype and `init` are those of the whole network. Its `distill` and the search's
            are given to the rows that have a teacher; which one it is, the study says.
        share: of the whole network's multiply-adds that the others cost.
        seeds: of the rows that are repeated; the first is that of all others.
        random_genotypes: how many are drawn.
    """

    search: SearchConfig
    train: TrainConfig
    share: OpenFraction = 0.5
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=100)] = (1, 2, 3)
    random_genotypes: Annotated[int, Field(ge=1, le=100)] = 5

    @model_validator(mode="after")
    def _check(self):
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds must be different")
        if self.search.progressive or self.search.early_stop:
            raise ValueError("search.progressive and search.early_stop have no place here")
        for name, given in (("search.flops", self.search.flops), ("train.init", self.train.init)):
            if given is None:
                raise ValueError(f"{name} must be given")
        for name, given in (("search.distill", self.search.distill), ("train.distill", self.train.distill)):
            if given is None:
                raise ValueError(f"{name} must be given, for the rows that have a teacher")
        if self.search.data.image_size != self.train.data.image_size:
            raise ValueError("search and train must have one data.image_size, as costs depend on it")
        return self
