"""The world behind the toy web: what there is, how often, and the draw of one block of rows.

In: a seed and a block number. Out: for each row the concept shown, the concept told (another one
where the text is wrong), language, template and kind of noise. The world itself does not depend
on the seed, so two seeds are two samples of one population.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

BLOCK_ROWS = 10_000  # the unit of randomness: a row is a function of (seed, its block, its place)

COLOURS = ("red", "blue", "green", "yellow", "black", "white", "orange", "purple", "pink", "brown")
SHAPES = (
    *("circle", "square", "star", "heart", "triangle", "arrow"),
    *("ring", "cross", "drop", "diamond", "hexagon", "crescent"),
)
TEXTURES = ("plain", "striped", "dotted", "checked")
POSITIONS = ("centre", "left", "right", "top", "bottom", "spread")  # spread: several shapes
BACKGROUNDS = ("white", "grey", "black")
SCENES = ("sunset", "mountain", "night", "house", "tree", "boat")
LANGUAGES = ("en", "es", "de", "ru", "zh", "ja", "hi")

NUM_SHAPE_KINDS = len(COLOURS) * len(SHAPES)
NUM_KINDS = NUM_SHAPE_KINDS + len(SCENES)
PHRASES_PER_KIND = len(TEXTURES) * 4
NUM_PHRASES = NUM_SHAPE_KINDS * PHRASES_PER_KIND + len(SCENES)
SCENE_CONTEXT = len(POSITIONS) * len(BACKGROUNDS)
NUM_CONTEXTS = SCENE_CONTEXT + 1
NUM_TEMPLATES = 7  # in every language
NUM_HEAD_KINDS = 30

TEXTURE_SHARES = (0.70, 0.14, 0.10, 0.06)
COUNT_SHARES = (0.72, 0.14, 0.08, 0.06)
POSITION_SHARES = (0.40, 0.18, 0.16, 0.14, 0.12)
BACKGROUND_SHARES = (0.60, 0.25, 0.15)
NOISE_SHARES = {
    "clean": 0.60,
    "decorated": 0.09,
    "file name": 0.06,
    "boilerplate": 0.06,
    "wrong": 0.05,
    "empty": 0.04,
    "shouted": 0.03,
    "doubled": 0.03,
    "letters": 0.03,
    "decomposed": 0.01,
}
NOISES = tuple(NOISE_SHARES)

_ZIPF_EXPONENT = 1.1
_LANGUAGE_EXPONENT = 1.2  # English 44 %
_SCENE_RANKS = (4, 14, 30, 50, 80, 110)


@dataclass(frozen=True, kw_only=True, slots=True)
class Concepts:
    """What the images of some rows show; each array has shape (num_rows,).

    kind: colour * 12 + shape, or 120 + scene; count: shapes in the image less one. A scene has
    texture, count, position and background 0.
    """

    kind: NDArray[np.int64]
    texture: NDArray[np.int64]
    count: NDArray[np.int64]
    position: NDArray[np.int64]
    background: NDArray[np.int64]

    def phrases(self) -> NDArray[np.int64]:
        """Row of the tables of noun phrases, in [0, NUM_PHRASES)."""
        scene = self.kind - NUM_SHAPE_KINDS
        shape = self.kind * PHRASES_PER_KIND + self.texture * 4 + self.count
        return np.where(scene >= 0, NUM_SHAPE_KINDS * PHRASES_PER_KIND + scene, shape)

    def contexts(self) -> NDArray[np.int64]:
        """Row of the tables of position and background, in [0, NUM_CONTEXTS)."""
        context = self.position * len(BACKGROUNDS) + self.background
        return np.where(self.kind >= NUM_SHAPE_KINDS, SCENE_CONTEXT, context)

    def __getitem__(self, rows: slice | NDArray[np.bool_]) -> Concepts:
        return Concepts(**{name: getattr(self, name)[rows] for name in self.__slots__})


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """The draws of BLOCK_ROWS rows; each array has shape (BLOCK_ROWS,)."""

    start: int
    shown: Concepts
    told: Concepts
    lang: NDArray[np.int64]
    template: NDArray[np.int64]
    noise: NDArray[np.int64]
    detail: NDArray[np.float64]  # uniform on [0, 1): which file name, which decoration
    detail2: NDArray[np.float64]


def uniforms(seed: int, block: int, stream: int, num: int) -> NDArray[np.float64]:
    """Draw uniform numbers on [0, 1) as a function of the arguments; shape (num, BLOCK_ROWS).

    Philox's raw output is specified; numpy's Generator may change its methods.
    """
    bits = np.random.Philox(key=[seed, block], counter=[0, 0, 0, stream])
    raw = bits.random_raw(num * BLOCK_ROWS)
    return ((raw >> np.uint64(11)) * 2.0**-53).reshape(num, BLOCK_ROWS)


def zipf_shares(num: int, exponent: float = _ZIPF_EXPONENT) -> NDArray[np.float64]:
    """Share of each rank under Zipf's law; shape (num,), sums to 1."""
    weights = np.arange(1, num + 1) ** -exponent
    return weights / weights.sum()


