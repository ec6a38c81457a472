"""What somebody meets who follows the README with data of their own: every end says what to do."""

import json

import pytest

from curate.cli.main import main
from curate.pipelines.store import artifacts
from tests.pipelines.helpers import WORDS, write_metadata, write_pairs


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a command line in a folder with a workspace; return exit code and both outputs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CURATE_WORKSPACE", raising=False)

    def words(*line):
        with pytest.raises(SystemExit) as ended:
            main(list(map(str, line)))
        found = capsys.readouterr()
        return ended.value.code, found.out, found.err

    return words


@pytest.fixture
def english(tmp_path):
    return write_metadata(tmp_path / "data/metadata", {"en": WORDS})


def test_the_columns_that_are_taken_are_said_once(run, english, tmp_path):
    for name in "ab":
        write_pairs(tmp_path / f"{name}.parquet", ["a red dog"] * 3)
    code, _, err = run("match", "a.parquet", "b.parquet", "--lang", "en")
    assert code == 0 and err.count("columns: texts from 'text', URLs from 'url'") == 1
    assert "columns:" not in run("match", "a.parquet", "--lang", "en", "--quiet", "-w", "w2",
                                 "--metadata", english)[2]  # fmt: skip


def test_inputs_without_rows_are_said_and_nothing_at_all_is_an_error(run, english, tmp_path):
    (tmp_path / "none.csv").write_text("url,text\n")
    (tmp_path / "none.jsonl").write_text("")
    write_pairs(tmp_path / "none.parquet", [])
    empty = ["none.csv", "none.jsonl", "none.parquet"]
    code, _, err = run("match", *empty, "--lang", "en")
    assert code == 1
    assert all(name in err for name in ("nothing was read", *empty))
    assert run("balance", "--t", 5)[0] == 1
    write_pairs(tmp_path / "some.parquet", ["a red dog"] * 3)
    code, out, err = run("match", *empty, "some.parquet", "--lang", "en")
    assert code == 0 and "read 3 = matched 3" in out
    assert "without rows, and so without pairs: none.csv, none.jsonl, none.parquet" in err


def test_new_metadata_are_said_by_match_explain_balance_and_yield(run, english, tmp_path):
    write_pairs(tmp_path / "a.parquet", ["a red dog"] * 3)
    assert run("match", "a.parquet", "--lang", "en")[0] == 0
    write_metadata(english, {"en": [*WORDS, "bird"]})
    told = "the metadata of en has changed since: run `curate match"
    code, _, err = run("match", "a.parquet", "--lang", "en")
    assert code == 1 and told in err and "a.parquet --lang en` as before, with --overwrite" in err
    code, _, err = run("explain", "a red dog", "--lang", "en")
    assert code == 1 and told in err and "made with something else" not in err
    for command in (("balance", "--t", 5), ("yield", "--grid", 5)):
        code, _, err = run(*command)
        assert code == 0 and told in err, command
    assert told in run("status")[1]


def test_case_is_told_where_it_keeps_texts_from_matching(run, english, tmp_path):
    write_pairs(tmp_path / "a.parquet", ["RED DOG FOR SALE"] * 2 + ["a red dog"])
    code, out, _ = run("match", "a.parquet", "--lang", "en")
    assert code == 0 and "no_match is 67%: case counts" in out
    code, out, _ = run("explain", "RED DOG FOR SALE", "--lang", "en")
    assert code == 0 and "would match in lower case: dog, red, red dog" in out
    assert "in lower case" not in run("explain", "a red dog", "--lang", "en")[1]
    found = json.loads(run("explain", "RED DOG FOR SALE", "--lang", "en", "--json")[1])
    assert found["in_lower_case"] == ["dog", "red", "red dog"]


def test_a_table_without_header_is_asked_for_it(run, english, tmp_path):
    (tmp_path / "bare.csv").write_text("http://a.example/1.jpg,a red dog\n" * 2)
    code, _, err = run("match", "bare.csv", "--lang", "en")
    assert code == 1 and "Is the first line a header" in err
    (tmp_path / "bare.jsonl").write_text('{"words": "a red dog"}\n')
    assert "header" not in run("match", "bare.jsonl", "--lang", "en")[2]


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("pairs.json", "jq -c '.[]' pairs.json > pairs.jsonl"),
        ("my texts.txt", "jq -Rc '{text: .}' 'my texts.txt' > 'my texts.jsonl'"),
        ("pairs.csv.zip", "unzip pairs.csv.zip"),
    ],
)
def test_files_of_other_kinds_are_refused_with_a_way_to_convert_them(
    run, english, tmp_path, name, way
):
    (tmp_path / name).write_text("[]")
    code, _, err = run("match", name, "--lang", "en")
    assert code == 1 and way in err


