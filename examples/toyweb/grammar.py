"""The world in words: noun phrases, positions and templates of seven languages.

In: attribute numbers of `world.py`. Out: strings that agree in gender, number and case, because
each language has a small function over a table of forms. A template names the form that it needs:
`{acc}` is the accusative, `{Acc}` the same with a capital letter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .world import BACKGROUNDS, NUM_SHAPE_KINDS, PHRASES_PER_KIND, SCENE_CONTEXT, SHAPES

Phrase = Callable[[str, int, int, int, int], str]  # form, colour, shape, texture, count - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Language:
    """All that is said in one language.

    scenes maps a form to six phrases; positions has five places, `spread`, and the words for a
    scene; be is the verb of the templates in singular and plural.
    """

    phrase: Phrase
    scenes: dict[str, tuple[str, ...]]
    positions: tuple[str, ...]
    backgrounds: tuple[str, ...]
    be: tuple[str, str]
    templates: tuple[str, ...]  # the first tells position and background, for retrieval
    boilerplate: tuple[str, ...]
    space: str = " "
    colours: tuple[str, ...] = field(default=())  # as titles
    shapes: tuple[str, ...] = field(default=())


def _words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


def _rows(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(row.split()) for row in text.split(","))


# English

_EN_COLOURS = _words("red, blue, green, yellow, black, white, orange, purple, pink, brown")
_EN_SHAPES = _words(
    "circle, square, star, heart, triangle, arrow, ring, cross, drop, diamond, hexagon, crescent"
)
_EN_TEXTURES = ("", "striped ", "dotted ", "checked ")


def _english(form: str, colour: int, shape: int, texture: int, count: int) -> str:
    noun = _EN_SHAPES[shape]
    words = f"{_EN_TEXTURES[texture]}{_EN_COLOURS[colour]} {noun}"
    if count:
        return f"{('two', 'three', 'four')[count - 1]} {words}{'es' if noun == 'cross' else 's'}"
    if form == "bare":
        return words
    return f"{'an' if words[0] == 'o' else 'a'} {words}"


_EN_SCENES = _words(
    "sunset over the sea, mountain with snow, night sky with the moon, house with a garden, "
    "tree on a hill, boat on the lake"
)
_ENGLISH = Language(
    phrase=_english,
    scenes={"np": tuple(f"a {scene}" for scene in _EN_SCENES), "bare": _EN_SCENES},
    positions=(
        *(" in the centre of the picture", " on the left of the picture"),
        *(" on the right of the picture", " at the top of the picture"),
        *(" at the bottom of the picture", " in the picture", " in the picture"),
    ),
    backgrounds=tuple(f" on a {name} background" for name in BACKGROUNDS),
    be=("is", "are"),
    templates=(
        "You can see {np}{pos}{bg}",
        "{Np}{bg}",
        "a photo of {np}{bg}",
        "This is a picture of {np}",
        "There {be} {np}{pos}.",
        "{bare}{bg}, free clip art for the web",
        "A drawing with {np} for the children",
    ),
    boilerplate=(
        *("Buy now - free shipping", "Click to enlarge", "thumbnail", "image", "logo"),
        *("Add to cart and save 20% today", "Share this on Facebook", "placeholder"),
    ),
    colours=tuple(word.capitalize() for word in _EN_COLOURS),
    shapes=tuple(word.capitalize() for word in _EN_SHAPES),
)

# Spanish: the adjective follows the noun and agrees with it

_ES_COLOURS = _rows(
    "rojo roja rojos rojas, azul azul azules azules, verde verde verdes verdes,"
    "amarillo amarilla amarillos amarillas, negro negra negros negras,"
    "blanco blanca blancos blancas, naranja naranja naranjas naranjas,"
    "morado morada morados moradas, rosa rosa rosas rosas, marrón marrón marrones marrones"
)
_ES_SHAPES = (
    *(("m", "círculo", "círculos"), ("m", "cuadrado", "cuadrados"), ("f", "estrella", "estrellas")),
    *(("m", "corazón", "corazones"), ("m", "triángulo", "triángulos"), ("f", "flecha", "flechas")),
    *(("m", "anillo", "anillos"), ("f", "cruz", "cruces"), ("f", "gota", "gotas")),
    *(("m", "rombo", "rombos"), ("m", "hexágono", "hexágonos")),
    ("f", "media luna", "medias lunas"),
)
_ES_TEXTURES = ("", " a rayas", " de lunares", " a cuadros")


def _spanish(form: str, colour: int, shape: int, texture: int, count: int) -> str:
    gender, singular, plural = _ES_SHAPES[shape]
    adjective = _ES_COLOURS[colour][(gender == "f") + 2 * bool(count)]
    words = f"{plural if count else singular} {adjective}{_ES_TEXTURES[texture]}"
    if count:
        return f"{('dos', 'tres', 'cuatro')[count - 1]} {words}"
    return words if form == "bare" else f"{'una' if gender == 'f' else 'un'} {words}"


_ES_SCENES = _words(
    "una puesta de sol sobre el mar, una montaña con nieve, un cielo de noche con la luna,"
    "una casa con jardín, un árbol en una colina, un barco en el lago"
)
_SPANISH = Language(
    phrase=_spanish,
    scenes={"np": _ES_SCENES, "bare": tuple(scene.split(" ", 1)[1] for scene in _ES_SCENES)},
    positions=(
        *(" en el centro de la imagen", " a la izquierda de la imagen"),
        *(" a la derecha de la imagen", " en la parte de arriba", " en la parte de abajo"),
        *(" en la imagen", " en la imagen"),
    ),
    backgrounds=(" sobre un fondo blanco", " sobre un fondo gris", " sobre un fondo negro"),
    be=("ve", "ven"),
    templates=(
        "Se {be} {np}{pos}{bg}",
        "{Np}{bg}",
        "Una foto de {np}{bg}",
        "Esta es una imagen de {np}",
        "Aquí se {be} {np}{pos}.",
        "{bare}{bg}, para descargar gratis",
        "Un dibujo con {np} para los niños",
    ),
    boilerplate=(
        *("Comprar ahora - envío gratis", "Haga clic para ampliar la imagen", "miniatura"),
        *("Añadir al carrito", "Compartir en las redes sociales", "logotipo"),
    ),
    colours=tuple(row[0].capitalize() for row in _ES_COLOURS),
    shapes=tuple(row[1].capitalize() for row in _ES_SHAPES),
)

# German: ein, einen, einem, and mixed endings

_DE_COLOURS = _words(
    "rot, blau, grün, gelb, schwarz, weiß, orangefarben, violett, rosafarben, braun"
)
_DE_SHAPES = _rows(  # gender, singular, dative singular, plural, dative plural
    "m Kreis Kreis Kreise Kreisen, n Quadrat Quadrat Quadrate Quadraten,"
    "m Stern Stern Sterne Sternen, n Herz Herzen Herzen Herzen,"
    "n Dreieck Dreieck Dreiecke Dreiecken, m Pfeil Pfeil Pfeile Pfeilen,"
    "m Ring Ring Ringe Ringen, n Kreuz Kreuz Kreuze Kreuzen,"
    "m Tropfen Tropfen Tropfen Tropfen, f Raute Raute Rauten Rauten,"
    "n Sechseck Sechseck Sechsecke Sechsecken, m Halbmond Halbmond Halbmonde Halbmonden"
)
_DE_TEXTURES = ("", " mit Streifen", " mit Punkten", " mit Karos")
_DE_ARTICLES = {
    "nom": {"m": "ein", "n": "ein", "f": "eine"},
    "acc": {"m": "einen", "n": "ein", "f": "eine"},
    "dat": {"m": "einem", "n": "einem", "f": "einer"},
}
_DE_ENDINGS = {
    "nom": {"m": "er", "n": "es", "f": "e"},
    "acc": {"m": "en", "n": "es", "f": "e"},
    "dat": {"m": "en", "n": "en", "f": "en"},
}


def _german(form: str, colour: int, shape: int, texture: int, count: int) -> str:
    gender, singular, dative, plural, dative_plural = _DE_SHAPES[shape]
    stem, case = _DE_COLOURS[colour], "nom" if form == "bare" else form
    if count:
        noun = f"{stem}en {dative_plural}" if case == "dat" else f"{stem}e {plural}"
        return f"{('zwei', 'drei', 'vier')[count - 1]} {noun}{_DE_TEXTURES[texture]}"
    noun = dative if case == "dat" else singular
    words = f"{stem}{_DE_ENDINGS[case][gender]} {noun}{_DE_TEXTURES[texture]}"
    return words if form == "bare" else f"{_DE_ARTICLES[case][gender]} {words}"


_DE_SCENES = (
    *(("m", "Sonnenuntergang über dem Meer"), ("m", "Berg mit Schnee")),
    *(("m", "Nachthimmel mit dem Mond"), ("n", "Haus mit Garten")),
    *(("m", "Baum auf einem Hügel"), ("n", "Boot auf dem See")),
)
_GERMAN = Language(
    phrase=_german,
    scenes={
        "bare": tuple(scene for _, scene in _DE_SCENES),
        **{
            case: tuple(f"{articles[gender]} {scene}" for gender, scene in _DE_SCENES)
            for case, articles in _DE_ARTICLES.items()
        },
    },
    positions=(
        *(" in der Mitte des Bildes", " links im Bild", " rechts im Bild", " oben im Bild"),
        *(" unten im Bild", " im Bild", " im Bild"),
    ),
    backgrounds=tuple(f" auf {name}em Hintergrund" for name in ("weiß", "grau", "schwarz")),
    be=("ist", "sind"),
    templates=(
        "Man sieht {acc}{pos}{bg}",
        "{Nom}{bg}",
        "Ein Foto von {dat}{bg}",
        "Das ist ein Bild von {dat}",
        "Hier {be} {nom}{pos} zu sehen.",
        "{Bare}{bg}, kostenlos zum Herunterladen",
        "Eine Zeichnung mit {dat} für die Kinder",
    ),
    boilerplate=(
        *("Jetzt kaufen - versandkostenfrei", "Zum Vergrößern bitte klicken", "Vorschaubild"),
        *("In den Warenkorb legen", "Diesen Beitrag mit Freunden teilen", "Platzhalter"),
    ),
    colours=_words("Rot, Blau, Grün, Gelb, Schwarz, Weiß, Orange, Violett, Rosa, Braun"),
    shapes=tuple(row[1] for row in _DE_SHAPES),
)

# Russian: nominative and genitive; two to four take the genitive

_RU_STEMS = _words("красн, син, зелён, жёлт, чёрн, бел, оранжев, фиолетов, розов, коричнев")
_RU_SHAPES = _rows(  # gender, nominative, genitive, genitive plural
    "m круг круга кругов, m квадрат квадрата квадратов, f звезда звезды звёзд,"
    "n сердце сердца сердец, m треугольник треугольника треугольников,"
    "f стрелка стрелки стрелок, n кольцо кольца колец, m крест креста крестов,"
    "f капля капли капель, m ромб ромба ромбов,"
    "m шестиугольник шестиугольника шестиугольников, m полумесяц полумесяца полумесяцев"
)
_RU_HARD = {"m": "ый", "f": "ая", "n": "ое", "gen": "ого", "genf": "ой", "pl": "ые", "genpl": "ых"}
_RU_SOFT = {"m": "ий", "f": "яя", "n": "ее", "gen": "его", "genf": "ей", "pl": "ие", "genpl": "их"}
_RU_TEXTURES = ("", " в полоску", " в горошек", " в клетку")


def _russian_colour(colour: int, ending: str) -> str:
    stem = _RU_STEMS[colour]
    return stem + (_RU_SOFT if stem == "син" else _RU_HARD)[ending]


def _russian(form: str, colour: int, shape: int, texture: int, count: int) -> str:
    gender, nominative, genitive, genitive_plural = _RU_SHAPES[shape]
    tail, feminine = _RU_TEXTURES[texture], gender == "f"
    if count and form == "gen":
        number = ("двух", "трёх", "четырёх")[count - 1]
        return f"{number} {_russian_colour(colour, 'genpl')} {genitive_plural}{tail}"
    if count:
        number = ("две" if feminine else "два", "три", "четыре")[count - 1]
        adjective = _russian_colour(colour, "pl" if feminine else "genpl")
        return f"{number} {adjective} {genitive}{tail}"
    if form == "gen":
        return f"{_russian_colour(colour, 'genf' if feminine else 'gen')} {genitive}{tail}"
    return f"{_russian_colour(colour, gender)} {nominative}{tail}"


_RU_SCENES = _words(
    "закат над морем, гора в снегу, ночное небо с луной, дом с садом, дерево на холме,"
    "лодка на озере"
)
_RUSSIAN = Language(
    phrase=_russian,
    scenes={
        "nom": _RU_SCENES,
        "bare": _RU_SCENES,
        "gen": _words(
            "заката над морем, горы в снегу, ночного неба с луной, дома с садом,"
            "дерева на холме, лодки на озере"
        ),
    },
    positions=(
        *(" в центре картинки", " в левой части картинки", " в правой части картинки"),
        *(" в верхней части картинки", " в нижней части картинки", " рядом", ""),
    ),
    backgrounds=(" на белом фоне", " на сером фоне", " на чёрном фоне"),
    be=("", ""),
    templates=(
        "Здесь {nom}{pos}{bg}",
        "{Nom}{bg}",
        "Фотография {gen}{bg}",
        "Это изображение {gen}",
        "Вот {nom}{pos}.",
        "{Nom}{bg}, можно скачать бесплатно",
        "Рисунок {gen} для детей",
    ),
    boilerplate=(
        *("Купить сейчас - бесплатная доставка", "Нажмите, чтобы увеличить", "миниатюра"),
        *("Добавить в корзину", "Поделиться с друзьями", "логотип"),
    ),
    colours=_words(
        "Красный, Синий, Зелёный, Жёлтый, Чёрный, Белый, Оранжевый, Фиолетовый, Розовый, Коричневый"
    ),
    shapes=tuple(row[1].capitalize() for row in _RU_SHAPES),
)

# Chinese and Japanese: no spaces; what modifies comes first

_ZH_COLOURS = tuple(f"{name}色" for name in "红蓝绿黄黑白橙紫粉棕")
_ZH_SHAPES = _words("圆形, 正方形, 星星, 心形, 三角形, 箭头, 圆环, 十字, 水滴, 菱形, 六边形, 月牙")
_ZH_TEXTURES = ("", "条纹", "圆点", "格子")


def _chinese(form: str, colour: int, shape: int, texture: int, count: int) -> str:
    words = f"{_ZH_TEXTURES[texture]}{_ZH_SHAPES[shape]}"
    if form == "bare" and not count:
        return _ZH_COLOURS[colour] + words
    return f"{'一两三四'[count]}个{_ZH_COLOURS[colour]}的{words}"


_ZH_SCENES = _words("海上的日落, 有雪的山, 有月亮的夜空, 带花园的房子, 山坡上的树, 湖上的船")
_CHINESE = Language(
    phrase=_chinese,
    scenes={"np": _ZH_SCENES, "bare": _ZH_SCENES},
    positions=_words("图片中间, 图片左边, 图片右边, 图片上方, 图片下方, 图片里, 图片里"),
    backgrounds=_words("白色背景上的, 灰色背景上的, 黑色背景上的"),
    be=("", ""),
    templates=(
        "我们看到{pos}有{bg}{np}",
        "{bg}{np}的图片",
        "一张{bg}{bare}的照片",
        "这是{np}的图片",
        "{pos}有{np}。",
        "{bg}{bare}，可以免费下载",
        "给孩子们画的{np}",
    ),
    boilerplate=_words("立即购买-免运费, 点击查看大图, 缩略图, 加入购物车, 分享给你的朋友们"),
    space="",
    colours=_ZH_COLOURS,
    shapes=_ZH_SHAPES,
)

_JA_COLOURS = _words("赤い, 青い, 緑の, 黄色い, 黒い, 白い, オレンジ色の, 紫の, ピンクの, 茶色い")
_JA_SHAPES = _words(
    "丸, 四角形, 星, ハート, 三角形, 矢印, 輪, 十字, しずく, ひし形, 六角形, 三日月"
)
_JA_TEXTURES = ("", "縞模様の", "水玉模様の", "チェック柄の")


def _japanese(_form: str, colour: int, shape: int, texture: int, count: int) -> str:
    number = ("", "二つの", "三つの", "四つの")[count]
    return f"{number}{_JA_TEXTURES[texture]}{_JA_COLOURS[colour]}{_JA_SHAPES[shape]}"


_JA_SCENES = _words(
    "海に沈む夕日, 雪の積もった山, 月が出ている夜空, 庭のある家, 丘の上の木, 湖に浮かぶ船"
)
_JAPANESE = Language(
    phrase=_japanese,
    scenes={"np": _JA_SCENES, "bare": _JA_SCENES},
    positions=_words("真ん中に, 左側に, 右側に, 上の方に, 下の方に, 並んで, 画面に"),
    backgrounds=_words("白い背景の, 灰色の背景の, 黒い背景の"),
    be=("", ""),
    templates=(
        "{bg}画像の{pos}{np}が見えます",
        "{bg}{np}のイラスト",
        "{bg}{np}の写真",
        "これは{np}の絵です",
        "{pos}{np}があります。",
        "{bg}{np}、無料でダウンロードできます",
        "子供のための{np}の絵",
    ),
    boilerplate=_words(
        "今すぐ購入 - 送料無料, クリックして拡大, サムネイル, カートに入れる, 友達とシェアする"
    ),
    space="",
    colours=_words("赤, 青, 緑, 黄色, 黒, 白, オレンジ色, 紫, ピンク, 茶色"),
    shapes=_JA_SHAPES,
)

# Hindi: direct and oblique case

_HI_COLOURS = _rows(  # masculine, oblique or plural masculine, feminine
    "लाल लाल लाल, नीला नीले नीली, हरा हरे हरी, पीला पीले पीली, काला काले काली,"
    "सफ़ेद सफ़ेद सफ़ेद, नारंगी नारंगी नारंगी, बैंगनी बैंगनी बैंगनी, गुलाबी गुलाबी गुलाबी, भूरा भूरे भूरी"
)
_HI_SHAPES = _rows(  # gender, singular, oblique singular, plural, oblique plural
    "m वृत्त वृत्त वृत्त वृत्तों, m वर्ग वर्ग वर्ग वर्गों, m तारा तारे तारे तारों,"
    "m दिल दिल दिल दिलों, m त्रिभुज त्रिभुज त्रिभुज त्रिभुजों, m तीर तीर तीर तीरों,"
    "m छल्ला छल्ले छल्ले छल्लों, m क्रॉस क्रॉस क्रॉस क्रॉसों, f बूँद बूँद बूँदें बूँदों,"
    "m समचतुर्भुज समचतुर्भुज समचतुर्भुज समचतुर्भुजों, m षट्भुज षट्भुज षट्भुज षट्भुजों,"
    "m अर्धचंद्र अर्धचंद्र अर्धचंद्र अर्धचंद्रों"
)
_HI_TEXTURES = ("", "धारीदार ", "बिंदीदार ", "चौखानेदार ")


def _hindi(form: str, colour: int, shape: int, texture: int, count: int) -> str:
    gender, *nouns = _HI_SHAPES[shape]
    oblique = form == "obl"
    adjective = _HI_COLOURS[colour][2 if gender == "f" else bool(count or oblique)]
    words = f"{_HI_TEXTURES[texture]}{adjective} {nouns[2 * bool(count) + oblique]}"
    return words if form == "bare" and not count else f"{('एक', 'दो', 'तीन', 'चार')[count]} {words}"


_HI_SCENES = _words(
    "समुद्र पर सूर्यास्त, बर्फ़ वाला पहाड़, चाँद वाला रात का आसमान, बगीचे वाला घर, पहाड़ी पर पेड़, झील में नाव"
)
_HINDI = Language(
    phrase=_hindi,
    scenes={
        "dir": _HI_SCENES,
        "bare": _HI_SCENES,
        "obl": _words(
            "समुद्र पर सूर्यास्त, बर्फ़ वाले पहाड़, चाँद वाले रात के आसमान, बगीचे वाले घर,पहाड़ी पर पेड़, झील में नाव"
        ),
    },
    positions=("बीच में ", "बाईं ओर ", "दाईं ओर ", "ऊपर की ओर ", "नीचे की ओर ", "साथ-साथ ", ""),
    backgrounds=("सफ़ेद पृष्ठभूमि पर ", "स्लेटी पृष्ठभूमि पर ", "काली पृष्ठभूमि पर "),
    be=("है", "हैं"),
    templates=(
        "चित्र में {bg}{pos}{dir} {be}",
        "{bg}{dir}",
        "{bg}{obl} की तस्वीर",
        "यह {obl} का चित्र है",
        "चित्र में {pos}{dir} {be}।",
        "{bg}{bare}, मुफ़्त में डाउनलोड करें",
        "बच्चों के लिए {obl} का चित्र",
    ),
    boilerplate=(
        *("अभी खरीदें - मुफ़्त शिपिंग", "बड़ा करने के लिए क्लिक करें", "थंबनेल"),
        *("कार्ट में जोड़ें", "अपने दोस्तों के साथ साझा करें"),
    ),
    colours=tuple(row[0] for row in _HI_COLOURS),
    shapes=tuple(row[1] for row in _HI_SHAPES),
)

GRAMMAR = {
    "en": _ENGLISH,
    "es": _SPANISH,
    "de": _GERMAN,
    "ru": _RUSSIAN,
    "zh": _CHINESE,
    "ja": _JAPANESE,
    "hi": _HINDI,
}


def capitalize(text: str) -> str:
    """Put the first letter in upper case and leave the others."""
    return text[:1].upper() + text[1:]


def noun_phrase(lang: str, form: str, phrase: int) -> str:
    """Words for a row of the phrase table; a form with a capital is capitalised.

    >>> noun_phrase("de", "Acc", 16 * 12)
    'Einen blauen Kreis'
    """
    language, kind = GRAMMAR[lang], phrase // PHRASES_PER_KIND
    if kind >= NUM_SHAPE_KINDS:
        words = language.scenes[form.lower()][phrase - NUM_SHAPE_KINDS * PHRASES_PER_KIND]
    else:
        colour, shape = divmod(kind, len(SHAPES))
        texture, count = divmod(phrase % PHRASES_PER_KIND, 4)
        words = language.phrase(form.lower(), colour, shape, texture, count)
    return capitalize(words) if form[0].isupper() else words


def fill_context(lang: str, text: str, context: int) -> str:
    """Fill position, background and verb of one side of a template."""
    language, (position, background) = GRAMMAR[lang], divmod(context, len(BACKGROUNDS))
    scene = context == SCENE_CONTEXT
    return (
        text.replace("{pos}", language.positions[position])
        .replace("{bg}", "" if scene else language.backgrounds[background])
        .replace("{be}", language.be[position == 5])
    )
