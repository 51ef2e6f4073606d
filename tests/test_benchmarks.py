"""Every benchmark is run by run_all, and says nothing of where this machine keeps its files."""

from __future__ import annotations

import argparse
import importlib
import json
import re
import sys
from pathlib import Path

import pytest

from benchmarks import common, run_all

FOLDER = Path(run_all.__file__).parent


@pytest.mark.parametrize("name", run_all.NAMES)
def test_run_all_runs_every_benchmark_and_each_can_be_quick(name, capsys, monkeypatch):
    assert {"codes", "infer", "multi_k", "stability"} <= set(run_all.NAMES)
    module = importlib.import_module(f"benchmarks.bench_{name}")
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as done:
        module.main()
    assert done.value.code == 0 and "--quick" in capsys.readouterr().out


def test_a_result_names_no_place_of_this_machine(tmp_path):
    given = argparse.Namespace(quick=False, out=tmp_path / "a.json", work=tmp_path / "w", observed=Path("/some/where"))
    common.write("a", given, {}, {"x": 1 / 3})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert str(tmp_path) not in text and "/some" not in text and json.loads(text)["measured"] == {"x": 0.33333}
    assert json.loads(text)["arguments"] == {"quick": False, "observed": "where"}
    for path in (FOLDER / "results").glob("*.json"):
        assert not re.search(r'"/\w', path.read_text(encoding="utf-8")), path.name  # an absolute path
