"""Articles through the MediaWiki API, as plain text: for a first try, or for a small language.

One request an article, so this is for thousands of articles; dumps are for the rest. What comes is
a Parquet file of (title, text), the layout of `wikimedia/wikipedia` on Hugging Face, which
`curate.metadata.wikipedia.dump` reads as it reads dumps.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pyarrow as pa
import pyarrow.parquet as pq
import requests
import wikipediaapi  # type: ignore[import-untyped]
from requests.adapters import HTTPAdapter

from curate.errors import FetchError, InputError
from curate.metadata.fetch.download import Retries, user_agent
from curate.metadata.fetch.notes import Source, hash_file
from curate.metadata.wikipedia.dump_names import project_name
from curate.metadata.wikipedia.wikimedia import API_URL

__all__ = ["fetch_articles"]

_SCHEMA = pa.schema([("title", pa.string()), ("text", pa.string())])
_MAIN_NAMESPACE = 0


class _Elsewhere(HTTPAdapter):
    """Sends what the library addresses to Wikipedia to the API that was named."""

    def __init__(self, api_url: str) -> None:
        super().__init__()
        self._base = urlsplit(api_url)

    def send(self, request: requests.PreparedRequest, *rest: Any, **options: Any) -> Any:
        """Send it with another address and the same question."""
        base, asked = self._base, urlsplit(request.url or "")
        request.url = str(urlunsplit((base.scheme, base.netloc, base.path, asked.query, "")))
        options["proxies"] = requests.utils.get_environ_proxies(request.url)
        return super().send(request, *rest, **options)


def fetch_articles(
    wiki: str,
    titles: Iterable[str],
    target: Path,
    *,
    num: int,
    api_url: str = API_URL,
    contact: str | None = None,
    retries: Retries | None = None,
    on_article: Callable[[int], object] | None = None,
) -> Source:
    """Fetch articles and write them to a Parquet file; one that was cut off is gone on with.

    Args:
        wiki: code of the Wikipedia.
        titles: in the order they are asked for; redirects lead to the article.
        target: the file to write; its note is written beside it.
        num: how many articles at most; titles that are none, or of another namespace, do not count.
        api_url: of the API, ``{project}`` for the first part of the wiki's address.
        contact: for the User-Agent.
        retries: how long to try.
        on_article: called with 1 after every title that was asked for.

    Returns:
        What came.

    Raises:
        FetchError: the API could not be asked.
        InputError: none of the titles is an article.
    """
    address = api_url.format(project=project_name(wiki))
    client = _client(wiki, address, contact, retries or Retries())
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    answers = _answers(part)
    articles: dict[str, str] = {}
    with part.open("ab") as file:
        for asked in titles:
            if len(articles) >= num:
                break
            if asked not in answers:
                answers[asked] = _ask(client, asked, address)
                file.write(json.dumps([asked, *answers[asked]]).encode() + b"\n")
                file.flush()
            title, text = answers[asked]
            if text:
                articles[title] = text
            if on_article is not None:
                on_article(1)
    if not articles:
        raise InputError(f"{address}: none of the titles asked for is an article with text")
    source = _write(articles, target, address)
    part.unlink()
    return source


def _client(wiki: str, address: str, contact: str | None, retries: Retries) -> Any:
    client = wikipediaapi.Wikipedia(
        user_agent=user_agent(contact),
        language=project_name(wiki),
        max_retries=retries.attempts - 1,
        retry_wait=retries.first_wait_s,
        timeout=retries.timeout_s,
    )
    # The library has no option for the address of the API.
    client._session.mount("https://", _Elsewhere(address))
    return client


def _ask(client: Any, asked: str, address: str) -> tuple[str, str]:
    """Return an article's title and text; no text if it is none."""
    page = client.page(asked)
    try:
        text = page.text  # first: the same answer tells what the page is
        is_article = page.exists() and page.namespace == _MAIN_NAMESPACE
        return (page.title, text) if is_article else (asked, "")
    except wikipediaapi.WikipediaException as error:
        raise FetchError(
            f"{address}: {asked!r} could not be had ({type(error).__name__}: {error}). What has "
            "come is kept: run the same command again later."
        ) from error
    except KeyError as error:
        raise FetchError(
            f"{address}: the answer for {asked!r} has no {error}; expected that of the MediaWiki "
            "API with the extension TextExtracts. Name another --api-url."
        ) from error


def _answers(part: Path) -> dict[str, tuple[str, str]]:
    """Read what came before; a line that was cut off ends it."""
    return {asked: (title, text) for asked, title, text in _read_lines(part)}


def _read_lines(part: Path) -> Iterator[tuple[str, str, str]]:
    if not part.exists():
        return
    kept = 0
    with part.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            kept += len(line)
            yield _answer(part, line)
    os.truncate(part, kept)


def _answer(part: Path, line: bytes) -> tuple[str, str, str]:
    """Return what a line of answers says: what was asked, the title, the text."""
    try:
        asked, title, text = json.loads(line)
    except (TypeError, ValueError, RecursionError) as error:
        raise _no_answer(part) from error
    if not all(isinstance(value, str) for value in (asked, title, text)):
        raise _no_answer(part)
    return asked, title, text


def _no_answer(part: Path) -> InputError:
    return InputError(
        f"{part}: a line of it is no answer of an API. Remove the file; its articles are asked for "
        "again."
    )


def _write(articles: dict[str, str], target: Path, address: str) -> Source:
    table = pa.table([list(articles), list(articles.values())], schema=_SCHEMA)
    temporary = target.with_name(f".tmp-{os.getpid()}-{target.name}")
    with temporary.open("wb") as file:
        pq.write_table(table, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    size, sha1, sha256 = hash_file(temporary)
    source = Source(
        name=target.name,
        url=address,
        date=f"{datetime.now(UTC):%Y%m%d}",
        size_bytes=size,
        sha1=sha1,
        sha256=sha256,
    )
    source.write_note(target.parent)
    temporary.replace(target)
    return source
