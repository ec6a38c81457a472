"""Models loaded by their names, from a server on loopback: the true layout, shrunken widths."""

import errno
import hashlib
import io
import json
import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import huggingface_hub
import numpy as np
import pytest
import torch
from PIL import Image

import curate
from curate import training
from curate.errors import ArtifactError, DiskSpaceError, FetchError, InputError, UsageError
from curate.files.sums import read_sums
from curate.metadata.fetch.hosts import Retries
from curate.metadata.fetch.offline import is_offline
from curate.training.export.load import load_model
from curate.training.model.clip import CLIP
from curate.training.model.config import ModelConfig
from curate.training.published import cache, registry, resolve
from curate.training.published.hub import hub_as_told
from curate.training.published.registry import published_models
from tests.training.model_server import ModelServer
from tests.training.their_programs import import_open_clip

TEXTS = ["a photo of a dog", "the cafÃ© &amp; bar"]
SMALL = {"embed_dim": 16, "vision_width": 32, "vision_layers": 1, "vision_head_width": 16,
         "text_width": 16, "text_layers": 1, "text_heads": 2, "vision_mlp_ratio": 4.0}  # fmt: skip


def shrunken(config: ModelConfig) -> ModelConfig:
    return replace(config, **SMALL)


def published_file(config, *, seed=0, half=True):
    """A checkpoint as published: of a wrapped model, in half precision, with what training kept."""
    torch.manual_seed(seed)
    model = CLIP(config, 2)
    weights = {f"module.{key}": value.half() if half else value
               for key, value in model.state_dict().items()}  # fmt: skip
    weights["module.attn_mask"] = torch.zeros(77, 77)
    buffer = io.BytesIO()
    torch.save({"epoch": 32, "name": "run", "state_dict": weights}, buffer)
    return buffer.getvalue(), model.half().float()


@pytest.fixture(scope="module")
def english():
    """The file of ViT-B-32-quickgelu by metaclip_400m, and its model."""
    return published_file(shrunken(training_config("ViT-B-32-quickgelu")))


def training_config(name):
    from curate.training.model.config import load_model_config

    return load_model_config(name)


