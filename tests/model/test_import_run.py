"""Weights of others (T14): taken in where they are a ResNet18's, else refused; nothing runs, memory is bounded."""

from __future__ import annotations

import os
import pickle
import resource
import sys
import types
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from sfnet_core.cli import verbs as cli
from sfnet_core.data.dataset import Dataset
from sfnet_core.inference.runner import infer
from sfnet_core.model import foreign_weights as foreign
from sfnet_core.model.checkpoint import load_imagenet
from sfnet_core.model.foreign_weights import read_foreign
from sfnet_core.model.import_run import import_run
from sfnet_core.model.network import SFNet
from sfnet_core.model.unpickle_worker import plain_weights, read
from sfnet_core.utils.errors import SFNetError


@pytest.fixture(scope="module")
def network() -> SFNet:
    torch.manual_seed(2)
    made = SFNet(k=3, width=4).eval()
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    return made


@pytest.fixture(scope="module")
def galaxies(tmp_path_factory) -> Dataset:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (12, 40, 44, 3), dtype=np.uint8)
    path = tmp_path_factory.mktemp("data") / "galaxies"
    return Dataset.create(path, [f"g{i}" for i in range(12)], pixels, {"oh_p50": rng.normal(9, 0.2, 12)})


def torchvisions(network: SFNet, head: str = "fc") -> dict[str, torch.Tensor]:
    return {name.replace("head.", f"{head}."): tensor for name, tensor in network.state_dict().items()}


def published(network: SFNet) -> dict[str, torch.Tensor]:
    """The names of the public code's state: the trunk under ``resnet`` with the head, and once more in a sequence."""
    state = {f"resnet.{name}": tensor for name, tensor in torchvisions(network).items()}
    numbers = {"conv1": 0, "bn1": 1, "layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}
    for name, tensor in network.state_dict().items():
        first, rest = name.split(".", 1)
        if first != "head":
            state[f"trunk.{numbers[first]}.{rest}"] = tensor
    return state


# ---- what is taken in


def test_the_published_layout_has_242_names():
    assert len(published(SFNet(4, 1, 4))) == 242


@pytest.mark.parametrize("layout", ["torchvision", "head", "published", "fastai", "parallel"])
def test_state_tables_of_every_layout(tmp_path, network, layout):
    state = {
        "torchvision": torchvisions(network),
        "head": torchvisions(network, "head"),
        "published": published(network),
        "fastai": {"model": published(network), "opt": {"state": [], "hypers": []}},
        "parallel": {"state_dict": {f"module.{name}": t for name, t in torchvisions(network).items()}},
    }[layout]
    torch.save(state, tmp_path / "weights.pt")
    found = plain_weights(read(tmp_path / "weights.pt"))
    assert found.keys() == torchvisions(network).keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in torchvisions(network).items())


def module_of_the_public_code(network: SFNet, monkeypatch) -> nn.Module:
    """A whole module as that code pickles it, from classes that carry its names and are gone when it is read."""
    names = {"torchvision.models.resnet": ("ResNet", "BasicBlock"), "model": ("ResNet18TopK",)}
    for place in ("torchvision", "torchvision.models"):
        monkeypatch.setitem(sys.modules, place, types.ModuleType(place))
    made = {}
    for place, classes in names.items():
        module = types.ModuleType(place)
        monkeypatch.setitem(sys.modules, place, module)
        for name in classes:
            made[name] = type(name, (nn.Module,), {"__module__": place, "__qualname__": name})
            setattr(module, name, made[name])

    def copy(source: nn.Module, kind: type) -> nn.Module:
        copied = kind()
        for name, child in source.named_children():
            copied.add_module(name, rebuilt(child))
        return copied

    def rebuilt(child: nn.Module) -> nn.Module:
        if isinstance(child, nn.Sequential):
            return nn.Sequential(*(rebuilt(c) for c in child))
        if isinstance(child, nn.Conv2d):  # torch's own class, not ours
            how = (child.in_channels, child.out_channels, child.kernel_size, child.stride, child.padding)
            plain = nn.Conv2d(*how, bias=False)
            plain.weight = child.weight
            return plain
        return copy(child, made["BasicBlock"]) if type(child).__name__ == "BasicBlock" else child

    resnet = copy(network, made["ResNet"])
    resnet.fc = resnet._modules.pop("head")
    resnet._norm_layer = nn.BatchNorm2d
    whole = made["ResNet18TopK"]()
    whole.resnet, whole.k = resnet, network.k
    order = [resnet.conv1, resnet.bn1, nn.ReLU(), resnet.maxpool, *(getattr(resnet, f"layer{i}") for i in range(1, 5))]
    whole.trunk = nn.Sequential(*order, nn.AdaptiveAvgPool2d(1))
    return whole


