"""A small web in English whose alt-texts are damaged: half of their words are gone or others."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import webdataset
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from examples.toyweb import world
from examples.toyweb.images import draw_scene
from examples.toyweb.world import Scene

LANG, SIZE, PAIRS_PER_SHARD = "en", 32, 2000
DAMAGE = 0.5


@dataclass(frozen=True, slots=True)
class Item:
    """An image of a scene, with what is really on it, and what its page says.

    Attributes:
        pair_id: of the pair.
        scene: what is on the image.
        image: PNG.
        clean: a caption that is right.
        damaged: the same with half of its words gone or others.
    """

    pair_id: str
    scene: Scene
    image: bytes
    clean: str
    damaged: str


def vocabulary() -> list[str]:
    """Return the words of all captions."""
    scenes = (
        Scene(colour, shape, texture, number, place)
        for colour in range(len(world.COLOURS)) for shape in range(len(world.SHAPES))
        for texture in range(3) for number in world.NUMBERS for place in range(5)
    )  # fmt: skip
    texts = {world.caption(s, LANG, t) for s in scenes for t in range(len(world.TEMPLATES[LANG]))}
    return sorted({word for text in texts for word in text.split()})


def items(num: int, seed: int) -> Iterator[Item]:
    """Yield images of scenes as the toy web draws them; another seed gives others."""
    rng, words = np.random.default_rng(seed), vocabulary()
    concepts = rng.choice(world.NUM_CONCEPTS, num, p=world.concept_shares())
    for number, concept in enumerate(concepts.tolist()):
        colour, shape = divmod(concept, len(world.SHAPES))
        scene = Scene(
            colour, shape, int(rng.choice(3, p=world.TEXTURE_SHARES)),
            int(rng.choice(world.NUMBERS, p=world.NUMBER_SHARES)),
            int(rng.choice(5, p=world.PLACE_SHARES)),
        )  # fmt: skip
        clean = world.caption(scene, LANG, int(rng.integers(len(world.TEMPLATES[LANG]))))
        image = draw_scene(scene, rng.random(8), SIZE)
        yield Item(f"{seed}-{number:06d}", scene, image, clean, damage(clean, words, rng))


def damage(text: str, words: Sequence[str], rng: np.random.Generator) -> str:
    """Return a text whose words are each dropped, or replaced by any, in half of the cases."""
    found = []
    for word in text.split():
        draw = rng.random()
        if draw >= DAMAGE:
            found.append(word)
        elif draw >= DAMAGE / 2:
            found.append(words[int(rng.integers(len(words)))])
    return " ".join(found) or words[int(rng.integers(len(words)))]


def attributes(scene: Scene, text: str) -> dict[str, bool]:
    """Tell which attributes of a scene a text names rightly: no other of its kind beside them."""
    said = text.replace(",", " ").split()
    nouns = [set(noun.split()) for noun in world.NOUNS[LANG]]
    colours = {word for word in said if word in world.ADJECTIVES[LANG]}
    shapes = {i for i, noun in enumerate(nouns) if noun & set(said)}
    right = {
        "colour": colours == {world.ADJECTIVES[LANG][scene.colour]},
        "shape": shapes == {scene.shape},
    }
    return {**right, "both": all(right.values())}


def write_shards(folder: Path, found: Sequence[Item]) -> None:
    """Write images with their damaged alt-texts as shards."""
    folder.mkdir(parents=True, exist_ok=True)
    with webdataset.ShardWriter(
        str(folder / "%05d.tar"), maxcount=PAIRS_PER_SHARD, encoder=False, mtime=0, verbose=0
    ) as writer:
        for item in found:
            about = json.dumps({"pair_id": item.pair_id, "lang": LANG}).encode()
            writer.write({"__key__": item.pair_id, "png": item.image,
                          "txt": item.damaged.encode(), "json": about})  # fmt: skip


def write_classes(folder: Path, found: Sequence[Item]) -> Path:
    """Write held-out images with their classes, as `curate eval` reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [world.class_name(concept) for concept in range(world.NUM_CONCEPTS)]
    (folder / "classes.txt").write_text("\n".join(names) + "\n")
    table = {"image": [item.image for item in found],
             "label": [names[item.scene.concept] for item in found]}  # fmt: skip
    pq.write_table(pa.table(table), folder / "zeroshot.parquet")
    return folder / "zeroshot.parquet"


def write_table(path: Path, pairs: Sequence[tuple[str, str]], source: str) -> Path:
    """Write captions by pair id."""
    ids, texts = zip(*pairs, strict=True)
    table = {"pair_id": list(ids), "text": list(texts), "source": [source] * len(pairs)}
    pq.write_table(pa.table(table), path)
    return path


def write_language_model(folder: Path) -> Path:
    """Write an OPT with random weights that knows the words of this web and no others."""
    from transformers import OPTConfig, OPTForCausalLM, PreTrainedTokenizerFast

    words = ["<unk>", "</s>", *vocabulary()]
    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    inner.normalizer = normalizers.Strip()
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>", unk_token="<unk>")
    tokenizer.save_pretrained(folder)
    OPTForCausalLM(
        OPTConfig(
            vocab_size=len(words),
            hidden_size=96,
            word_embed_proj_dim=96,
            ffn_dim=192,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=128,
            dropout=0.0,
            attention_dropout=0.0,
            bos_token_id=1,
            eos_token_id=1,
            pad_token_id=0,
        )  # fmt: skip
    ).save_pretrained(folder)
    return folder
