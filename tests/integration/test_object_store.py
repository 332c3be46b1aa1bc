"""The object store port on a folder and on a real S3 server, and the evidence that is kept through it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from cordon.alerts import service as alerts
from cordon.evidence import service as evidence
from cordon.evidence.model import EvidenceObject, Holding
from cordon.platform.objectstore import ObjectMissing, ObjectStore, open_object_store
from world import PROBE_PICTURE, World

ACCESS, SECRET, BUCKET = "cordon-test", "a-secret-of-this-test-run", "evidence"


@pytest.fixture(scope="module")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """nanio, a small S3 server that checks signatures: a wrong secret is refused, which the tests below rely on."""
    folder = tmp_path_factory.mktemp("s3")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [
            str(Path(sys.executable).parent / "nanio"),
            *("serve", "--data-dir", str(folder), "--host", "127.0.0.1", "--port", str(port), "--no-access-log"),
        ],
        env={**os.environ, "NANIO_ACCESS_KEY": ACCESS, "NANIO_SECRET_KEY": SECRET},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    endpoint = f"http://127.0.0.1:{port}"
    try:
        _wait_for(port)
        _client(endpoint, SECRET).create_bucket(Bucket=BUCKET)
        yield endpoint
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture(params=["folder", "s3"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "folder":
        return f"file:{tmp_path / 'objects'}"
    endpoint = request.getfixturevalue("s3_endpoint")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return f"s3://{BUCKET}/{tmp_path.name}?endpoint={endpoint}"


@pytest.fixture
def store(store_url: str) -> ObjectStore:
    return open_object_store(store_url)


def test_what_is_put_can_be_read_listed_and_deleted(store: ObjectStore) -> None:
    store.put("deployments/a/alerts/1", b"one")
    store.put("deployments/a/alerts/2", b"two" * 100_000)
    store.put("deployments/b/alerts/3", b"three")
    assert store.get("deployments/a/alerts/2") == b"two" * 100_000
    assert sorted(store.keys("deployments/a/")) == ["deployments/a/alerts/1", "deployments/a/alerts/2"]
    store.delete("deployments/a/alerts/1")
    assert list(store.keys("deployments/a/")) == ["deployments/a/alerts/2"]


def test_an_object_that_is_not_there_is_missing_and_its_deletion_no_error(store: ObjectStore) -> None:
    with pytest.raises(ObjectMissing):
        store.get("deployments/none")
    store.delete("deployments/none")


def test_a_later_put_replaces_an_earlier_one(store: ObjectStore) -> None:
    store.put("k", b"first")
    store.put("k", b"second")
    assert store.get("k") == b"second"


def test_a_key_may_not_leave_the_folder(tmp_path: Path) -> None:
    store = open_object_store(f"file:{tmp_path / 'objects'}")
    with pytest.raises(ValueError, match="may not leave"):
        store.put("../outside", b"x")
    assert not (tmp_path / "outside").exists()


def test_the_s3_server_of_these_tests_refuses_a_wrong_secret(s3_endpoint: str) -> None:
    with pytest.raises(ClientError) as refused:
        _client(s3_endpoint, "wrong").list_objects_v2(Bucket=BUCKET)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_thumbnails_lie_sealed_in_the_store_and_go_with_the_purge(world: World, store_url: str) -> None:
    store = open_object_store(store_url)
    object.__setattr__(world.installation, "objects", store)
    deployment_id = world.opened()
    taken = world.hit(deployment_id, world.entry(deployment_id))
    with world.installation.read() as work:
        probe, _, _ = alerts.best_pictures(alerts.all_alerts(work, deployment_id)[0])
        assert evidence.fetch(work, deployment_id, str(probe)) == PROBE_PICTURE
        keys = [row.object_key for row in work.session.query(EvidenceObject)]
    assert taken.alert_id
    assert sorted(store.keys("deployments/")) == sorted(keys)
    assert all(b"PICTURE" not in store.get(key) for key in keys)
    with world.installation.write() as work:
        evidence.destroy_key(work, deployment_id, Holding.ALERTS)
        evidence.delete_objects(work, deployment_id, Holding.ALERTS)
    assert list(store.keys(f"deployments/{deployment_id}/alerts/")) == []


def _client(endpoint: str, secret: str):  # type: ignore[no-untyped-def]
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=ACCESS,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the S3 server did not start")