@pytest.fixture
def server(monkeypatch, tmp_path, english):
    """A server with the English model; the registry knows the sum of its shrunken file."""
    content, _ = english
    found = ModelServer({"b32_400m.pt": content})
    sums = {"b32_400m.pt": hashlib.sha256(content).hexdigest()}
    models = tuple(
        replace(one, sha256=sums.get(one.file, one.sha256)) for one in published_models()
    )
    monkeypatch.setattr(registry, "published_models", lambda: models)
    monkeypatch.setattr(registry, "load_model_config", lambda name: shrunken(training_config(name)))
    monkeypatch.setattr(cache, "RETRIES", Retries(attempts=3, first_wait_s=0.01))
    monkeypatch.setenv("CURATE_MODELS_MIRROR", found.url)
    monkeypatch.setenv("CURATE_MODELS", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    import_open_clip()
    yield found
    found.close()


def names(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


WHOLE = ["b32_400m.pt", "b32_400m.pt.source.json", "sums.json"]


def load():
    return curate.load("ViT-B-32-quickgelu", pretrained="metaclip_400m")


def test_a_model_is_loaded_by_its_name_and_gives_what_its_weights_say(
    server, english, tmp_path, caplog
):
    with caplog.at_level(logging.INFO, "curate"):
        model, preprocess, tokenize = load()
    _, expected = english
    for (name, a), b in zip(
        expected.state_dict().items(), model.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b), name
    assert model.eos_id == 49_407 and not model.training
    assert "CC-BY-NC-4.0: not for commercial use" in caplog.text
    assert "texts are cleaned as CLIP's published tokenizer" in caplog.text
    open_clip = import_open_clip()
    assert torch.equal(tokenize(TEXTS), open_clip.SimpleTokenizer()(TEXTS))
    image = preprocess(Image.new("RGB", (300, 200), "red")).unsqueeze(0)
    with torch.no_grad():
        assert (
            model.encode_image(image).shape == model.encode_text(tokenize(["a"])).shape == (1, 16)
        )
    assert names(tmp_path / "cache") == WHOLE
    # Again: nothing is fetched, also by other spellings.
    for again in ("metaclip_400m/ViT-B-32-quickgelu", "vit-b-32-quickgelu:metaclip400m"):
        training.load(again)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "acts, ranges",
    [
        (["cut", "cut"], 3), (["busy", "cut", "busy"], 4), (["page"], 2), (["moved"], 2),
        (["cut", "whole"], 2), (["other"], 2), (["cut", "other"], 3),
    ],
)  # fmt: skip
def test_a_server_that_misbehaves_gives_the_file_in_the_end(server, tmp_path, acts, ranges):
    server.behave["b32_400m.pt"] = list(acts)
    load()
    assert len(server.requests) >= ranges - 1 and names(tmp_path / "cache") == WHOLE
    if acts[0] == "cut":
        assert server.requests[1][1].startswith("bytes=")


def test_a_download_that_was_cut_off_goes_on_where_it_was(server, tmp_path):
    server.behave["b32_400m.pt"] = ["cut", "busy", "busy", "busy"]
    with pytest.raises(FetchError, match=r"given up after 3 attempts.*put the file at .*b32_400m"):
        load()
    there = names(tmp_path / "cache")
    assert "b32_400m.pt" not in there and "b32_400m.pt.part" in there
    half = (tmp_path / "cache/b32_400m.pt.part").stat().st_size
    load()
    assert server.requests[-1] == ("b32_400m.pt", f"bytes={half}-")
    assert names(tmp_path / "cache") == WHOLE


def test_another_file_than_the_published_one_is_refused_and_not_kept(server, tmp_path):
    server.files["b32_400m.pt"] = server.files["b32_400m.pt"][:-1] + b"?"
    with pytest.raises(FetchError, match="sha256 .* where .* is listed, in two downloads"):
        load()
    assert names(tmp_path / "cache") == []
    server.behave["b32_400m.pt"] = ["gone"]
    with pytest.raises(FetchError, match="there is no such file on the server"):
        load()


def test_offline_what_is_in_the_cache_is_used_and_nothing_else(server, tmp_path, monkeypatch):
    monkeypatch.setenv("CURATE_OFFLINE", "1")
    with pytest.raises(InputError, match=r"b32_400m\.pt is not in the cache .*CURATE_OFFLINE says"):
        load()
    assert server.requests == []
    (tmp_path / "cache/b32_400m.pt").write_bytes(server.files["b32_400m.pt"])
    load()  # put there by hand, and looked at
    assert server.requests == [] and "sums.json" in names(tmp_path / "cache")
    (tmp_path / "cache/sums.json").unlink()
    (tmp_path / "cache/b32_400m.pt").write_bytes(b"another")
    with pytest.raises(InputError, match=r"b32_400m\.pt: sha256 is .*remove it, and it is fetched"):
        load()


def test_a_file_that_was_damaged_in_the_cache_is_noticed(server, tmp_path):
    load()
    path = tmp_path / "cache/b32_400m.pt"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"b32_400m\.pt is damaged: its checksum differs"):
        load()
    path.write_bytes(content[:100])
    with pytest.raises(InputError, match="sha256 is .* expected"):
        load()


def test_a_cache_without_room_or_rights_is_told(server, tmp_path, monkeypatch):
    about = os.statvfs(tmp_path)

    class Full:
        f_bavail, f_frsize = 1, about.f_frsize

    with monkeypatch.context() as patch:
        patch.setattr(cache.os, "statvfs", lambda _: Full)
        with pytest.raises(DiskSpaceError, match="are needed for b32_400m.pt, and .* are free"):
            load()
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("CURATE_MODELS", str(tmp_path / "file/cache"))
    with pytest.raises(InputError, match="cannot be used as a cache.*CURATE_MODELS"):
        load()


