"""Encoders: the vectors of `curate.load`'s model, of unit length; sentence encoders of others."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from curate.errors import ArtifactError, CurateError, InputError, UsageError
from curate.training.data.images import decode, fit
from curate.training.data.pixels import normalize_images
from curate.training.embedding.encoders import (
    clip_encoders,
    hash_tensors,
    resolve_precision,
    torch_device,
    unit_vectors,
)
from curate.training.embedding.images import see_image
from curate.training.embedding.sentences import open_sentence_encoder
from curate.training.export.files import export_files
from tests.training.tiny import tiny_model, tiny_tokenizer

TEXTS = ["a red dog", "ein Hund", "红色的狗", "a very long text " * 9]
CPU = torch.device("cpu")


@pytest.fixture
def exported(tmp_path):
    words = tiny_tokenizer()
    model = tiny_model(words.eos_id)
    for name, content in export_files(model, words, "safetensors").items():
        (tmp_path / name).write_bytes(content())
    return tmp_path, model, words


def encoders(path):
    return clip_encoders(str(path), device=CPU, precision="float32", model=None, tokenizer=None)


def jpeg(width=300, height=200, **options):
    rng = np.random.default_rng(width)
    image = Image.fromarray(rng.integers(0, 255, (5, 7, 3), np.uint8)).resize((width, height))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90, **options)
    return buffer.getvalue()


def test_vectors_are_those_of_the_model(exported):
    path, model, words = exported
    images, texts, about = encoders(path)
    pixels = np.random.default_rng(0).integers(0, 255, (3, 3, 32, 32), np.uint8)
    prepared, lengths = texts.prepare(TEXTS)
    with torch.no_grad():
        expected = model.encode_image(normalize_images(torch.from_numpy(pixels)))
        expected_texts = model.encode_text(torch.from_numpy(words.encode(TEXTS)))
    np.testing.assert_allclose(images.encode(pixels), expected, rtol=1e-4, atol=1e-5)
    # Padding is cut off before, and is looked at by nobody.
    np.testing.assert_allclose(texts.encode(prepared), expected_texts, rtol=1e-4, atol=1e-5)
    assert lengths.tolist() == [len(row[row != 0]) for row in words.encode(TEXTS)] or lengths.all()
    assert about["sha256"] == hash_tensors(model)
    assert (about["width"], images.width, texts.width) == (24, 24, 24)


def test_the_hash_is_of_the_tensors_and_not_of_their_file(exported, tmp_path):
    _, model, words = exported
    other = tmp_path / "other"
    other.mkdir()
    for name, content in export_files(model, words, "open_clip").items():
        (other / name).write_bytes(content())
    assert encoders(other)[2]["sha256"] == hash_tensors(model)
    assert hash_tensors(tiny_model(words.eos_id, seed=1)) != hash_tensors(model)


def test_what_the_model_sees_is_what_evaluation_sees():
    encoded = jpeg()
    out = np.empty((3, 64, 64), np.uint8)
    seen = see_image(encoded, "pillow", out)
    assert (seen.width, seen.height, seen.reason) == (300, 200, "")
    whole = fit(decode(encoded), 64)
    # Decoded at a half, then resized: rounding differs.
    assert np.abs(out.astype(int) - whole).mean() < 3


def test_exif_turns_and_bad_images_are_reasons():
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = see_image(jpeg(exif=exif), "simplejpeg", None)
    assert (turned.width, turned.height) == (200, 300)
    assert see_image(None, "simplejpeg", None).reason == "no_image"
    bad = see_image(b"no image", "simplejpeg", None)
    assert (bad.reason, bad.perceptual, len(bad.exact)) == ("corrupt_image", None, 16)


def test_vectors_are_of_unit_length_and_finite():
    found = unit_vectors(np.array([[3.0, 4.0], [0.0, 0.0], [1e-30, 0.0]], np.float32), "images")
    np.testing.assert_allclose(found, [[0.6, 0.8], [0, 0], [1, 0]], atol=1e-3)
    for value in (np.nan, np.inf):
        with pytest.raises(ArtifactError, match="vectors of texts are not finite"):
            unit_vectors(np.array([[1.0, value]], np.float32), "texts")


def test_precision_and_device_are_checked():
    assert resolve_precision("auto", CPU) == "float32"
    with pytest.raises(UsageError, match="float16 is for GPUs"):
        resolve_precision("float16", CPU)
    with pytest.raises(UsageError, match="expected one of auto"):
        resolve_precision("int8", CPU)
    with pytest.raises(UsageError, match="--device is 'nonsense'"):
        torch_device("nonsense")


def static_model(path, words=("red", "dog", "cat")):
    from model2vec import StaticModel
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {word: i for i, word in enumerate(["[UNK]", *words, "[PAD]"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    vectors = np.random.default_rng(0).normal(size=(len(vocabulary), 6)).astype(np.float32)
    model = StaticModel(vectors, tokenizer)
    model.save_pretrained(str(path))
    return vectors


def test_a_static_sentence_encoder_adds_up_its_words(tmp_path):
    vectors = static_model(tmp_path / "static")
    encoder, about = open_sentence_encoder(str(tmp_path / "static"), CPU)
    prepared, lengths = encoder.prepare(["red dog", "cat"])
    found = encoder.encode(prepared)
    np.testing.assert_allclose(found, [vectors[[1, 2]].mean(0), vectors[3]], rtol=1e-5)
    assert (about["library"], about["width"], lengths.tolist()) == ("model2vec", 6, [7, 3])
    again = open_sentence_encoder(f"model2vec:{tmp_path / 'static'}", CPU)[1]
    assert again == about


def test_what_is_no_sentence_encoder_is_told(tmp_path):
    with pytest.raises(UsageError, match="say which library loads it: model2vec:some/name"):
        open_sentence_encoder("some/name", CPU)
    (tmp_path / "config.json").write_text('{"model_type": "model2vec"}')
    with pytest.raises(InputError, match="model2vec cannot load it"):
        open_sentence_encoder(str(tmp_path), CPU)


def test_a_library_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr("curate.training.embedding.sentences.find_spec", lambda _: None)
    with pytest.raises(CurateError, match="Install it with: pip install sentence-transformers"):
        open_sentence_encoder("sentence-transformers:some/name", CPU)
    with pytest.raises(CurateError, match=r"pip install 'curate-clip\[embed\]'"):
        open_sentence_encoder("model2vec:some/name", CPU)
