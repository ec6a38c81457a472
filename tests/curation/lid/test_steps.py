"""Languages in steps: what is no text, what nobody knows, who decides where the first doubts."""

import csv
import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curate.curation.lid.identify import CompiledIdentifier, FastTextIdentifier, default_lid_model
from curate.curation.lid.no_text import KINDS, kinds_of, normalized
from curate.curation.lid.opinions import Votes, languages_meant, open_opinion, version_of
from curate.curation.lid.steps import NO_LANGUAGE, STEPS, Prior, StepwiseIdentifier
from curate.errors import InputError
from curate.metadata.languages import metadata_language

MODEL = Path(default_lid_model())


@pytest.fixture(scope="module")
def first():
    return CompiledIdentifier(MODEL.read_bytes(), str(MODEL))


class Says:
    """A second opinion that has one answer to everything."""

    sure = (0.8, 0.35)

    def __init__(self, label, weight):
        self.labels, self.weight = (label,), weight

    def ask(self, texts):
        label = np.zeros(len(texts), np.int32)
        return Votes(label, np.full(len(texts), self.weight, np.float32))


def found(identifier, text, priors=()):
    result = identifier.identify(pa.array([text]), priors)
    return result.lang[0].as_py(), STEPS[result.step[0]]


@pytest.mark.parametrize(("text", "kind"), [
    ("1080x1920", "dimensions"), ("300 x 250 px", "dimensions"),
    ("2020", "no_letters"), ("♥ ♥", "no_letters"), ("IMG_1234", "file_name"),
    ("DSC_0042.JPG", "file_name"), ("100_1234.JPG", "file_name"), ("Screenshot (12)", "file_name"),
    ("d41d8cd98f00b204e9800998ecf8427e", "hash"),
    ("123e4567-e89b-12d3-a456-426614174000.png", "hash"),
    ("IMG\u00a01234", "file_name"), ("300\u00a0x\u00a0250 px", "dimensions"),
    ("shinseki.JPG", "file_name"), ("a\u00e7ai.jpg", "file_name"), ("犬.jpg", "file_name"),
    ("小狗在草地上奔跑.png", "text"), ("東京タワーの夜景.jpg", "text"), ("강아지.jpg", "text"),
    ("แมวนอนบนโซฟา.jpg", "text"), ("लाल-कुर्सी.jpg", "text"), ("Красная-площадь.jpg", "text"),
    ("red-leather-sofa.jpg", "text"), ("犬", "text"), ("facade", "text"), ("B2B", "text"),
    ("3 dogs", "text"), ("room 12", "text"), ("deadbeefdeadbeef", "text"),
])  # fmt: skip
def test_what_is_no_text_is_known_by_its_form(text, kind):
    assert KINDS[kinds_of(pa.array([text]))[0]] == kind


def test_texts_are_normalized_with_every_white_space_of_unicode():
    spaces = "\u00a0\u1680\u2000\u200a\u2028\u202f\u205f\u3000\u0085"
    texts = pa.array([f"ein{space}Hund" for space in spaces] + ["", "İSTANBUL"])
    assert normalized(texts).to_pylist()[:-1] == ["ein Hund"] * len(spaces) + [""]


@pytest.mark.parametrize("text", ["Hund", "犬", "♥", "dogs", "2020", ""])
def test_no_evidence_is_told_apart_from_english(first, text):
    texts = pa.array([text])
    assert first.predict(texts).evidence.tolist() == [0]
    assert FastTextIdentifier(str(MODEL)).predict(texts).evidence.tolist() == [0]
    assert found(StepwiseIdentifier(first, None), text)[0] == NO_LANGUAGE


def test_both_engines_find_the_same_in_steps(real_data, first):
    library = StepwiseIdentifier(FastTextIdentifier(str(MODEL)), Says("hbs", 3.0))
    compiled = StepwiseIdentifier(first, Says("hbs", 3.0))
    with gzip.open(real_data / "lid/tatoeba_112langs_x40.tsv.gz", "rt", encoding="utf-8") as file:
        texts = pa.array([line.rstrip("\n").split("\t")[1] for line in file][::5])
    one, other = compiled.identify(texts), library.identify(texts)
    assert one.lang.to_pylist() == other.lang.to_pylist()
    assert one.step.tolist() == other.step.tolist()


@pytest.mark.parametrize("threads", [2, 8])
def test_threads_and_batches_change_nothing(real_data, first, threads):
    with gzip.open(real_data / "lid/tatoeba_112langs_x40.tsv.gz", "rt", encoding="utf-8") as file:
        texts = pa.array([line.rstrip("\n").split("\t")[1] for line in file][:1500])
    whole = StepwiseIdentifier(first, Says("mri", 4.0)).identify(texts)
    several = StepwiseIdentifier(
        CompiledIdentifier(MODEL.read_bytes(), str(MODEL), threads=threads), Says("mri", 4.0)
    )
    parts = [several.identify(texts.slice(at, 77)) for at in range(0, 1500, 77)]
    assert [lang for part in parts for lang in part.lang.to_pylist()] == whole.lang.to_pylist()
    np.testing.assert_array_equal(np.concatenate([part.score for part in parts]), whole.score)


def test_a_sure_answer_is_not_asked_about(first):
    sure = "Ein roter Hund läuft durch den Park und bellt"
    priors = [Prior(pa.array(["fr"]), 50.0)]
    assert found(StepwiseIdentifier(first, Says("fra", 50.0)), sure, priors) == ("de", "first")