def test_a_cache_that_others_fill_is_only_read(server, tmp_path, monkeypatch):
    load()

    def refused(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(cache, "_only_one", refused)
    load()  # its sum is noted, so that no lock is needed
    (tmp_path / "cache/sums.json").unlink()
    load()  # put there by hand, and compared each time
    assert len(server.requests) == 1 and "sums.json" not in names(tmp_path / "cache")
    (tmp_path / "cache/b32_400m.pt").write_bytes(b"another")
    with pytest.raises(InputError, match=r"b32_400m\.pt: sha256 is "):
        load()
    (tmp_path / "cache/b32_400m.pt").unlink()
    with pytest.raises(InputError, match="cannot be used as a cache.*CURATE_MODELS"):
        load()


def test_sums_that_several_note_at_once_are_all_noted(tmp_path):
    paths = [tmp_path / f"{number}.pt" for number in range(12)]
    for path in paths:
        path.write_bytes(b"weights")
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(cache._note_sum, paths))
    assert set(read_sums(str(tmp_path))) == {path.name for path in paths}


def test_the_password_of_a_mirror_is_not_told(server, monkeypatch, caplog):
    address = server.url.replace("http://", "http://me:secret@")
    monkeypatch.setenv("CURATE_MODELS_MIRROR", address)
    with caplog.at_level(logging.INFO, "curate"):
        load()
    monkeypatch.setenv("CURATE_OFFLINE", "yes")
    with pytest.raises(InputError, match="Put the file of") as told:
        training.load("metaclip_400m/ViT-B-16-quickgelu")
    assert "fetching" in caplog.text and "secret" not in caplog.text + str(told.value)


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("Yes", True), ("false", False),
                                                 ("0", False), ("", False)])  # fmt: skip
def test_that_nothing_is_to_be_fetched_is_said_in_a_word(monkeypatch, value, expected):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("CURATE_OFFLINE", value)
    assert is_offline() is expected
    before = huggingface_hub.constants.HF_HUB_OFFLINE
    with hub_as_told():  # what asks the Hub by itself does not either
        assert huggingface_hub.constants.HF_HUB_OFFLINE is (expected or before)
    assert huggingface_hub.constants.HF_HUB_OFFLINE is before


def test_two_that_ask_at_once_fetch_once(server):
    errors = []

    def work():
        try:
            load_model("metaclip_400m/ViT-B-32-quickgelu")
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [] and len(server.requests) == 1


def test_weights_of_another_model_under_the_right_name_are_refused(server, monkeypatch):
    content, _ = published_file(
        replace(shrunken(training_config("ViT-B-16-quickgelu")), text_width=32)
    )
    server.files["b32_400m.pt"] = content
    models = tuple(
        replace(one, sha256=hashlib.sha256(content).hexdigest()) for one in published_models()
    )
    monkeypatch.setattr(registry, "published_models", lambda: models)
    with pytest.raises(InputError, match=r"b32_400m\.pt: .*expected"):
        load()


def test_how_much_has_come_is_told(server, monkeypatch, caplog):
    monkeypatch.setattr(cache, "_TELL_S", 0.0)
    with caplog.at_level(logging.INFO, "curate"):
        load()
    size = len(server.files["b32_400m.pt"])
    assert any("b32_400m.pt: " in line and " of " in line for line in caplog.messages)
    assert size > 1_000_000


