"""Rows of the toy web, a block at a time: each block is a function of the seed and its number."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from examples.toyweb import world
from examples.toyweb.world import Scene, caption

BLOCK_ROWS = 10_000

BOILERPLATE = (
    "Buy now - free shipping", "Click to enlarge", "thumbnail", "image", "Loading...",
    "Photo 1 of 24", "Facebook", "logo", "View larger image", "No description available",
    "Zum Vergrößern klicken", "Haga clic para ampliar", "Нажмите, чтобы увеличить",
    "クリックして拡大", "点击查看大图",
)  # fmt: skip
NOISE_SHARES = {
    "none": 0.70,
    "file_name": 0.06,
    "boilerplate": 0.06,
    "wrong_text": 0.04,
    "size": 0.04,
    "random": 0.03,
    "shouted": 0.02,
    "doubled": 0.02,
    "html": 0.02,
    "empty": 0.01,
}
NOISES = tuple(NOISE_SHARES)
_FILE_NAMES = ("IMG_{}.jpg", "DSC{:05d}", "{}.png", "Screenshot_{}", "image-{}-300x200")


@dataclass(frozen=True, slots=True)
class Block:
    """Rows that are generated together: scenes, texts, and random numbers for drawing."""

    first_row: int
    scenes: list[Scene]
    texts: list[str]
    urls: list[str]
    jitter: NDArray[np.float64]


def sample_scenes(rng: np.random.Generator, num: int) -> list[Scene]:
    """Draw scenes with the world's frequencies."""
    concepts = rng.choice(world.NUM_CONCEPTS, num, p=world.concept_shares())
    textures = rng.choice(len(world.TEXTURES), num, p=world.TEXTURE_SHARES)
    numbers = rng.choice(world.NUMBERS, num, p=world.NUMBER_SHARES)
    places = rng.choice(len(world.PLACES), num, p=world.PLACE_SHARES)
    places[numbers > 1] = 0
    colours, shapes = np.divmod(concepts, len(world.SHAPES))
    columns = (colours, shapes, textures, numbers, places)
    return [Scene(*row) for row in zip(*(c.tolist() for c in columns), strict=True)]


def blocks(seed: int, first: int, stop: int) -> Iterator[Block]:
    """Yield rows ``first`` to ``stop``; both multiples of BLOCK_ROWS, but for the last stop."""
    for start in range(first, stop, BLOCK_ROWS):
        yield _block(seed, start, min(BLOCK_ROWS, stop - start))


def _block(seed: int, first_row: int, num: int) -> Block:
    rng = np.random.default_rng([seed, first_row // BLOCK_ROWS])
    # Always a whole block, so that a row does not depend on how many are wanted.
    scenes = sample_scenes(rng, BLOCK_ROWS)
    langs = rng.choice(len(world.LANGUAGES), BLOCK_ROWS, p=world.LANGUAGE_SHARES)
    templates = rng.integers(0, 5, BLOCK_ROWS)
    noises = rng.choice(len(NOISES), BLOCK_ROWS, p=tuple(NOISE_SHARES.values()))
    numbers = rng.integers(0, 100_000, BLOCK_ROWS)
    jitter = rng.random((BLOCK_ROWS, 8))
    clean = [
        caption(scene, world.LANGUAGES[lang], template)
        for scene, lang, template in zip(scenes, langs.tolist(), templates.tolist(), strict=True)
    ]
    texts = clean[:num]
    noise_names = [NOISES[n] for n in noises[:num].tolist()]
    for row, (noise, number) in enumerate(zip(noise_names, numbers.tolist(), strict=False)):
        if noise != "none":
            texts[row] = _noisy(noise, clean, row, number)
    urls = [f"https://toyweb.example/{seed}/{first_row + i:010d}.png" for i in range(num)]
    return Block(first_row, scenes[:num], texts, urls, jitter[:num])


def _noisy(noise: str, clean: list[str], row: int, number: int) -> str:
    text = clean[row]
    if noise == "file_name":
        return _FILE_NAMES[number % len(_FILE_NAMES)].format(number)
    if noise == "random":
        return "".join(chr(97 + (number * (i + 3) + i * i) % 26) for i in range(5 + number % 9))
    return {
        "boilerplate": BOILERPLATE[number % len(BOILERPLATE)],
        "wrong_text": clean[number % len(clean)],
        "size": f"{text} - {number % 900 + 100}x{number % 700 + 100}",
        "shouted": text.upper(),
        "doubled": f"{text}, {text}",
        "html": f"<b>{text}</b>&nbsp;",
        "empty": "",
    }[noise]
