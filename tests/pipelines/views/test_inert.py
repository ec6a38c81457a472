"""Whatever came from outside is shown inert, in every place where something is shown."""

import pytest

from curate.api.results import BalanceResult, MatchResult, Status
from curate.pipelines.card.markdown import _without_matches
from curate.pipelines.train.model_card import _cell
from curate.pipelines.views.progress import log
from curate.pipelines.views.tables import render_table
from curate.pipelines.views.terminal import Inert, inert_lines

EVIL = "\x1b]0;owned\x07\x9b2J\u202egpj.\r\x08"
BAD = set("\x1b\x07\x9b\u202e\r\x08")
T = {"t": 5, "p": 0.5, "matched": 2, "kept": 1, "expected": 1.0, "slots": 1}


def test_reasons_of_filters_and_names_of_workspaces_are_inert():
    total = {"matched": 2, "kept": 1, "not_sampled": 0, "filtered": {f"f:{EVIL}": 1}}
    kept = {"with_image": 1, "without_image": 1, "without_url": 0, "no_image": {EVIL: 1}}
    values = {"languages": {f"en{EVIL}": T}, "total": total, "kept_pairs": kept,
              "format": "shards"}  # fmt: skip
    result = BalanceResult(values, f"/w{EVIL}/balanced")
    found = {"read": 2, "matched": 1, "dropped": {f"f:{EVIL}": 1}, "inputs": 1, "inputs_added": 1,
             "languages": {"en": {"read": 2, "matched": 1, "dropped": {}}}}  # fmt: skip
    for shown in (str(result), str(MatchResult(found, f"/w{EVIL}")), repr(result)):
        assert not BAD & set(shown) and "owned" in shown
    assert "\n→ " in str(result)


def test_what_leases_and_logs_say_is_inert():
    run = {"driver": {"pid": 1, "host": EVIL, "command": EVIL}, "stage": EVIL, "executor": EVIL,
           "done": 0, "parts": 1, "running": 1, "failed": 1, "retries": 0, "parts_per_s": 0,
           "slowest_running": [], "errors": [{"part": 0, "host": EVIL, "pid": 1, "error": EVIL}],
           "dropped": {EVIL: 1}, "read": 1}  # fmt: skip
    stage = {"state": "running", "why": [EVIL], "run": run}
    shown = str(Status({"workspace": EVIL, "stages": {"matched": stage}}))
    assert not BAD & set(shown) and shown.count("owned") >= 5


def test_messages_are_inert_lines_without_secrets(capsys):
    log(f"left out: {EVIL}\nof https://me:pw@h/a.tar")
    said = capsys.readouterr().err
    assert not BAD & set(said) and said.count("\n") == 2 and said.endswith("https://h/a.tar\n")


def test_a_row_of_a_table_stays_a_row():
    assert render_table(["a"], [["one\ntwo"], [Inert("\x1b[1mours")]]).split("\n") == [
        "a", "one\\ntwo", "\x1b[1mours",
    ]  # fmt: skip
    assert inert_lines(Inert("\x1b[1m")) == "\x1b[1m"


@pytest.mark.parametrize("text", ["[a](javascript:b)", "<img src=x>", "a|b", EVIL])
def test_cards_in_markdown_show_names_and_reasons_as_text(text):
    (line,) = _without_matches({text: {"matched": 0, "read": 1}})
    for shown in (line, _cell(text)):
        assert not BAD & set(shown)
        assert "](" not in shown and "<img" not in shown and "a|b" not in shown
