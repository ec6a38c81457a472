"""What other tools read of a workspace, with the commands of docs/INTEROP.md."""

import hashlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
from importlib import metadata

import numpy as np
import pyarrow.parquet as pq
import pytest
from packaging.requirements import Requirement
from PIL import Image

from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.shards.options import ShardOptions
from tests.conftest import ROOT
from tests.pipelines.helpers import (
    WORDS,
    match,
    read_pairs,
    texts,
    write_metadata,
    write_pairs,
)

NUM = 120
PER_SHARD = 20


def encoded(colour, form):
    out = io.BytesIO()
    Image.new("RGB", (16, 16), colour).save(out, form)
    return out.getvalue()


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A workspace as the document describes it: the same pairs as Parquet and as shards."""
    folder = tmp_path_factory.mktemp("interop")
    entries = write_metadata(folder / "data/metadata", {"en": WORDS})
    uids = [hashlib.md5(str(i).encode()).hexdigest() for i in range(NUM)]
    images = [encoded((i, 2 * i, 0), ("JPEG", "PNG", "WEBP")[i % 3]) for i in range(NUM)]
    pairs = write_pairs(folder / "pairs.parquet", texts(NUM), uid=uids, image=images)
    match([pairs], entries, folder / "data/matched")
    for name, output_format, image_format in (
        ("balanced", "parquet", "jpg"), ("sharded", "shards", "jpg"), ("kept", "shards", "keep"),
    ):  # fmt: skip
        balance_pairs(
            matched=str(folder / "data/matched"), output=str(folder / "data" / name), quiet=True,
            options=BalanceOptions(
                t=12, output_format=output_format, pairs_per_shard=PER_SHARD,
                shards=ShardOptions(image_format=image_format),
            ),
            uids=str(folder / "subset.npy") if name == "balanced" else None,
        )  # fmt: skip
    return folder


@pytest.fixture
def document(workspace, monkeypatch):
    """The document's code, in the folder that its paths begin in: {tool: code}."""
    monkeypatch.chdir(workspace)
    text = (ROOT / "docs/INTEROP.md").read_text("utf-8")
    sections = re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    return {
        name: "\n".join(re.findall(r"```(?:bash|python)\n(.*?)```", content, re.DOTALL))
        for name, content in sections
    }


def kept(folder):
    return read_pairs(folder / "data/balanced")


def options_of(command):
    words = shlex.split(command)
    return {w: words[i + 1] for i, w in enumerate(words) if w.startswith("--")}


def test_img2dataset_finds_its_columns(workspace, document):
    options = options_of(document["img2dataset"])
    additional = json.loads(options["--save_additional_columns"])
    columns = [options["--url_col"], options["--caption_col"], *additional]
    files = sorted((workspace / options["--url_list"]).glob(f"*.{options['--input_format']}"))
    read = [pq.read_table(file, columns=columns) for file in files]  # as its Reader does
    assert read and sum(map(len, read)) == len(kept(workspace))
    urls = [url for table in read for url in table.column(options["--url_col"]).to_pylist()]
    assert all(url.startswith("https://example.org/") for url in urls)
    assert set(additional) <= set(read[0].column_names)


def test_the_resharder_of_datacomp_finds_exactly_the_kept_uids(workspace, document):
    assert "curate balance --t 20000 --uids subset.npy" in document["DataComp"]
    subset = np.load(options_of(document["DataComp"])["--subset-file"], mmap_mode="r")
    u16 = np.dtype("u8,u8")
    assert subset.dtype == u16
    wanted = set(kept(workspace).column("pair_id").to_pylist())
    for uid in pq.read_table(workspace / "pairs.parquet").column("uid").to_pylist():
        key = np.array([divmod(int(uid, 16), 2**64)], u16)[0]
        found = np.searchsorted(subset, key, "right") - np.searchsorted(subset, key, "left")
        assert found == (uid in wanted), uid
    assert 0 < len(subset) == len(wanted) < NUM


def run_python(code, workspace):
    """Run code in a process of its own: the libraries leave files open, and warnings are errors."""
    folder = {"HF_HOME": str(workspace / "cache"), "HF_HUB_OFFLINE": "1"}
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **folder}
    )
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


LOADED = """
import json
rows = [{**s, "json": s["json"], "jpg": s["jpg"].size} for s in shards]
print(json.dumps([pairs.to_list(), rows], default=lambda b: b.decode("latin-1")))
"""


