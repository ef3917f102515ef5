"""Published genotypes by name, with the parameter counts of the paper's three settings (data in `genotypes.json`).

The authors' release gives the three CIFAR-10 S3 genotypes of S2 once more; `cifar10_s3_*` are therefore S2's.
"""

import json
from functools import cache
from importlib import resources

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.spaces import Genotype


@cache
def published() -> dict[str, dict]:
    """{name: {"genotype": {...}, setting: [parameters, parameters with the auxiliary head], ...}}"""
    return json.loads(resources.files(__package__).joinpath("genotypes.json").read_text(encoding="utf-8"))


def published_genotype(name: str) -> Genotype:
    """The published genotype called `name`, such as "cifar10_s0_best"."""
    known = published()
    if name not in known:
        raise UsageError(f"Unknown published genotype; known are {', '.join(known)}. Received: {name!r}")
    return Genotype.from_dict(known[name]["genotype"])
