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


def test_every_result_has_its_command_and_every_command_its_options(capsys, monkeypatch):
    text = (FOLDER / "README.md").read_text(encoding="utf-8").split("## The results and their commands")[1]
    rows = re.findall(r"^\| (`[^|]+`) \| ([^|]+) \|$", text, re.MULTILINE)
    results = sorted(name for names, _ in rows for name in re.findall(r"`(\w+)`", names))
    assert results == sorted(path.stem for path in (FOLDER / "results").glob("*.json"))
    options = ""
    for names, command in rows:
        for script in re.findall(r"`bench_(\w+)", command):
            monkeypatch.setattr(sys, "argv", [script, "--help"])
            with pytest.raises(SystemExit):
                importlib.import_module(f"benchmarks.bench_{script}").main()
            options = capsys.readouterr().out  # "the same with" is the script of the row before
        asked = re.findall(r"--[a-z][\w-]*", command)
        assert all(re.search(rf"{option}\b", options) for option in asked), f"{names}: {command}"


def test_a_result_names_no_place_of_this_machine(tmp_path):
    given = argparse.Namespace(quick=False, out=tmp_path / "a.json", work=tmp_path / "w", observed=Path("/some/where"))
    common.write("a", given, {}, {"x": 1 / 3})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert str(tmp_path) not in text and "/some" not in text and json.loads(text)["measured"] == {"x": 0.33333}
    assert json.loads(text)["arguments"] == {"quick": False, "observed": "where"}
    for path in (FOLDER / "results").glob("*.json"):
        assert not re.search(r'"/\w', path.read_text(encoding="utf-8")), path.name  # an absolute path


def test_a_part_measured_anew_takes_its_place_in_a_result_and_says_when(tmp_path):
    given = argparse.Namespace(quick=False, out=tmp_path / "a.json", renew=False)
    common.write("a", given, {"one": "x"}, {"one": {"area": 1}, "two": {"area": 2}})
    before = json.loads(given.out.read_text(encoding="utf-8"))
    common.renew("a", given, {"two": {"area": 1 / 3}})
    after = json.loads(given.out.read_text(encoding="utf-8"))
    assert after["measured"] == {"one": {"area": 1}, "two": {"area": 0.33333}}
    assert after.pop("renewed")["two"].keys() == {"date", "machine", "versions"}
    assert after | {"measured": 0} == before | {"measured": 0}
    with pytest.raises(SystemExit, match="has no three to renew"):
        common.renew("a", given, {"three": {}})
    assert json.loads(given.out.read_text(encoding="utf-8"))["measured"] == after["measured"]