def test_a_whole_module_of_the_public_code_is_read_without_its_classes(tmp_path, network, monkeypatch):
    path = tmp_path / "resnet18-topk_3-metallicity.pth"
    with monkeypatch.context() as patched:
        torch.save(module_of_the_public_code(network, patched), path)
    assert "model" not in sys.modules
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    found = read_foreign(path)
    assert int(found.pop("k")) == 3
    assert all(torch.equal(found[name], tensor) for name, tensor in torchvisions(network).items())


def test_an_imported_run_predicts_what_the_network_does(tmp_path, network, galaxies, capsys):
    torch.save(published(network), tmp_path / "theirs.pth")
    words = ["import", str(tmp_path / "theirs.pth"), "--out", str(tmp_path / "run"), "--like", str(galaxies.path)]
    given = ["--crop", "32", "--mean", "0.4,0.5,0.6", "--std", "0.3,0.29,0.28"]
    assert cli.run([*words, "--k", "3", *given]) == 0
    assert "k=3 of 32 features, oh_p50" in capsys.readouterr().out
    codes = infer(tmp_path / "run", galaxies, tmp_path / "codes.parquet", progress=False)
    x = galaxies.cutouts[:, 4:36, 6:38] / 255
    x = torch.tensor(((x - [0.4, 0.5, 0.6]) / [0.3, 0.29, 0.28]).transpose(0, 3, 1, 2)).float()
    with torch.no_grad():
        np.testing.assert_allclose(codes.prediction(), network(x)[:, 0].numpy(), atol=1e-4)
    assert codes.provenance["weights"].startswith("imported from theirs.pth")
    save_file(torchvisions(network), tmp_path / "theirs.safetensors")
    words[1] = str(tmp_path / "theirs.safetensors")
    plain = import_run(words[1], tmp_path / "other", galaxies, k=3)
    pixels = galaxies.cutouts[:, :, 2:42] / 255
    np.testing.assert_allclose(plain.metadata["mean"], pixels.mean((0, 1, 2)), atol=1e-6)
    assert plain.status == "imported" and plain.metadata["crop"] == 40
    for more, said in (
        (["--k", "3"], "holds a run"),
        (["--overwrite"], "give --k"),
        (["--overwrite", "--k", "3", "--target", "lines"], "1 outputs, but 4 targets"),
        (["--overwrite", "--k", "3", "--mean", "0.1"], "three numbers"),
        (["--overwrite", "--k", "3", "--mean", "0.1,0.1,0.1"], "go together"),
        (["--overwrite", "--k", "33"], "k=33 does not fit"),
        (["--overwrite", "--k", "3", "--crop", "64"], "crop of 64 px does not fit"),
    ):
        assert cli.run([*words, *more]) == 2
        assert said in capsys.readouterr().err


# ---- T14


class Evil:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return (os.mkdir, (str(self.marker),))


def test_t14_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path, network):
    marker = tmp_path / "it-ran"
    state = torchvisions(network)
    torch.save(state | {"bn1.bias": Evil(marker)}, tmp_path / "evil.pt")
    (tmp_path / "bare.pt").write_bytes(pickle.dumps(Evil(marker)))
    (tmp_path / "old.pt").write_bytes(pickle.dumps(OrderedDict(a=Evil(marker)), protocol=2))
    for name in ("bare.pt", "old.pt"):
        with pytest.raises(SFNetError, match="could not be read as plain weights"):
            read(tmp_path / name)
    with pytest.raises(SFNetError, match=r"evil\.pt was refused"):
        load_imagenet(SFNet(), tmp_path / "evil.pt")
    assert not marker.exists()


