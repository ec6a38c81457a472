import json
from dataclasses import asdict
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from curate import training
from curate.errors import ArtifactError, InputError, UsageError
from curate.files.sums import read_sums
from curate.pipelines.export import export_model, export_table, find_run
from curate.training.export.files import FORMATS, export_files
from curate.training.export.load import load_model
from curate.training.text.clip_bpe import build_clip_bpe
from curate.training.text.tokenizer import Tokenizer
from tests.reference_clip import logits_per_image
from tests.training.their_programs import import_open_clip
from tests.training.tiny import TEXTS, tiny_config, tiny_model, tiny_tokenizer

# float32 against float64 through five blocks, logits up to about 20.
TOLERANCE = 2e-4


@pytest.fixture(scope="module")
def images():
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def write(model, tokenizer, export_format, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in export_files(model, tokenizer, export_format).items():
        (folder / name).write_bytes(content())
    return folder


def tokenizer_ending_with(eos_id):
    """A tokenizer of the kind whose end has this id: learned (2), mT5's (1), CLIP's (the last)."""
    if eos_id == 2:
        return tiny_tokenizer()
    if eos_id == 1:
        pieces = ["<pad>", "</s>", "▁", *"adeinrgHu", "<unk>"]
        model = {"type": "Unigram", "unk_id": len(pieces) - 1, "vocab": [[p, 0.0] for p in pieces]}
        pre = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
        frame = {
            "type": "TemplateProcessing", "pair": [],
            "single": [{"Sequence": {"id": "A", "type_id": 0}},
                       {"SpecialToken": {"id": "</s>", "type_id": 0}}],
            "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}},
        }  # fmt: skip
        text = json.dumps({"version": "1.0", "model": model, "pre_tokenizer": pre,
                           "post_processor": frame, "added_tokens": []})  # fmt: skip
        return Tokenizer.from_json(text, 12)
    return Tokenizer(build_clip_bpe(b"#version\nr e\nre d</w>\n", "merges.txt"), 12)


def logits(model, images, tokens):
    with torch.no_grad():
        image, text, scale = model(images, tokens)
    bias = 0 if model.logit_bias is None else model.logit_bias.detach()
    return scale * image @ text.T + bias


VARIANTS = [
    (2, {}),
    (2, {"quick_gelu": False, "vision_mlp_ratio": 4.9231}),
    (1, {"vocab_size": 13}),
    (515, {"vocab_size": 516, "quick_gelu": False}),
    (515, {"vocab_size": 600}),
]


@pytest.mark.parametrize(("eos_id", "changes"), VARIANTS)
def test_hugging_face_gives_the_same_logits_and_tokens(tmp_path, images, eos_id, changes):
    tokenizer = tokenizer_ending_with(eos_id)
    assert tokenizer.eos_id == eos_id
    model = tiny_model(eos_id, **changes)
    tokens = torch.from_numpy(tokenizer.encode(TEXTS))
    write(model, tokenizer, "huggingface", tmp_path)
    theirs, found = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(found[k] for k in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    with torch.no_grad():
        out = theirs.eval()(input_ids=tokens, pixel_values=images)
    expected = logits(model, images, tokens)
    assert expected.std() > 0.1
    torch.testing.assert_close(out.logits_per_image, expected, atol=TOLERANCE, rtol=1e-4)
    read = AutoTokenizer.from_pretrained(tmp_path)
    ids = read(TEXTS, padding="max_length", truncation=True, max_length=12).input_ids
    for mine, row in zip(tokens.tolist(), ids, strict=True):
        end = mine.index(eos_id)
        assert mine[: end + 1] == row[: end + 1]
    again, _ = load_model(str(tmp_path))
    assert torch.equal(logits(again, images, tokens), expected)


@pytest.mark.parametrize("eos_id", [2, 1, 515])
@pytest.mark.parametrize("export_format", ["huggingface", "open_clip"])
def test_a_text_that_spells_a_special_token_is_text_elsewhere_too(tmp_path, eos_id, export_format):
    tokenizer = tokenizer_ending_with(eos_id)
    sizes = {1: {"vocab_size": 13}, 515: {"vocab_size": 516}}.get(eos_id, {})
    folder = write(tiny_model(eos_id, **sizes), tokenizer, export_format, tmp_path)
    read = AutoTokenizer.from_pretrained(folder)
    specials = {tokenizer.token(i) for i in (*tokenizer.start_ids, eos_id)}
    for special in specials:
        for text in (special, f"a{special}red", f"a <{special}/s> red"):
            ids = read([text], padding="max_length", truncation=True, max_length=40).input_ids[0]
            assert ids.index(eos_id) > ids.count(tokenizer.start_id) and len(ids) == 40
            inner = ids[len(tokenizer.start_ids) : ids.index(eos_id)]
            assert not {*tokenizer.start_ids, eos_id} & set(inner)
            assert set(ids[ids.index(eos_id) :]) <= {eos_id, read.pad_token_id}
            longer = Tokenizer.from_json(tokenizer.to_json(), 40).encode([text])[0].tolist()
            if eos_id != 1:  # there a space stands for it
                assert longer[: longer.index(eos_id)] == ids[: ids.index(eos_id)]


@pytest.mark.parametrize(("eos_id", "changes"), [*VARIANTS, (2, {"logit_bias": True})])
def test_an_open_clip_folder_means_the_same_logits(tmp_path, images, eos_id, changes):
    tokenizer = tokenizer_ending_with(eos_id)
    model = tiny_model(eos_id, **changes)
    tokens = tokenizer.encode(TEXTS)
    write(model, tokenizer, "open_clip", tmp_path)
    found = logits(model, images, torch.from_numpy(tokens)).numpy()
    expected = logits_per_image(tmp_path, images.numpy(), tokens)
    np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=1e-4)
    again, _ = load_model(str(tmp_path))
    assert np.array_equal(logits(again, images, torch.from_numpy(tokens)).numpy(), found)


@pytest.fixture
def open_clip():
    if not find_spec("open_clip"):
        pytest.skip("open_clip is not installed; make test does it, without its dependencies")
    return import_open_clip()


@pytest.mark.parametrize(("eos_id", "changes"), [*VARIANTS, (2, {"logit_bias": True})])
def test_open_clip_itself_gives_the_same_logits_and_tokens(
    tmp_path, images, open_clip, eos_id, changes
):
    tokenizer = tokenizer_ending_with(eos_id)
    model = tiny_model(eos_id, **changes)
    tokens = torch.from_numpy(tokenizer.encode(TEXTS))
    place = f"local-dir:{write(model, tokenizer, 'open_clip', tmp_path)}"
    theirs = open_clip.create_model(place).eval()
    with torch.no_grad():
        image, text, scale = theirs(images, tokens)[:3]
    bias = 0 if model.logit_bias is None else theirs.logit_bias.detach()
    torch.testing.assert_close(
        scale * image @ text.T + bias, logits(model, images, tokens), atol=1e-5, rtol=1e-5
    )
    ids = open_clip.get_tokenizer(place)(TEXTS).tolist()
    for mine, row in zip(tokens.tolist(), ids, strict=True):
        end = mine.index(eos_id)
        assert mine[: end + 1] == row[: end + 1]


def test_a_model_of_open_clips_own_loads_with_the_same_logits(tmp_path, images, open_clip):
    tokenizer = tiny_tokenizer()
    write(tiny_model(2, quick_gelu=False), tokenizer, "open_clip", tmp_path)
    theirs = open_clip.create_model(f"local-dir:{tmp_path}").eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    torch.save({"state_dict": theirs.state_dict(), "epoch": 3}, tmp_path / "epoch_3.pt")
    shape = asdict(tiny_config(quick_gelu=False))
    (tmp_path / "shape.json").write_text(json.dumps(shape))
    model, words = load_model(str(tmp_path / "epoch_3.pt"), model=str(tmp_path / "shape.json"))
    tokens = torch.from_numpy(words.encode(TEXTS))
    with torch.no_grad():
        image, text, scale = theirs(images, tokens)[:3]
    found = logits(model, images, tokens)
    assert found.std() > 0.1
    torch.testing.assert_close(found, scale * image @ text.T, atol=1e-5, rtol=1e-5)


def test_our_own_export_loads_bit_for_bit_and_ready_for_use(tmp_path, images):
    from PIL import Image

    tokenizer = tiny_tokenizer()
    model = tiny_model(2, logit_bias=True)
    write(model, tokenizer, "safetensors", tmp_path)
    loaded, preprocess, tokenize = training.load(str(tmp_path))
    assert not loaded.training and loaded.config == model.config and loaded.eos_id == 2
    for (name, a), b in zip(model.state_dict().items(), loaded.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert tokenize(TEXTS).tolist() == tokenizer.encode(TEXTS).tolist()
    image = preprocess(Image.new("RGBA", (50, 40), (9, 9, 9, 9))).unsqueeze(0)
    assert loaded.encode_image(image).shape == loaded.encode_text(tokenize(["a"])).shape == (1, 24)


def test_siglips_bias_has_no_place_in_hugging_faces_layout():
    with pytest.raises(UsageError, match="SigLIP's logit bias cannot be exported"):
        export_files(tiny_model(2, logit_bias=True), tiny_tokenizer(), "huggingface")
    with pytest.raises(UsageError, match="unknown format 'onnx'; expected one of safetensors, op"):
        export_files(tiny_model(2), tiny_tokenizer(), "onnx")


def a_run(folder):
    """A finished run, as far as loading goes."""
    from dataclasses import asdict

    model = tiny_model(2)
    (folder / "checkpoints").mkdir(parents=True)
    torch.save({"model": model.state_dict()}, folder / "checkpoints" / "final.pt")
    (folder / "config.json").write_text(json.dumps({"model": asdict(model.config)}))
    (folder / "tokenizer.json").write_text(tiny_tokenizer().to_json(), "utf-8")
    return model


@pytest.mark.parametrize("export_format", FORMATS)
def test_a_run_is_exported_and_the_export_loads(tmp_path, images, export_format):
    model = a_run(tmp_path / "runs" / "clip")
    source = find_run("clip", str(tmp_path))
    options = {"output": None, "export_format": export_format}
    plan = export_model(source, **options, dry_run=True)
    assert not (tmp_path / "runs" / "clip" / "export").exists()
    card = export_model(source, **options)
    assert card["files"].keys() == plan["files"].keys()
    assert card["parameters"] == sum(p.numel() for p in model.parameters())
    assert card["output"] in export_table(card) and "bytes" in export_table(card)
    tokens = torch.from_numpy(tiny_tokenizer().encode(TEXTS))
    loaded, _ = load_model(card["output"])
    assert torch.equal(logits(loaded, images, tokens), logits(model, images, tokens))
    with pytest.raises(ArtifactError, match="is there already. Replace it with --overwrite"):
        export_model(source, **options)
    assert export_model(source, **options, overwrite=True) == card


def test_a_file_of_weights_is_exported_to_where_one_says(tmp_path):
    model = tiny_model(2)
    torch.save(model.state_dict(), tmp_path / "w.pt")
    shape = tmp_path / "shape.json"
    shape.write_text(json.dumps({f: getattr(model.config, f) for f in model.config.__slots__}))
    (tmp_path / "tokenizer.json").write_text(tiny_tokenizer().to_json(), "utf-8")
    options = {"export_format": "huggingface", "model": str(shape)}
    with pytest.raises(UsageError, match="say with --output"):
        export_model(str(tmp_path / "w.pt"), output=None, **options)
    card = export_model(str(tmp_path / "w.pt"), output=str(tmp_path / "out"), **options)
    found = {p.name for p in (tmp_path / "out").iterdir()}
    assert found == {*card["files"], "sums.json"}
    assert read_sums(str(tmp_path / "out")).keys() == card["files"].keys()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("config.json", {"model_type": "blip"}, "model_type is 'blip'; expected clip"),
        ("config.json", {"vision_config": {"hidden_act": "relu"}}, "hidden_act is quick_gelu, re"),
        ("open_clip_config.json", {"model_cfg": {}}, "not a config of an OpenCLIP ViT"),
        ("open_clip_config.json", {"preprocess_cfg": {"mean": [0.5] * 3}}, "pixel mean is"),
        ("open_clip_config.json", {"model_cfg": {"vision_cfg": {"timm_model_name": "x"},
                                                 "text_cfg": {}}}, "has timm_model_name"),
        ("config.json", {"text_config": {"layer_norm_eps": 1e-6}}, "layer_norm_eps is 1e-06, 1e-"),
        ("preprocessor_config.json", {"image_mean": [0.5] * 3}, "pixel mean is"),
        ("open_clip_config.json", {"model_cfg": {"vision_cfg": {}, "text_cfg": {
            "pool_type": "last"}}}, "has a text's pool_type last"),
        ("open_clip_config.json", {"model_cfg": {"text_cfg": {}, "vision_cfg": {
            "pool_type": "avg"}}}, "has pool_type avg"),
        ("open_clip_config.json", {"model_cfg": {"text_cfg": {}, "vision_cfg": {
            "global_average_pool": True}}}, "has global_average_pool"),
        ("open_clip_config.json", {"preprocess_cfg": {"resize_mode": "squash"}}, "resize_mode sq"),
        ("preprocessor_config.json", {"size": {"height": 32, "width": 32}}, "prepared with size"),
        ("preprocessor_config.json", {"do_center_crop": False}, "prepared with do_center_crop F"),
    ],
)  # fmt: skip
def test_configs_of_other_models_are_refused(tmp_path, name, change, message):
    kind = "open_clip" if name.startswith("open") else "huggingface"
    write(tiny_model(2), tiny_tokenizer(), kind, tmp_path)
    values = json.loads((tmp_path / name).read_text())
    (tmp_path / name).write_text(json.dumps({**values, **change}))
    with pytest.raises(InputError, match=message):
        load_model(str(tmp_path))
    (tmp_path / name).write_text("{")
    with pytest.raises(InputError, match="not readable as JSON"):
        load_model(str(tmp_path))
