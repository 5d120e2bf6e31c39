"""The published TensorFlow Lite file: checked, and read as the layers our network has.

A layer is a kernel and a bias, f16. The file holds them in TensorFlow's order (`[O, kh, kw, I]`, depthwise `[1, kh, kw, C]`).
"""
import hashlib
from itertools import pairwise
from pathlib import Path

from ai_edge_litert.interpreter import Interpreter, OpResolverType

SHA256 = "3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633"

STRIDED = (2, 5, 11)
"""Blocks that halve the picture: their shortcut is pooled."""

CHANNELS = (24, 24, 28, 32, 36, 42, 48, 56, 64, 72, 80, 88, 96, 96, 96, 96, 96)
"""Of the stem, then of the 16 blocks."""


def read(path):
    """The bytes of the file at `path`, if they are the published ones."""
    content = Path(path).read_bytes()
    got = hashlib.sha256(content).hexdigest()
    if got != SHA256:
        raise SystemExit(f"{path} has SHA-256 {got}, expected {SHA256}")
    return content


def interpreter(content, kernels=OpResolverType.BUILTIN_REF):
    """LiteRT on one thread; the plain reference kernels unless others are named."""
    runner = Interpreter(model_content=content, num_threads=1, experimental_op_resolver_type=kernels)
    runner.allocate_tensors()
    return runner


def layers(content):
    """Name in our file -> (kernel, bias), both f16 as stored; fails where the graph is another one."""
    runner = interpreter(content)
    stored = {detail["name"]: detail["index"] for detail in runner.get_tensor_details()}
    check_operations(runner)

    def layer(name):
        return tuple(runner.get_tensor(stored[f"{name}/{part}"]) for part in ("Kernel", "Bias"))

    named = {"stem": layer("conv2d")}
    for block in range(len(CHANNELS) - 1):
        number = f"_{block}" if block else ""
        named[f"blocks.{block}.depthwise"] = layer(f"depthwise_conv2d{number}")
        named[f"blocks.{block}.pointwise"] = layer(f"conv2d_{block + 1}")
    for stride in (8, 16):
        named[f"heads.{stride}.scores"] = layer(f"classificator_{stride}")
        named[f"heads.{stride}.boxes"] = layer(f"regressor_{stride}")
    if (got := sum(part.dtype == "float16" for pair in named.values() for part in pair)) != 2 * len(named):
        raise SystemExit(f"{got} tensors are float16, expected {2 * len(named)}")
    return named


def check_operations(runner):
    """Fails unless operations and their order are those of `network.rs`."""
    expected = ["CONV_2D", "RELU"]
    for block, (before, after) in enumerate(pairwise(CHANNELS)):
        pooled = ["MAX_POOL_2D"] if block in STRIDED else []
        widened = ["PAD"] if after > before else []
        expected += ["DEPTHWISE_CONV_2D", *pooled, "CONV_2D", *widened, "ADD", "RELU"]
    expected += ["CONV_2D"] * 4 + ["RESHAPE"] * 4 + ["CONCATENATION"] * 2
    got = [operation["op_name"] for operation in runner._get_ops_details()]
    got = [name for name in got if name != "DEQUANTIZE"]
    if got != expected:
        raise SystemExit(f"the graph is {got}, expected {expected}")
