"""The network of an exported backbone, with its weights. The SavedModel's graph is not loaded: nothing in it is run."""

from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import trackable_object_graph_pb2

from dartsminus_tf.foundation.errors import UsageError, brief
from dartsminus_tf.pretrained.own.manifest import ADVICE, MANIFEST, VARIABLES, read_export
from dartsminus_tf.pretrained.own.places import by_place, places_of
from dartsminus_tf.spaces.build import network_from_config
from dartsminus_tf.spaces.network import DerivedNetwork, require_finite

ANY_SIZE = 224  # pixels, of a network that was built for images of any size
_GRAPH, _VALUE = "_CHECKPOINTABLE_OBJECT_GRAPH", "VARIABLE_VALUE"


def load_exported(folder: str | Path) -> tuple[DerivedNetwork, dict]:
    """The network of the exported backbone in `folder` with its weights, and its manifest.

    Every variable of the export is used and every variable of the network set, by their names.

    Raises:
        UsageError: where it is no exported backbone, was damaged or changed, or holds other variables than its network.
    """
    folder = Path(folder)
    manifest = read_export(folder)
    try:
        network = network_from_config(manifest["network"])
        network.build((1, *(manifest.get("image_size") or (ANY_SIZE, ANY_SIZE)), 3))
    except (UsageError, TypeError) as error:
        where = folder / MANIFEST
        raise UsageError(f"The manifest describes no network ({error}): {ADVICE}. Received: {where}") from None
    _fill(network, _arrays(folder), folder)
    require_finite(network, folder)
    network.preprocessing = manifest["preprocessing"]
    return network, manifest


def _arrays(folder: Path) -> dict[str, np.ndarray]:
    """{place: array} of all variables of the SavedModel."""
    try:
        reader = tf.train.load_checkpoint(str(folder / VARIABLES))
        graph = trackable_object_graph_pb2.TrackableObjectGraph.FromString(reader.get_tensor(_GRAPH))
        attributes = [found for node in graph.nodes for found in node.attributes if found.name == _VALUE]
        return by_place((found.full_name, reader.get_tensor(found.checkpoint_key)) for found in attributes)
    except (tf.errors.OpError, ValueError, RuntimeError, IndexError) as error:
        raise UsageError(f"The variables cannot be read ({brief(error)}): {ADVICE}. Received: {folder}") from None


def _fill(network: DerivedNetwork, arrays: dict[str, np.ndarray], folder: Path) -> None:
    variables = places_of(network)
    odd = [place for place in {**variables, **arrays} if _shape(variables, place) != _shape(arrays, place)]
    if odd or len(variables) != len(network.variables):
        raise UsageError(
            f"{len(odd)} variables of the export are not those of its network, such as {', '.join(odd[:3])}: {ADVICE}. "
            f"Received: {folder}"
        )
    for place, variable in variables.items():
        variable.assign(arrays[place])


def _shape(values: dict, place: str) -> tuple[int, ...] | None:
    return tuple(values[place].shape) if place in values else None
