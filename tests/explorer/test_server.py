"""The served page under attack, over HTTP and its own websocket: what a visitor tries is refused, and all goes on."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import numpy as np
import psutil
import pytest
import websocket
from visitor import Visitor, frame, kernel_of, processes_of, resident
from waiting import until

from sfnet_core.codes.table import SparseCodes
from sfnet_core.explorer.server.serve import CONFIGURATION, free_port, notebooks_folder, serving
from sfnet_core.explorer.server.template import lay_out
from sfnet_core.utils.errors import SFNetError

HOSTILE_IDS = ["=1+1", "+A1", "-A1", "@SUM(A1)", "=HYPERLINK(1)"]


@pytest.fixture(scope="module")
def codes_path(made_up, tmp_path_factory):
    """Codes of 40 galaxies, five of them with formulas for identifiers."""
    made = made_up(40, features=16)
    path = tmp_path_factory.mktemp("codes") / "codes.parquet"
    made.save(path)
    return path


@pytest.fixture(scope="module")
def server() -> Iterator[tuple]:
    with serving(pool=0) as (address, process):
        yield address, process


@pytest.fixture(scope="module")
def attacker(server) -> Iterator[Visitor]:
    with Visitor(server[0]) as visitor:
        yield visitor


@pytest.fixture(scope="module")
def neighbour(server) -> Iterator[Visitor]:
    with Visitor(server[0]) as visitor:
        yield visitor


def works(visitor: Visitor) -> None:
    """The page still answers: k goes up and down again."""
    k = visitor.data("rmse")["k"]
    for wanted in (k + 1, k):
        visitor.act(visitor.view("rmse"), {"do": "k", "k": wanted})
        assert visitor.data("rmse")["k"] == wanted


# -- T1 ----------------------------------------------------------------------------------------------------------


def test_t1_code_over_the_websocket_is_not_run(attacker, server, tmp_path):
    marker = tmp_path / "marker"
    code = f"open({str(marker)!r}, 'w')"
    contents = {
        "execute_request": {"code": code, "silent": False, "store_history": False, "user_expressions": {"a": code}},
        "complete_request": {"code": code, "cursor_pos": len(code)},
        "inspect_request": {"code": code, "cursor_pos": 3, "detail_level": 1},
        "history_request": {"hist_access_type": "tail", "n": 10, "output": True, "raw": True},
        "is_complete_request": {"code": code},
        "debug_request": {"type": "request", "seq": 1, "command": "evaluate", "arguments": {"expression": code}},
        "input_reply": {"value": code},
        "interrupt_request": {},
        "shutdown_request": {"restart": True},
        "create_subshell_request": {},
    }
    pid = kernel_of(attacker.kernel)
    sent = [attacker.send(kind, content, channel) for kind, content in contents.items()
            for channel in ("shell", "control", "stdin", "iopub", "hb", "")]  # fmt: skip
    hidden = attacker.header("comm_msg") | {"msg_type": "execute_request"}
    twice = json.dumps(attacker.header("comm_msg"))[:-1].encode() + b', "msg_type": "execute_request"}'
    for header in (hidden, twice):
        attacker.line.send_binary(frame("shell", header, contents["execute_request"]))
    for words in ({"header": hidden, "channel": "shell", "content": contents["execute_request"]}, "x", [], None):
        attacker.line.send(json.dumps(words))
    works(attacker)
    assert not marker.exists()
    assert not [kind for kind, parent in attacker.replies if parent in sent]
    assert kernel_of(attacker.kernel) == pid


def test_t1_the_old_protocol_is_no_way_round(attacker, server, tmp_path):
    marker = tmp_path / "marker"
    line = attacker.connect("old", subprotocols=[])
    message = {
        "header": attacker.header("execute_request"), "parent_header": {}, "metadata": {}, "channel": "shell",
        "content": {"code": f"open({str(marker)!r}, 'w')"}, "buffers": [],
    }  # fmt: skip
    line.send(json.dumps(message))
    line.close()
    with Visitor(server[0]) as fresh:
        works(fresh)
    works(attacker)  # whose kernel would have run it by now
    assert not marker.exists()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_t1_no_other_door_is_open(attacker, method):
    kernel = f"/api/kernels/{attacker.kernel}"
    paths = [
        *("/api/kernels", f"{kernel}/restart", f"{kernel}/interrupt", "/api/sessions", "/api/contents"),
        *("/api/contents/explore.ipynb", "/api/terminals", "/api/kernelspecs", "/api/config/x", "/api/shutdown"),
        *("/voila/api/contents", "/voila/api/contents/explore.ipynb", f"/voila/execution/{attacker.kernel}"),
        *(f"/voila/query/{attacker.kernel}", "/terminals/websocket/1", "/lab", "/tree", "/files/explore.ipynb"),
    ]
    for path in paths + ([kernel] if method not in ("GET",) else []):
        status, text = attacker.get(path, method)
        assert status in (403, 404, 405), path
        assert "Traceback" not in text and "sfnet_core" not in text
    works(attacker)


def test_without_the_token_nothing_opens(server, attacker):
    for path in ("/voila/render/explore.ipynb", f"/api/kernels/{attacker.kernel}"):
        request = urllib.request.Request(attacker.root + path)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                assert "/login" in answer.url
        except urllib.error.HTTPError as error:
            with error:
                assert error.code == 403
    with pytest.raises(websocket.WebSocketBadStatusException):
        attacker.connect(cookie="")
    status = urllib.request.Request(f"{attacker.root}/sfnet/end/{attacker.kernel}", method="POST", data=b"")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(status, timeout=30)
    refused.value.close()
    works(attacker)


# -- T2 ----------------------------------------------------------------------------------------------------------


def test_t2_ten_thousand_comms_leave_memory_and_neighbours_alone(attacker, neighbour, server):
    pids = server[1].pid, kernel_of(attacker.kernel)
    works(attacker)
    before = [resident(pid) for pid in pids]
    state = {"_model_module": "@jupyter-widgets/controls", "_model_name": "FloatTextModel", "value": 1.0}
    for i in range(10_000):
        target = ("jupyter.widget", "jupyter.widget.control", "nowhere")[i % 3]
        attacker.send("comm_open", {"comm_id": f"c{i}", "target_name": target, "data": {"state": state}})
    works(neighbour)
    works(attacker)
    after = [resident(pid) for pid in pids]
    assert all(now - then < 24 << 20 for now, then in zip(after, before, strict=True)), (before, after)
    assert sum(kind == "comm_open" or kind == "comm_close" for kind, _ in attacker.replies) < 100


def test_t2_frames_that_claim_more_than_they_hold_do_not_take_the_server(attacker, neighbour, server):
    before = resident(server[1].pid)
    for n in (6, 7, 2**32, 2**60, 2**64 - 1):
        attacker.line.send_binary(n.to_bytes(8, "little"))
        attacker.line.send_binary(n.to_bytes(8, "little") + b"\xff" * 4096)
    attacker.line.send_binary(b"")
    works(neighbour)
    works(attacker)
    assert resident(server[1].pid) - before < 24 << 20


def test_t2_a_session_has_few_websockets(attacker, neighbour):
    lines = []
    with pytest.raises(websocket.WebSocketBadStatusException) as refusal:
        for i in range(50):
            lines.append(attacker.connect(f"another-{i}"))
    assert refusal.value.status_code == 429 and len(lines) < 5
    for line in lines:
        line.close()
    works(neighbour)
    works(attacker)


# -- T3, T4, T5 ---------------------------------------------------------------------------------------------------

NONSENSE = [10**9, -1, float("nan"), None, True, "1", "", [1], {"k": 1}, "x" * 100_000, 2**70]


def test_t3_nonsense_in_every_action_and_trait_changes_nothing(attacker, server):
    pid, before = kernel_of(attacker.kernel), attacker.seen()
    actions = {
        attacker.view("rmse"): [("k", "k")],
        attacker.view("rows", "off"): [("toggle", "feature"), ("focus", "feature"), ("mode", "mode")],
        attacker.view("galaxies", "page"): [("focus", "id"), ("sort", "sort")],
        attacker.view("plots", "third"): [("third", "plot"), ("fourth", "plot")],
        attacker.view("tabs"): [("tab", "tab")],
    }
    for identity, pairs in actions.items():
        for action, name in pairs:
            for value in NONSENSE:
                if not (value == "" and action in ("sort", "focus")):
                    attacker.act(identity, {"do": action, name: value})
        for message in NONSENSE:
            attacker.act(identity, message)
            attacker.act(identity, {"do": message})
    assert attacker.seen() == before
    for identity in actions:
        for value in NONSENSE[:5]:
            attacker.update(identity, data=value, layout=value, nowhere=value, _view_name=value, comm=value)
    works(attacker)
    assert kernel_of(attacker.kernel) == pid


def test_t3_a_hundred_megabytes_of_text_do_not_reach_the_kernel(server, neighbour):
    with Visitor(server[0]) as visitor:
        pid = kernel_of(visitor.kernel)
        before = resident(pid), resident(server[1].pid)
        header, words = visitor.header("comm_msg"), b"x" * (100 << 20)
        inner = {
            "comm_id": visitor.view("splits"),
            "data": {"method": "custom", "content": {"do": "filter", "filter": "@"}},
        }
        content = json.dumps(inner).encode().replace(b"@", words)
        with pytest.raises((websocket.WebSocketConnectionClosedException, OSError)):
            visitor.line.send_binary(frame("shell", header, content))
            for _ in range(1000):
                visitor.read()
        visitor.line.shutdown()
        visitor.line = visitor.connect()
        works(visitor)
        works(neighbour)
        assert visitor.data("splits")["filter"] == "" and kernel_of(visitor.kernel) == pid
        assert resident(pid) - before[0] < 24 << 20 and resident(server[1].pid) - before[1] < 64 << 20


def test_t4_a_foreign_patch_for_the_figures_is_refused(attacker):
    figures = next(identity for identity, state in attacker.widgets.items() if "render_bundle" in state)
    before = attacker.seen()
    evil = {"type": "object", "name": "Div", "id": "evil", "attributes": {"text": "x"}}
    for event in [
        {"kind": "ModelChanged", "model": {"id": "p9999"}, "attr": "start", "new": 1},
        {"kind": "ModelChanged", "model": {"id": "p1001"}, "attr": "__class__", "new": "x"},
        {"kind": "ColumnsStreamed", "model": {"id": "p1001"}, "data": {"x0": [0.0] * 100_000}, "rollover": None},
        {"kind": "RootAdded", "model": evil},
        {"kind": "MessageSent", "msg_type": "eval", "msg_data": "1/0"},
    ]:
        attacker.act(figures, {"event": "jsevent", **event})
    attacker.update(figures, combine_events="x")
    assert attacker.seen() == before
    works(attacker)


def test_t5_what_a_disabled_control_would_do_is_refused(server):
    with Visitor(server[0]) as visitor:
        gallery, header = visitor.view("galaxies", "page"), visitor.view("splits")
        selection = next(i for i, s in visitor.widgets.items() if s.get("data", {}).get("tab") == "selection")
        last = visitor.data("galaxies", "page")["pages"] - 1
        for page, where in ((-1, 0), (10**9, last), (last + 1, last), (0, 0)):
            visitor.act(gallery, {"do": "page", "page": page})
            assert visitor.data("galaxies", "page")["page"] == where
        before = visitor.seen()
        for action in ("undo", "redo", "clear-selection"):
            visitor.act(header, {"do": action}) if action != "undo" else None
        for suffix in ("csv", "ecsv", "vot", "fits", "parquet", "reg", "caption", "exe"):
            visitor.act(selection, {"do": f"save-{suffix}"})  # nothing is selected
        assert visitor.seen() == before and visitor.said == []
        silent = set(range(128)) - {row["feature"] for row in visitor.data("rows", "off")["rows"]}
        for feature in sorted(silent)[:5]:  # features that have no switch
            visitor.act(visitor.view("rows", "off"), {"do": "toggle", "feature": feature})
        assert visitor.seen() == before


def test_t5_the_training_page_checks_its_buttons_again(server, tmp_path):
    address = server[0].replace("explore.ipynb", "train.ipynb")
    with Visitor(address) as visitor:
        top = visitor.view("startable", "stoppable")
        visitor.act(top, {"do": "open-link", "query": f"?out={tmp_path / 'run'}&width=4&k=2&epochs=1"})
        shown = visitor.data("startable", "stoppable")
        assert (shown["startable"], shown["stoppable"], shown["resumable"]) == (True, False, False)
        for action in ("stop", "resume", "explore"):
            visitor.act(top, {"do": action})
        assert visitor.data("startable", "stoppable")["phase"] == shown["phase"] and not (tmp_path / "run").exists()


# -- T6, T7 -------------------------------------------------------------------------------------------------------


PATHS = [
    "etc/passwd", "/etc/passwd", "..%2f..%2f..%2f..%2fetc%2fpasswd", "../../../../etc/passwd",
    "%2e%2e/%2e%2e/etc/passwd",
    "..%5c..%5cetc%5cpasswd", "%5cetc%5cpasswd", "....//....//etc/passwd", "..%252f..%252fetc%252fpasswd", "x%00.js",
    "NB.IPYNB", "explore.IPYNB", "EXPLORE.ipynb", "../notebooks/explore.ipynb", "..%2fnotebooks%2fexplore.ipynb",
    "codes.parquet", "model.safetensors", "../voila.json", "..%2fvoila.json", "index.html.j2", "conf.json",
    "../index.html.j2", "..%2findex.html.j2", "%2e%2e/conf.json", "explore.ipynb/", ".", "..", "~root/.ssh/id_rsa",
]  # fmt: skip


@pytest.mark.parametrize(
    "prefix",
    [
        *("/static/", "/voila/static/", "/voila/files/", "/voila/templates/sfnet/static/", "/voila/templates/"),
        *("/voila/labextensions/", "/voila/render/", "/files/", "/"),
    ],
)
def test_t6_no_path_leads_to_a_file(attacker, prefix):
    for path in PATHS:
        status, text = attacker.get(prefix + path)
        assert status in (403, 404), f"{status} {prefix + path}"
        assert "root:" not in text and '"cells"' not in text and "Traceback" not in text and "/sfnet_core/" not in text
    works(attacker)


def test_t6_a_notebooks_source_is_not_served(attacker):
    for prefix in ("/voila/files/", "/voila/static/", "/files/", "/notebooks/", "/voila/render/../", "/"):
        for name in ("explore.ipynb", "train.ipynb"):
            status, text = attacker.get(f"{prefix}{name}")
            assert status in (403, 404) and "import" not in text, prefix + name


def nothing_inside_shows(html: str) -> None:
    """Neither source nor traceback, neither a path of this machine nor its environment."""
    machine = (
        f"{Path.home()}/",
        str(Path.cwd()),
        os.environ["PATH"],
        "site-packages",
        "ipykernel",
        "JUPYTER_",
        "SFNET_",
    )
    for word in ("Traceback", "import ", "File &", 'File "', *machine):
        assert word not in html.replace("await import (", "").replace("(await import(", ""), word


def test_t7_the_page_shows_nothing_of_its_inside(attacker, server):
    nothing_inside_shows(attacker.html)
    for name in ("atlas", "train", "your_galaxy"):
        with Visitor(server[0].replace("explore.ipynb", f"{name}.ipynb")) as visitor:
            nothing_inside_shows(visitor.html)


@pytest.fixture(scope="module")
def broken(tmp_path_factory) -> Iterator[str]:
    """A server of notebooks that fail, each in its own way."""
    folder = tmp_path_factory.mktemp("broken")
    cells = {
        "raises": "secret = 'hunter2'\nraise ValueError(secret)",
        "imports": "import no_such_module_of_ours",
        "exits": "import os; os._exit(3)",
        "explore": "from sfnet_core.explorer.explore.page import explore\n\nexplore()",
    }
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    for name, source in cells.items():
        notebook = nbformat.v4.new_notebook(metadata={"kernelspec": kernel}, cells=[nbformat.v4.new_code_cell(source)])
        nbformat.write(notebook, folder / f"{name}.ipynb")
    with serving(pool=0, notebooks=folder) as (address, _):
        yield address


@pytest.mark.parametrize("name", ["raises", "imports", "exits"])
def test_t7_a_cell_that_fails_is_a_sentence(broken, name):
    html = fetch(broken.replace("explore.ipynb", f"{name}.ipynb"))
    assert "window.sfnet.failed()" in html and "--show_tracebacks" not in html
    for word in ("hunter2", "ValueError", "no_such_module", "ModuleNotFoundError", "DeadKernelError", "os._exit"):
        assert word not in html
    nothing_inside_shows(html)


def fetch(address: str) -> str:
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with opener.open(address, timeout=60) as answer:
        return answer.read().decode()


def test_t7_codes_that_go_or_break_after_the_start_are_a_sentence(codes_path):
    with serving(codes_path, pool=0) as (address, _):
        whole = codes_path.read_bytes()
        for damage in (whole[: len(whole) // 2], None):
            codes_path.unlink(missing_ok=True)
            if damage is not None:
                codes_path.write_bytes(damage)
            with Visitor(address) as visitor:
                said = [state["value"] for state in visitor.widgets.values() if "sf-notice" in str(state.get("value"))]
                assert len(said) == 1 and "codes" in said[0], said
                assert str(codes_path.parent) not in said[0] and "Traceback" not in said[0]
                nothing_inside_shows(visitor.html)
        codes_path.write_bytes(whole)
        with Visitor(address) as visitor:
            works(visitor)


# -- T11, T13, T21 ------------------------------------------------------------------------------------------------


def test_t11_a_hostile_link_is_a_notice_and_the_page_opens(attacker):
    header, before = attacker.view("splits"), attacker.seen()
    for query in (
        "?feature=<img src=x onerror=alert(1)>", "?feature=1e9&k=-3&mode=x&galaxy=nobody", "?unknown=1&x[]=2",
        "?sel=" + "A" * 100_000, "?off=" + ",".join(["1"] * 60_000), "?k=" + "9" * 5000, "?" + "&" * 100_000,
        "?%00=%ff",
    ):  # fmt: skip
        attacker.act(header, {"do": "open-link", "query": query})
        shown = attacker.widgets[header]["data"]
        assert not any("<img src=x onerror=alert(1)>" in n and "&lt;" in n for n in shown["notices"])
    attacker.act(header, {"do": "open-link", "query": "?" + "x" * (1 << 20)})
    attacker.act(header, {"do": "dismiss"})
    after = attacker.seen()
    for state in (before[header], after[header]):
        for key in ("opened", "query"):
            state.pop(key, None)
    assert after == before
    with pytest.raises((OSError, AssertionError)):  # an address of a megabyte is not even read
        assert attacker.get("/voila/render/explore.ipynb?x=" + "y" * (1 << 20))[0] in (200, 302)
    works(attacker)


def test_t13_a_filter_is_only_read(attacker, tmp_path):
    marker, header = tmp_path / "marker", attacker.view("splits")
    before = attacker.data("galaxies", "page")["total"]
    for words in (
        f"@__import__('os').system('touch {marker}')", f"__import__('os').system('touch {marker}') > 0",
        "read_csv('/etc/passwd')", "z > (select 1)", "z.__class__.__mro__", f"open('{marker}', 'w')", "1; drop table x",
    ):  # fmt: skip
        attacker.act(header, {"do": "filter", "filter": words})
        assert attacker.data("splits")["filter"] == "" and attacker.data("galaxies", "page")["total"] == before
    assert not marker.exists()
    works(attacker)


def test_t21_a_saved_table_holds_no_formula(gated, tmp_path):
    rng = np.random.default_rng(1)
    dense = rng.random((len(HOSTILE_IDS), 8)).astype(np.float32) + 0.1
    codes = gated(dense, rng.normal(size=8), 8.5, 2, 2, ids=HOSTILE_IDS)
    codes.save(tmp_path / "codes.parquet")
    with serving(tmp_path / "codes.parquet", pool=0) as (address, _), Visitor(address) as visitor:
        selection = next(i for i, s in visitor.widgets.items() if s.get("data", {}).get("tab") == "selection")
        figures = next(i for i, s in visitor.widgets.items() if "render_bundle" in s)
        choose_all(visitor, figures, len(HOSTILE_IDS))
        visitor.act(selection, {"do": "save-csv"})
        _, said, buffers = next(entry for entry in visitor.said if "download" in entry[1])
        assert said["download"].endswith(".csv")
        lines = [line for line in buffers[0].decode().splitlines() if not line.startswith("#")]
        rows = list(csv.DictReader(io.StringIO("\n".join(lines))))
        assert sorted(row["id"].lstrip("'") for row in rows) == sorted(HOSTILE_IDS)
        assert all(not row["id"].startswith(("=", "+", "-", "@")) for row in rows)
        known = SparseCodes.open(tmp_path / "codes.parquet")
        told = {row["id"].lstrip("'"): float(row["prediction_oh_p50"]) for row in rows}
        assert told == pytest.approx(dict(zip(HOSTILE_IDS, known.prediction(), strict=True)), rel=1e-6)


def choose_all(visitor: Visitor, figures: str, n: int) -> None:
    """Select every point, as a lasso round all of them does."""
    for identity in re.findall(r'"name":"Selection","id":"(\w+)"', visitor.widgets[figures]["render_bundle"]):
        event = {"kind": "ModelChanged", "model": {"id": identity}, "attr": "indices", "new": list(range(n))}
        visitor.act(figures, {"event": "jsevent", **event})


def test_r21_five_thousand_settings_in_a_second_are_drawn_together(attacker):
    gate, k = attacker.view("rmse"), attacker.data("rmse")["k"]
    sent = []
    for wanted in [*(1 + i % 12 for i in range(4999)), k]:
        data = {"method": "custom", "content": {"do": "k", "k": wanted}}
        sent.append(attacker.send("comm_msg", {"comm_id": gate, "data": data}))
    attacker.wait(sent[-1])
    assert attacker.data("rmse")["k"] == k
    reached = {parent for kind, parent in attacker.replies if kind == "idle"}
    assert len(reached & set(sent)) < 500
    works(attacker)


# -- sessions -----------------------------------------------------------------------------------------------------


def test_a_full_server_says_so_and_takes_the_next_one_when_a_place_is_free():
    with serving(pool=2, sessions=2) as (address, process):
        until(lambda: len(processes_of(process.pid)) == 2)
        first = Visitor(address)
        with Visitor(address) as second:
            assert len(processes_of(process.pid)) <= 2
            with pytest.raises(urllib.error.HTTPError) as full:
                fetch(address)
            assert full.value.code == 503 and int(full.value.headers["Retry-After"]) > 0
            page = full.value.read().decode()
            assert "The server is full" in page and "http-equiv" in page and "https://" not in page
            works(first)
            works(second)
            first.__exit__()
            with Visitor(address) as third:  # at once: a session that is ending is free
                works(third)
                works(second)
            until(lambda: len(processes_of(process.pid)) <= 2)


def test_a_kernel_is_told_no_port_that_another_program_could_take_before_it_listens(attacker):
    command = psutil.Process(kernel_of(attacker.kernel)).cmdline()
    told = json.loads(Path(command[command.index("-f") + 1]).read_text())
    assert told["transport"] == "ipc" and Path(f"{told['ip']}-{told['shell_port']}").is_socket()


def test_r20_a_kernel_that_dies_as_it_starts_ends_its_page_and_frees_its_place(tmp_path, monkeypatch):
    spec = {"argv": [sys.executable, "-c", "raise SystemExit(1)"], "display_name": "Dies", "language": "python"}
    (tmp_path / "kernels" / "dies").mkdir(parents=True)
    (tmp_path / "kernels" / "dies" / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    kernelspec = {"name": "dies", "display_name": "Dies", "language": "python"}
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": kernelspec}, cells=[nbformat.v4.new_code_cell("1")])
    for name in ("explore", "train"):  # the second is never kept ready
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")
    with serving(pool=1, sessions=1, notebooks=tmp_path) as (address, _):
        for name in ("explore", "train", "train", "explore"):  # with one place, the next is not refused
            try:
                page = fetch(address.replace("explore", name))
                assert "line.js" in page and 'id="jupyter-config-data"' not in page  # for which line.js says so
            except urllib.error.HTTPError as error:  # it died before there was anything to send
                with error:
                    assert error.code == 500


def test_r22_a_tab_closed_without_a_word_is_culled_and_neighbours_live():
    with serving(pool=1, idle=2) as (address, process), Visitor(address) as stays:
        gone = Visitor(address)
        pid = kernel_of(gone.kernel)
        gone.line.close()
        until(lambda: pid not in processes_of(process.pid))
        works(stays)
        until(lambda: len(processes_of(process.pid)) == 2)  # the neighbour, and the one kept ready


def test_a_voila_that_others_start_has_the_guard_from_our_configuration(tmp_path):
    lay_out(tmp_path)
    port, marker = free_port(None), tmp_path / "marker"
    given = {"JUPYTER_PATH": str(tmp_path), "JUPYTER_CONFIG_PATH": str(CONFIGURATION), "SFNET_BOKEH_ON_PAGE": "1"}
    command = [sys.executable, "-m", "voila", str(notebooks_folder()), f"--port={port}"]
    with subprocess.Popen(command, env={**os.environ, **given}, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        try:
            address = f"http://127.0.0.1:{port}/voila/render/explore.ipynb"
            until(lambda: answers(f"http://127.0.0.1:{port}/voila/static/voila.js"))
            visitor = Visitor(address)
            visitor.send("execute_request", {"code": f"open({str(marker)!r}, 'w')", "silent": False})
            works(visitor)
            assert not marker.exists() and "line.js" in visitor.html
            os.kill(kernel_of(visitor.kernel), signal.SIGKILL)
            with pytest.raises(websocket.WebSocketConnectionClosedException):  # it is not started again, empty
                for _ in range(1000):
                    visitor.read()
            until(lambda: processes_of(process.pid) == [])
            visitor.line.shutdown()
        finally:
            process.terminate()


def answers(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=5).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("limit", ["sessions", "memory", "idle", "patience"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "3", True])
def test_a_limit_that_is_none_is_named(limit, value):
    with pytest.raises(SFNetError, match=f"{limit} must be a whole number"), serving(**{limit: value}):
        pass


# -- T33: a server of its own, behind a proxy -----------------------------------------------------------------------


def started(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """The server as the docs have an admin start it; it ends by itself where it does not start."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("JUPYTER_TOKEN")}
    command = [sys.executable, "-m", "sfnet_core.explorer.server", str(notebooks_folder()), *arguments]
    return subprocess.run(command, env=clean | environment, capture_output=True, text=True, timeout=60, check=False)