def strange(network: SFNet) -> dict[str, tuple[object, str]]:
    """Files that are weights-only and yet not a network of ours: (content, what is said)."""
    state = torchvisions(network)
    huge = torch.zeros(1).expand(1 << 40)
    indices = torch.zeros(1, 1, dtype=torch.int64)
    doubled = published(network)
    doubled["trunk.7.1.bn2.bias"] = doubled["trunk.7.1.bn2.bias"] + 1
    return {
        "giant": (state | {"bn1.bias": huge}, r"bn1\.bias is \(1099511627776,\), expected \(4,\)"),
        "giant twice": (published(network) | {"trunk.1.bias": huge}, "the two differ in bn1.bias"),
        "giant and new": (state | {"more": huge}, "the tensor more is not one"),
        "sparse": (
            state | {"fc.weight": torch.sparse_coo_tensor(indices, torch.ones(1), (1 << 40,), check_invariants=True)},
            "dense tensor",
        ),
        "quantised": (state | {"fc.bias": torch.quantize_per_tensor(torch.ones(1), 1, 0, torch.qint8)}, "fc.bias"),
        "on no device": (state | {"fc.bias": torch.empty(1, device="meta")}, "not a plain dense tensor"),
        "complex": (state | {"fc.bias": torch.ones(1, dtype=torch.complex64)}, "holds torch.complex64"),
        "a text": (state | {"fc.bias": "1"}, "fc.bias is a str"),
        "nan": (state | {"bn1.weight": torch.full((4,), torch.nan)}, "bn1.weight holds values that are not finite"),
        "another net": ({"conv.weight": torch.ones(3)}, "there is no conv1.weight"),
        "a list": ([torch.ones(3)], "holds a list"),
        "too wide": ({"conv1.weight": torch.zeros(1).expand(1 << 30, 3, 7, 7)}, "width 1073741824"),
        "scalar": ({"conv1.weight": torch.zeros(())}, "width 0"),
        "one missing": ({n: t for n, t in state.items() if n != "layer4.1.bn2.bias"}, "bn2.bias is missing"),
        "half a trunk": (
            {"trunk.8.weight": torch.ones(1), "trunk.0.weight": torch.ones(1)},
            r"tensor trunk\.8\.weight",
        ),
        "two trunks": (doubled, "holds the trunk twice, and the two differ in layer4.1.bn2.bias"),
    }


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize(
    "name",
    [
        *("giant", "giant twice", "giant and new", "sparse", "quantised", "on no device", "complex", "a text", "nan"),
        *("another net", "a list", "too wide", "scalar", "one missing", "half a trunk", "two trunks"),
    ],
)
def test_t14_sparse_giant_and_strange_tensors_are_refused(tmp_path, network, name):
    content, said = strange(network)[name]
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(SFNetError, match=said):
        plain_weights(read(tmp_path / "weights.pt"))


class Big:
    """A hundred bytes in a file that become 2 GiB, by a call that a weights-only unpickler allows."""

    def __reduce__(self):
        return (bytearray, (2 << 30,))


def test_t14_memory_is_bounded_in_a_process_of_its_own(tmp_path, network, monkeypatch):
    """By the system's record of the largest process we started: it did not take what the file asks for."""
    torch.save(torchvisions(network) | {"more": "x"}, tmp_path / "small.pt")
    torch.save(torchvisions(network) | {"more": Big()}, tmp_path / "bomb.pt")
    monkeypatch.setattr(foreign, "MEMORY", 256 << 20)
    with pytest.raises(SFNetError, match="more is a str, not a tensor"):  # room enough to look at what is in it
        read_foreign(tmp_path / "small.pt")
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    with pytest.raises(SFNetError, match=r"bomb\.pt was refused: it needs more than 256 MiB of memory"):
        read_foreign(tmp_path / "bomb.pt")
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss - largest < 300 << 10  # kB


def test_t14_a_file_that_takes_too_long_or_is_too_large_is_refused(tmp_path, network, monkeypatch):
    torch.save(torchvisions(network), tmp_path / "weights.pt")
    monkeypatch.setattr(foreign, "SECONDS", 0.01)
    with pytest.raises(SFNetError, match=r"within 0\.01 s"):
        read_foreign(tmp_path / "weights.pt")
    monkeypatch.setattr(foreign, "LARGEST", 100)
    with pytest.raises(SFNetError, match="GiB; a ResNet18 has a fraction"):
        read_foreign(tmp_path / "weights.pt")
    save_file(torchvisions(network), tmp_path / "weights.safetensors")
    monkeypatch.setattr(foreign, "LARGEST", 1 << 30)
    assert len(read_foreign(tmp_path / "weights.safetensors")) == 122
    (tmp_path / "broken.safetensors").write_bytes(b"x" * 40)
    with pytest.raises(SFNetError, match="not a valid safetensors file"):
        read_foreign(tmp_path / "broken.safetensors")