@cache
def kinds_by_rank() -> NDArray[np.int64]:
    """Return the kinds, the most frequent first; shape (NUM_KINDS,).

    Ranked by Zipf(colour) * Zipf(shape) and some fixed luck, so that words have heads and tails
    as well as pairs of words, and a common colour has its rare shapes.
    """
    shares = np.outer(zipf_shares(len(COLOURS)), zipf_shares(len(SHAPES))).ravel()
    luck = np.exp(0.6 * (uniforms(0, 0, 9, 1)[0, :NUM_SHAPE_KINDS] - 0.5))
    order = np.argsort(-shares * luck, kind="stable").tolist()
    for scene, rank in enumerate(_SCENE_RANKS):
        order.insert(rank, NUM_SHAPE_KINDS + scene)
    return np.array(order)


@cache
def head_kinds() -> frozenset[int]:
    """Kinds of the head: the NUM_HEAD_KINDS most frequent."""
    return frozenset(kinds_by_rank()[:NUM_HEAD_KINDS].tolist())


def pick(uniform: NDArray[np.float64], shares: tuple[float, ...] | NDArray[np.float64]) -> NDArray:
    """Turn uniform numbers into choices with the given shares; int64, same shape."""
    edges = np.cumsum(shares)[:-1]
    return np.searchsorted(edges, uniform, side="right")


def make_concepts(
    kind: NDArray[np.int64],
    texture: NDArray[np.int64],
    count: NDArray[np.int64],
    position: NDArray[np.int64],
    background: NDArray[np.int64],
) -> Concepts:
    """Concepts that can be drawn: no white on white, and no position for several shapes."""
    scene = kind >= NUM_SHAPE_KINDS
    colour = kind // len(SHAPES)
    white = (colour == COLOURS.index("white")) & (background == BACKGROUNDS.index("white"))
    black = (colour == COLOURS.index("black")) & (background == BACKGROUNDS.index("black"))
    background = np.where(white | black, BACKGROUNDS.index("grey"), background)
    position = np.where(count > 0, POSITIONS.index("spread"), position)
    return Concepts(
        kind=kind,
        texture=np.where(scene, 0, texture),
        count=np.where(scene, 0, count),
        position=np.where(scene, 0, position),
        background=np.where(scene, 0, background),
    )


def _draw_concepts(u: NDArray[np.float64]) -> Concepts:
    return make_concepts(
        kinds_by_rank()[pick(u[0], zipf_shares(NUM_KINDS))],
        pick(u[1], TEXTURE_SHARES),
        pick(u[2], COUNT_SHARES),
        pick(u[3], POSITION_SHARES),
        pick(u[4], BACKGROUND_SHARES),
    )


def draw_block(seed: int, block: int) -> Block:
    """Draw the rows [block * BLOCK_ROWS, (block + 1) * BLOCK_ROWS) of the web of a seed."""
    u = uniforms(seed, block, 0, 15)
    shown, other = _draw_concepts(u[0:5]), _draw_concepts(u[5:10])
    noise = pick(u[10], tuple(NOISE_SHARES.values()))
    wrong = noise == NOISES.index("wrong")
    told = {
        name: np.where(wrong, getattr(other, name), getattr(shown, name))
        for name in Concepts.__slots__
    }
    return Block(
        start=block * BLOCK_ROWS,
        shown=shown,
        told=Concepts(**told),
        lang=pick(u[11], zipf_shares(len(LANGUAGES), _LANGUAGE_EXPONENT)),
        template=(u[12] * NUM_TEMPLATES).astype(np.int64),
        noise=noise,
        detail=u[13],
        detail2=u[14],
    )
