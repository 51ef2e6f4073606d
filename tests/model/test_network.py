"""The network against a plain one written from the paper's equations, and the gate on ties, zeros and silly k."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch.nn import functional as F

from sfnet_core.model.network import SFNet, gate
from sfnet_core.utils.errors import SFNetError


def plain_sfnet(s: dict[str, torch.Tensor], x: torch.Tensor, k: int) -> torch.Tensor:
    """Wu (2025) written out on a state dict: ResNet18, mean, top-k by a loop, sum. Shares no code with the package."""

    def norm(x, n):
        return F.batch_norm(x, s[n + ".running_mean"], s[n + ".running_var"], s[n + ".weight"], s[n + ".bias"])

    x = F.max_pool2d(F.relu(norm(F.conv2d(x, s["conv1.weight"], stride=2, padding=3), "bn1")), 3, 2, 1)
    for layer in range(1, 5):
        for block in range(2):
            n, stride = f"layer{layer}.{block}", 2 if layer > 1 and block == 0 else 1
            y = F.relu(norm(F.conv2d(x, s[n + ".conv1.weight"], stride=stride, padding=1), n + ".bn1"))
            y = norm(F.conv2d(y, s[n + ".conv2.weight"], padding=1), n + ".bn2")
            if stride == 2:
                x = norm(F.conv2d(x, s[n + ".downsample.0.weight"], stride=2), n + ".downsample.1")
            x = F.relu(x + y)
    out = []
    for a in F.relu(x.mean((2, 3))):
        kept = sorted(range(len(a)), key=lambda j: (-float(a[j]), j))[:k]
        out.append(s["head.bias"] + sum(s["head.weight"][:, j] * a[j] for j in kept))
    return torch.stack(out)


def ready(network: SFNet) -> SFNet:
    """Batch-norm statistics that are not the trivial ones, and evaluation mode."""
    torch.manual_seed(1)
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
    return network.eval()


@pytest.mark.parametrize(
    ("k", "targets", "width", "size"), [(4, 1, 64, 64), (1, 4, 8, 96), (3, 2, 4, 50), (32, 1, 4, 33)]
)
def test_agrees_with_a_plain_implementation(k, targets, width, size):
    torch.manual_seed(0)
    network = ready(SFNet(k, targets, width))
    x = torch.randn(3, 3, size, size)
    with torch.no_grad():
        torch.testing.assert_close(network(x), plain_sfnet(network.state_dict(), x, k), atol=1e-5, rtol=1e-5)


def test_names_and_shapes_are_torchvisions_resnet18():
    state = SFNet().state_dict()
    assert sum(p.numel() for n, p in SFNet().named_parameters() if not n.startswith("head")) == 11_176_512
    assert len(state) == 122  # torchvision's resnet18 has 122 entries, `fc` counted where we have `head`
    assert state["layer4.0.downsample.1.running_var"].shape == (512,)
    assert state["layer2.1.conv2.weight"].shape == (128, 128, 3, 3)


def test_encode_is_the_prediction_taken_apart():
    torch.manual_seed(0)
    network = ready(SFNet(4, 2, 4))
    x = torch.randn(5, 3, 70, 64)
    with torch.no_grad():
        indices, values, maps = network.encode(x, runners_up=8)
        y = network.head.bias + (network.head.weight[:, indices[:, :4].long()] * values[:, :4]).sum(2).T
        torch.testing.assert_close(y, network(x), atol=1e-5, rtol=0)
        a = network.features(x)
    assert indices.dtype == torch.int16 and values.dtype == torch.float32 and indices.shape == (5, 12)
    torch.testing.assert_close(maps.sum((2, 3)) / (maps.shape[2] * maps.shape[3]), values[:, :4])
    assert maps.shape == (5, 4, 3, 2)
    assert (values[:, :-1] >= values[:, 1:]).all()
    assert (a.gather(1, indices.clamp_min(0).long())[indices >= 0] == values[indices >= 0]).all()


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float32, (3, 7), elements=st.sampled_from([0.0, 0.5, 1.0, 2.0])), st.integers(1, 7))
def test_r17_gate_ties_zeros_and_k_equal_f(a, k):
    kept = gate(torch.tensor(a), k).numpy()
    for row, out in zip(a, kept, strict=True):
        chosen = np.lexsort((np.arange(7), -row))[:k]  # falling value, then rising index
        expected = np.zeros(7, np.float32)
        expected[chosen] = row[chosen]
        assert (out == expected).all()
        assert np.count_nonzero(out) <= k
    assert (gate(torch.tensor(a), 7).numpy() == a).all()


def test_r17_k_too_large_is_refused():
    with pytest.raises(SFNetError, match="k=9 of 8"):
        gate(torch.zeros(1, 8), 9)
    with pytest.raises(SFNetError, match="k=33 does not fit 32 features"):
        SFNet(k=33, width=4)
    with pytest.raises(SFNetError, match="k=0"):
        SFNet(k=0, width=4)
    with pytest.raises(SFNetError, match="runners-up"):
        SFNet(width=1).encode(torch.zeros(1, 3, 32, 32), runners_up=-1)


def test_r17_all_zero_and_short_codes_have_empty_slots():
    network = ready(SFNet(k=6, width=1))  # 8 features, 14 slots
    network.layer4[1].bn2.weight.data.zero_()
    network.layer4[1].bn2.bias.data.fill_(-1e6)  # every map is negative before the last ReLU
    with torch.no_grad():
        indices, values, maps = network.encode(torch.randn(2, 3, 32, 32))
        assert indices.shape == (2, 14) and (indices == -1).all() and (values == 0).all() and (maps == 0).all()
        torch.testing.assert_close(network(torch.randn(2, 3, 32, 32)), network.head.bias.expand(2, 1))
    full = ready(SFNet(k=8, width=1))
    with torch.no_grad():
        indices, values, _ = full.encode(torch.randn(2, 3, 32, 32))
    assert (indices[:, 8:] == -1).all() and (values[:, 8:] == 0).all()
    assert ((indices == -1) == (values == 0)).all()


def test_gradient_reaches_kept_features_only():
    a = torch.tensor([[3.0, 1.0, 2.0, 0.0]], requires_grad=True)
    gate(a, 2).sum().backward()
    assert a.grad.tolist() == [[1.0, 0.0, 1.0, 0.0]]


def test_predictions_stay_float32_under_autocast():
    network = ready(SFNet(width=4))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        x = torch.randn(2, 3, 32, 32)
        assert network(x).dtype == torch.float32
        assert network.features(x).dtype == torch.float32


@torch.inference_mode()
def test_read_each_is_a_network_for_every_gate():
    torch.manual_seed(3)
    network, a = SFNet(k=2, targets=2, width=2), torch.relu(torch.randn(9, 16))
    each = network.read_each(a, 16)
    assert each.shape == (9, 16, 2)
    for k in range(1, 17):
        network.k = k
        torch.testing.assert_close(each[:, k - 1], network.read(a))
