"""Checkpoints and runs: what is written is read back; what does not fit is refused by the field's name (T15)."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sfnet_core.model import checkpoint
from sfnet_core.model.network import SFNet
from sfnet_core.model.run import Run
from sfnet_core.utils.errors import SFNetError


def metadata(**changes) -> dict:
    fields = {
        "schema": 1,
        "k": 2,
        "features": 16,
        "width": 2,
        "targets": ["oh_p50"],
        "units": ["dex"],
        "crop": 48,
        "cutout_size": [64, 64],
        "pixel_scale": None,
        "mean": [0.1, 0.1, 0.1],
        "std": [0.2, 0.2, 0.2],
        "data_fingerprint": "abc",
        "dataset": "blobs",
        "simulated": True,
        "weights_origin": "from scratch",
        "versions": {"torch": "2"},
    }
    return fields | changes


@pytest.fixture
def network() -> SFNet:
    torch.manual_seed(0)
    return SFNet(k=2, width=2).eval()


@pytest.fixture
def good(tmp_path, network) -> Path:
    checkpoint.save(tmp_path / "good.safetensors", network, metadata())
    return tmp_path / "good.safetensors"


def parts(path: Path) -> tuple[dict, bytes]:
    raw = path.read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def rewritten(path: Path, header: dict, data: bytes) -> Path:
    text = json.dumps(header).encode()
    out = path.with_name("bad.safetensors")
    out.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return out


def with_metadata(good: Path, **changes) -> Path:
    header, data = parts(good)
    fields = {name: value for name, value in metadata(**changes).items() if value != "absent"}
    header["__metadata__"]["sfnet"] = json.dumps(fields)
    return rewritten(good, header, data)


def test_round_trip_gives_the_same_weights_and_the_same_bytes(good, network, tmp_path):
    loaded, fields = checkpoint.load(good)
    assert fields == metadata()
    assert not loaded.training
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    checkpoint.save(tmp_path / "again.safetensors", loaded, fields)
    assert (tmp_path / "again.safetensors").read_bytes() == good.read_bytes()
    assert checkpoint.fingerprint(good) == checkpoint.fingerprint(tmp_path / "again.safetensors")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema": 99}, "`schema` is 99"),
        ({"schema": "absent"}, "`schema` is missing"),
        ({"k": 3, "features": 16}, None),  # another k on the same weights is a choice, not a fault
        ({"k": 17}, "`k` is 17"),
        ({"k": True}, "`k` must be int"),
        ({"k": "absent"}, "`k` is missing"),
        ({"features": 512}, "`features` is 512"),
        ({"width": 4, "features": 32}, "promises F32"),
        ({"width": 100000, "features": 800000}, "`width` must be"),
        ({"targets": ["a", "b"], "units": ["", ""]}, r"head.(weight|bias) is F32"),
        ({"targets": []}, "`targets`"),
        ({"units": []}, "`units`"),
        ({"crop": 65}, "`crop` is 65"),
        ({"cutout_size": [64]}, "`cutout_size`"),
        ({"pixel_scale": -1.0}, "`pixel_scale`"),
        ({"std": [0.0, 1.0, 1.0]}, "`std.*must be"),
        ({"mean": [float("nan"), 0, 0]}, "not valid JSON.*mean"),
    ],
)
def test_t15_metadata_that_does_not_fit(good, changes, said):
    bad = with_metadata(good, **changes)
    if said is None:
        assert checkpoint.load(bad)[0].k == 3
        return
    with pytest.raises(SFNetError, match=said):
        checkpoint.load(bad)


@pytest.mark.parametrize("length", [0, 1, 1 << 21, 1 << 40, (1 << 64) - 1])
def test_t15_oversized_header(good, length):
    bad = good.with_name("bad.safetensors")
    bad.write_bytes(struct.pack("<Q", length) + good.read_bytes()[8:])
    with pytest.raises(SFNetError, match="header length"):
        checkpoint.load(bad)


def test_t15_nan_weights_and_negative_variance(good):
    for name, value, said in (("layer2.0.conv1.weight", np.nan, "not finite"), ("bn1.running_var", -1.0, "negative")):
        header, data = parts(good)
        start = header[name]["data_offsets"][0]
        data = data[:start] + np.float32(value).tobytes() + data[start + 4 :]
        with pytest.raises(SFNetError, match=f"{name} holds .*{said}"):
            checkpoint.load(rewritten(good, header, data))


def test_t15_wrong_shapes_names_and_sizes(good):
    header, data = parts(good)
    header["head.weight"]["shape"] = [2, 8]
    with pytest.raises(SFNetError, match=r"head\.weight is F32"):
        checkpoint.load(rewritten(good, header, data))
    header, data = parts(good)
    header["fc.weight"] = header.pop("head.weight")
    with pytest.raises(SFNetError, match=r"fc\.weight is not one of an SFNet"):
        checkpoint.load(rewritten(good, header, data))
    header, data = parts(good)
    with pytest.raises(SFNetError, match="bytes of weights instead of"):
        checkpoint.load(rewritten(good, header, data[:-4]))
    header["bn1.bias"]["data_offsets"] = header["bn1.weight"]["data_offsets"]  # two tensors in one place
    with pytest.raises(SFNetError, match="not a valid safetensors file"):
        checkpoint.load(rewritten(good, header, data))


@pytest.mark.parametrize("raw", [b"", b"abc", b"\x80\x04}." * 30, b"PK\x03\x04" * 40, struct.pack("<Q", 9) + b"[" * 40])
def test_t15_other_files(tmp_path, raw):
    (tmp_path / "x.safetensors").write_bytes(raw)
    with pytest.raises(SFNetError, match=r"x\.safetensors"):
        checkpoint.load(tmp_path / "x.safetensors")


def test_t15_foreign_safetensors_says_what_to_do(tmp_path, network):
    save_file(network.state_dict(), tmp_path / "x.safetensors")
    with pytest.raises(SFNetError, match=r"no metadata field `sfnet`.*`weights`"):
        checkpoint.load(tmp_path / "x.safetensors")
    with pytest.raises(SFNetError, match="no checkpoint"):
        checkpoint.load(tmp_path / "none.safetensors")


def test_a_network_with_nan_is_not_saved_over_a_good_one(good, network):
    before = good.read_bytes()
    network.head.weight.data[0, 0] = torch.nan
    with pytest.raises(SFNetError, match=r"head\.weight"):
        checkpoint.save(good, network, metadata())
    assert good.read_bytes() == before


def test_r4_full_disk_leaves_the_old_checkpoint(good, network, monkeypatch):
    before = good.read_bytes()

    def full(self, data):
        with open(self, "wb") as handle:
            handle.write(data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(SFNetError, match=r"good\.safetensors.*100 bytes"):
        checkpoint.save(good, network, metadata())
    monkeypatch.undo()
    assert good.read_bytes() == before
    assert [p.name for p in good.parent.iterdir()] == ["good.safetensors"]


def resnet18_state() -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    state = {name: t for name, t in SFNet().state_dict().items() if not name.startswith("head")}
    return state | {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_imagenet_weights_from_a_file(tmp_path, suffix):
    state, path = resnet18_state(), tmp_path / f"resnet18{suffix}"
    torch.save(state, path) if suffix == ".pth" else save_file(state, path)
    network = SFNet()
    head = network.head.weight.clone()
    assert path.name in checkpoint.load_imagenet(network, path)
    assert torch.equal(network.layer3[1].conv2.weight, state["layer3.1.conv2.weight"])
    assert torch.equal(network.head.weight, head)
    del state["layer1.0.bn1.running_mean"]
    torch.save(state, path.with_suffix(".pth"))
    with pytest.raises(SFNetError, match=r"layer1\.0\.bn1\.running_mean is missing"):
        checkpoint.load_imagenet(SFNet(), path.with_suffix(".pth"))
    with pytest.raises(SFNetError, match="width 64 only"):
        checkpoint.load_imagenet(SFNet(width=16), path)
    with pytest.raises(SFNetError, match="no weights file"):
        checkpoint.load_imagenet(SFNet(), tmp_path / "none.pth")


def test_imagenet_weights_through_hubs_cache_or_a_sentence(tmp_path, monkeypatch):
    asked = {}

    def from_hub(url, **options):
        asked.update(options, url=url)
        return resnet18_state()

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", from_hub)
    assert "torch.hub" in checkpoint.load_imagenet(SFNet(), "hub")
    assert asked["weights_only"] is True and asked["check_hash"] is True

    def offline(url, **options):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    with pytest.raises(SFNetError, match="from scratch"):
        checkpoint.load_imagenet(SFNet(), "hub")


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("/tmp/sfnet-evil-ran"),))


def test_a_pickle_with_code_is_refused_and_does_not_run(tmp_path):
    marker = Path("/tmp/sfnet-evil-ran")
    marker.unlink(missing_ok=True)
    torch.save({"conv1.weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(SFNetError, match="refused"):
        checkpoint.load_imagenet(SFNet(), tmp_path / "evil.pth")
    assert not marker.exists()


def test_run_round_trip_copy_and_lone_file(tmp_path, network):
    split = {"train": np.array(["1237648704043942146", "b"]), "validation": np.array(["c"])}
    history = [{"epoch": 1, "train_rmse": 0.25, "validation_rmse": 0.3}, {"epoch": 2, "train_rmse": 0.125}]
    run = Run(tmp_path / "run", metadata(), {"seed": 0}, split, history, {"n": 3}, "finished")
    run.write(tmp_path / "run", network)
    opened = Run.open(tmp_path / "run")
    assert opened.config == {"seed": 0} and opened.status == "finished" and opened.history == history
    assert opened.split_of(np.array(["c", "b", "zzz"])).tolist() == ["validation", "train", ""]
    assert torch.equal(opened.network().head.weight, network.head.weight)
    opened.save(tmp_path / "copy")
    for name in ("model.safetensors", "run.json", "history.csv"):
        assert (tmp_path / "copy" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()
    opened.save(tmp_path / "alone.safetensors")
    alone = Run.open(tmp_path / "alone.safetensors")
    assert alone.status == "weights" and alone.name == "alone" and alone.fingerprint == opened.fingerprint


def test_run_folder_mistakes(tmp_path, network):
    with pytest.raises(SFNetError, match="no run"):
        Run.open(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SFNetError, match=r"no model\.safetensors"):
        Run.open(tmp_path / "empty")
    Run(tmp_path / "run", metadata()).write(tmp_path / "run", network)
    for text, said in (("{", "not valid JSON"), ('{"schema": 7}', "`schema` is 7"), ('{"schema": 1}', "`config`")):
        (tmp_path / "run" / "run.json").write_text(text)
        with pytest.raises(SFNetError, match=said):
            Run.open(tmp_path / "run")
    (tmp_path / "run" / "run.json").unlink()
    with pytest.raises(SFNetError, match="weights alone"):
        Run.open(tmp_path / "run")