def test_the_second_opinion_decides_over_what_the_first_does_not_know(first):
    assert found(StepwiseIdentifier(first, Says("deu", 4.0)), "Hund") == ("de", "second")
    assert found(StepwiseIdentifier(first, Says("zxx_Zxxx", 4.0)), "Hund") == ("", "no_evidence")


def test_a_vote_without_weight_is_none(first):
    identifier = StepwiseIdentifier(first, Says("eng", 0.0))
    assert found(identifier, "bkhgf") == ("", "no_evidence")
    assert identifier.identify(pa.array(["bkhgf"])).second[0].as_py() == "en"  # what it said
    pytest.importorskip("pycld2", reason="pip install 'curate-clip[lid]'")
    assert found(StepwiseIdentifier(first, open_opinion("cld2")), "Hund") == ("", "no_evidence")


def test_an_end_of_line_that_is_written_out_is_no_evidence(first):
    library = StepwiseIdentifier(FastTextIdentifier(str(MODEL)), None)
    for text in ("</s> hund", "</s>", "a </s> b"):
        assert found(StepwiseIdentifier(first, None), text) == found(library, text)
    assert found(library, "</s> hund") == ("", "no_evidence")


def test_a_prior_decides_where_nobody_is_sure(first):
    identifier = StepwiseIdentifier(first, Says("deu", 1.0))
    assert found(identifier, "Hund", [Prior(pa.array(["da"]), 1.5)]) == ("da", "prior")
    assert found(identifier, "Hund", [Prior(pa.array(["da"]), 0.5)]) == ("de", "second")
    assert found(identifier, "Hund", [Prior(pa.array([None], pa.string()), 9.0)])[0] == "de"
    assert found(identifier, "Hund", [Prior(pa.array(["zz"]), 9.0)])[0] == "de"


def test_within_a_macrolanguage_the_first_model_decides(first):
    identifier = StepwiseIdentifier(first, Says("hbs", 4.0))
    assert found(identifier, "Црвени пас у парку")[0] == "sr"
    assert found(identifier, "crveni pas u parku i žena")[0] in ("bs", "hr", "sr")


def test_what_labels_mean_follows_from_the_labels_of_both():
    of_first = {metadata_language(label) for label in ("hr", "sr", "bs", "sh", "id", "en")}
    assert languages_meant("hbs", of_first) == ("bs", "hr", "sr")
    assert languages_meant("bs", of_first) == ("bs", "hr", "sr")
    assert languages_meant("msa", of_first) == ("ms",)  # the first cannot tell them apart
    assert languages_meant("mri", of_first) == ("mi",)
    assert languages_meant("zxx_Zxxx", of_first) == ()


def test_of_a_second_opinion_that_is_missing_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setattr("curate.curation.lid.opinions.find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"pycld2 is not installed.*Apache-2.0.*pip install"):
        version_of("cld2")
    with pytest.raises(InputError, match=r"heliport is not installed.*GPL-3.0.*pip install"):
        open_opinion("heli")


def test_captions_are_identified_better_with_cld2(real_data, first):
    pytest.importorskip("pycld2", reason="pip install 'curate-clip[lid]'")
    path = real_data / "xm3600_150/captions.tsv"
    with path.open(encoding="utf-8") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    langs = np.array([metadata_language(row[1]) for row in rows])
    texts = pa.array([row[2] for row in rows])
    steps = StepwiseIdentifier(first, open_opinion("cld2")).identify(texts).lang.to_pylist()
    published = first.identify(texts).lang.to_pylist()

    def accuracy(answers):
        right = np.array(answers) == langs
        return float(np.mean([right[langs == lang].mean() for lang in np.unique(langs)]))

    assert accuracy(published) < 0.88
    assert accuracy(steps) >= 0.955


def test_cld2_is_given_no_characters_that_it_refuses(first):
    pytest.importorskip("pycld2", reason="pip install 'curate-clip[lid]'")
    texts = pa.array(["un\x01 chien\ufffe rouge", "\x00", "\u200b" * 50, "chien\U0001ffff" * 2000])
    result = StepwiseIdentifier(first, open_opinion("cld2")).identify(texts)
    assert result.lang.to_pylist()[0] == "fr"
    assert open_opinion("cld2").ask(texts).label[1] == -1


def test_cld2_is_asked_once_and_again_for_its_best_effort():
    pycld2 = pytest.importorskip("pycld2")
    texts = [
        "ein roter Hund im Park",
        "a red dog in the park",
        "x",
        "",
        "犬が走る",
        "a\x00b",
        "\ufffe",
    ]
    opinion = open_opinion("cld2")
    votes = opinion.ask(pa.array(texts))
    for text, label, weight in zip(texts, votes.label, votes.weight, strict=True):
        usual = "".join(c if c.isprintable() else " " for c in text)
        try:
            answers = [
                pycld2.detect(usual, isPlainText=True, bestEffort=b)[2][0][1] for b in (0, 1)
            ]
        except pycld2.error:
            answers = ["un", "un"]
        code = answers[0] if answers[0] != "un" else answers[1]
        assert label == (opinion.labels.index(code) if code in opinion.labels else -1), text
        assert weight == (code != "en") * 4 + (answers[0] != "un"), text
