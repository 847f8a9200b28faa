"""An object store of the tests' own, which can be out of reach, hang, or lose its bucket."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

BUCKET = "papers"


class Store:
    """A running moto server; what it holds is this process's."""

    def __init__(self) -> None:
        from moto.server import ThreadedMotoServer

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._make = lambda: ThreadedMotoServer("127.0.0.1", self.port, verbose=False)
        self._server = self._make()
        self._server.start()
        self.url = f"s3://{BUCKET}/provenport"

    def client(self):
        import boto3

        return boto3.client("s3", endpoint_url=f"http://127.0.0.1:{self.port}")

    def stop(self) -> None:
        """Take it out of reach; it keeps what it has."""
        self._server.stop()

    def start(self) -> None:
        self._server = self._make()
        self._server.start()

    def objects(self) -> list[str]:
        listed = self.client().list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return [one["Key"] for one in listed]

    def alter(self, key: str) -> None:
        """Change the last byte of an object, as somebody with the bucket's credentials could."""
        client = self.client()
        content = bytearray(client.get_object(Bucket=BUCKET, Key=key)["Body"].read())
        content[-1] ^= 1
        client.put_object(Bucket=BUCKET, Key=key, Body=bytes(content))

    def drop(self) -> None:
        """Delete the bucket with all that is in it."""
        client = self.client()
        for key in self.objects():
            client.delete_object(Bucket=BUCKET, Key=key)
        client.delete_bucket(Bucket=BUCKET)


ACCESS = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests", "AWS_DEFAULT_REGION": "us-east-1"}


@contextmanager
def started(patch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store with an empty bucket, which this process finds by its environment."""
    for name, value in ACCESS.items():
        patch.setenv(name, value)
    store = Store()
    patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{store.port}")
    try:
        store.client().create_bucket(Bucket=BUCKET)
        yield store
        if BUCKET in {one["Name"] for one in store.client().list_buckets()["Buckets"]}:
            store.drop()
    finally:
        store.stop()
