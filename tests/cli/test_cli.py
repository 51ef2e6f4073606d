"""The shell's verbs: exit status, one JSON object, one sentence for a mistake."""

from __future__ import annotations

import errno
import json
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from sfnet_core.cli import words as cli_words
from sfnet_core.cli.words import plain as plain_json
from sfnet_core.codes.table import SparseCodes
from sfnet_core.utils.errors import SetAside, SFNetError
from sfnet_core.utils.version import __version__

simulated_codes = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "simulated_codes.py"))[
    "simulated_codes"
]


@pytest.fixture
def codes_file(tmp_path) -> Path:
    simulated_codes(60, seed=1).save(tmp_path / "codes.parquet")
    return tmp_path / "codes.parquet"


def one_object(text: str) -> dict:
    assert text.count("\n") == 1 and text.endswith("\n")
    return json.loads(text)


def test_from_a_catalogue_to_a_table(sfnet_here, tiny_folder, tmp_path):
    """pack, train, infer, evaluate and export, as a user types them."""
    packed, trained, codes = tmp_path / "set", tmp_path / "run", tmp_path / "codes.parquet"
    status, out, err = sfnet_here(
        "pack", tiny_folder / "galaxies.csv", tiny_folder / "images", "--out", packed, "--json", "-q"
    )
    assert status == 0, err
    about = one_object(out)
    assert (about["galaxies"], about["height"], about["set_aside"], about["simulated"]) == (24, 64, [], False)
    options = ("--epochs", 1, "--width", 8, "--k", 3, "--json", "--quiet")
    status, out, err = sfnet_here("train", packed, "--out", trained, *options)
    assert status == 0, err
    about = one_object(out)
    assert about["status"] == "finished" and about["config"]["k"] == 3 and about["last_epoch"]["validation_rmse"] > 0
    status, out, err = sfnet_here("infer", trained, packed, "--out", codes, "--tta", "-q", "--json")
    assert status == 0, err
    assert one_object(out)["fingerprint"] == SparseCodes.open(codes).fingerprint
    status, out, _ = sfnet_here("evaluate", codes, "--json", "--intervals", 20)
    splits = one_object(out)["targets"]["oh_p50"]["splits"]
    assert status == 0 and splits["train"]["n"] + splits["validation"]["n"] == 24 and "d4" in splits["validation"]
    status, out, _ = sfnet_here("evaluate", codes, "--intervals", 20)
    assert status == 0 and "observed galaxies" in out and "mean of 8 views" in out
    status, out, _ = sfnet_here("export", codes, tmp_path / "table.csv")
    assert status == 0 and "24 galaxies written" in out
    assert (tmp_path / "table.csv").read_text(encoding="utf-8").count("\n") == 25


def test_galaxies_set_aside_are_listed(sfnet_here, tmp_path):
    (tmp_path / "images").mkdir()
    for i in range(14):
        Image.new("RGB", (32, 32), (i, 0, 0)).save(tmp_path / "images" / f"good{i}.png")
    for i in range(12):
        (tmp_path / "images" / f"bad{i:02d}.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    status, out, err = sfnet_here("pack", tmp_path / "images", "--out", tmp_path / "set", "-q")
    assert status == 3 and "14 galaxies packed" in out
    assert "12 set aside:" in err and err.count("bad") >= 10 and "and 2 more" in err
    status, out, _ = sfnet_here("pack", tmp_path / "images", "--out", tmp_path / "set", "-q", "--json", "--overwrite")
    about = one_object(out)
    assert status == 3 and len(about["set_aside"]) == 12 and all(record["reason"] for record in about["set_aside"])


def test_infer_lists_only_what_pack_has_not_said(sfnet_here, monkeypatch, tmp_path):
    import sfnet_core.inference.runner
    from sfnet_core.data.dataset import Dataset

    codes, said = simulated_codes(5), SetAside("corrupt image", row=1)
    monkeypatch.setattr(sfnet_core.inference.runner, "infer", lambda *a, **k: codes)
    monkeypatch.setattr(Dataset, "open", lambda path: SimpleNamespace(set_aside=[said]))
    codes.set_aside = [said, SetAside("activations are not finite", row=3, id="g3")]
    status, _, err = sfnet_here("infer", tmp_path, tmp_path, "--out", tmp_path / "c.parquet")
    assert status == 3 and "1 set aside" in err and "row 3 · g3: activations are not finite" in err
    codes.set_aside = [said]
    assert sfnet_here("infer", tmp_path, tmp_path, "--out", tmp_path / "c.parquet")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("evaluate", "{none}"), "There is no codes file"),
        (("evaluate", "{codes}", "--seed", "x"), "--seed"),
        (("export", "{codes}", "out.xlsx"), "choose .csv"),
        (("export", "{codes}"), "Missing argument"),
        (("frobnicate",), "No such command"),
        (("pack", "{none}", "--out", "{none}2"), "not a folder of images"),
        (("train", "{none}", "--out", "{none}2"), "no dataset"),
        (("train", "{none}", "--out", "{none}2", "--validation", "most"), "`paper`"),
        (("infer", "{none}", "{none}", "--out", "{none}2"), "no dataset"),
        (("explore", "{none}", "--no-browser"), "There is no codes file"),
        (("simulate", "--out", "{none}2", "--n", "0"), "n ≥ 1"),
        (("simulate", "--out", "{none}2"), "--n"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(sfnet_here, codes_file, tmp_path, arguments, words):
    names = {"none": tmp_path / "none", "codes": codes_file}
    status, out, err = sfnet_here(*(a.format(**names) for a in arguments))
    assert status == 2 and out == "" and words in err
    assert err.startswith("sfnet: ") and err.count("\n") == 1 and "Traceback" not in err
    assert not (tmp_path / "none2").exists()


def test_messages_cannot_write_to_the_terminal(sfnet_here, tmp_path):
    status, _, err = sfnet_here("evaluate", tmp_path / "\x1b[31mred\nline")
    assert status == 2 and "\x1b" not in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (KeyboardInterrupt(), 130, "Interrupted."),
        (SFNetError("The disk is full."), 2, "The disk is full."),
        (PermissionError(errno.EACCES, "Permission denied", "/root/x"), 2, "/root/x: Permission denied."),
        (SystemExit(143), 143, ""),
    ],
)
def test_exit_status_by_what_happens(sfnet_here, codes_file, monkeypatch, error, status, words):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(SparseCodes, "open", fail)
    if isinstance(error, SystemExit):
        with pytest.raises(SystemExit) as left:
            sfnet_here("evaluate", codes_file)
        assert left.value.code == status
    else:
        found, out, err = sfnet_here("evaluate", codes_file)
        assert found == status and out == "" and words in err


