"""Memory is kept while a computation runs, and given back after it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from sfnet_core.utils import malloc as allocation
from sfnet_core.utils.malloc import kept_memory

WORK = """
import json, resource
import torch
from sfnet_core.utils.malloc import kept_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20

def steps():
    before = faults()
    for _ in range(10):
        blocks = [torch.ones(12 << 20) for _ in range(3)]  # 48 MiB each
    return faults() - before

steps()
found = {"usual": steps(), "start": resident()}
with kept_memory():
    steps()
    with kept_memory():
        pass
    found["kept"] = steps()
    found["within"] = resident()
found |= {"after": resident(), "again": steps()}
print(json.dumps(found))
"""


def test_pages_are_not_asked_for_anew_and_go_back_in_the_end():
    found = json.loads(subprocess.run([sys.executable, "-c", WORK], check=True, capture_output=True, text=True).stdout)
    assert found["usual"] > 10 * found["kept"] + 1000
    assert found["within"] > found["start"] + 100  # MiB
    assert found["after"] < found["start"] + 20
    assert found["again"] > 10 * found["kept"] + 1000


def test_an_error_ends_it(monkeypatch):
    said = []

    class Libc:
        def mallopt(self, what, value):
            said.append((what, value))

        def malloc_trim(self, pad):
            said.append("trim")

    monkeypatch.setattr(allocation, "_glibc", Libc)
    with pytest.raises(ValueError, match="broken"), kept_memory(), kept_memory():
        assert said[0] == (allocation._MMAP_MAX, 0) and "trim" not in said
        raise ValueError("broken")
    assert said.count("trim") == 1 and (allocation._MMAP_MAX, allocation._USUAL_MAX) in said


def test_without_glibc_nothing_happens(monkeypatch):
    monkeypatch.setattr(allocation, "_glibc", lambda: None)
    with kept_memory():
        assert allocation._inside == [1]
    assert allocation._inside == [0]
