import gzip
import html
import json
import logging
import os
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import ftfy
import huggingface_hub.constants
import pyarrow.parquet as pq
import pytest
import regex
import sentencepiece
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import models, pre_tokenizers, processors
from transformers import AutoTokenizer

from curate.errors import ArtifactError, InputError, MissingExtraError
from curate.training.model.config import load_model_config
from curate.training.text import cleaning, tokenizer_files
from curate.training.text.cleaning import clean_clip
from curate.training.text.clip_bpe import build_clip_bpe, byte_alphabet
from curate.training.text.tokenizer import Tokenizer, learn_tokenizer
from curate.training.text.tokenizer_files import check_fit, open_tokenizer
from tests.training.their_programs import import_open_clip

CORPUS = (
    "the red dog's tail and the 2 red cats' tails don't sit in the café 12 红色 ... the dog sat"
)
TEXTS = [
    "the red dog", "THE  Red\t\nDOG ", "don't", "it's 2024!?", "café CAFÉ cafe\u0301",
    "红色的狗 🐕", "", "   ", "a_b (c) <d>", "...!!!", "x" * 30,
    "<|endoftext|> the <|startoftext|>", "naïve ǅ", "the cafÃ©", "red &amp;amp; &lt;dog&gt;",
    "the ‘dog’ ﬁ", "  a\u00a0dog\r\n", "\x1b[0mred\x07",
]  # fmt: skip


def published_words(text):
    """The published cleaning and splitting."""
    mended = html.unescape(html.unescape(ftfy.fix_text(text))).strip()
    clean = regex.sub(r"\s+", " ", mended).strip().lower()
    words = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    alphabet = dict(zip(BYTE_ORDER, byte_alphabet(), strict=True))
    return ["".join(alphabet[b] for b in w.encode()) for w in regex.findall(words, clean)]


BYTE_ORDER = [b for b in range(256) if chr(b).isprintable() and chr(b) != " "]
BYTE_ORDER += [b for b in range(256) if b not in BYTE_ORDER]


def merge(symbols, pair):
    out = []
    for symbol in symbols:
        if out and (out[-1], symbol) == pair:
            out[-1] += symbol
        else:
            out.append(symbol)
    return out


def learn_merges(corpus, num):
    words = [[*w[:-1], w[-1] + "</w>"] for w in published_words(corpus)]
    merges = []
    for _ in range(num):
        counts = Counter(p for w in words for p in pairwise(w))
        best = min(counts, key=lambda p: (-counts[p], p))
        merges.append(best)
        words = [merge(w, best) for w in words]
    return merges


def published_ids(text, merges):
    """Byte pair encoding by its definition: the best-ranked pair first, everywhere, until none."""
    vocab = byte_alphabet() + [c + "</w>" for c in byte_alphabet()] + ["".join(p) for p in merges]
    rank = {pair: i for i, pair in enumerate(merges)}
    ids = []
    for word in published_words(text):
        symbols = [*word[:-1], word[-1] + "</w>"]
        while pairs := [p for p in pairwise(symbols) if p in rank]:
            symbols = merge(symbols, min(pairs, key=rank.__getitem__))
        ids += [vocab.index(s) for s in symbols]
    return [len(vocab), *ids, len(vocab) + 1]


@pytest.fixture(scope="module")
def merges():
    return learn_merges(CORPUS, 30)


@pytest.fixture(scope="module")
def merges_file(merges, tmp_path_factory):
    path = tmp_path_factory.mktemp("bpe") / "bpe_simple_vocab_16e6.txt.gz"
    lines = ['"bpe_simple_vocab_16e6.txt#version: 0.2', *(" ".join(p) for p in merges)]
    path.write_bytes(gzip.compress("\n".join(lines).encode() + b"\n"))
    return path


def piece_model(vocab, template=None):
    """A vocabulary of pieces, as XLM-V's and mT5's, that may spell its own special tokens."""
    model = tokenizers.Tokenizer(models.Unigram([(v, 0.0) for v in vocab], unk_id=len(vocab) - 1))
    model.pre_tokenizer = pre_tokenizers.Metaspace()
    if template:
        ends = [(t, vocab.index(t)) for t in ("<s>", "</s>") if t in vocab]
        model.post_processor = processors.TemplateProcessing(template, None, ends)
    return model