def test_t33_a_server_without_a_secret_does_not_start_and_none_stands_on_the_command_line():
    none = started()
    assert none.returncode == 2 and "JUPYTER_TOKEN" in none.stderr and "open_to_all" in none.stderr
    for shown in ("--Voila.token=hunter2", "--token=hunter2"):
        told = started(shown)
        assert told.returncode == 2 and "JUPYTER_TOKEN" in told.stderr and "hunter2" not in told.stderr


def test_t33_the_secret_comes_from_the_environment_and_is_asked_for(tmp_path):
    lay_out(tmp_path)
    port = free_port(None)
    environment = os.environ | {"JUPYTER_TOKEN": "hunter2", "JUPYTER_PATH": str(tmp_path), "SFNET_BOKEH_ON_PAGE": "1"}
    command = [sys.executable, "-m", "sfnet_core.explorer.server", str(notebooks_folder()), f"--port={port}"]
    with subprocess.Popen(command, env=environment, start_new_session=True) as process:
        try:
            root = f"http://127.0.0.1:{port}"
            until(lambda: answers(f"{root}/voila/static/voila.js"), seconds=60)
            asked = urllib.request.Request(f"{root}/voila/render/explore.ipynb")
            with urllib.request.urlopen(asked, timeout=60) as answer:
                assert "/login" in answer.url
            asked.add_header("Authorization", "token hunter2")
            asked.add_header("Origin", "http://evil.example")
            with urllib.request.urlopen(asked, timeout=60) as answer:
                assert "/login" not in answer.url and answer.headers["Access-Control-Allow-Origin"] is None
            assert "hunter2" not in " ".join(psutil.Process(process.pid).cmdline())
        finally:
            os.killpg(process.pid, signal.SIGTERM)


@pytest.mark.parametrize("path", ["/logout", "/logout?next=/"])
def test_there_is_no_logout_page(attacker, path):
    status, text = attacker.get(path)
    assert status == 404 and "Traceback" not in text


def test_a_last_word_from_another_site_is_refused_without_a_traceback(server, capfd):
    with Visitor(server[0]) as visitor:
        request = urllib.request.Request(f"{visitor.root}/sfnet/end/{visitor.kernel}", method="POST", data=b"")
        request.add_header("Cookie", visitor.cookie)
        request.add_header("Origin", "http://evil.example")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=30)
        refused.value.close()
        assert refused.value.code == 403 and "Traceback" not in capfd.readouterr().err
        works(visitor)