def test_a_fault_of_ours_is_not_hidden(sfnet_here, codes_file, monkeypatch):
    monkeypatch.setattr(SparseCodes, "open", lambda path: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        sfnet_here("evaluate", codes_file)


def test_json_stays_alone_on_standard_output(sfnet_here, codes_file, monkeypatch, tmp_path):
    import sfnet_core.analysis.tables

    def chatty(codes, out):
        print("a library's remark")

    monkeypatch.setattr(sfnet_core.analysis.tables, "export", chatty)
    status, out, err = sfnet_here("export", codes_file, tmp_path / "x.csv", "--json")
    assert status == 0 and one_object(out)["galaxies"] == 60 and "remark" in err


def test_json_holds_no_nan():
    plain = plain_json({"a": float("nan"), "b": [float("inf"), 1.5], "c": Path("x"), 3: None})
    assert plain == {"a": None, "b": [None, 1.5], "c": "x", "3": None}


def test_without_torch_it_says_what_to_install(sfnet_here, tiny_dataset, monkeypatch, tmp_path):
    monkeypatch.setattr(cli_words.importlib.util, "find_spec", lambda name: None)
    data = tiny_dataset.path
    for verb in (("train", data), ("infer", tmp_path, data), ("compare", data)):
        status, _, err = sfnet_here(*verb, "--out", tmp_path / "x")
        assert status == 2 and 'pip install "sfnet-core[torch]"' in err


def test_help_and_version(sfnet_here):
    assert sfnet_here("--version") == (0, f"{__version__}\n", "")
    verbs = ("simulate", "pack", "train", "infer", "evaluate", "compare", "export", "explore")
    for arguments in ((), ("--help",)):
        status, out, _ = sfnet_here(*arguments)
        assert status == 0 and all(verb in out for verb in verbs)
    for verb in verbs:
        status, out, _ = sfnet_here(verb, "-h")
        assert status == 0 and f"Usage: sfnet {verb}" in out


def test_explore_passes_on_what_was_asked(sfnet_here, codes_file, tmp_path, monkeypatch):
    import sfnet_core.explorer.server.serve as served

    seen = {}
    monkeypatch.setattr(served, "serve", lambda *a, **k: seen.update(k, codes=a[0], dataset=a[1]))
    assert (
        sfnet_here("explore", codes_file, "--dataset", tmp_path, "--port", 8123, "--no-browser", "--no-token")[0] == 0
    )
    assert (seen["codes"], seen["dataset"], seen["port"]) == (codes_file, tmp_path, 8123)
    assert not seen["browser"] and not seen["token"] and not seen["allow_mismatch"]
    assert sfnet_here("explore")[0] == 0 and seen["codes"] is None and seen["browser"] and seen["token"]
    assert seen["run"] is None and not seen["images"]
    asked = ("--run", tmp_path / "run", "--images", tmp_path / "a", "--images", tmp_path / "b")
    assert sfnet_here("explore", codes_file, *asked)[0] == 0
    assert (seen["run"], seen["images"]) == (tmp_path / "run", [tmp_path / "a", tmp_path / "b"])


def test_as_a_process(codes_file):
    """The real console entry: status and streams, and `--help` without the heavy libraries."""
    command = [sys.executable, "-m", "sfnet_core.cli"]
    done = subprocess.run([*command, "evaluate", f"{codes_file}.gone"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.count("\n") == 1
    program = (
        "import sys; from sfnet_core.cli.verbs import run; run(['--help']); run(['evaluate', sys.argv[1], '--json']);"
        "sys.exit(', '.join(m for m in ('torch', 'pandas', 'astropy', 'bokeh') if m in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(codes_file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