def one_end_each(tokenizer, texts):
    ids = tokenizer.encode(texts)
    assert ids.shape == (len(texts), tokenizer.context_length)
    assert ((ids == tokenizer.eos_id).sum(axis=1) == 1).all()
    return ids


def test_every_text_has_exactly_one_end_even_if_it_spells_one():
    tokenizer = learn_tokenizer(["a red dog", "ein Hund", "红色的狗"] * 9, 300, 12)
    texts = ["", "a red dog", "<|end|> <|end|>", "x" * 500, "红🐕"]
    ids = one_end_each(tokenizer, texts)
    assert (ids[:, 0] == tokenizer.start_id).all()
    assert ids[3, -1] == tokenizer.eos_id
    again = Tokenizer.from_json(tokenizer.to_json(), 12)
    assert (again.encode(texts) == ids).all()


def test_a_learned_tokenizer_without_a_template_still_loads():
    learned = learn_tokenizer(["a red dog"] * 9, 300, 12)
    old = json.loads(learned.to_json())
    old["post_processor"] = None
    again = Tokenizer.from_json(json.dumps(old), 12)
    assert (again.start_ids, again.eos_id) == (learned.start_ids, learned.eos_id) == ((1,), 2)


def test_clip_ids_are_those_of_the_published_algorithm(merges, merges_file):
    tokenizer = open_tokenizer(str(merges_file), 77)
    ids = one_end_each(tokenizer, TEXTS)
    plain = [t for t in TEXTS if "<|" not in t]
    for text, row in zip(TEXTS, ids, strict=True):
        if text in plain and "\u0301" not in text:
            expected = published_ids(text, merges)
            assert row[: len(expected)].tolist() == expected, text
            assert (row[len(expected) :] == 0).all()
    assert tokenizer.vocab_size == 512 + 30 + 2 == tokenizer.eos_id + 1
    merged = published_ids("the red dog", merges)
    assert len(merged) < 2 + len("thereddog"), "no merge was ever applied"


def test_clip_bpe_cuts_before_the_end_and_travels_as_json(merges, merges_file):
    tokenizer = open_tokenizer(str(merges_file), 6)
    row = one_end_each(tokenizer, ["the red dog sat in the café"])[0]
    whole = published_ids("the red dog sat in the café", merges)
    assert row.tolist() == [*whole[:5], whole[-1]]
    again = Tokenizer.from_json(tokenizer.to_json(), 6)
    assert (again.encode(TEXTS) == tokenizer.encode(TEXTS)).all()


def test_clip_ids_are_those_of_open_clips_own_tokenizer_on_real_texts():
    open_clip = import_open_clip()
    theirs = open_clip.SimpleTokenizer()
    ours = open_tokenizer(open_clip.tokenizer.default_bpe(), 77)
    texts = [t for t in TEXTS if "<|" not in t] + laion_texts()
    assert ours.encode(texts).tolist() == theirs(texts).tolist()
    bare = Tokenizer(ours._model, 77)
    assert (bare.encode(texts) != ours.encode(texts)).any(axis=1).sum() > 3


def laion_texts():
    folder = os.environ.get("CURATE_TEST_DATA")
    if folder is None:
        return []
    [table] = Path(folder, "laion").glob("*.parquet")
    return pq.read_table(table, columns=["TEXT"]).column("TEXT").drop_null().to_pylist()


def test_that_texts_are_cleaned_is_said_and_travels_with_the_tokenizer(merges_file, caplog):
    with caplog.at_level(logging.INFO, "curate"):
        tokenizer = open_tokenizer(str(merges_file), 77)
    assert "texts are cleaned as CLIP's published tokenizer does it" in caplog.text
    again = Tokenizer.from_json(tokenizer.to_json(), 77)
    assert again.cleaning == "clip" and again == tokenizer
    texts = ["the cafÃ©", "red &amp; dog"]
    assert again.encode(texts).tolist() == tokenizer.encode(texts).tolist()
    bare = Tokenizer.from_json(tokenizer.to_foreign_json(), 77)
    assert bare.cleaning is None and bare != tokenizer
    assert bare.encode(texts).tolist() != tokenizer.encode(texts).tolist()
    later = tokenizer.to_json().replace('"cleaning": "clip"', '"cleaning": "clip-2"')
    with pytest.raises(InputError, match="cleaned as 'clip-2'; this version knows clip, siglip"):
        Tokenizer.from_json(later, 77)


