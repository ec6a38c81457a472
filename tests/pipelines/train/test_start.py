import hashlib
import json

import pytest
import torch

from curate.errors import ArtifactError, InputError, UsageError
from curate.pipelines.train.start import Start, prepare_start
from curate.training.model.clip import CLIP
from curate.training.text.tokenizer import learn_tokenizer
from tests.training.tiny import tiny_config, tiny_model, tiny_tokenizer


@pytest.fixture
def run(tmp_path):
    """Weights of a run, with their tokenizer."""
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    torch.save({"model": tiny_model(2).state_dict()}, folder / "checkpoints" / "final.pt")
    (folder / "tokenizer.json").write_text(tiny_tokenizer().to_json(), "utf-8")
    return folder


@pytest.fixture
def words(tmp_path):
    """Another tokenizer."""
    path = tmp_path / "words.json"
    path.write_text(learn_tokenizer(["fish"] * 9, 300, 12).to_json(), "utf-8")
    return str(path)


def test_a_run_without_options_learns_its_tokenizer_and_begins_at_random():
    start = prepare_start(tiny_config(), init=None, tokenizer=None)
    assert start == Start() and set(start.identity.values()) == {None}
    model = tiny_model(2)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    start.load_into(model, quiet=True)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


@pytest.mark.parametrize("place", [".", "checkpoints/final.pt"])
def test_weights_of_a_run_come_with_their_tokenizer(run, capsys, place):
    start = prepare_start(tiny_config(image_size=48), init=str(run / place), tokenizer=None)
    assert start.tokenizer == tiny_tokenizer()
    final = (run / "checkpoints" / "final.pt").read_bytes()
    assert start.identity["init_sha256"] == hashlib.sha256(final).hexdigest()
    model = CLIP(tiny_config(image_size=48), 2)
    start.load_into(model, quiet=False)
    told = capsys.readouterr().err
    assert "resized from 4×4 to 6×6" in told and "begun with the weights" in told
    assert torch.equal(model.text_projection, tiny_model(2).text_projection)


def test_another_tokenizer_than_the_weights_own_is_refused(run, words):
    same = str(run / "tokenizer.json")
    assert prepare_start(tiny_config(), init=str(run), tokenizer=same).init == str(run)
    with pytest.raises(ArtifactError, match="is not the one that the weights of --init came with"):
        prepare_start(tiny_config(), init=str(run), tokenizer=words)


def test_bare_weights_need_a_tokenizer_with_the_published_end(tmp_path, words):
    (tmp_path / "bare").mkdir()
    file = tmp_path / "bare" / "w.pt"
    torch.save(tiny_model(2).state_dict(), file)
    with pytest.raises(UsageError, match="comes without its tokenizer.*--tokenizer bpe_simple"):
        prepare_start(tiny_config(), init=str(file), tokenizer=None)
    with pytest.raises(ArtifactError, match=r"words\.json: .*id 2 .*reads them at id 299"):
        prepare_start(tiny_config(), init=str(file), tokenizer=words)
    start = prepare_start(tiny_config(eos_id=2), init=str(file), tokenizer=words)
    assert start.identity["tokenizer_sha256"] and start.identity["init_sha256"]


def test_a_model_with_another_end_than_a_learned_one_needs_its_tokenizer():
    assert prepare_start(tiny_config(eos_id=2), init=None, tokenizer=None) == Start()
    with pytest.raises(UsageError, match="at the end token 1, which a tokenizer learned.*-mt5"):
        prepare_start(tiny_config(eos_id=1), init=None, tokenizer=None)


def test_a_given_tokenizer_has_to_fit_the_model(words):
    start = prepare_start(tiny_config(), init=None, tokenizer=words)
    assert start.init is None and start.tokenizer.eos_id == 2
    with pytest.raises(ArtifactError, match="the tokenizer has 263 tokens, the model only 200"):
        prepare_start(tiny_config(vocab_size=200), init=None, tokenizer=words)
    with pytest.raises(InputError, match="no such tokenizer file"):
        prepare_start(tiny_config(), init=None, tokenizer=f"{words}.json")
    assert json.loads(start.tokenizer.to_json())["model"]["type"] == "BPE"
