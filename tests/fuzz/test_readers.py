import os

import pytest

from tests.fuzz.kinds import KINDS
from tests.fuzz.mutations import mutated
from tests.fuzz.outcome import Outcome
from tests.fuzz.readers import EVERY, read_all, run
from tests.fuzz.seeds import SEEDS

# Of a kind, of at most 20,000 files; CURATE_FUZZ_SECONDS for more of them.
SECONDS = float(os.environ.get("CURATE_FUZZ_SECONDS", "2.5"))


@pytest.mark.parametrize("kind", SEEDS)
def test_whole_files_are_read_without_a_bad_row(kind, tmp_path):
    name, content = SEEDS[kind]
    (tmp_path / name).write_bytes(content)
    outcome = Outcome()
    read_all(str(tmp_path / name), outcome)
    assert (outcome.rows, outcome.bad) == (12 if "tar" in kind else 40, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_whole_files_of_other_kinds_are_read(kind, tmp_path):
    name, content, read = KINDS[kind]
    (tmp_path / name).write_bytes(content)
    outcome = Outcome()
    read(str(tmp_path / name), outcome)
    assert outcome.rows > 0 and outcome.bad == 0


def test_damage_is_a_function_of_its_number():
    content = SEEDS["csv"][1]
    assert mutated(content, 7) == mutated(content, 7)
    assert len({mutated(content, n) for n in range(50)}) > 40


@pytest.mark.parametrize("kind", EVERY)
def test_damaged_files_cost_counted_rows_and_nothing_else(kind, tmp_path):
    num = 150 if kind in SEEDS else 40
    outcome = run(kind, iter(range(num)), 30, str(tmp_path))
    assert outcome.files > 0 and outcome.bad + outcome.refused > 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", EVERY)
def test_many_damaged_files_of_a_kind_cost_counted_rows(kind, tmp_path):
    outcome = run(kind, iter(range(20_000)), SECONDS, str(tmp_path))
    assert outcome.bad + outcome.refused > 0
