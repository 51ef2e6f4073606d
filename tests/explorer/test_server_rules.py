"""What a browser may say to a kernel, message by message, without a server."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from visitor import frame

from sfnet_core.explorer.server import rules
from sfnet_core.explorer.server.rules import Guard, Refused, split_frame


def message(kind: str, content: dict, identity: str = "m", channel: str = "shell", buffers=()) -> bytes:
    return frame(channel, {"msg_id": identity, "msg_type": kind, "session": "s"}, content, buffers)


def custom(inner, identity: str = "m", comm: str = "view", buffers=()) -> bytes:
    return message(
        "comm_msg", {"comm_id": comm, "data": {"method": "custom", "content": inner}}, identity, "shell", buffers
    )


def opening(identity: str, target="jupyter.widget.control") -> bytes:
    return message("comm_open", {"comm_id": f"comm-{identity}", "target_name": target}, identity)


def sent(guard: Guard, now: float = 0.0) -> list[dict]:
    """What the kernel gets: each message's inner content."""
    return [json.loads(parts[3])["data"].get("content") for parts in guard.due(now)]


@settings(max_examples=300)
@given(st.binary(max_size=400))
def test_t2_whatever_bytes_come_are_a_message_or_refused(data):
    try:
        channel, parts = split_frame(data)
    except Refused:
        return
    assert len(channel) + sum(map(len, parts)) <= len(data) * 2 and len(parts) >= 4


@pytest.mark.parametrize("n", [0, 5, 65, 2**31, 2**60, 2**64 - 1])
def test_t2_a_frame_that_claims_many_parts_is_refused_before_they_are_counted(n):
    with pytest.raises(Refused):
        split_frame(n.to_bytes(8, "little") + b"\0" * 800)


def test_t2_offsets_that_go_back_or_beyond_the_frame_are_refused():
    good = custom({"do": "all"})
    for at, value in ((8, 0), (16, 2**40), (40, 1), (48, len(good) + 1)):
        with pytest.raises(Refused):
            split_frame(good[:at] + value.to_bytes(8, "little") + good[at + 8 :])
    assert split_frame(good)[0] == "shell"


@pytest.mark.parametrize("channel", ["shell", "control", "stdin", "iopub"])
@pytest.mark.parametrize(
    "kind",
    [
        *("execute_request", "complete_request", "inspect_request", "history_request", "is_complete_request"),
        *("debug_request", "interrupt_request", "shutdown_request", "input_reply", "create_subshell_request"),
        *("usage_request", "apply_request", "", None, 5, ["comm_msg"], {"comm_msg": 1}),
    ],
)
def test_t1_only_what_widgets_say_goes_through(kind, channel):
    guard = Guard()
    with pytest.raises(Refused):
        guard.take(message(kind, {"code": "1", "comm_id": "x", "data": {"method": "custom"}}, channel=channel), 0.0)
    assert list(guard.due(0.0)) == []


def test_t1_a_widgets_message_on_another_channel_is_refused():
    for channel in ("control", "stdin", "iopub", "hb", ""):
        with pytest.raises(Refused):
            Guard().take(message("comm_msg", {"comm_id": "x", "data": {"method": "custom"}}, channel=channel), 0.0)


def test_t1_the_kernel_gets_a_header_of_our_own_making():
    guard = Guard()
    content = {"comm_id": "view", "data": {"method": "custom", "content": {"do": "all"}}}
    twice = b'{"msg_type": "execute_request", "msg_id": "m", "msg_type": "comm_msg", "version": "4.0", "evil": 1}'
    guard.take(frame("shell", twice, content), 0.0)
    ((header, *_),) = guard.due(0.0)
    assert json.loads(header) == {"msg_id": "m", "msg_type": "comm_msg", "version": "5.3"}
    with pytest.raises(Refused):
        guard.take(
            frame("shell", twice.replace(b'"msg_type": "comm_msg"', b'"msg_type": "debug_request"'), content), 0.0
        )


@pytest.mark.parametrize(
    "parts",
    [
        (b"", b"{}"), (b"[]", b"{}"), (b"{}", b"{}"), (b'{"msg_type": "comm_msg"}', b"{}"),
        (b'{"msg_type": "comm_msg", "msg_id": 5}', b'{"comm_id": "x", "data": {"method": "custom"}}'),
        (b'{"msg_type": "comm_msg", "msg_id": "m"}', b"[" * 100_000), (b"[" * 10_000, b"{}"), (b"\xff\xfe", b"{}"),
        (b'{"msg_type": "comm_msg", "msg_id": "m"}', b'{"comm_id": 5, "data": {"method": "custom"}}'),
        (b'{"msg_type": "comm_msg", "msg_id": "m"}', b'{"comm_id": "x", "data": "y"}'),
        (b'{"msg_type": "comm_msg", "msg_id": "m"}', b'{"comm_id": "x", "data": {"method": "eval"}}'),
        (b'{"msg_type": "comm_msg", "msg_id": "m", "x": "' + b"y" * 20_000 + b'"}', b"{}"),
    ],
)  # fmt: skip
def test_t3_broken_messages_are_refused(parts):
    with pytest.raises(Refused):
        Guard().take(frame("shell", *parts), 0.0)


