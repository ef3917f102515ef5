"""What a run's result says of the networks that it began with and learned from."""

from dartsminus_tf.foundation.runs.content import CONTENT
from dartsminus_tf.foundation.runs.directory import RunDirectory
from dartsminus_tf.foundation.runs.results import stored_json
from dartsminus_tf.loop.distill import find_teacher


def origins(run: RunDirectory) -> dict[str, dict]:
    """{"init": source and digest of what it started from, "distill": teacher, digest, and the seconds of its own
    training where they are known}, each where the run has it."""
    config, found = run.config, {}
    if config.init is not None:
        found["init"] = {"source": config.init, "digest": stored_json(run.path / CONTENT).get("init")}
    teacher = find_teacher(config.distill)
    return found if teacher is None else found | teacher.result()
