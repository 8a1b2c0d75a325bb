from __future__ import annotations

import sys

import pytest

from framehouse.config import Settings
from framehouse.errors import ConfigError
from framehouse.jobs.blocks import clients_of
from framehouse.jobs.sources import may_be_named


def settings(**source: object) -> Settings:
    made = Settings()
    made.source = made.source.model_copy(update=source)
    return made


def test_blocks_and_stores_are_named_and_opened_by_nobody_yet() -> None:
    had_prefect = "prefect" in sys.modules
    known = clients_of(
        settings(blocks={"S3://one/": "s3-bucket/a", "az://x": "azure-blob-storage-credentials/b"}, stores=["gs://two"])
    )
    assert set(known.openers) == {"s3://one", "az://x", "gs://two"}
    assert known.openers["gs://two"] is None
    assert ("prefect" in sys.modules) == had_prefect


@pytest.mark.parametrize(
    ("store", "block"),
    [
        ("https://h", "s3-bucket/a"), ("/folder", "s3-bucket/a"), ("s3://b/key", "s3-bucket/a"), ("az://a/c/k", "x"),
        ("s3://b", "s3-bucket"), ("s3://b", "s3-bucket/"), ("s3://b", "secret/a"), ("s3://b", "gcs-bucket/a"),
        ("gs://b", "aws-credentials/a"),
    ],
)  # fmt: skip
def test_names_that_fit_nothing(store: str, block: str) -> None:
    with pytest.raises(ConfigError) as caught:
        clients_of(settings(blocks={store: block}))
    assert caught.value.code == "config.blocks"


def test_the_environment_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMEHOUSE_SOURCE__BLOCKS", '{"s3://one": "aws-credentials/a"}')
    monkeypatch.setenv("FRAMEHOUSE_SOURCE__STORES", '["gs://two"]')
    made = Settings()
    assert may_be_named("s3://one/a.mp4", made)
    assert may_be_named("gs://two/a.mp4", made)
    assert not may_be_named("s3://two/a.mp4", made)
    assert not may_be_named("s3://two/a.mp4", Settings(source=settings().source))