def test_where_shape_and_file_disagree_it_is_said_and_fitted(server, monkeypatch, caplog, tmp_path):
    # The file of ViT-B-32-384-worldwide is called 378px: perhaps of 11 x 11 patches, not 12 x 12.
    shape = replace(shrunken(training_config("ViT-B-32-384-worldwide")), vocab_size=512)
    content, _ = published_file(replace(shape, image_size=352))
    server.files["metaclip2_b32_378px_worldwide.pt"] = content
    digest = hashlib.sha256(content).hexdigest()
    models = tuple(replace(one, sha256=digest) for one in published_models())
    monkeypatch.setattr(registry, "published_models", lambda: models)
    monkeypatch.setattr(registry, "load_model_config", lambda _: shape)
    words = tmp_path / "tokenizer.json"
    words.write_text(pieces_json(), "utf-8")
    with caplog.at_level(logging.INFO, "curate"):
        model, _, _ = curate.load("ViT-B-32-384-worldwide", tokenizer=str(words))
    assert "the published code another one, called 378px" in caplog.text
    assert "positions" in caplog.text and model.config.image_size == 384


def pieces_json():
    """A tokenizer whose ids are XLM-V's where they matter: <s> 0, <pad> 1, </s> 2."""
    vocab = ["<s>", "<pad>", "</s>", "<unk>", "▁", *"abcdefghijklmnop"]
    frame = {"type": "TemplateProcessing", "pair": [], "single": [
        {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": "</s>", "type_id": 0}}], "special_tokens": {
        "<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]},
        "</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]}}}  # fmt: skip
    model = {"type": "Unigram", "unk_id": 3, "vocab": [[piece, -1.0] for piece in vocab]}
    pre = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    return json.dumps({"version": "1.0", "model": model, "pre_tokenizer": pre,
                       "post_processor": frame, "added_tokens": []})  # fmt: skip


def test_a_worldwide_model_takes_its_tokenizer_from_the_hub(server, monkeypatch, tmp_path):
    shape = replace(shrunken(training_config("ViT-S-16-worldwide")), vocab_size=64)
    content, expected = published_file(shape)
    server.files["metaclip2_s16_224px_worldwide.pt"] = content
    digest = hashlib.sha256(content).hexdigest()
    models = tuple(replace(one, sha256=digest) for one in published_models())
    monkeypatch.setattr(registry, "published_models", lambda: models)
    monkeypatch.setattr(registry, "load_model_config", lambda _: shape)
    words = tmp_path / "words.json"
    words.write_text(pieces_json(), "utf-8")
    asked = []
    monkeypatch.setattr(
        "huggingface_hub.hf_hub_download",
        lambda name, file, **_: asked.append((name, file)) or str(words),
    )
    model, _, tokenize = curate.load("ViT-S-16-worldwide@WorldWideCLIP")
    assert asked == [("facebook/xlm-v-base", "tokenizer.json")] and model.eos_id == 2
    tokens = tokenize(["a bad dog"])
    assert tokens[0, 0] == 0 and (tokens == 2).sum() == 1
    with torch.no_grad():
        assert torch.equal(model.encode_text(tokens), expected.eval().encode_text(tokens))


def test_clips_merges_come_from_open_clip_or_are_fetched(server, monkeypatch):
    there = resolve.clip_merges()
    assert there.endswith("open_clip/bpe_simple_vocab_16e6.txt.gz")
    monkeypatch.setattr(resolve, "find_spec", lambda _: None)
    with open(there, "rb") as file:
        server.files["bpe_simple_vocab_16e6.txt.gz"] = file.read()
    fetched = resolve.clip_merges()
    assert fetched.startswith(os.environ["CURATE_MODELS"])
    with open(fetched, "rb") as file:
        assert file.read() == server.files["bpe_simple_vocab_16e6.txt.gz"]


def test_what_is_no_name_is_told_with_runs_and_models(server, tmp_path):
    with pytest.raises(
        InputError, match=r"there is no ViT-B-32-quickgelo; .*nearest: .*ViT-B-32-q"
    ):
        curate.load("ViT-B-32-quickgelo")
    with pytest.raises(InputError, match="several names: metaclip_400m, metaclip_2_5b"):
        curate.load("ViT-B-32-quickgelu")
    with pytest.raises(InputError, match="no published model of this name"):
        curate.load(str(tmp_path), pretrained="metaclip_400m")


def test_a_model_of_the_hub_is_loaded_by_its_name(monkeypatch, tmp_path):
    from huggingface_hub.errors import EntryNotFoundError

    from tests.training.export.test_export import write
    from tests.training.tiny import tiny_model, tiny_tokenizer

    model = tiny_model(2)
    write(model, tiny_tokenizer(), "huggingface", tmp_path / "snapshot")
    asked = []

    def download(name, file, *, revision, local_files_only):
        asked.append((name, file, revision))
        if not (tmp_path / "snapshot" / file).exists():
            raise EntryNotFoundError(file)
        return str(tmp_path / "snapshot" / file)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    loaded, _, tokenize = curate.load("hf:org/name@v1")
    assert all(name == "org/name" and revision == "v1" for name, _, revision in asked)
    tokens = tokenize(["a red dog"])
    with torch.no_grad():
        assert torch.equal(loaded.encode_text(tokens), model.encode_text(tokens))
    (tmp_path / "snapshot/model.safetensors").unlink()
    with pytest.raises(InputError, match="there are no weights in it; expected one of open_clip_m"):
        curate.load("hf:org/name")


def test_a_model_of_open_clips_list_is_loaded_by_its_name(monkeypatch, tmp_path):
    open_clip = import_open_clip()
    shape = {**open_clip.get_model_config("ViT-B-32"), "quick_gelu": False}
    shape["vision_cfg"] = {**shape["vision_cfg"], "layers": 1, "width": 64}
    shape["text_cfg"] = {**shape["text_cfg"], "layers": 1, "width": 64, "heads": 2}
    theirs = open_clip.CLIP(**shape).eval()
    torch.save(theirs.state_dict(), tmp_path / "w.pt")
    monkeypatch.setattr(open_clip, "get_model_config", lambda _: shape)
    monkeypatch.setattr(open_clip, "download_pretrained", lambda _: str(tmp_path / "w.pt"))
    model, preprocess, tokenize = curate.load("open_clip:ViT-B-32/laion2b_s34b_b79k")
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 70, 3), np.uint8))
    pixels, tokens = preprocess(image).unsqueeze(0), tokenize(["a photo of a dog"])
    with torch.no_grad():
        torch.testing.assert_close(
            model.encode_image(pixels), theirs.encode_image(pixels), atol=1e-5, rtol=1e-5
        )
        torch.testing.assert_close(
            model.encode_text(tokens), theirs.encode_text(tokens), atol=1e-5, rtol=1e-5
        )
    with pytest.raises(
        InputError, match="not in OpenCLIP's list; weights there are: .*laion2b_e16"
    ):
        curate.load("open_clip:ViT-B-32/none")
    monkeypatch.setitem(__import__("sys").modules, "open_clip", None)
    with pytest.raises(UsageError, match="needs OpenCLIP, which cannot be imported"):
        curate.load("open_clip:ViT-B-32/openai")


def test_a_model_of_open_clips_list_is_not_fetched_where_nothing_is(monkeypatch, tmp_path):
    about = {"url": "https://example.org/sum/ViT-B-32.pt"}
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("CURATE_OFFLINE", "1")
    with pytest.raises(InputError, match=r"ViT-B-32\.pt is not there, and CURATE_OFFLINE says"):
        resolve._kept_by_open_clip(about)
    there = tmp_path / ".cache/clip/ViT-B-32.pt"
    there.parent.mkdir(parents=True)
    there.write_bytes(b"weights")
    assert resolve._kept_by_open_clip(about) == str(there)
    assert resolve._kept_by_open_clip({**about, "hf_hub": "org/name/"}) is None  # the Hub's cache
    monkeypatch.setenv("CURATE_OFFLINE", "")
    assert resolve._kept_by_open_clip(about) is None
