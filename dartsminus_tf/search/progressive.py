"""P-DARTS: the search in stages (Chen et al., ICCV 2019), with or without the auxiliary skip of DARTS-.

Search space approximation: after each stage every edge keeps its strongest candidates by softmax(alpha), `none` among
them, and the next stage searches a deeper supernet of what is left, from new weights and a new alpha. Beta and the
learning rate run through their schedules once a stage.

Search space regularization: a dropout on skips (`skip_dropout`) and a cap on the skips of the derived normal cell.
P-DARTS needs both to escape a collapse into skips; DARTS- takes both away and keeps its auxiliary skip instead.
"""

from collections.abc import Callable

from dartsminus_tf.config import ProgressiveConfig, SearchConfig, StageConfig
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.runs.directory import RunDirectory
from dartsminus_tf.search.history import load_alphas
from dartsminus_tf.spaces.families import family_of, get_space
from dartsminus_tf.spaces.genotype import Genotype
from dartsminus_tf.spaces.space import Space

RunStage = Callable[[RunDirectory, Space], dict]


def stage_config(config: SearchConfig, stage: StageConfig) -> SearchConfig:
    """The config of the search that `stage` is."""
    own = {"layers": stage.layers, "epochs": stage.epochs, "skip_dropout": stage.skip_dropout, "progressive": None}
    return SearchConfig.model_validate(config.model_dump() | own)


def run_progressive(run: RunDirectory, run_stage: RunStage) -> dict:
    """Run what is not done of the stages, each in `stage_<k>` of the run directory, k from 1; returns the result.

    Args:
        run: the directory, with a config that has `progressive`.
        run_stage: searches in a run directory and a space, as `runner.run_single` does.
    """
    config: SearchConfig = run.config
    stages, space = config.progressive.stages, get_space(config.space)
    _check_first(stages[0], space)
    results, alphas = [], None
    for number, stage in enumerate(stages, start=1):
        space = space if alphas is None else space.restricted(alphas, stage.num_candidates)
        print(f"stage {number}/{len(stages)}  {stage.layers} layers, {stage.num_candidates} candidates", flush=True)
        directory = RunDirectory(run.path / f"stage_{number}", stage_config(config, stage), parent=run)
        results.append(run_stage(directory, space))
        alphas = load_alphas(directory.path, stage.epochs - 1)
    skip_cap = config.progressive.skip_cap
    family = family_of(space)
    genotype, holds = family.load(family.derive_capped)(space, alphas, skip_cap)
    if not holds:
        print(f"skip_cap {skip_cap} does not hold: too few edges of the last stage offer anything else", flush=True)
    result = _result(config.progressive, results, genotype)
    run.open()  # where every stage was done before
    run.write_json("genotype.json", genotype.to_dict())
    return run.write_result(result)


def _check_first(stage: StageConfig, space: Space) -> None:
    available = {len(edge) for edges in space.candidates.values() for edge in edges}
    if {stage.num_candidates} != available:
        raise UsageError(
            f"The first stage searches the whole space {space.name}: its num_candidates must be {max(available)}. "
            f"Received: {stage.num_candidates}"
        )


def _result(config: ProgressiveConfig, results: list[dict], genotype: Genotype) -> dict:
    """The last stage's result, with the final genotype, the sums of epochs and seconds, and a row a stage."""
    rows = [
        stage.model_dump() | {key: result[key] for key in ("validation_accuracy", "skip_connects", "seconds")}
        for stage, result in zip(config.stages, results, strict=True)
    ]
    return results[-1] | {
        "genotype": genotype.to_dict(),
        "skip_connects": genotype.count("skip_connect"),
        "epochs": sum(result["epochs"] for result in results),
        "seconds": round(sum(result["seconds"] for result in results), 1),
        "skip_cap": config.skip_cap,
        "stages": rows,
    }
