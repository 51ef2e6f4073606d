"""The trunk in float32 beside ONNX Runtime and OpenVINO: turn by turn in one process, one thread each, same images.

    pip install --target ENGINES onnx onnxruntime openvino
    python -m benchmarks.bench_engines --engines ENGINES [--side 160] [--batch 32] [--repeats 15] [--quick]

Images (B, 3, side, side), already normalised → activations (B, F). All three get the same network, a ResNet18 with
normalisations folded into its convolutions (the two engines as one ONNX graph written here), and must agree before
anything is timed. Both the processor's time of this process and the clock's are kept: on a busy machine the first is
nearer the truth, and only ratios within a round mean anything. An engine that is not there is left out and named.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import common
from sfnet_core.model.kernels.fused import trunk_of
from sfnet_core.model.network import SFNet, pool

Way = Callable[[np.ndarray], np.ndarray]


def lively(width: int) -> SFNet:
    """A network whose normalisations are not the identity, so that folding them is tested."""
    torch.manual_seed(0)
    network = SFNet(4, 1, width).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.8, 1.2)
                module.weight.uniform_(0.4, 0.8)
    return network.to(memory_format=network.memory_format)


def onnx_graph(network: SFNet, batch: int, side: int) -> bytes:
    """images → activations, with folded convolutions."""
    from onnx import TensorProto, checker, helper, numpy_helper

    nodes, weights = [], []

    def node(kind: str, inputs: list[str], **how: Any) -> str:
        name = f"{kind.lower()}{len(nodes)}"
        nodes.append(helper.make_node(kind, inputs, [name], **how))
        return name

    def folded(x: str, convolution: torch.nn.Conv2d, norm: torch.nn.BatchNorm2d) -> str:
        scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
        weight = convolution.weight.double() * scale[:, None, None, None]
        bias, names = norm.bias.double() - norm.running_mean.double() * scale, []
        for tensor in (weight, bias):
            names.append(f"w{len(weights)}")
            weights.append(numpy_helper.from_array(tensor.detach().float().contiguous().numpy(), names[-1]))
        stride, pad = list(convolution.stride), list(convolution.padding)
        return node("Conv", [x, *names], strides=stride, pads=pad * 2, kernel_shape=list(convolution.kernel_size))

    x = node("Relu", [folded("images", network.conv1, network.bn1)])
    x = node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    for layer in (network.layer1, network.layer2, network.layer3, network.layer4):
        for block in layer:
            inner = node("Relu", [folded(x, block.conv1, block.bn1)])
            shortcut = x if block.downsample is None else folded(x, *block.downsample)
            x = node("Relu", [node("Add", [folded(inner, block.conv2, block.bn2), shortcut])])
    x = node("Flatten", [node("GlobalAveragePool", [x])])
    shapes = {"images": [batch, 3, side, side], x: [batch, network.n_features]}
    given, asked = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items())
    graph = helper.make_graph(nodes, "trunk", [given], [asked], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model)
    return model.SerializeToString()


def ours(network: SFNet, batch: int, side: int) -> Way:
    trunk = trunk_of(network, side, batch)

    def run(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return pool(trunk(torch.from_numpy(images))).numpy()

    return run


def onnx_runtime(graph: bytes) -> Way:
    import onnxruntime

    how = onnxruntime.SessionOptions()
    how.intra_op_num_threads = how.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, how, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {"images": images})[0]


def openvino(graph: bytes, folder: Path) -> Way:
    import openvino as engine

    (folder / "trunk.onnx").write_bytes(graph)
    how = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    compiled = engine.Core().compile_model(str(folder / "trunk.onnx"), "CPU", how)
    return lambda images: compiled([images])[0]


def rounds(ways: dict[str, Way], images: np.ndarray, repeats: int) -> dict[str, dict[str, list[float]]]:
    """Seconds of the processor and of the clock, way by way in turn; two rounds of warm-up are not counted."""
    found = {name: {"processor": [], "clock": []} for name in ways}
    for turn in range(-2, repeats):
        for name in list(ways)[:: 1 if turn % 2 else -1]:
            clock, processor = time.perf_counter(), time.process_time()
            ways[name](images)
            spent = {"processor": time.process_time() - processor, "clock": time.perf_counter() - clock}
            if turn >= 0:
                for kind, seconds in spent.items():
                    found[name][kind].append(seconds)
    return found


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--engines", type=Path, help="a folder with the engines, as pip's --target makes it")
    parser.add_argument("--side", type=int, default=160)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--width", type=int, default=64)
    arguments = parser.parse_args()
    if arguments.engines is not None:
        sys.path.append(str(arguments.engines.resolve()))
    side, batch, width = arguments.side, arguments.batch, arguments.width
    if arguments.quick:
        side, batch, width = 64, 4, 16
    torch.set_num_threads(1)
    missing = [name for name in ("onnx", "onnxruntime", "openvino") if importlib.util.find_spec(name) is None]
    network = lively(width)
    ways = {"ours": ours(network, batch, side)}
    images = np.random.default_rng(0).normal(size=(batch, 3, side, side)).astype(np.float32)
    with tempfile.TemporaryDirectory(prefix="sfnet-bench-") as folder:
        if "onnx" not in missing:
            graph = onnx_graph(network, batch, side)
            if "onnxruntime" not in missing:
                ways["ONNX Runtime"] = onnx_runtime(graph)
            if "openvino" not in missing:
                ways["OpenVINO"] = openvino(graph, Path(folder))
        wanted, apart = ways["ours"](images), {}
        for name, way in ways.items():
            apart[name] = float(np.abs(way(images) - wanted).max() / np.abs(wanted).max())
            if apart[name] > 1e-4:
                raise SystemExit(f"{name} gives other activations: {apart[name]:.1e} of the largest")
        seconds = rounds(ways, images, arguments.repeats or (2 if arguments.quick else 15))
    arguments.engines = None
    common.write(
        "engines" if side == 160 else f"engines_{side}",
        arguments,
        {"images": f"{batch} of {side} px, noise", "width": width, "threads": 1, "precision": "float32"},
        {
            "seconds": seconds,
            "times_ours_is_faster": {
                name: {kind: common.ratio(each[kind], seconds["ours"][kind]) for kind in each}
                for name, each in seconds.items()
                if name != "ours"
            },
            "largest_difference": apart,
            "not_installed": missing,
            "engines": {name: version(name) for name in ("onnx", "onnxruntime", "openvino") if name not in missing},
        },
    )


def version(name: str) -> str:
    module = importlib.import_module(name)
    return str(getattr(module, "__version__", "unknown"))


if __name__ == "__main__":
    main()
