"""The stages with inputs and outputs on S3: a server on loopback, and one that misbehaves."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from tests.pipelines.helpers import WORDS, contents, texts, write_metadata, write_pairs
from tests.pipelines.s3_server import FAULTS, environment, faulty_proxy, s3_server

CURATE = Path(sys.executable).with_name("curate")


def curate(folder, url, *arguments):
    return subprocess.run(
        [CURATE, *arguments], cwd=folder, env={**os.environ, **environment(url)}, timeout=170,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def port():
    with s3_server() as port:
        yield port


@pytest.fixture(scope="module")
def bucket(port, tmp_path_factory):
    """A bucket with metadata and inputs, and the folder they came from."""
    folder = tmp_path_factory.mktemp("local")
    write_metadata(folder / "metadata", {"en": WORDS})
    for i in range(2):
        write_pairs(folder / f"in/{i}.parquet", texts(400, i), first=400 * i)
    url = f"http://127.0.0.1:{port}"
    client = boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1",
        aws_access_key_id="test", aws_secret_access_key="test",
    )  # fmt: skip
    for path in sorted([*(folder / "metadata").iterdir(), *(folder / "in").iterdir()]):
        client.upload_file(str(path), "data", str(path.relative_to(folder)))
    yield client, url
    client.close()


def download(client, prefix, folder):
    """Take everything below a prefix out of the bucket."""
    for one in client.list_objects_v2(Bucket="data", Prefix=f"{prefix}/")["Contents"]:
        path = folder / one["Key"]
        path.parent.mkdir(parents=True, exist_ok=True)
        client.download_file("data", one["Key"], str(path))


@pytest.mark.slow
def test_on_a_store_that_fails_now_and_then_the_bytes_are_those_of_local_files(
    port, bucket, tmp_path
):
    client, direct = bucket
    match = ["match", "s3://data/in/*.parquet", "--lang", "en", "--metadata", "s3://data/metadata"]
    balance = ["balance", "--t", "20", "--matched"]
    for stage in ([*match, "-o", "matched"], [*balance, "matched", "-o", "balanced"]):
        found = curate(tmp_path, direct, *stage, "--quiet")
        assert found.returncode == 0, found.stderr
    with faulty_proxy(port, every=13) as proxy:
        for stage in (
            [*match, "-o", "s3://data/matched"],
            [*balance, "s3://data/matched", "-o", "s3://data/balanced"],
            ["status", "-w", "s3://data", "--json"],
        ):
            found = curate(tmp_path, proxy.url, *stage, "--debug")
            assert found.returncode == 0, found.stderr
        assert set(proxy.seen) == {"", *FAULTS}, proxy.seen
    stages = json.loads(found.stdout)["stages"]
    assert {n: stages[n]["state"] for n in ("matched", "balanced")} == {
        "matched": "complete", "balanced": "complete",
    }  # fmt: skip
    for stage in ("matched", "balanced"):
        download(client, stage, tmp_path / "s3")
        expected, got = contents(tmp_path / stage), contents(tmp_path / "s3" / stage)
        # The cards name the folders that they were made of.
        differing = {n for n in expected if expected[n] != got.get(n) and "card" not in n}
        assert expected.keys() == got.keys() and not differing


@pytest.mark.slow
def test_a_store_that_is_down_is_an_error_that_says_so_and_the_next_run_goes_on(
    port, bucket, tmp_path
):
    client, direct = bucket
    run = ["match", "s3://data/in/0.parquet", "--lang", "en", "-o", "s3://data/down",
           "--metadata", "s3://data/metadata", "--json"]  # fmt: skip
    with faulty_proxy(port, every=1, faults=("503",)) as proxy:
        found = curate(tmp_path, proxy.url, *run)
        assert found.returncode == 1 and "Error: " in found.stderr, found.stderr
        assert "Traceback" not in found.stderr
    found = curate(tmp_path, direct, *run)
    assert found.returncode == 0 and '"read": 400' in found.stdout, found.stderr


_READ_AGAIN_AND_AGAIN = """
from curate.files import storage
for _ in range(40):
    assert storage.read_json("s3://data/again.json")["pid"] > 0
"""


@pytest.mark.slow
def test_a_lease_is_read_while_it_is_renewed(port, bucket):
    client, _ = bucket
    numbers = itertools.count(1)

    def renew():
        content = json.dumps({"pid": next(numbers)}).encode()
        client.put_object(Bucket="data", Key="again.json", Body=content)

    renew()
    with faulty_proxy(port, every=0) as proxy:
        reader = subprocess.Popen(
            [sys.executable, "-c", _READ_AGAIN_AND_AGAIN], cwd=Path(__file__).parents[3],
            env={**os.environ, **environment(proxy.url, read_timeout_s=60)}, text=True,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            while reader.poll() is None:
                renew()
        finally:
            reader.kill()
            _, said = reader.communicate()
    assert reader.returncode == 0, said
    assert next(numbers) > 40
