import hashlib
import json
from dataclasses import asdict

import pytest
import torch

from curate.errors import ArtifactError, InputError, UsageError
from curate.pipelines.train.start import Start, prepare_start
from curate.training.export.files import export_files
from curate.training.export.load import load_model
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


def beside(folder, kind, **changes):
    """A model and its tokenizer with the config that somebody wrote beside them."""
    folder.mkdir()
    model = tiny_model(2, **changes)
    for name, content in export_files(model, tiny_tokenizer(), kind).items():
        (folder / name).write_bytes(content())
    return folder


@pytest.mark.parametrize("kind", ["safetensors", "open_clip", "huggingface"])
@pytest.mark.parametrize("is_file", [True, False])
def test_what_the_config_beside_weights_says_is_obeyed_or_refused(tmp_path, kind, is_file, capsys):
    folder = beside(tmp_path / "quick", kind)
    init = str(next(folder.glob("*model.safetensors")) if is_file else folder)
    start = prepare_start(tiny_config(), init=init, tokenizer=None)
    start.load_into(CLIP(tiny_config(), 2), quiet=False)
    assert start.assumed is None and "taken as asked for" not in capsys.readouterr().err
    for change, message in (
        ({"quick_gelu": False}, "trained with QuickGELU, as .*config.json says.*has GELU. Add -q"),
        ({"text_heads": 4}, "trained with 2 text heads.*has 4 text heads. Give a JSON file"),
        ({"vision_head_width": 16}, "trained with image heads of width 8.*of width 16"),
    ):
        with pytest.raises(ArtifactError, match=message):
            prepare_start(tiny_config(**change), init=init, tokenizer=None)
    # The tower of images may be asked for other sizes, which is told when weights are fitted.
    assert prepare_start(tiny_config(image_size=48), init=init, tokenizer=None).assumed is None


def test_weights_with_gelu_do_not_become_a_model_with_quick_gelu(tmp_path):
    folder = str(beside(tmp_path / "gelu", "huggingface", quick_gelu=False))
    with pytest.raises(ArtifactError, match="trained with GELU.*QuickGELU. Leave -quickgelu out"):
        prepare_start(tiny_config(), init=folder, tokenizer=None)
    (tmp_path / "shape.json").write_text(json.dumps(asdict(tiny_config())))
    with pytest.raises(ArtifactError, match="trained with GELU"):
        load_model(folder, model=str(tmp_path / "shape.json"))


def test_another_end_token_than_the_config_says_is_refused(tmp_path):
    folder = beside(tmp_path / "end", "huggingface")
    values = json.loads((folder / "config.json").read_text())
    values["text_config"]["eos_token_id"] = 7
    (folder / "config.json").write_text(json.dumps(values))
    with pytest.raises(ArtifactError, match="at the end token 7, as .*config.json says.* at 2"):
        prepare_start(tiny_config(), init=str(folder), tokenizer=None)


def test_what_is_assumed_of_bare_weights_is_said(tmp_path, words, capsys):
    file = tmp_path / "w.pt"
    torch.save(tiny_model(2, quick_gelu=False).state_dict(), file)
    shape = tiny_config(eos_id=2, quick_gelu=False)
    prepare_start(shape, init=str(file), tokenizer=words).load_into(CLIP(shape, 2), quiet=False)
    told = capsys.readouterr().err
    assert "no config beside it, so it is taken as asked for: GELU, 2 text heads" in told
    assert "read at the end token 2" in told and "MetaCLIP 1 are of models with QuickGELU" in told
