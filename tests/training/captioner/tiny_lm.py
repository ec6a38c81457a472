"""Causal language models of transformers with random weights, small enough for tests."""

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedTokenizerFast,
)

WORDS = "<unk> </s> something re a the red green blue white dog cat in of with and on very".split()


def make_lm(kind="opt", *, width=16, layers=2, dropout=0.0, seed=0):
    torch.manual_seed(seed)
    if kind == "opt":
        config = OPTConfig(
            vocab_size=len(WORDS), hidden_size=width, word_embed_proj_dim=width, ffn_dim=2 * width,
            num_hidden_layers=layers, num_attention_heads=2, dropout=dropout,
            max_position_embeddings=512, bos_token_id=1, eos_token_id=1, pad_token_id=0,
            init_std=0.3,
        )  # fmt: skip
        return OPTForCausalLM(config)
    if kind == "gpt2":
        config = GPT2Config(
            vocab_size=len(WORDS), n_embd=width, n_layer=layers, n_head=2, n_positions=512,
            resid_pdrop=dropout, embd_pdrop=dropout, attn_pdrop=0.0, bos_token_id=1,
            eos_token_id=1, initializer_range=0.3,
        )  # fmt: skip
        return GPT2LMHeadModel(config)
    config = LlamaConfig(
        vocab_size=len(WORDS), hidden_size=width, intermediate_size=2 * width,
        num_hidden_layers=layers, num_attention_heads=2, bos_token_id=1, eos_token_id=1,
        initializer_range=0.3, max_position_embeddings=512,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def make_tokenizer(*, end="</s>"):
    """A tokenizer of whole words, without a padding token; `end` None for none at all."""
    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    names = {"eos_token": end} if end else {}
    return PreTrainedTokenizerFast(tokenizer_object=inner, **names)


def write_lm(folder, kind="opt", **options):
    make_lm(kind, **options).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return str(folder)