def test_without_ftfy_one_is_told_to_install_it(merges_file, monkeypatch):
    cleaning._ftfy.cache_clear()
    monkeypatch.setitem(sys.modules, "ftfy", None)
    with pytest.raises(MissingExtraError, match="CLIP's English tokenizer needs packages"):
        open_tokenizer(str(merges_file), 77)
    cleaning._ftfy.cache_clear()


@given(st.text(st.characters(codec="ascii"), max_size=30))
def test_the_short_way_of_cleaning_plain_texts_gives_the_same(text):
    assert clean_clip(text) == html.unescape(html.unescape(ftfy.fix_text(text))).strip()


def write_sentencepiece(folder, name, config, **ids):
    """A folder as on the Hub: a model learned from a few lines, and the class that uses it."""
    lines = [*["the red dog's tail, and 2 cats"] * 20, *["红色的狗 (yes)!"] * 20,
             *["ein Hund, eine Katze"] * 20, *["straße ÉCOLE café"] * 20]  # fmt: skip
    with (folder / name).open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_writer=file, vocab_size=90, minloglevel=2,
            hard_vocab_limit=False, character_coverage=1.0, **ids,
        )  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


WORLD = [
    "the red dog", "THE  Red\t\nDOG ", "don't (yes) no!", "ein Hund, eine Katze!", "红色的狗 sat",
    "", "   ", "...", "emoji 🐕 é e\u0301 ﬁ ½", "straße ÉCOLE", "a_b", "x" * 90, "ΟΔΟΣ", "１２ ａ",
]  # fmt: skip


@pytest.mark.parametrize("lower", [True, False])
def test_siglips_tokenizer_gives_the_ids_of_its_own_class(tmp_path, lower):
    config = {"tokenizer_class": "SiglipTokenizer", "do_lower_case": lower}
    ids = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
    theirs = write_sentencepiece(tmp_path, "spiece.model", config, **ids)
    assert type(theirs).__name__ == "SiglipTokenizer"
    ours = open_tokenizer(str(tmp_path), 77)
    assert ours.eos_id == 1 and ours.start_ids == ()
    foreign = tokenizers.Tokenizer.from_str(ours.to_foreign_json())
    for tokenizer in (ours, Tokenizer.from_json(ours.to_json(), 77)):
        for text, row in zip(WORLD, tokenizer.encode(WORLD).tolist(), strict=True):
            expected = theirs(text, truncation=True, max_length=77).input_ids
            assert row[: len(expected)] == expected, text
            if text != "ΟΔΟΣ":  # the library's lower case knows no final sigma
                assert foreign.encode(text).ids[:-1][:76] == expected[:-1], text


def test_xlm_rs_tokenizer_gives_the_ids_of_its_own_class(tmp_path):
    config = {"tokenizer_class": "XLMRobertaTokenizer"}
    ids = {"unk_id": 0, "bos_id": 1, "eos_id": 2, "pad_id": -1}
    theirs = write_sentencepiece(tmp_path, "sentencepiece.bpe.model", config, **ids)
    assert type(theirs).__name__ == "XLMRobertaTokenizer"
    ours = open_tokenizer(str(tmp_path), 77)
    assert ours.eos_id == 2 and ours.start_ids == (0,) and ours.cleaning is None
    for text, row in zip(WORLD, ours.encode(WORLD).tolist(), strict=True):
        expected = theirs(text, truncation=True, max_length=77).input_ids
        assert row[: len(expected)] == expected, text


