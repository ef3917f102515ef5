"""The model card of an exported backbone: what its manifest says, for people, with the limits of its use."""

from dartsminus_tf.foundation.disk.files import json_text
from dartsminus_tf.foundation.disk.tables import markdown

LICENCES = {
    "cifar10": "CIFAR-10 (Krizhevsky, 2009): no licence stated by its authors; cite their technical report.",
    "cifar100": "CIFAR-100 (Krizhevsky, 2009): no licence stated by its authors; cite their technical report.",
    "digits": "Digits of scikit-learn, from the UCI repository (Alpaydin and Kaynak, 1998): CC BY 4.0.",
    "imagenet2012": "ImageNet (ILSVRC 2012): for non-commercial research and education, under the access terms that "
    "every user agrees to; the images belong to their owners.",
    "imagenette": "Imagenette: a subset of ImageNet, whose terms hold for its images.",
}
UNKNOWN = "Not known to this tool: ask whoever gave you the data."


def model_card(manifest: dict, recipe: str | None = None) -> str:
    """Markdown from a backbone's manifest.

    Args:
        manifest: as in `manifest.json`.
        recipe: the resolved training config as YAML; None where the network was not trained by this package.
    """
    data = (manifest.get("data") or "unknown").split("/")[0]
    sections = [
        f"# {manifest['family']} backbone, {manifest['num_classes']} classes",
        f"{_origin(manifest)}, exported by dartsminus_tf. `manifest.json` says the same to programs.",
        "## Genotype\n\n```json\n" + json_text(manifest["genotype"]) + "```",
        "## Cost and size\n\n" + _table(_sizes(manifest)),
        "## Accuracy\n\n" + _accuracy(manifest),
        f"## Data\n\nTrained on `{manifest.get('data') or 'unknown data'}`. Licence: {LICENCES.get(data, UNKNOWN)}",
        "## Input\n\n"
        + "float32 images [N, H, W, 3]: {scale}, mean {mean}, std {std}.".format(**manifest["preprocessing"]),
        "## Recipe\n\n" + (f"```yaml\n{recipe.rstrip()}\n```" if recipe else "Not trained by this package."),
        "## Limits\n\n" + _limits(manifest),
    ]
    return "\n\n".join(sections) + "\n"


def _origin(manifest: dict) -> str:
    published = manifest.get("published")
    if not published:
        return "A network derived by DARTS- (Chu et al., ICLR 2021)"
    return "`{name}`, published weights ({source}; licence {licence})".format(**published)


def _table(rows: list[tuple[str, str]]) -> str:
    return markdown([{"figure": name, "value": value} for name, value in rows]).rstrip()


def _sizes(manifest: dict) -> list[tuple[str, str]]:
    size, adds = manifest["image_size"], manifest["multiply_adds"]
    rows = [("parameters", f"{manifest['parameters']:,}")]
    if adds is not None:
        rows.append((f"multiply-adds at {size[0]}x{size[1]}", f"{adds:,}"))
    channels = ", ".join(f"{level}: {about['channels']}" for level, about in manifest["levels"].items())
    rows.append(("channels at each level (stride 2^level)", channels))
    latency = manifest.get("latency") or {}
    rows += [
        (f"milliseconds an image, {name}, one thread", f"{value} ({latency['processor']})")
        for name, value in latency.get("milliseconds", {}).items()
    ]
    rows += [(f"largest difference of a logit, {name}", f"{v:.1e}") for name, v in manifest.get("parity", {}).items()]
    return rows


def _accuracy(manifest: dict) -> str:
    if not manifest["metrics"]:
        return "Not measured: the weights may be untrained."
    return _table([(name, f"{value:.4f}") for name, value in manifest["metrics"].items()])


def _limits(manifest: dict) -> str:
    limits = [
        "Accuracy was measured on the test or validation split of the data above and on nothing else.",
        "Images from elsewhere (other cameras, places, sizes, groups of people) may be classified far worse; no test "
        "of fairness, robustness or calibration was made.",
        "The classes are those of the data; every image gets one of them, whatever it shows.",
    ]
    if manifest.get("parity"):
        height, width = manifest["image_size"]
        limits.append(f"The LiteRT and ONNX files take images of {height}x{width} pixels only.")
    return "\n".join(f"- {limit}" for limit in limits)
