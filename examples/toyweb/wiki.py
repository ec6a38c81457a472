"""The same world as Wikipedia sees it: dumps with real markup, and page-view files."""

import bz2
import gzip
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from examples.toyweb import world
from examples.toyweb.world import Scene

DATE = "20260101"
SENTENCES_PER_PAGE = 24
_STOPS = {"ja": "。", "zh": "。"}
_FILE_NAMES = {"de": "Datei", "es": "Archivo", "ru": "Файл", "ja": "ファイル", "zh": "File"}
_CATEGORIES = {"de": "Kategorie", "es": "Categoría", "ru": "Категория", "ja": "Category",
               "zh": "Category"}  # fmt: skip


def write_dumps(folder: Path, seed: int) -> None:
    """Write ``{lang}wiki-{date}-pages-articles.xml.bz2`` of every language."""
    folder.mkdir(parents=True, exist_ok=True)
    for lang in world.LANGUAGES:
        path = folder / f"{lang}wiki-{DATE}-pages-articles.xml.bz2"
        xml = "".join(_dump(lang, seed))
        path.write_bytes(bz2.compress(xml.encode()))


def title(concept: int, lang: str) -> str:
    """Return the title of a concept's article: its name, the first letter a capital."""
    colour, shape = divmod(concept, len(world.SHAPES))
    phrase = world.noun_phrase(Scene(colour, shape), lang)
    name = phrase.removeprefix("一个") if lang == "zh" else phrase
    name = name.split(" ", 1)[1] if lang in ("en", "de", "es") else name
    return name[0].upper() + name[1:]


def _dump(lang: str, seed: int) -> Iterator[str]:
    yield (
        '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" '
        f'xml:lang="{lang}">\n<siteinfo><sitename>Toy Wikipedia</sitename>'
        f"<dbname>{lang}wiki</dbname><namespaces>"
        '<namespace key="0" case="first-letter" />'
        '<namespace key="1" case="first-letter">Talk</namespace>'
        f'<namespace key="6" case="first-letter">{_FILE_NAMES.get(lang, "File")}</namespace>'
        f'<namespace key="14" case="first-letter">{_CATEGORIES.get(lang, "Category")}</namespace>'
        "</namespaces></siteinfo>\n"
    )
    rng = np.random.default_rng([seed, world.LANGUAGES.index(lang), 2])
    for concept in range(world.NUM_CONCEPTS):
        name = title(concept, lang)
        yield _page(name, 0, _article(concept, lang, rng))
        if concept % 10 == 0:
            yield _page(f"{name} (toy)", 0, f"#REDIRECT [[{name}]]", redirect=name)
            yield _page(f"Talk:{name}", 1, "Nobody said anything.")
    yield _page("Shapes: the movie", 0, _article(0, lang, rng))
    yield "</mediawiki>\n"


def _page(name: str, namespace: int, text: str, redirect: str | None = None) -> str:
    link = f'<redirect title="{escape(redirect)}" />' if redirect else ""
    return (
        f"<page><title>{escape(name)}</title><ns>{namespace}</ns><id>1</id>{link}"
        f'<revision><id>1</id><text xml:space="preserve">{escape(text)}</text></revision></page>\n'
    )


def _article(concept: int, lang: str, rng: np.random.Generator) -> str:
    """Write wikitext with the markup that real articles have around their sentences."""
    stop = _STOPS.get(lang, ". ")
    colour, shape = divmod(concept, len(world.SHAPES))
    sentences = []
    for _ in range(SENTENCES_PER_PAGE):
        number = int(rng.choice(world.NUMBERS))
        scene = Scene(colour, shape, int(rng.integers(3)), number,
                      int(rng.integers(5)) if number == 1 else 0)  # fmt: skip
        sentences.append(world.caption(scene, lang, int(rng.integers(5))))
    name = title(concept, lang)
    image = _FILE_NAMES.get(lang, "File")
    body = stop.join(sentences)
    return (
        f"{{{{Infobox shape|name={name}|sides={{{{formatnum:4}}}}}}}}\n"
        f"[[{image}:Toy.png|thumb|left|a caption with a [[link]]]]\n"
        f"'''{name}'''{stop}<ref name=\"a\">Toy Press 1999</ref>{body}{stop}\n"
        f"== {name} ==\n<!-- nothing to see -->* [[{title((concept + 1) % 80, lang)}|{name}]]\n"
        "{| class=wikitable\n|-\n| cell || cell\n|}\n"
        f"[[{_CATEGORIES.get(lang, 'Category')}:Toys]]\n"
    )


def write_pageviews(folder: Path, seed: int) -> None:
    """Write two hourly page-view files, with mobile views and other projects."""
    folder.mkdir(parents=True, exist_ok=True)
    for hour in range(2):
        rng = np.random.default_rng([seed, hour, 3])
        lines = []
        for lang in world.LANGUAGES:
            for concept, share in enumerate(world.concept_shares().tolist()):
                name = title(concept, lang).replace(" ", "_")
                views = int(rng.poisson(20_000 * share))
                lines.append(f"{lang} {name} {views} 0")
                lines.append(f"{lang}.m {name} {views // 2} 0")
                if concept % 10 == 0:
                    lines.append(f"{lang} {name}_(toy) {views // 10} 0")
            lines += [f"{lang}.b Cookbook:Circle 999 0", f"{lang} Special:Search 9999 0"]
        text = "\n".join(sorted(lines)) + "\n"
        path = folder / f"pageviews-{DATE}-{hour:02d}0000.gz"
        path.write_bytes(gzip.compress(text.encode(), mtime=0))
