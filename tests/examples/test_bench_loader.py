import re

from examples.bench.loading import loader


def test_the_benchmark_of_the_loader_runs_and_prints_its_tables(capsys, monkeypatch):
    monkeypatch.setattr(loader, "DISTINCT", 6)
    monkeypatch.setattr(loader, "BATCH", 32)
    loader.main(pairs=150, threads=2, shards=None)
    printed = capsys.readouterr().out
    assert re.findall(r"## (\w+)", printed) == ["Images", "Order", "Loader"]
    assert len(re.findall(r"^\| [12] \|.*%", printed, re.MULTILINE)) == 2
    assert "150 images of" in printed
