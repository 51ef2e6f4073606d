"""The process in which a foreign ``.pt`` or ``.pth`` file is unpickled: no code of the file runs, memory is bounded.

``python -m sfnet_core.model.unpickle_worker FILE OUT.safetensors BYTES`` writes the weights of a ResNet18 under
torchvision's names (head as ``fc``), or ends with status 2 and one sentence on standard output. Run by
:mod:`sfnet_core.model.foreign_weights`; it knows nothing of our own checkpoints.

What is read: a table of tensors, bare or as ``{"model": …}`` or ``{"state_dict": …}``; or a whole pickled module of the
public code of Wu (2025) or of torchvision, of which the weights are taken and whose classes are never imported: their
names stand for an empty shell. The published files hold the trunk twice (``resnet.*`` and ``trunk.*``): both must say
the same.
"""

from __future__ import annotations

import resource
import sys
import warnings
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from sfnet_core.model.network import SFNet
from sfnet_core.utils.errors import SFNetError

__all__ = ["plain_weights", "read"]

WIDEST, MOST_TARGETS = 256, 1024
_NESTS = ("model", "state_dict")
_MODULES = ("", "module.", "model.", "resnet.")  # what the names may begin with
_SEQUENCE = {"0": "conv1", "1": "bn1", **{str(i): f"layer{i - 3}" for i in range(4, 8)}}  # trunk.N of the public code
_CLASSES = (
    *("model.ResNet18TopK", "__main__.ResNet18TopK", "torchvision.models.resnet.ResNet"),
    *("torchvision.models.resnet.BasicBlock", "torch.nn.modules.container.Sequential"),
    *(f"torch.nn.modules.{name}" for name in ("conv.Conv2d", "batchnorm.BatchNorm2d", "activation.ReLU")),
    *(f"torch.nn.modules.{name}" for name in ("pooling.MaxPool2d", "pooling.AdaptiveAvgPool2d", "linear.Linear")),
)


class _Shell:
    """Stands for a module's class: keeps the state it is given and does nothing."""

    def __init__(self, *ignored: object) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        self.state = state if isinstance(state, dict) else {}


def read(path: Path) -> dict[str, Tensor]:
    """Unpickle with ``weights_only=True`` → tensors by name, and the module's ``k`` where it has one; unchecked."""
    shells: list[Any] = [(type("Shell", (_Shell,), {}), name) for name in _CLASSES]  # a class of its own for every name
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(shells):
            warnings.simplefilter("ignore")
            found = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # unpickling refuses in many ways; none of them ran code
        text = str(error).strip()
        if "allocate memory" in text or "not enough memory" in text:
            raise MemoryError from error
        reason = text.splitlines()[0] if text else type(error).__name__
        raise SFNetError(f"it could not be read as plain weights ({reason})") from error
    for name in _NESTS:
        if isinstance(found, dict) and isinstance(found.get(name), (dict, _Shell)):
            found = found[name]
    if isinstance(found, _Shell):
        k = found.state.get("k")
        return _flat(found) | ({"k": torch.tensor(k)} if type(k) is int and 0 < k <= 8 * WIDEST else {})
    if not isinstance(found, dict):
        raise SFNetError(f"it holds a {type(found).__name__}, not a table of weights")
    return dict(found)


def _flat(shell: _Shell, before: str = "", depth: int = 0) -> dict[str, Tensor]:
    """A module's parameters and buffers under their dotted names."""
    found: dict[str, Tensor] = {}
    for part in ("_parameters", "_buffers"):
        table = shell.state.get(part)
        found |= {before + str(n): t for n, t in (table.items() if isinstance(table, dict) else ()) if t is not None}
    children = shell.state.get("_modules")
    for name, child in children.items() if isinstance(children, dict) else ():
        if isinstance(child, _Shell) and depth < 8:  # deeper than any ResNet; a ring would never end
            found |= _flat(child, f"{before}{name}.", depth + 1)
    return found


