"""The MobileNetV2-like space for ImageNet: 19 searched layers, each an inverted residual or a skip."""
