import json
from hashlib import sha256

import pytest

import curate
from curate.errors import ArtifactError, BadShareError, FetchError, UsageError
from curate.pipelines.caption import part as part_module
from curate.pipelines.caption.captioner import CaptionerOptions
from curate.pipelines.caption.endpoint import EndpointOptions
from curate.pipelines.caption.prompts import Prompts, language_name, read_prompts
from curate.pipelines.caption.stage import caption_shards
from curate.pipelines.store import artifacts
from tests.pipelines.caption.chat_server import MODEL, serving
from tests.pipelines.caption.tiny_vlm import write_vlm
from tests.pipelines.helpers import png
from tests.training.shard_files import sample, write_tar

PROMPTS = Prompts(with_alt="in {language}: ALT={alt}|", without_alt="ALT=|")


@pytest.fixture
def server():
    with serving() as found:
        yield found


def write_shards(folder, alts, *, per_shard=4):
    """Shards of red images with alt-texts; None is a sample without any."""
    folder.mkdir(exist_ok=True)
    for first in range(0, len(alts), per_shard):
        samples = []
        for number, alt in enumerate(alts[first : first + per_shard], start=first):
            key, members = sample(f"{number:03}", image=png((200, 9, 9)), text=None, lang="de",
                                  pair_id=f"pair-{number:03}")  # fmt: skip
            members["txt"] = (alt or "").encode()
            samples.append((key, {k: v for k, v in members.items() if v}))
        write_tar(folder / f"{first:05}.tar", samples)
    return str(folder)


def caption(server, shards, output, *, prompts=PROMPTS, attempts=2, **options):
    asked = EndpointOptions(url=server.url, model=MODEL, wait_s=0.01, attempts=attempts)
    values = {"source": "tiny", "quiet": True, "pairs_per_part": 3, **options}
    captioner = CaptionerOptions(model=MODEL, endpoint=asked, prompts=prompts)
    return caption_shards(shards=shards, output=str(output), captioner=captioner, **values)


def rows(folder):
    paths = sorted((folder / "pairs").glob("*.parquet"))
    return [row for path in paths for row in artifacts.read_table(str(path)).to_pylist()]


def digests(folder):
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.parquet"))
    }


def test_every_pair_is_captioned_or_counted(tmp_path, server):
    alts = ["ein Hund", None, "other x", "busy x", "cut", "dead x", "Katze"]
    shards = write_shards(tmp_path / "shards", alts)
    found = caption(server, shards, tmp_path / "out", attempts=3, max_bad=0.5)
    assert (found["read"], found["captions"], found["parts"]) == (7, 5, 3)
    assert found["failed"] == {"http_500": 1, "other_model": 1} and found["skipped"] == {}
    assert found["counts"]["cut_off"] == 1 and found["counts"]["again_http_429"] == 2
    by_id = {row["pair_id"]: row for row in rows(tmp_path / "out")}
    assert by_id["pair-000"] == {
        "pair_id": "pair-000", "source": "tiny", "text": "a red image: ein Hund", "lang": "de",
        "model": MODEL,
    }  # fmt: skip
    assert by_id["pair-001"]["text"] == "a red image:"
    failed = artifacts.read_table(str(tmp_path / "out/failed/00000.parquet")).to_pylist()
    assert failed == [{"pair_id": "pair-002", "reason": "other_model"}]


def test_images_that_cannot_be_opened_are_skipped_by_reason(tmp_path, server):
    good = sample("000", text="x")
    broken = sample("001", image=b"\x89PNG\r\n\x1a\nnothing", text="x")
    none = ("002", {"txt": b"only words"})
    (tmp_path / "s").mkdir()
    write_tar(tmp_path / "s/0.tar", [good, broken, none])
    found = caption(server, str(tmp_path / "s"), tmp_path / "out")
    assert (found["read"], found["captions"]) == (3, 1)
    assert found["skipped"] == {"corrupt_image": 1, "no_image": 1}


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(tmp_path, server, monkeypatch):
    shards = write_shards(tmp_path / "shards", [f"alt {i}" for i in range(10)])
    whole = caption(server, shards, tmp_path / "whole")
    real, done = part_module.caption_part, []

    def failing(worker, part):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(part)
        return real(worker, part)

    monkeypatch.setattr("curate.pipelines.caption.stage.caption_part", failing)
    with pytest.raises(KeyboardInterrupt):
        caption(server, shards, tmp_path / "killed")
    monkeypatch.undo()
    server.tries.clear()
    again = caption(server, shards, tmp_path / "killed")
    assert server.tries.total() == 10 - 4  # of the parts 0-2 and 3 nothing is asked again
    assert digests(tmp_path / "killed") == digests(tmp_path / "whole")
    assert {**again, "output": ""} == {**whole, "output": ""}
    server.tries.clear()
    caption(server, shards, tmp_path / "whole")
    assert not server.tries


