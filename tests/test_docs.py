"""What the documents say is what the code does."""

import re

from tests.conftest import ROOT
from tests.curation.matching.test_normalize import CASES

PRIVATE = re.compile(r"/work/|/root/|/tmp/|\.library|CONTRACT\.md|STYLE\.md|REFERENCE\.md")


def code(text):
    shown = "".join(
        c if c.isprintable() and not 0x300 <= ord(c) < 0x370 else f"\\u{ord(c):04x}" for c in text
    )
    return f"`{shown}`".replace("|", "\\|")


def test_the_architecture_shows_every_case_of_normalization():
    lines = (ROOT / "ARCHITECTURE.md").read_text("utf-8").splitlines()
    for name, entry, text, standard, metaclip in CASES:
        yes = {True: "yes", False: "no"}
        row = f"| {name} | {code(entry)} | {code(text)} | {yes[standard]} | {yes[metaclip]} |"
        assert row in lines, row


def test_the_readme_names_every_folder_and_its_links_lead_somewhere():
    readme = (ROOT / "README.md").read_text("utf-8")
    for folder in ("metadata", "curation", "training", "pipelines", "examples", "tests"):
        assert f"{folder}/" in readme
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", readme):
        assert (ROOT / target).exists(), target


def test_the_examples_of_the_page_on_python_run():
    page = (ROOT / "docs/python.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, "python.md", "exec"), {})


def test_the_readme_is_short_and_every_page_is_led_to():
    readme = (ROOT / "README.md").read_text("utf-8")
    assert len(readme.splitlines()) <= 150
    for page in (ROOT / "docs").glob("*.md"):
        led = readme + (ROOT / "docs/guide.md").read_text("utf-8")
        assert page.name in led, page


def test_links_of_pages_lead_somewhere():
    for page in [*(ROOT / "docs").glob("*.md"), ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_commands_and_paths_of_examples_lead_somewhere():
    pages = [ROOT / "Makefile", *ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    pages.remove(ROOT / "CHANGELOG.md")  # says what was
    for kind in ("*.md", "*.py"):
        pages += (ROOT / "examples").rglob(kind)
    for page in pages:
        text = page.read_text("utf-8")
        for name in re.findall(r"-m (examples(?:\.[a-z_]+)*)", text):
            path = ROOT / name.replace(".", "/")
            assert (path / "__main__.py").exists() or path.with_suffix(".py").exists(), (page, name)
        for name in re.findall(r"\bexamples/[\w/]+\.(?:py|sh|ipynb)", text):
            assert (ROOT / name).exists(), (page, name)


def test_the_readme_of_the_examples_names_each():
    examples = ROOT / "examples"
    readme = (examples / "README.md").read_text("utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", readme):
        assert (examples / target).exists(), target
    rooms = (path.parent for path in examples.glob("*/__init__.py"))
    for path in [*examples.glob("[a-z]*.*"), *rooms]:
        assert path.stem in readme, path
    for path in (examples / "bench").glob("*/[a-z]*.py"):
        if "\ndef main(" in path.read_text("utf-8"):
            assert f"`{path.stem}`" in readme, path


def test_the_project_speaks_of_itself_alone():
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        if parts[0].startswith(".") and parts[0] != ".ci" or parts[0] in ("demo", "data", "build"):
            continue
        if path.suffix in (".py", ".md", ".toml", ".txt", ".json") and path.name != "test_docs.py":
            found = PRIVATE.search(path.read_text("utf-8"))
            assert found is None, f"{path}: {found}"
