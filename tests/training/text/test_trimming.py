"""A vocabulary with the tokens of some texts alone: these are cut as before, others are spelled."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer as Model
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoModel, AutoTokenizer

from curate.errors import UsageError
from curate.training.export.files import export_files
from curate.training.export.load import load_model
from curate.training.model.weights import load_weights
from curate.training.text.clip_bpe import build_clip_bpe
from curate.training.text.tokenizer import Tokenizer, learn_tokenizer
from curate.training.text.trimming import trim, trimmed_shape, used_ids
from tests.training.their_programs import import_open_clip
from tests.training.tiny import tiny_config, tiny_model

USED = ["a red dog", "the dog's red balls", "ein roter Hund", "红色的狗", "<s> </s> [SEP]", ""]
TOLERANCE = 2e-4  # float32 by other kernels
OTHERS = ["green cats in the gardens", "зелёная кошка 🐈", "a blue dog", "x" * 30]


def learned():
    return learn_tokenizer([*USED, *OTHERS] * 9, 420, 16)


def unigram():
    model = Model(models.Unigram())
    model.normalizer = normalizers.NFKC()
    model.pre_tokenizer = pre_tokenizers.Metaspace()
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(
        vocab_size=160, special_tokens=specials, unk_token="<unk>", show_progress=False
    )
    model.train_from_iterator([*USED, *OTHERS] * 9, trainer)
    frame = [("<s>", 0), ("</s>", 2)]
    model.post_processor = processors.TemplateProcessing("<s> $A </s>", None, frame)
    return Tokenizer(model, 16)


def wordpiece():
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "re", "##d", "dog", "do", "##g", "r",
              "##e", "d", "##o", "a", "the", "green", "cat", "##s"]  # fmt: skip
    model = Model(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"))
    model.pre_tokenizer = pre_tokenizers.Whitespace()
    model.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return Tokenizer(model, 16)


def clip():
    merges = b"#version\nr e\nre d</w>\nd o\ndo g</w>\ng r\ngr e\ngre e\ngree n</w>\nc a\nca t\n"
    return Tokenizer(build_clip_bpe(merges, "merges.txt"), 16)


def until_end(rows, tokenizer):
    return [row[: row.index(tokenizer.eos_id) + 1] for row in rows.tolist()]


@pytest.mark.parametrize("make", [learned, unigram, wordpiece, clip])
def test_texts_whose_tokens_stay_are_cut_as_before(make):
    whole = make()
    small = trim(whole, used_ids(whole, USED))
    ids = np.array(small.trimmed_from)
    assert small.vocab_size == len(ids) < whole.vocab_size
    assert (np.diff(ids) > 0).all() and ids[small.eos_id] == whole.eos_id
    back = [ids[row].tolist() for row in until_end(small.encode(USED), small)]
    assert back == until_end(whole.encode(USED), whole)
    assert [small.token(i) for i in range(len(ids))] == [whole.token(i) for i in ids.tolist()]
    for row in until_end(small.encode(OTHERS), small):  # and all others have some tokens
        assert len(row) > 2 - (not small.start_ids)
    again = Tokenizer.from_json(small.to_json(), 16)
    assert again == small and again.trimmed_from == small.trimmed_from and again != whole


def test_what_is_trimmed_is_not_trimmed_again():
    small = trim(learned(), np.arange(3))
    with pytest.raises(UsageError, match="was trimmed before"):
        trim(small, np.arange(3))


@pytest.mark.parametrize("export_format", ["safetensors", "huggingface", "open_clip"])
def test_a_trimmed_model_gives_the_logits_of_the_whole_one(tmp_path, export_format):
    tokenizer = unigram()
    whole = tiny_model(2, vocab_size=tokenizer.vocab_size, context_length=16)
    torch.save(whole.state_dict(), tmp_path / "whole.pt")
    small = trim(tokenizer, used_ids(tokenizer, USED))
    shape = trimmed_shape(tiny_config(vocab_size=tokenizer.vocab_size, eos_id=2), small)
    assert (shape.vocab_size, shape.eos_id) == (small.vocab_size, small.eos_id)
    model = tiny_model(2, vocab_size=small.vocab_size, context_length=16)
    load_weights(model, str(tmp_path / "whole.pt"), small.trimmed_from)
    folder = tmp_path / export_format
    folder.mkdir()
    for name, content in export_files(model, small, export_format).items():
        (folder / name).write_bytes(content())
    assert (folder / "token_ids.json").exists() == (export_format != "safetensors")
    read, words = load_model(str(folder))
    texts = [text for text in USED if "<s>" not in text]  # elsewhere a space stands for that
    with torch.no_grad():
        expected = whole.encode_text(torch.from_numpy(tokenizer.encode(texts)))
        found = [read.encode_text(torch.from_numpy(words.encode(texts)))]
        if export_format != "safetensors":
            theirs = AutoTokenizer.from_pretrained(folder)
            tokens = theirs(texts, padding="max_length", truncation=True, max_length=16,
                            return_tensors="pt").input_ids  # fmt: skip
        if export_format == "huggingface":
            other = AutoModel.from_pretrained(folder).eval()
            found.append(other.get_text_features(input_ids=tokens).pooler_output)
        if export_format == "open_clip":
            other, _ = import_open_clip().create_model_from_pretrained(f"local-dir:{folder}")
            found.append(other.eval().encode_text(tokens))
    for text in found:
        torch.testing.assert_close(text, expected, atol=TOLERANCE, rtol=1e-4)
