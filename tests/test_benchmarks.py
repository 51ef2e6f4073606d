"""Every benchmark is run by run_all, and says nothing of where this machine keeps its files."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks import common, run_all

FOLDER = Path(run_all.__file__).parent


def test_run_all_runs_every_benchmark_and_each_can_be_quick():
    assert {"codes", "infer", "multi_k", "stability"} <= set(run_all.NAMES)
    for name in run_all.NAMES:
        text = (FOLDER / f"bench_{name}.py").read_text(encoding="utf-8")
        assert "common.parser(" in text or "seeds.options(" in text or '"--quick"' in text, name


def test_a_result_names_no_place_of_this_machine(tmp_path):
    given = argparse.Namespace(quick=False, out=tmp_path / "a.json", work=tmp_path / "w", observed=Path("/some/where"))
    common.write("a", given, {}, {"x": 1 / 3})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert str(tmp_path) not in text and "/some" not in text and json.loads(text)["measured"] == {"x": 0.33333}
    assert json.loads(text)["arguments"] == {"quick": False, "observed": "where"}
    for path in (FOLDER / "results").glob("*.json"):
        assert not any(place in path.read_text(encoding="utf-8") for place in ('"/tmp', '"/work', '"/home')), path.name
