import json
import pickle
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from curate import training
from curate.errors import ArtifactError, InputError, UsageError
from curate.training.export.files import export_files
from curate.training.export.load import load_model
from curate.training.model.clip import CLIP
from curate.training.model.layouts import from_published, to_huggingface
from curate.training.model.numpy_scalars import SAFE_SCALARS
from curate.training.model.weights import fit_weights, load_weights, read_weights
from curate.training.model.weights_file import FORMAT_VERSION, read_tensors
from tests.training.tiny import TEXTS, tiny_config, tiny_model, tiny_tokenizer


@pytest.fixture(scope="module")
def model():
    return tiny_model(2)


def assert_loads(model, path, atol=0.0):
    other = tiny_model(2, seed=1)
    assert load_weights(other, str(path)) == []
    for (name, a), b in zip(model.state_dict().items(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(b, a, atol=atol, rtol=atol, msg=name)


def prefixed(state, prefix):
    return {prefix + key: value for key, value in state.items()}


def openai(state):
    """fp16, three scalars, as the archives of 2021 hold them."""
    scalars = {"input_resolution": 32, "context_length": 12, "vocab_size": 300}
    return {**{k: v.half() for k, v in state.items()},
            **{k: torch.tensor(v) for k, v in scalars.items()}}  # fmt: skip


def custom_text(state):
    """OpenCLIP's layout with the text tower apart; the projection may be a linear layer."""
    out = {}
    for key, value in state.items():
        alone = key.startswith("visual.") or key == "logit_scale"
        out[key if alone else f"text.{key}"] = value
    out["text.text_projection.weight"] = out.pop("text.text_projection").T
    return {**out, "text.attn_mask": torch.zeros(12, 12)}


def compiled(state):
    return {k.replace("resblocks.0.", "resblocks.0._orig_mod."): v for k, v in state.items()}


LAYOUTS = {
    "as it is": lambda s: s,
    "in a checkpoint": lambda s: {"epoch": 3, "name": "x", "state_dict": prefixed(s, "module.")},
    "compiled": lambda s: {"state_dict": prefixed(s, "module._orig_mod.")},
    "blocks compiled": compiled,
    "text apart": custom_text,
    "text apart, wrapped": lambda s: {"state_dict": prefixed(custom_text(s), "module.")},
    "scale of one element": lambda s: {**s, "logit_scale": s["logit_scale"].reshape(1)},
    "hugging face": to_huggingface,
    "with a mask": lambda s: {**s, "attn_mask": torch.zeros(12, 12)},
    "ours": lambda s: {"model": s, "step": 7, "format": FORMAT_VERSION},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_published_layouts_load(tmp_path, model, layout):
    torch.save(LAYOUTS[layout](model.state_dict()), tmp_path / "w.pt")
    assert_loads(model, tmp_path / "w.pt")


def test_openais_half_precision_and_scalars_load(tmp_path, model):
    torch.save(openai(model.state_dict()), tmp_path / "w.pt")
    assert_loads(model, tmp_path / "w.pt", atol=2e-3)
    assert all(v.dtype == torch.float32 for v in read_weights(str(tmp_path / "w.pt")).values())


def test_safetensors_load_also_by_url(tmp_path, model):
    save_file(dict(model.state_dict()), tmp_path / "w.bin", {"format": "pt"})
    assert_loads(model, tmp_path / "w.bin")
    assert_loads(model, f"file://{tmp_path / 'w.bin'}")


def test_legacy_files_of_torch_load(tmp_path, model):
    torch.save(model.state_dict(), tmp_path / "w.pt", _use_new_zipfile_serialization=False)
    assert_loads(model, tmp_path / "w.pt")


def test_hugging_faces_names_come_back(model):
    state = model.state_dict()
    back = from_published(to_huggingface(state))
    assert back.keys() == state.keys()
    assert all(torch.equal(back[k], v) for k, v in state.items())


def test_image_positions_are_resized_to_another_image_size(model):
    config = tiny_config(image_size=48)
    fitted, messages = fit_weights(model.state_dict(), config, "w.pt")
    assert messages == [
        "w.pt: image positions resized from 4×4 to 6×6 patches, for images of 48 pixels"
    ]
    found, old = fitted["visual.positional_embedding"], model.visual.positional_embedding
    assert found.shape == (37, 32) and torch.equal(found[0], old[0])
    # Bicubic interpolation keeps straight lines: a ramp stays one, away from the border.
    ramp = dict(model.state_dict())
    x = torch.arange(4.0).repeat(4).unsqueeze(1).expand(16, 32)
    ramp["visual.positional_embedding"] = torch.cat([old[:1].detach(), x])
    fitted, _ = fit_weights(ramp, config, "w.pt")
    row = fitted["visual.positional_embedding"][1:].reshape(6, 6, 32)[2, :, 0]
    assert row[2].item() == pytest.approx((2 + 0.5) * 4 / 6 - 0.5, abs=0.05)
    assert (row.diff() > 0).all()
    same, none = fit_weights(model.state_dict(), model.config, "w.pt")
    assert none == [] and torch.equal(same["visual.positional_embedding"], old)


def test_a_longer_context_is_trimmed_and_a_shorter_one_refused(model):
    fitted, messages = fit_weights(model.state_dict(), tiny_config(context_length=9), "w.pt")
    assert messages == ["w.pt: text positions trimmed from 12 to 9 tokens"]
    assert torch.equal(fitted["positional_embedding"], model.positional_embedding[:9])
    short = CLIP(tiny_config(context_length=9), 2)
    short.load_state_dict(fitted)
    tokens = torch.from_numpy(tiny_tokenizer(9).encode(TEXTS[:1]))
    torch.testing.assert_close(short.eval().encode_text(tokens), model.encode_text(tokens))
    with pytest.raises(InputError, match=r"\(12, 16\), expected \(20, 16\)\. .* at most 12\."):
        fit_weights(model.state_dict(), tiny_config(context_length=20), "w.pt")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patch_size": 4}, r"conv1\.weight has shape \(32, 3, 8, 8\), expected \(32, 3, 4"),
        ({"vision_layers": 3}, r"tensor visual\.\S+\.resblocks\.2\.ln_1\.weight is missing"),
        ({"text_layers": 2}, r"transformer\.resblocks\.2\.\S+ is not of this model, and 11 more"),
        ({"vocab_size": 400}, r"token_embedding\.weight has shape \(300, 16\), expected \(400, "),
    ],
)  # fmt: skip
def test_weights_of_another_model_are_refused_by_file_tensor_and_shapes(model, changes, message):
    with pytest.raises(InputError, match=rf"w\.pt: weights of another model: .*{message}"):
        fit_weights(model.state_dict(), tiny_config(**changes), "w.pt")


def test_the_model_that_weights_are_of_is_named():
    from curate.training.model.config import load_model_config

    with torch.device("meta"):
        state = CLIP(load_model_config("vit-b-16-worldwide"), 2).state_dict()
    with pytest.raises(InputError, match="By their shapes they are of vit-b-16-worldwide"):
        fit_weights(state, load_model_config("vit-b-32"), "w.pt")


def test_siglips_bias_is_left_out_or_begins_as_it_does(tmp_path):
    biased = tiny_model(2, logit_bias=True)
    fitted, messages = fit_weights(biased.state_dict(), tiny_config(), "w.pt")
    assert "logit_bias" not in fitted and "logit_bias is left out" in messages[0]
    torch.save(tiny_model(2).state_dict(), tmp_path / "w.pt")
    fresh = CLIP(tiny_config(logit_bias=True), 2)
    assert load_weights(fresh, str(tmp_path / "w.pt")) == []
    assert fresh.logit_bias.item() == -10.0


NUMBERS = [np.float64(1e-4), np.float32(0.5), np.float16(2), np.int64(-3), np.uint8(7),
           np.bool_(True)]  # fmt: skip


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_checkpoint_of_open_clip_with_numpys_numbers_loads(tmp_path, model, is_zip):
    state = {f"module.{key}": value for key, value in model.state_dict().items()}
    groups = [{"lr": number, "params": [0]} for number in NUMBERS]
    content = {"epoch": 3, "name": "x", "state_dict": state,
               "optimizer": {"state": {}, "param_groups": groups}}  # fmt: skip
    path = tmp_path / "epoch_3.pt"
    torch.save(content, path, _use_new_zipfile_serialization=is_zip)
    assert_loads(model, path)
    with torch.serialization.safe_globals(SAFE_SCALARS):
        read = torch.load(path, weights_only=True)["optimizer"]["param_groups"]
    assert [group["lr"] for group in read] == [number.item() for number in NUMBERS]
    assert not set(SAFE_SCALARS) & set(torch.serialization.get_safe_globals())


@pytest.mark.parametrize("value", [np.ones(3), np.str_("a"), np.datetime64("2020-01-01")])
def test_what_is_numpys_and_no_number_is_refused(tmp_path, model, value):
    torch.save({"state_dict": model.state_dict(), "more": value}, tmp_path / "w.pt")
    with pytest.raises(InputError, match="more than tensors and plain values.*safetensors"):
        read_tensors(str(tmp_path / "w.pt"))


class Runs:
    """What a pickle would call on loading."""

    def __reduce__(self):
        return print, ("code was run",)


def torchscript(path):
    torch.save({}, path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/constants.pkl", b"")


BAD_FILES = {
    "empty": (lambda p: p.write_bytes(b""), "not a"),
    "text": (lambda p: p.write_text("hello, this is no file of weights"), "not a"),
    "code": (lambda p: torch.save({"a": Runs()}, p), "could run code, which is never done"),
    "plain pickle": (lambda p: p.write_bytes(pickle.dumps(Runs(), 2)), "could run code"),
    "no tensors": (lambda p: torch.save({"a": 1}, p), "there are no weights in it"),
    "a list": (lambda p: torch.save([1], p), "holds a list; expected a state dict"),
    "torchscript": (torchscript, "a TorchScript archive, which holds code"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_what_is_no_file_of_weights_is_refused(tmp_path, capsys, kind):
    make, message = BAD_FILES[kind]
    make(tmp_path / "w.pt")
    with pytest.raises(InputError, match=message) as caught:
        read_tensors(str(tmp_path / "w.pt"))
    assert str(tmp_path / "w.pt") in str(caught.value)
    assert "code was run" not in capsys.readouterr().out


@pytest.mark.parametrize("writer", ["torch", "legacy", "safetensors"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_files_that_are_cut_off_are_refused(tmp_path, model, writer, share):
    path = tmp_path / "w.pt"
    if writer == "safetensors":
        save_file(dict(model.state_dict()), path)
    else:
        torch.save(model.state_dict(), path,
                   _use_new_zipfile_serialization=writer == "torch")  # fmt: skip
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(InputError, match=r"w\.pt: .*cut off"):
        read_tensors(str(path))


def test_what_a_newer_version_wrote_is_refused(tmp_path, model):
    newer = str(FORMAT_VERSION + 1)
    torch.save({"format": int(newer), "model": model.state_dict()}, tmp_path / "w.pt")
    save_file(dict(model.state_dict()), tmp_path / "w.safetensors", {"format_version": newer})
    for name in ("w.pt", "w.safetensors"):
        with pytest.raises(ArtifactError, match=rf"{name}: written by a newer version.*format 3"):
            read_tensors(str(tmp_path / name))
    (tmp_path / "export").mkdir()
    save_file(dict(model.state_dict()), tmp_path / "export" / "model.safetensors")
    (tmp_path / "export" / "tokenizer.json").write_text("{}")
    values = {"format_version": int(newer), "model": {}}
    (tmp_path / "export" / "config.json").write_text(json.dumps(values))
    with pytest.raises(ArtifactError, match=r"config\.json: written by a newer version"):
        training.load(str(tmp_path / "export"))


def test_of_a_hub_folder_with_timms_and_open_clips_weights_open_clips_are_meant(tmp_path, model):
    export = export_files(model, tiny_tokenizer(), "open_clip")
    for name, content in export.items():
        (tmp_path / name).write_bytes(content())
    timm = {"patch_embed.proj.weight": torch.zeros(4, 3, 8, 8), "cls_token": torch.zeros(1, 1, 4)}
    save_file(timm, tmp_path / "model.safetensors")
    about = {"architecture": "vit_base_patch16_clip_224", "num_classes": 512, "pretrained_cfg": {}}
    (tmp_path / "config.json").write_text(json.dumps(about))
    loaded, _ = load_model(str(tmp_path))
    for (name, a), b in zip(model.state_dict().items(), loaded.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    for path in tmp_path.glob("open_clip*"):
        path.unlink()
    with pytest.raises(InputError, match=r"a model of timm's \(vit_base_patch16_clip_224\)"):
        load_model(str(tmp_path))


def test_folders_and_urls_without_weights_are_refused(tmp_path):
    with pytest.raises(InputError, match="there are no weights here"):
        read_tensors(str(tmp_path))
    for url in (f"file://{tmp_path}/absent.pt", "memory://weights/absent"):
        with pytest.raises(InputError, match="there are no weights here"):
            read_tensors(url)


def test_a_file_of_weights_loads_by_its_models_name(tmp_path, model):
    shape = tmp_path / "shape.json"
    fields = {f: getattr(model.config, f) for f in model.config.__slots__}
    shape.write_text(json.dumps(fields))
    file, words = tmp_path / "w.pt", tmp_path / "words.json"
    torch.save(model.state_dict(), file)
    with pytest.raises(UsageError, match="does not say what model it is of"):
        training.load(str(file))
    with pytest.raises(UsageError, match="comes without its tokenizer"):
        training.load(str(file), model=str(shape))
    words.write_text(tiny_tokenizer().to_json(), "utf-8")
    with pytest.raises(ArtifactError, match="ends texts with id 2.*reads them at id 299"):
        training.load(str(file), model=str(shape), tokenizer=str(words))
    shape.write_text(json.dumps({**fields, "eos_id": 2}))
    loaded, _, tokenize = training.load(str(file), model=str(shape), tokenizer=str(words))
    tokens = tokenize(TEXTS)
    assert torch.equal(loaded.encode_text(tokens), model.encode_text(tokens))
    assert np.array_equal(tokens.numpy(), tiny_tokenizer().encode(TEXTS))
