"""Parts of an export, as the MediaWiki Content File Exports write them (schema 0.11)."""

import bz2
from xml.sax.saxutils import escape

HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="\
http://www.mediawiki.org/xml/export-0.11/ http://www.mediawiki.org/xml/export-0.11.xsd" \
version="0.11" xml:lang="de">
  <siteinfo>
    <sitename>Wikipedia</sitename>
    <dbname>dewiki</dbname>
    <case>first-letter</case>
    <namespaces>
      <namespace key="0" case="first-letter" />
      <namespace key="1" case="first-letter">Diskussion</namespace>
      <namespace key="6" case="first-letter">Datei</namespace>
    </namespaces>
  </siteinfo>
"""
PAGE = """  <page>
    <title>{title}</title>
    <ns>{ns}</ns>
    <id>{page_id}</id>{redirect}
    <revision>
      <id>{revision}</id>
      <timestamp>2026-07-31T23:59:59Z</timestamp>
      <contributor>
        <username>u</username>
        <id>7</id>
      </contributor>
      <origin>{revision}</origin>
      <model>wikitext</model>
      <format>text/x-wiki</format>
      <text bytes="9" sha1="x" xml:space="preserve">{text}</text>{more}
      <sha1>x</sha1>
    </revision>
  </page>
"""
OTHER_SLOT = """
      <content>
        <role>mediainfo</role>
        <origin>1</origin>
        <model>wikibase-mediainfo</model>
        <format>application/json</format>
        <text bytes="9" sha1="x" xml:space="preserve">{"no": "text"}</text>
      </content>"""


def page(page_id, title, text="Text.", *, ns=0, redirect=None, other_slot=False):
    """Return a page; `text` is wikitext."""
    to = f'\n    <redirect title="{escape(redirect)}" />' if redirect else ""
    return PAGE.format(
        title=escape(title), ns=ns, page_id=page_id, redirect=to, revision=page_id + 1000,
        text=escape(text), more=OTHER_SLOT if other_slot else "",
    )  # fmt: skip


def document(*pages):
    """Return a part: a whole document with its own siteinfo."""
    return f"{HEAD}{''.join(pages)}</mediawiki>\n"


def part(*pages):
    """Return a part as it lies on the server."""
    return bz2.compress(document(*pages).encode())