def test_a_conversion_that_gives_other_ids_is_refused(tmp_path, monkeypatch):
    config = {"tokenizer_class": "SiglipTokenizer"}
    write_sentencepiece(tmp_path, "spiece.model", config, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    monkeypatch.setitem(cleaning.CLEANINGS, "siglip-lower", lambda text: text)
    with pytest.raises(InputError, match="converted, it gives other ids for .A Dog's"):
        open_tokenizer(str(tmp_path), 77)


def test_no_more_merges_are_read_than_the_published_vocabulary_has():
    alphabet = byte_alphabet()
    pairs = [(a, b) for a in alphabet[:240] for b in alphabet[:240]]
    lines = "\n".join(["#version", *(" ".join(p) for p in pairs)])
    model = build_clip_bpe(lines.encode(), "merges.txt")
    assert model.get_vocab_size() == 49_408
    assert model.token_to_id("<|endoftext|>") == 49_407


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"#version\na b c\n", "line 2 is 'a b c'; expected two tokens"),
        (b"#version\n", "there are no merges"),
        (b"\x1f\x8bnot gzip", "not readable as a list of merges"),
        (b"#version\nq q\nq q\n", "two merges give the same token"),
        (b"#version\nqq zz\n", "merges that cannot be applied"),
        (b"\xff\xfe\n", "not readable"),
    ],
)
def test_what_is_no_list_of_merges_is_refused(tmp_path, content, message):
    path = tmp_path / "merges.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        open_tokenizer(str(path), 77)


def test_texts_of_xlm_v_begin_with_0_and_end_with_2_and_cannot_spell_that():
    vocab = ["<s>", "<pad>", "</s>", "▁", "a", "b", "▁a", "<unk>"]
    tokenizer = Tokenizer(piece_model(vocab, "<s> $A </s>"), 8)
    ids = one_end_each(tokenizer, ["a b", "</s>a", "<s></s>", "b" * 50])
    assert (ids[:, 0] == 0).all() and tokenizer.eos_id == 2 and tokenizer.pad_id == 0
    assert ids[0].tolist() == [0, 6, 3, 5, 2, 0, 0, 0]


def test_texts_of_mt5_end_with_1_and_sentinels_are_no_text():
    vocab = ["<pad>", "</s>", "▁", "a", "▁<extra_id_0>", "<unk>", "▁<extra_id_1>"]
    model = piece_model(vocab, "$A </s>")
    tokenizer = Tokenizer(model, 8)
    ids = one_end_each(tokenizer, ["a", "<extra_id_0> a", "<extra_id_1>"])
    assert tokenizer.start_id is None and tokenizer.eos_id == 1 and tokenizer.pad_id == 0
    assert ids[1].tolist() == [2, 3, 1, 0, 0, 0, 0, 0]
    assert (tokenizer.vocab_size, tokenizer.largest_text_id) == (7, 5)


def test_a_sentencepiece_model_is_converted(tmp_path):
    words = [f"{a}{b}{c}" for a in "bdg" for b in "aeiou" for c in "nrst"]
    lines = [" ".join(words[i % 40 : i % 40 + 9]) for i in range(400)]
    with (tmp_path / "spiece.model").open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_writer=file, vocab_size=60, pad_id=0, eos_id=1,
            unk_id=2, bos_id=-1, model_type="unigram", minloglevel=2,
        )  # fmt: skip
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "T5Tokenizer"}')
    (tmp_path / "config.json").write_text('{"model_type": "mt5"}')
    tokenizer = open_tokenizer(str(tmp_path), 16)
    row = one_end_each(tokenizer, [lines[0]])[0]
    model = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "spiece.model"))
    expected = [*model.encode(lines[0])[:15], 1]
    assert row[: len(expected)].tolist() == expected


def test_a_tokenizer_that_does_not_fit_the_model_is_refused():
    learned = learn_tokenizer(["a red dog"] * 9, 300, 77)
    check_fit(learned, load_model_config("vit-b-32"), "here")
    check_fit(learned, load_model_config("vit-b-32-worldwide"), "here")
    with pytest.raises(ArtifactError, match="run 7: the tokenizer ends texts with id 2.*at id 1;"):
        check_fit(learned, load_model_config("vit-b-32-mt5"), "run 7")
    big = Tokenizer(piece_model([f"t{i}" for i in range(3000)] + ["</s>", "x", "<unk>"]), 32)
    with pytest.raises(ArtifactError, match="tokenizer has 3,003 tokens, the model only 2,048"):
        check_fit(big, load_model_config("toy"), "run 7")