def test_options_before_the_command_are_told_where_they_go(run):
    code, _, err = run("-w", "other", "match", "a.parquet")
    assert code == 2 and "Options go behind the command: curate match … -w …" in err
    assert run("--help")[0] == 0 and run("--version")[0] == 0
    for slip, meant in (("--verion", "--version"), ("--hlep", "--help")):
        code, _, err = run(slip)
        assert code == 2 and f"No such option '{slip}'. Did you mean '{meant}'?" in err


def test_a_workspace_without_anything_says_how_to_begin(run):
    code, out, _ = run("status", "-w", "elsewhere")
    begin = "curate build-metadata --lang en -w elsewhere"
    assert code == 0 and f"nothing is in elsewhere yet: begin with `{begin}`\n" in out


def test_building_needs_languages(run):
    code, _, err = run("build-metadata", "--sources", "wordnet", "--offline")
    assert code == 2 and "--lang says which languages are built" in err and "210 GB" in err


def test_no_private_address_is_asked_and_the_option_for_it_is_named(run, english, tmp_path):
    table = write_pairs(tmp_path / "a.parquet", ["a red dog"] * 2)
    from pyarrow import parquet as pq  # the addresses of this machine, at a port that is closed

    rows = pq.read_table(table)
    urls = [f"http://127.0.0.1:9/{n}.jpg" for n in range(2)]
    pq.write_table(rows.set_column(0, "url", [urls]), table)
    assert run("match", "a.parquet", "--lang", "en")[0] == 0
    assert run("balance", "--t", 5)[0] == 0
    code, _, err = run("download")
    assert code == 1 and "private_address 2" in err
    assert "--retry-failed --allow-private-addresses`" in err


WORDNET = (
    "# Wordnet fr http://example.org\n02084071-n\tfra:lemma\tchien\n02121620-n\tfra:lemma\tchat\n"
)
FRENCH = "Le chien rouge court dans la forêt avec les enfants"
GERMAN = "Der rote Hund läuft durch den Wald"


def test_what_was_built_is_said_where_another_language_could_not(run, tmp_path):
    (tmp_path / "wn").mkdir()
    (tmp_path / "wn/wn-data-fra.tab").write_text(WORDNET)
    options = ("--sources", "wordnet", "--wordnet-dir", "wn", "--offline")
    code, _, err = run("build-metadata", "--lang", "fr,de", *options)
    assert code == 1 and "does not have de" in err
    assert "Built, with so many entries: fr" in err
    entries = artifacts.read_json("data/metadata/manifest.json")["languages"]["fr"]["entries"]
    assert f"fr {entries:,}. They are kept" in err


def test_languages_are_suggested_from_the_sources_that_have_them(run, tmp_path):
    (tmp_path / "wn").mkdir()
    (tmp_path / "wn/wn-data-fra.tab").write_text(WORDNET)
    options = ("--sources", "wordnet", "--wordnet-dir", "wn", "--offline")
    assert run("build-metadata", "--lang", "fr", *options)[0] == 0
    italian = "Il cane rosso corre nella foresta con i bambini"
    spanish = "El perro rojo corre por el bosque con los niños"
    (tmp_path / "wn/wn-data-spa.tab").write_text(WORDNET.replace("fra:", "spa:"))
    write_pairs(tmp_path / "a.parquet", [FRENCH, GERMAN, italian, spanish])
    code, out, _ = run("match", "a.parquet")
    assert code == 0
    # Only of languages that are in the folder with what there is built from that folder alone.
    there = "curate build-metadata --lang es --sources wordnet --wordnet-dir wn --offline"
    assert f"build them with: {there}\n" in out
    assert run(*there.split()[1:])[0] == 0
    assert (
        "it: not in wn, but nltk fetches them: curate build-metadata --lang it --sources wordnet\n"
    ) in out
    assert "WordNet has no de; from Wikipedia: curate build-metadata --lang de --sources " in out
    assert "--lang de --sources unigram,bigram,title\n" in out


def test_a_dry_run_that_reaches_no_server_is_one_line_and_an_error(run):
    line = ("build-metadata", "--dry-run", "--mirror", "http://127.0.0.1:9", "--lang")
    code, out, err = run(*line, "all", "--sources", "unigram")
    assert code == 1 and out == ""
    assert len(err.strip().splitlines()) == 1 and "more languages: http://127.0.0.1:9" in err
    code, _, err = run(*line, "de", "--sources", "unigram")
    assert code == 1 and "http://127.0.0.1:9" in err
