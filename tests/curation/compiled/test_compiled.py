"""What all compiled functions share."""

from curate.curation.compiled.unit_keys import compiled


@compiled
def _doubled(number):
    return 2 * number


@compiled
def _counted(size):
    num = 0
    for _ in range(size):
        num = _doubled(num) + 1
    return num


def test_a_variable_that_begins_as_a_constant_compiles_nothing_twice():
    assert _counted(5) == 31
    assert [str(kind) for (kind,) in _doubled.signatures] == ["int64"]
