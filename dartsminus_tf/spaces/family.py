"""The record of a family of spaces: all that the rest of the package asks about it.

A family is one folder. Its `family.py` holds the record and imports no TensorFlow; what builds networks is named by
entries "module:function", whose module lies in that folder and is imported when it is needed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from dartsminus_tf.foundation.config.entries import load_entry
from dartsminus_tf.foundation.config.typed import Strict
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.spaces.genotype import Genotype
from dartsminus_tf.spaces.space import Space

# What a family may lack: {feature: (option of a search, the values that do without the feature)}.
FEATURES: dict[str, tuple[str, tuple]] = {
    "conv1": ("auxiliary", (None, "skip")),
    "partial_channels": ("partial_channels", (1,)),
    "edge_normalization": ("edge_normalization", (False,)),
    "skip_dropout": ("skip_dropout", (0.0,)),
    "progressive": ("progressive", (None,)),
    "flops": ("flops", (None,)),
    "rematerialize": ("rematerialize", (False,)),
    "precision": ("precision", ("float32",)),
    "init": ("init", (None,)),
    "distill": ("distill", (None,)),
}


@dataclass(frozen=True)
class Family:
    """A family of search spaces.

    Args:
        name: of the family; in manifests and results.
        package: the package that its folder is, `__package__` of its `family.py`.
        spaces: all its spaces.
        genotype: the class of its genotypes.
        supernet: entry `(space, channels, layers, num_classes, options, **own) -> SearchNetwork`; `own` is of the
            fields of `search_options`.
        network: entry `(genotype, **options) -> DerivedNetwork`.
        features: of FEATURES, those that its supernets have.
        channel_multiple: channels / partial_channels must be a multiple of it.
        torch_slots: entry `(model) -> {torch name: Slot}`; None: no PyTorch states.
        derive_capped: entry `(space, alphas, skip_cap) -> (genotype, whether the cap holds)`, of P-DARTS.
        truth: entry `(path) -> table of true accuracies`; None: nobody knows them.
        section: the key of a training's config that holds options of its networks alone.
        options: the model of that section.
        search_options: the model of the section of that name in a search's config: options of its supernets alone.
        implied_sizes: `channels` and `layers` that such a section, as it is given, implies.
        presets: entry `() -> (Preset, ...)`, its networks whose weights are published; None: there are none.
        preset_slots: entry `(preset, model, naming) -> {name of a published tensor: Slot}`.
        draw: entry `(rng, channels, image_size, num_classes, multiply_adds, **own) -> genotype`, a random one, of that
            cost where it is not None; None: nobody has written it.
        inherit: entry `(source network, target network) -> spaces.network.Taken`: gives a network the weights of one of
            another genotype; None: it cannot be.
        inherit_supernet: entry `(network, supernet) -> spaces.network.Taken`: a supernet takes a network's weights;
            None: its searches start at random.
        start_section: of a network's options, the section of a search that starts from it: `(options) -> options of a
            supernet with the same layers`.
        derive: entry `(supernet, genotype) -> DerivedNetwork` with the supernet's weights; None: it has none for it.
        stem: of its networks, where a training's config names none.
        published: a JSON file in its folder, {name: {"genotype": ...}}.
        aliases: {key or flag of all families: its old name}, which stays for good.
    """

    name: str
    package: str
    spaces: tuple[Space, ...]
    genotype: type[Genotype]
    supernet: str
    network: str
    features: frozenset[str] = frozenset()
    channel_multiple: int = 1
    torch_slots: str | None = None
    derive_capped: str | None = None
    truth: str | None = None
    section: str | None = None
    options: type[Strict] | None = None
    search_options: type[Strict] | None = None
    implied_sizes: Callable[[Mapping[str, Any]], dict[str, int]] | None = None
    presets: str | None = None
    preset_slots: str | None = None
    draw: str | None = None
    inherit: str | None = None
    inherit_supernet: str | None = None
    start_section: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None
    derive: str | None = None
    stem: str = "cifar"
    published: str | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self):
        unknown = sorted(set(self.features) - set(FEATURES))
        if unknown:
            raise UsageError(f"features of family {self.name} are of {', '.join(FEATURES)}. Received: {unknown[0]!r}")
        if ("progressive" in self.features) != (self.derive_capped is not None):
            raise UsageError(f"Family {self.name}: feature progressive and derive_capped go together. Received: one")
        if len({"init" in self.features, self.inherit_supernet is None, self.start_section is None}) != 2:
            raise UsageError(
                f"Family {self.name}: feature init, inherit_supernet and start_section go together. Received: not all"
            )
        if (self.section is None) != (self.options is None):
            raise UsageError(f"Family {self.name}: section and options go together. Received: {self.section!r}")
        if self.search_options is not None and self.section is None:
            raise UsageError(f"Family {self.name}: search_options need a section. Received: none")

    def load(self, entry: str) -> Callable:
        """The function that an entry, such as `family.supernet`, names."""
        return load_entry(entry, self.package)

    def file(self, name: str) -> Path:
        """A file of its folder."""
        return Path(str(resources.files(self.package).joinpath(name)))

    def implied(self, own: Mapping[str, Any]) -> dict[str, int]:
        """`channels` and `layers` that options of its supernets alone imply."""
        return self.implied_sizes(own) if self.implied_sizes else {}

    def check(self, space: str, options: Mapping[str, Any]) -> None:
        """Refuse what supernets of the family cannot do.

        Args:
            space: what the message calls the space.
            options: options of a search or a supernet; those that FEATURES does not name pass.

        Raises:
            UsageError: on a feature that the family lacks, and on channels that do not fit.
        """
        for feature, (option, without) in FEATURES.items():
            if feature not in self.features and options.get(option, without[0]) not in without:
                only = f"{option}={without[-1]!r}"
                raise UsageError(f"Space {space} takes {only} alone. Received: {options[option]!r}")
        channels, groups = options.get("channels", self.channel_multiple), options.get("partial_channels", 1)
        multiple = self.channel_multiple * groups
        if channels % multiple:
            raise UsageError(
                f"In space {space} channels must be a multiple of {multiple}, {self.channel_multiple} for each of "
                f"partial_channels. Received: {channels}"
            )
