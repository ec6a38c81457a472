"""Experts on the toy web: its table."""

from examples.experts.__main__ import gains, table


def test_figures_stand_beside_one_model_of_the_same_cost_seed_by_seed():
    found = [
        {"ensemble": {"zero-shot": 0.3 + n / 10}, "one model of the same cost": {"zero-shot": 0.2}}
        for n in range(3)
    ]
    lines = table(found).splitlines()
    assert lines[2] == "| ensemble | 40.0% ± 24.8% | +20.0% ± 24.8% |"
    assert gains(found) == ("ensemble against one model of the same cost: zero-shot +20.0% ± 24.8%")
    assert lines[3] == "| one model of the same cost | 20.0% ± 0.0% | +0.0% ± 0.0% |"