def test_failures_that_may_pass_are_asked_again_on_demand(tmp_path, server, monkeypatch):
    shards = write_shards(tmp_path / "shards", ["fine", "broken once", "empty", "fine too", "also"])
    with pytest.raises(BadShareError, match=r"2 of 5 pairs got no caption .*--retry-failed.* 0\.4"):
        caption(server, shards, tmp_path / "out", attempts=1)
    asked = server.tries.copy()
    found = caption(server, shards, tmp_path / "out", attempts=1, retry_failed=True, max_bad=0.2)
    assert found["captions"] == 4 and found["failed"] == {"empty_answer": 1}
    assert server.tries["also"] == asked["also"] == 1  # of another part
    assert server.tries["broken once"] == 2


def test_a_server_that_refuses_ends_the_run_with_what_is_done_kept(tmp_path, server):
    shards = write_shards(tmp_path / "shards", ["a", "b", "c", "d", "key", "e"])
    with pytest.raises(FetchError, match="answers 401"):
        caption(server, shards, tmp_path / "out")
    assert [row["text"][-1] for row in rows(tmp_path / "out")] == ["a", "b", "c", "d"]


def test_captions_of_something_else_are_refused_and_replaced(tmp_path, server):
    shards = write_shards(tmp_path / "shards", ["a", "b"])
    caption(server, shards, tmp_path / "out")
    with pytest.raises(ArtifactError, match="parameters.source: it was made with"):
        caption(server, shards, tmp_path / "out", source="new")
    caption(server, shards, tmp_path / "out", source="new", overwrite=True)
    assert {row["source"] for row in rows(tmp_path / "out")} == {"new"}
    plan = caption(server, shards, tmp_path / "new", dry_run=True)
    assert plan["parts"] == plan["parts_to_do"] == 1 and not (tmp_path / "new").exists()
    for wrong, message in (({"source": "alt"}, "pairs' own texts"), ({"max_bad": 2}, "--max-bad"),
                           ({"pairs_per_part": 0}, "--pairs-per-part")):  # fmt: skip
        with pytest.raises(UsageError, match=message):
            caption(server, shards, tmp_path / "x", **wrong)


@pytest.mark.slow
def test_a_model_here_captions_what_training_joins(tmp_path):
    shards = write_shards(tmp_path / "shards", ["red dog", "a cat", None, "blue"])
    model = write_vlm(tmp_path / "tiny-llava")
    prompts = tmp_path / "prompts.toml"
    prompts.write_text('with_alt = "{alt}"\nwithout_alt = "a"\n')
    found = [
        curate.caption(model, shards=shards, output=tmp_path / name, prompts=str(prompts),
                       max_tokens=6, temperature=1.0, seed=3, max_bad=1.0, device="cpu",
                       workers=workers, pairs_per_part=2, quiet=True)
        for name, workers in (("one", 1), ("two", 2))
    ]  # fmt: skip
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert found[0].captions == found[0].to_arrow().num_rows > 0
    assert found[0].to_arrow().column("source").to_pylist()[0] == "tiny-llava"
    assert "read 4 = captions" in str(found[0])
    from curate.pipelines.caption_tables.names import find_tables

    tables = find_tables([str(tmp_path / "one")])
    assert [table.path.rpartition("/")[2] for table in tables] == ["00000.parquet", "00001.parquet"]


def test_the_command_counts_what_a_server_costs(tmp_path, server, capsys):
    from curate.cli import main as cli

    shards = write_shards(tmp_path / "shards", ["a", "b"])
    prompts = tmp_path / "prompts.toml"
    prompts.write_text('with_alt = "ALT={alt}|"\n')
    words = ["caption", MODEL, "--endpoint", server.url, "--prompts", prompts, "--shards", shards,
             "-w", tmp_path, "--price-in", "100", "--price-out", "200", "--json",
             "--quiet"]  # fmt: skip
    cli.app([str(word) for word in words], standalone_mode=False)
    found = json.loads(capsys.readouterr().out)
    assert found["cost"] == pytest.approx((20 * 100 + 10 * 200) / 1e6)
    assert len(rows(tmp_path / "captions" / MODEL)) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('with_alt = "no place"', "has no {alt} in it"),
        ("with_alt = 5", "has 'with_alt'; expected texts called system"),
        ('other = "x"', "has 'other'"),
        ("=", "no TOML file"),
    ],
)
def test_templates_that_cannot_be_meant_are_refused(tmp_path, content, message):
    (tmp_path / "p.toml").write_text(content)
    with pytest.raises(curate.InputError, match=message):
        read_prompts(str(tmp_path / "p.toml"))


def test_an_alt_text_is_no_template_and_long_ones_are_cut():
    assert Prompts().words("{alt} {language} {x}", "fr").count("{alt} {language} {x}") == 1
    assert len(Prompts().words("x" * 5000, None)) < 1500
    assert "in French" in Prompts().words("", "fr") and "in English" in Prompts().words("", None)
    assert language_name("other") is language_name("xyz") is None
