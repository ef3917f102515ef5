"""What can be chosen of a supernet beside its space and size."""

from dataclasses import dataclass

from dartsminus_tf.foundation.errors import UsageError

AUXILIARIES = ("skip", "conv1")


@dataclass(frozen=True)
class SupernetOptions:
    """Options of a supernet.

    Args:
        auxiliary: the auxiliary operation of every edge: "skip" (DARTS-), "conv1" (a 1x1 convolution that starts as the
            identity) or None (plain DARTS). At stride 2 both are a FactorizedReduce of their own.
        partial_channels: K of PC-DARTS (Xu et al., ICLR 2020): operations see 1/K of the channels, the others pass by,
            and a channel shuffle mixes them. 1 is off.
        edge_normalization: PC-DARTS' second softmax, over the edges that enter a node.
        skip_dropout: initial rate, in [0, 1), of the dropout on `skip_connect` candidates (P-DARTS).
        rematerialize: compute each cell or searched layer again in the backward pass instead of keeping what it needs:
            the same numbers in less memory and more time. Not with random draws (skip_dropout, the noise of S4).
    """

    auxiliary: str | None = "skip"
    partial_channels: int = 1
    edge_normalization: bool = False
    skip_dropout: float = 0.0
    rematerialize: bool = False

    def __post_init__(self):
        if self.auxiliary not in (None, *AUXILIARIES):
            raise UsageError(f"auxiliary must be skip, conv1 or None. Received: {self.auxiliary!r}")
        if self.partial_channels < 1:
            raise UsageError(f"partial_channels must be at least 1. Received: {self.partial_channels}")
        if not 0 <= self.skip_dropout < 1:
            raise UsageError(f"skip_dropout must be in [0, 1). Received: {self.skip_dropout}")

    def sampled(self, channels: int) -> int:
        """How many of `channels` the operations of a cell see; even, for FactorizedReduce."""
        sampled, rest = divmod(channels, self.partial_channels)
        if rest or sampled < 2 or sampled % 2:
            raise UsageError(
                "channels / partial_channels must be even and at least 2. "
                f"Received: {channels} / {self.partial_channels}"
            )
        return sampled