def plain_weights(found: dict[str, Any]) -> dict[str, Tensor]:
    """Only a ResNet18's tensors under torchvision's names, each checked before a copy of it is made.

    Raises :class:`SFNetError` with the first thing that does not fit.
    """
    k = found.pop("k", None)
    for name, value in found.items():
        _check_kind(str(name), value)
    trunk = {name: found.pop(name) for name in list(found) if str(name).startswith("trunk.")}
    before = next((b for b in _MODULES if f"{b}conv1.weight" in found), None)
    if before is None and not trunk:
        raise SFNetError("it is not a ResNet18: there is no conv1.weight in it")
    state = _without(found, before) if before is not None else _from_trunk(trunk)
    if before is not None and trunk:
        for name, again in _from_trunk(trunk).items():
            if name not in state or not _same(state[name], again):
                raise SFNetError(f"it holds the trunk twice, and the two differ in {name}")
    head = [name for name in ("fc", "head") if f"{name}.weight" in state]
    width = state["conv1.weight"].shape[0] if state["conv1.weight"].dim() == 4 else 0
    targets = len(state[f"{head[0]}.weight"]) if head and state[f"{head[0]}.weight"].dim() == 2 else 0
    if not 1 <= width <= WIDEST or targets > MOST_TARGETS or len(head) > 1:
        raise SFNetError(f"it is not a ResNet18: width {width}, {targets} outputs, {len(head)} heads")
    with torch.device("meta"):
        wanted = SFNet(1, max(targets, 1), width).state_dict()
    plain: dict[str, Tensor] = {}
    for name, like in wanted.items():
        theirs = name.replace("head.", f"{head[0]}.") if head else name
        if name.startswith("head.") and not head:
            continue
        tensor: Tensor | None = state.pop(theirs) if theirs in state else None
        if tensor is None and name.endswith("num_batches_tracked"):  # absent from old files; plays no part
            tensor = torch.zeros((), dtype=torch.int64)
        if tensor is None or tensor.shape != like.shape:
            got = "is missing" if tensor is None else f"is {tuple(tensor.shape)}"
            raise SFNetError(f"it is not a ResNet18: {theirs} {got}, expected {tuple(like.shape)}")
        plain[name.replace("head.", "fc.")] = tensor.detach().to(like.dtype).contiguous().clone()
        if not torch.isfinite(plain[name.replace("head.", "fc.")]).all():
            raise SFNetError(f"{theirs} holds values that are not finite")
    if state:
        raise SFNetError(f"the tensor {min(state)} is not one of a ResNet18's")
    return plain | ({"k": k} if k is not None else {})


def _check_kind(name: str, value: object) -> None:
    if not isinstance(value, Tensor) or type(value) not in (Tensor, torch.nn.Parameter):
        raise SFNetError(f"{name} is a {type(value).__name__}, not a tensor")
    if value.layout != torch.strided or value.device.type != "cpu" or value.is_quantized:
        raise SFNetError(f"{name} is not a plain dense tensor")
    if not (value.is_floating_point() or value.dtype == torch.int64):
        raise SFNetError(f"{name} holds {value.dtype}, not floating-point numbers")


def _without(found: dict[str, Tensor], before: str) -> dict[str, Tensor]:
    strange = [name for name in found if not str(name).startswith(before)]
    strange = [name for name in strange if str(name).split(".")[0] not in ("fc", "head")]
    if strange:
        raise SFNetError(f"the tensor {strange[0]} is not one of a ResNet18's")
    return {str(name).removeprefix(before): tensor for name, tensor in found.items()}


def _from_trunk(trunk: dict[str, Tensor]) -> dict[str, Tensor]:
    state = {}
    for name, tensor in trunk.items():
        _, number, rest = (*name.split(".", 2), "", "")[:3]
        if number not in _SEQUENCE:
            raise SFNetError(f"the tensor {name} is not one of a ResNet18's")
        state[f"{_SEQUENCE[number]}.{rest}"] = tensor
    if "conv1.weight" not in state:
        raise SFNetError("it is not a ResNet18: there is no conv1.weight in it")
    return state


def _same(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if max(a.numel(), b.numel()) > 9 * (8 * WIDEST) ** 2:  # larger than any layer's: not looked at
        return False
    return bool(torch.equal(a, b))


def _bound_memory(extra: int) -> None:
    """Let this process grow by ``extra`` bytes and no further."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + extra
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main(path: Path, out: Path, extra: int) -> int:
    """Read ``path`` within ``extra`` bytes of memory, write ``out``; the exit status."""
    torch.set_num_threads(1)
    try:
        _bound_memory(extra)
        safetensors.torch.save_file(plain_weights(read(path)), out)
    except SFNetError as error:
        print(error)
        return 2
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "alloc" not in str(error):
            raise
        print(f"it needs more than {extra / 2**20:,.0f} MiB of memory to be read")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
