"""The world of the toy web: concepts with Zipf frequencies, and what they are called.

A concept is a colour and a shape; a scene adds a texture, a number and a place. Six languages name
them, two of them written without spaces.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

LANGUAGES = ("en", "de", "es", "ru", "ja", "zh")
LANGUAGE_SHARES = (0.50, 0.15, 0.12, 0.10, 0.08, 0.05)

COLOURS = ("red", "blue", "green", "yellow", "black", "orange", "purple", "pink")
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring", "heart", "arrow", "crescent",
          "diamond")  # fmt: skip
TEXTURES = ("plain", "striped", "dotted")
PLACES = ("centre", "top left", "top right", "bottom left", "bottom right")
NUMBERS = (1, 2, 3)

TEXTURE_SHARES = (0.70, 0.15, 0.15)
PLACE_SHARES = (0.60, 0.10, 0.10, 0.10, 0.10)
NUMBER_SHARES = (0.76, 0.12, 0.12)
ZIPF_EXPONENT = 1.1

NUM_CONCEPTS = len(COLOURS) * len(SHAPES)


@dataclass(frozen=True, slots=True)
class Scene:
    """What is on an image."""

    colour: int
    shape: int
    texture: int = 0
    number: int = 1
    place: int = 0

    @property
    def concept(self) -> int:
        """Number of the concept, colour × shape."""
        return self.colour * len(SHAPES) + self.shape


@cache
def concept_shares() -> NDArray[np.float64]:
    """Zipf shares of the concepts; which concept is frequent is the same in every world."""
    ranks = np.random.default_rng(1).permutation(NUM_CONCEPTS) + 1
    shares = ranks**-ZIPF_EXPONENT
    return np.asarray(shares / shares.sum(), dtype=np.float64)


def is_head(concept: int) -> bool:
    """Tell whether a concept is one of the frequent half."""
    return bool(concept_shares()[concept] >= np.median(concept_shares()))


# Nouns: singular, plural, and gender where adjectives follow it.
NOUNS = {
    "en": ["circle circles", "square squares", "triangle triangles", "star stars",
           "cross crosses", "ring rings", "heart hearts", "arrow arrows",
           "crescent crescents", "diamond diamonds"],
    "de": ["Kreis Kreise m", "Quadrat Quadrate n", "Dreieck Dreiecke n", "Stern Sterne m",
           "Kreuz Kreuze n", "Ring Ringe m", "Herz Herzen n", "Pfeil Pfeile m",
           "Halbmond Halbmonde m", "Raute Rauten f"],
    "es": ["círculo círculos m", "cuadrado cuadrados m", "triángulo triángulos m",
           "estrella estrellas f", "cruz cruces f", "anillo anillos m", "corazón corazones m",
           "flecha flechas f", "luna lunas f", "rombo rombos m"],
    "ru": ["круг кругов m", "квадрат квадратов m", "треугольник треугольников m",
           "звезда звёзд f", "крест крестов m", "кольцо колец n", "сердце сердец n",
           "стрелка стрелок f", "полумесяц полумесяцев m", "ромб ромбов m"],
    "ja": ["円", "四角形", "三角形", "星", "十字", "輪", "ハート", "矢印", "三日月", "菱形"],
    "zh": ["圆形", "正方形", "三角形", "星星", "十字", "圆环", "爱心", "箭头", "月牙", "菱形"],
}  # fmt: skip
ADJECTIVES = {
    "en": ["red", "blue", "green", "yellow", "black", "orange", "purple", "pink"],
    "de": ["rot", "blau", "grün", "gelb", "schwarz", "orangefarben", "violett", "pinkfarben"],
    "es": ["rojo", "azul", "verde", "amarillo", "negro", "naranja", "morado", "rosa"],
    "ru": ["красн", "син", "зелён", "жёлт", "чёрн", "оранжев", "фиолетов", "розов"],
    "ja": ["赤い", "青い", "緑の", "黄色い", "黒い", "オレンジの", "紫の", "ピンクの"],
    "zh": ["红色", "蓝色", "绿色", "黄色", "黑色", "橙色", "紫色", "粉色"],
}
TEXTURE_WORDS = {
    "en": ["", "striped ", "dotted "],
    "de": ["", "gestreift", "gepunktet"],
    "es": ["", " a rayas", " de lunares"],
    "ru": ["", " в полоску", " в горошек"],
    "ja": ["", "縞模様の", "水玉模様の"],
    "zh": ["", "条纹", "圆点"],
}
PLACE_WORDS = {
    "en": ["in the middle", "in the upper left corner", "in the upper right corner",
           "in the lower left corner", "in the lower right corner"],
    "de": ["in der Mitte", "oben links in der Ecke", "oben rechts in der Ecke",
           "unten links in der Ecke", "unten rechts in der Ecke"],
    "es": ["en el centro", "arriba a la izquierda", "arriba a la derecha",
           "abajo a la izquierda", "abajo a la derecha"],
    "ru": ["в центре", "слева вверху", "справа вверху", "слева внизу", "справа внизу"],
    "ja": ["中央に", "左上に", "右上に", "左下に", "右下に"],
    "zh": ["在中间", "在左上角", "在右上角", "在左下角", "在右下角"],
}  # fmt: skip
TEMPLATES = {
    "en": ["a picture of {np} {place}", "{np} {place} on a white background",
           "drawing of {np} for children", "this is {np}, painted by hand",
           "{np} - free clip art image"],
    "de": ["ein Bild, auf dem {np} {place} zu sehen ist", "{np} {place} auf weißem Hintergrund",
           "Zeichnung für Kinder: {np}", "das ist {np}, von Hand gemalt",
           "{np} als kostenloses Bild"],
    "es": ["una imagen con {np} {place}", "{np} {place} sobre un fondo blanco",
           "dibujo de {np} para los niños", "esto es {np} pintado a mano",
           "{np}, una imagen gratis para descargar"],
    "ru": ["на картинке {np} {place}", "{np} {place} на белом фоне",
           "рисунок для детей: {np}", "это {np}, нарисовано от руки",
           "{np}, бесплатная картинка"],
    "ja": ["{place}{np}がある絵です", "白い背景の{place}{np}があります", "子供のための{np}の絵",
           "これは手で描いた{np}です", "{np}の無料イラスト素材"],
    "zh": ["一张{np}{place}的图片", "白色背景上{place}的{np}", "给孩子们画的{np}",
           "这是手绘的{np}", "{np}的免费图片素材"],
}  # fmt: skip
_GERMAN_ENDINGS = {"m": "er", "f": "e", "n": "es"}
_GERMAN_ARTICLES = {"m": "ein", "f": "eine", "n": "ein"}
_RUSSIAN_ENDINGS = {"m": "ый", "f": "ая", "n": "ое"}
_RUSSIAN_SOFT_ENDINGS = {"m": "ий", "f": "яя", "n": "ее"}
_COUNT_WORDS = {"ja": ("", "", "2つの", "3つの"), "zh": ("一个", "一个", "两个", "三个")}


def noun_phrase(scene: Scene, lang: str) -> str:
    """Name what is on an image, with its article or number."""
    return _PHRASES[lang](scene)


def _english(scene: Scene) -> str:
    one, many = NOUNS["en"][scene.shape].split()
    colour = ADJECTIVES["en"][scene.colour]
    described = f"{TEXTURE_WORDS['en'][scene.texture]}{colour}"
    if scene.number == 1:
        return f"{'an' if described[0] in 'aeio' else 'a'} {described} {one}"
    return f"{scene.number} {described} {many}"


def _german(scene: Scene) -> str:
    one, many, gender = NOUNS["de"][scene.shape].split()
    plural = scene.number > 1
    ending = "e" if plural else _GERMAN_ENDINGS[gender]
    words = [ADJECTIVES["de"][scene.colour] + ending, many if plural else one]
    if scene.texture:
        words.insert(0, TEXTURE_WORDS["de"][scene.texture] + ending)
    return " ".join([str(scene.number) if plural else _GERMAN_ARTICLES[gender], *words])


def _spanish(scene: Scene) -> str:
    one, many, gender = NOUNS["es"][scene.shape].split()
    colour = ADJECTIVES["es"][scene.colour]
    if gender == "f" and colour.endswith("o"):
        colour = f"{colour[:-1]}a"
    texture = TEXTURE_WORDS["es"][scene.texture]
    if scene.number == 1:
        return f"{'una' if gender == 'f' else 'un'} {one} {colour}{texture}"
    plural = colour + ("es" if colour[-1] == "l" else "s")
    return f"{scene.number} {many} {plural}{texture}"


def _russian(scene: Scene) -> str:
    one, many, gender = NOUNS["ru"][scene.shape].split()
    stem = ADJECTIVES["ru"][scene.colour]
    soft = stem == "син"
    texture = TEXTURE_WORDS["ru"][scene.texture]
    if scene.number == 1:
        ending = (_RUSSIAN_SOFT_ENDINGS if soft else _RUSSIAN_ENDINGS)[gender]
        return f"{stem}{ending} {one}{texture}"
    return f"несколько {stem}{'их' if soft else 'ых'} {many}{texture}"


def _japanese(scene: Scene) -> str:
    words = (_COUNT_WORDS["ja"][scene.number], TEXTURE_WORDS["ja"][scene.texture],
             ADJECTIVES["ja"][scene.colour], NOUNS["ja"][scene.shape])  # fmt: skip
    return "".join(words)


def _chinese(scene: Scene) -> str:
    words = (_COUNT_WORDS["zh"][scene.number], TEXTURE_WORDS["zh"][scene.texture],
             ADJECTIVES["zh"][scene.colour], NOUNS["zh"][scene.shape])  # fmt: skip
    return "".join(words)


_PHRASES = {"en": _english, "de": _german, "es": _spanish, "ru": _russian, "ja": _japanese,
            "zh": _chinese}  # fmt: skip


@cache
def caption(scene: Scene, lang: str, template: int) -> str:
    """Write a caption without noise."""
    pattern = TEMPLATES[lang][template]
    text = pattern.format(np=noun_phrase(scene, lang), place=PLACE_WORDS[lang][scene.place])
    return text


def class_name(concept: int) -> str:
    """Name a concept in English, as a class of zero-shot classification."""
    colour, shape = divmod(concept, len(SHAPES))
    return f"{COLOURS[colour]} {SHAPES[shape]}"