def test_what_is_no_tokenizer_is_refused(tmp_path):
    with pytest.raises(InputError, match="not a tokenizer"):
        Tokenizer.from_json("{}", 8)
    with pytest.raises(InputError, match="none of the tokens"):
        Tokenizer(piece_model(["a", "b", "<unk>"]), 8)
    with pytest.raises(InputError, match="context_length is 1; expected at least 2"):
        Tokenizer(piece_model(["</s>", "b", "<unk>"]), 1)
    with pytest.raises(InputError, match="puts 2 tokens after a text"):
        Tokenizer(piece_model(["</s>", "b", "<unk>"], "$A </s> </s>"), 8)
    (tmp_path / "t.json").write_bytes(b"\xff")
    with pytest.raises(InputError, match="t.json: "):
        open_tokenizer(str(tmp_path / "t.json"), 8)
    with pytest.raises(InputError, match="no such tokenizer file"):
        open_tokenizer(str(tmp_path / "absent.json"), 8)
    with pytest.raises(InputError, match="cannot be converted"):
        open_tokenizer(str(tmp_path), 8)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A Hub on loopback that has one tokenizer."""
    learned = learn_tokenizer(["a red dog"] * 9, 300, 12).to_json().encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            found = self.path == "/org/name/resolve/main/tokenizer.json"
            self.send_response(200 if found else 404)
            if found:
                self.send_header("ETag", '"1"')
                self.send_header("X-Repo-Commit", "0" * 40)
            else:
                missing = "EntryNotFound" if self.path.startswith("/org/name/") else "RepoNotFound"
                self.send_header("X-Error-Code", missing)
            self.send_header("Content-Length", str(len(learned) if found else 0))
            self.end_headers()
            if found and self.command == "GET":
                self.wfile.write(learned)

        do_HEAD = do_GET

        def log_message(self, *args):
            del args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", url)
    monkeypatch.setattr(
        huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE",
        url + "/{repo_id}/resolve/{revision}/{filename}",
    )  # fmt: skip
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.usefixtures("hub")
def test_a_tokenizer_is_fetched_from_the_hub_by_its_name():
    tokenizer = open_tokenizer("org/name", 12)
    assert tokenizer.encode(["a red dog"])[0, 0] == 1 and tokenizer.eos_id == 2
    with pytest.raises(InputError, match="'org/other': neither a file nor a name on the Hugging"):
        open_tokenizer("org/other", 12)


@pytest.mark.usefixtures("hub")
def test_where_nothing_is_to_be_fetched_the_hub_is_not_asked(monkeypatch, tmp_path):
    monkeypatch.setenv("CURATE_OFFLINE", "1")
    with pytest.raises(InputError, match=r"is not to be asked \(CURATE_OFFLINE\)"):
        open_tokenizer("org/name", 12)
    monkeypatch.delenv("CURATE_OFFLINE")
    open_tokenizer("org/name", 12)
    monkeypatch.setenv("CURATE_OFFLINE", "1")
    assert open_tokenizer("org/name", 12).eos_id == 2
    # One without tokenizer.json, which the Hub said when it was asked, is converted as then.
    kept = tmp_path / "cache/models--org--pieces"
    for path, text in (("refs/main", "f00"), (".no_exist/f00/tokenizer.json", "")):
        (kept / path).parent.mkdir(parents=True)
        (kept / path).write_text(text)
    (kept / "snapshots/f00").mkdir(parents=True)
    monkeypatch.setattr(tokenizer_files, "_converted", lambda name, _: f"converted {name}")
    assert open_tokenizer("org/pieces", 12) == "converted org/pieces"


def test_a_hub_that_cannot_be_reached_is_a_clear_error(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(InputError, match="'org/name' is not a file.*hf download org/name"):
        open_tokenizer("org/name", 12)