def test_datasets_of_hugging_face_loads_pairs_and_shards(workspace, document):
    pairs, shards = run_python(document["Hugging Face datasets"] + LOADED, workspace)
    table = kept(workspace).drop_columns(["image"]).to_pylist()
    assert [{k: row[k] for k in table[0]} for row in pairs] == table
    of_id = {row["pair_id"]: row for row in table}
    assert sorted(sample["__key__"] for sample in shards) == sorted(of_id)
    for sample in shards:
        row = of_id[sample["__key__"]]
        assert (sample["txt"], sample["json"]["entry_ids"]) == (row["text"], row["entry_ids"])
        assert sample["jpg"] == [16, 16]


def test_datasets_takes_shards_of_one_suffix_and_refuses_mixed_ones(workspace, document):
    code = document["Hugging Face datasets"].replace("data/sharded/", "data/kept/")
    with pytest.raises(AssertionError, match="don't share the same prefix or the same types"):
        run_python(code + LOADED, workspace)
    suffixes = {}
    for name in ("sharded", "kept"):
        lines = [p.read_text() for p in (workspace / "data" / name / "shards").glob("*.idx")]
        suffixes[name] = {
            word for word in " ".join(lines).split() if word in ("jpg", "png", "webp")
        }
    assert suffixes == {"sharded": {"jpg"}, "kept": {"jpg", "png", "webp"}}


# The steps of OpenCLIP's loader: samples with a text and an image, decoded and renamed.
LOADER = """
import json, sys
import webdataset as wds
images = {"png", "jpg", "jpeg", "webp"}
pipeline = wds.DataPipeline(
    wds.SimpleShardList(PATTERN),
    wds.tarfile_to_samples(),
    wds.select(lambda s: "txt" in s and not s.keys().isdisjoint(images)),
    wds.decode("pilrgb"),
    wds.rename(image="jpg;png;jpeg;webp", text="txt"),
)
samples = [(s["__key__"], s["text"], s["image"].mode, s["image"].getpixel((0, 0)))
           for s in pipeline]
print(json.dumps([len(wds.SimpleShardList(PATTERN)), samples]))
"""


def test_the_pattern_of_open_clip_reads_all_shards(workspace, document):
    pattern = options_of(document["OpenCLIP"])["--train-data"]
    shards = sorted((workspace / "data/sharded/shards").glob("*.tar"))
    pattern = pattern.replace("00003", shards[-1].stem)
    num, samples = run_python(LOADER.replace("PATTERN", repr(pattern)), workspace)
    assert num == len(shards) > 1
    card = json.loads((workspace / "data/sharded/datacard.json").read_text())
    assert len(samples) == card["total"]["kept"] == len(kept(workspace))
    for row in kept(workspace).to_pylist():
        (found,) = [s for s in samples if s[0] == row["pair_id"]]
        pixel = Image.open(io.BytesIO(row["image"])).getpixel((0, 0))
        assert found[1:3] == [row["text"], "RGB"]
        # What was JPEG is as it was; the others are of one colour, which JPEG keeps to a few steps.
        assert np.abs(np.subtract(found[3], pixel)).max() <= 6


def test_the_page_names_a_webdataset_that_open_clip_can_read_with(document):
    (extra,) = re.findall(r"pip install '(open_clip_torch\[training\])'", document["OpenCLIP"])
    wanted = [r for r in metadata.requires("open_clip_torch") if r.startswith("webdataset")]
    assert extra and wanted
    # Since 0.2.96 a tar's stream ends with a record without a name.
    assert all(
        Requirement(r).marker is not None and "training" in str(Requirement(r).marker)
        and "0.2.96" not in Requirement(r).specifier for r in wanted
    )  # fmt: skip


def test_webdataset_reads_images_texts_and_json(workspace, document):
    code = document["webdataset"]
    shards = sorted((workspace / "data/sharded/shards").glob("*.tar"))
    assert "{00000..00003}" in code
    shown = "import json\nprint(json.dumps([[k, i.size, t, j['lang']] for k, i, t, j in samples]))"
    found = run_python(f"{code.replace('00003', shards[-1].stem)}\n{shown}", workspace)
    wanted = [[row["pair_id"], [16, 16], row["text"], "en"] for row in kept(workspace).to_pylist()]
    assert sorted(found) == sorted(wanted)


def test_a_loader_of_ones_own_keeps_the_same_pairs(workspace, document):
    defined = {}
    exec(document["Balancing in a loader of one's own"], defined)
    found = {
        row["pair_id"]
        for row in read_pairs(workspace / "data/matched").to_pylist()
        if defined["is_kept"](row["pair_id"], row["entry_ids"])
    }
    assert found == set(kept(workspace).column("pair_id").to_pylist())
    table = pq.read_table(workspace / "data/balanced/probabilities/en.parquet")
    assert table.column_names == ["entry_id", "entry", "count", "probability"]
    assert table.column("entry_id").to_pylist() == list(range(len(table)))