def test_t3_a_long_text_is_refused_and_a_long_buffer_is_not():
    with pytest.raises(Refused):
        Guard().take(custom({"do": "filter", "filter": "x" * (rules.MOST_TEXT + 1)}), 0.0)
    guard = Guard()
    guard.take(custom({"do": "image"}, buffers=(b"\0" * (rules.MOST_TEXT + 1),)), 0.0)
    assert sent(guard) == [{"do": "image"}]


def test_t2_comms_are_opened_slowly_and_to_known_targets_only():
    guard, through = Guard(), 0
    for i in range(10_000):
        try:
            guard.take(
                message("comm_open", {"comm_id": f"c{i}", "target_name": "jupyter.widget.control"}, f"m{i}"), 1.0
            )
            through += 1
        except Refused:
            pass
    assert through == rules.OPENS
    guard.take(
        message("comm_open", {"comm_id": "c", "target_name": "jupyter.widget.control"}, "later"), 1.0 + rules.OPEN_EVERY
    )
    for target in ("jupyter.widget", "x", "", None, 5):
        with pytest.raises(Refused):
            Guard().take(opening("m", target), 0.0)


def test_the_kernel_gets_messages_in_order_and_no_more_than_it_answers():
    guard = Guard()
    for i in range(100):
        guard.take(custom({"do": "toggle", "feature": i}, f"m{i}"), 0.0)
    got = sent(guard)
    assert [m["feature"] for m in got] == list(range(rules.WINDOW)) and sent(guard) == []
    for i in range(100 - rules.WINDOW):
        assert guard.answered(f"m{i}")
        got += sent(guard)
    assert [m["feature"] for m in got] == list(range(100)) and guard.waiting == 0
    assert not guard.answered("unknown")


def test_an_answer_that_never_comes_holds_nothing_up_for_ever():
    guard = Guard()
    for i in range(2 * rules.WINDOW):
        guard.take(custom({"do": "toggle", "feature": i}, f"m{i}"), 0.0)
    assert len(sent(guard)) == rules.WINDOW and sent(guard, rules.PATIENCE) == []
    assert len(sent(guard, rules.PATIENCE + 1)) == rules.WINDOW


def test_r21_of_five_thousand_settings_the_last_one_counts():
    guard = Guard()
    for i in range(5000):
        guard.take(custom({"do": "k", "k": i}, f"m{i}"), i / 5000)
    got, now = sent(guard), 1.0
    while guard.waiting:
        for i in range(5000):
            guard.answered(f"m{i}")
        got += sent(guard, now)
    assert len(got) <= 2 * rules.WINDOW and got[-1] == {"do": "k", "k": 4999}


def test_r21_only_neighbours_of_the_same_kind_are_drawn_together():
    guard = Guard()
    for i in range(rules.WINDOW):
        guard.take(custom({"do": "toggle", "feature": i}, f"busy{i}"), 0.0)
    list(guard.due(0.0))
    story = [
        {"do": "k", "k": 1},
        {"do": "k", "k": 2},
        {"do": "toggle", "feature": 7},
        {"do": "k", "k": 3},
        {"do": "undo"},
        {"do": "undo"},
    ]
    for i, inner in enumerate(story):
        guard.take(custom(inner, f"m{i}"), 0.0)
    guard.take(custom({"do": "k", "k": 9}, "other", comm="another view"), 0.0)
    assert sent(guard, 100.0) == [*story[1:], {"do": "k", "k": 9}]


def test_t2_what_waits_is_bounded_in_number_and_in_bytes():
    guard = Guard()
    with pytest.raises(Refused):
        for i in range(10 * rules.MOST_WAITING):
            guard.take(custom({"do": "toggle", "feature": i}, f"m{i}"), 0.0)
    assert guard.waiting == rules.MOST_WAITING
    guard = Guard()
    with pytest.raises(Refused):
        for i in range(100):
            guard.take(custom({"do": "image"}, f"m{i}", buffers=(b"\0" * (4 << 20),)), 0.0)
    assert guard._bytes <= rules.MOST_WAITING_BYTES
