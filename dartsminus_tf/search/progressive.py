"""P-DARTS: the search in stages (Chen et al., ICCV 2019), with or without the auxiliary skip of DARTS-.

Search space approximation: after each stage every edge keeps its strongest candidates by softmax(alpha), `none` among
them, and the next stage searches a deeper supernet of what is left, from new weights and a new alpha. Beta and the
learning rate run through their schedules once a stage.

Search space regularization: a dropout on skips (`skip_dropout`) and a cap on the skips of the derived normal cell.
P-DARTS needs both to escape a collapse into skips; DARTS- takes both away and keeps its auxiliary skip instead.
"""

from collections.abc import Callable

import numpy as np

from dartsminus_tf.config import ProgressiveConfig, SearchConfig, StageConfig
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.foundation.run import RunDirectory
from dartsminus_tf.spaces import get_space
from dartsminus_tf.spaces.darts.derive import derive, select_entries
from dartsminus_tf.spaces.darts.genotype import CellGenotype, Entries
from dartsminus_tf.spaces.darts.space import CellSpace, cell_edges
from dartsminus_tf.spaces.supernet import softmax

SKIP = "skip_connect"
Alphas = dict[str, np.ndarray]
RunStage = Callable[[RunDirectory, CellSpace], dict]


def restrict_space(space: CellSpace, alphas: Alphas, num_candidates: int) -> CellSpace:
    """The space in which every edge keeps its `num_candidates` strongest candidates, in the order it had them.

    Args:
        space: any space of cells.
        alphas: {"normal": [14, candidates], "reduce": [14, candidates]}. On a tie the earlier candidate is kept.
        num_candidates: at least 2, so that none is left with `none` alone, and at most what the edges have.
    """
    available = len(space.normal[0])
    if not 2 <= num_candidates <= available:
        raise UsageError(f"num_candidates must be in 2..{available} in space {space.name}. Received: {num_candidates}")
    cells = {kind: _strongest(getattr(space, kind), alphas[kind], num_candidates) for kind in ("normal", "reduce")}
    return CellSpace(space.name, **cells)


def _strongest(primitives, alpha: np.ndarray, num_candidates: int) -> tuple[tuple[str, ...], ...]:
    kept = np.sort(np.argsort(-softmax(alpha), axis=-1, kind="stable")[:, :num_candidates], axis=-1)
    return tuple(tuple(names[column] for column in row) for names, row in zip(primitives, kept, strict=True))


def cap_skips(weights: np.ndarray, primitives, skip_cap: int) -> Entries:
    """The entries of a cell with at most `skip_cap` skip connections.

    While there are more, the weakest skip among the entries gets weight 0 and the cell is derived again. Where too few
    edges offer anything but that skip and `none`, which takes stages of two candidates, more are left.

    Args:
        weights: softmax(alpha), [edges, candidates].
        primitives: the candidates' names, edge by edge.
    """
    weights = np.array(weights, np.float64)
    index = {(edge.source, edge.target): row for row, edge in enumerate(cell_edges(reduction=False))}
    while True:
        entries = tuple(select_entries(weights, primitives))
        skips = [index[source, place // 2 + 2] for place, (name, source) in enumerate(entries) if name == SKIP]
        places = [(row, primitives[row].index(SKIP)) for row in skips]
        standing = [place for place in places if weights[place] > 0]
        if len(skips) <= skip_cap or not standing:
            return entries
        weights[min(standing, key=lambda place: weights[place])] = 0.0


def derive_capped(space: CellSpace, alphas: Alphas, skip_cap: int | None) -> CellGenotype:
    """The genotype of `alphas`; its normal cell has at most `skip_cap` skip connections (None: any number)."""
    genotype = derive(space, alphas)
    if skip_cap is None:
        return genotype
    normal = cap_skips(softmax(alphas["normal"]), space.normal, skip_cap)
    return CellGenotype(normal, genotype.normal_concat, genotype.reduce, genotype.reduce_concat)


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
        space = space if alphas is None else restrict_space(space, alphas, stage.num_candidates)
        print(f"stage {number}/{len(stages)}  {stage.layers} layers, {stage.num_candidates} candidates", flush=True)
        directory = RunDirectory(run.path / f"stage_{number}", stage_config(config, stage), parent=run)
        results.append(run_stage(directory, space))
        alphas = _last_alphas(directory, stage)
    skip_cap = config.progressive.skip_cap
    genotype = derive_capped(space, alphas, skip_cap)
    if skip_cap is not None and genotype.count(SKIP)["normal"] > skip_cap:
        print(f"skip_cap {skip_cap} does not hold: too few edges of the last stage offer anything else", flush=True)
    result = _result(config.progressive, results, genotype)
    run.write_json("genotype.json", genotype.to_dict())
    run.write_result(result)
    return result


def _check_first(stage: StageConfig, space: CellSpace) -> None:
    if not isinstance(space, CellSpace):
        raise UsageError(f"progressive searches the spaces of DARTS cells, s0 to s4. Received: {space.name!r}")
    available = len(space.normal[0])
    if stage.num_candidates != available:
        raise UsageError(
            f"The first stage searches the whole space {space.name}: its num_candidates must be {available}. "
            f"Received: {stage.num_candidates}"
        )


def _last_alphas(directory: RunDirectory, stage: StageConfig) -> Alphas:
    with np.load(directory.path / "alphas" / f"epoch_{stage.epochs - 1:04d}.npz", allow_pickle=False) as arrays:
        return {kind: arrays[kind] for kind in ("normal", "reduce")}


def _result(config: ProgressiveConfig, results: list[dict], genotype: CellGenotype) -> dict:
    """The last stage's result, with the final genotype, the sums of epochs and seconds, and a row a stage."""
    rows = [
        stage.model_dump() | {key: result[key] for key in ("validation_accuracy", "skip_connects", "seconds")}
        for stage, result in zip(config.stages, results, strict=True)
    ]
    return results[-1] | {
        "genotype": genotype.to_dict(),
        "skip_connects": genotype.count(SKIP),
        "epochs": sum(result["epochs"] for result in results),
        "seconds": round(sum(result["seconds"] for result in results), 1),
        "skip_cap": config.skip_cap,
        "stages": rows,
    }
