from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framehouse.errors import ConfigError
from framehouse.storage.uris import ObjectUri, object_uri, quoted, unquoted
from framehouse.telemetry import redact_uri

KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@given(KEYS, st.sampled_from(["s3://bucket", "gs://b.u_c", "az://account/container"]))
def test_a_uri_leads_back_to_its_key_and_hides_nothing(key: str, store: str) -> None:
    uri = ObjectUri(store, key).uri
    assert object_uri(uri) == ObjectUri(store, key)
    assert redact_uri(uri) == uri


@given(KEYS)
def test_quoting_leaves_letters_and_spaces(text: str) -> None:
    assert unquoted(quoted(text)) == text


@pytest.mark.parametrize(
    ("uri", "store", "key"),
    [
        ("s3://b", "s3://b", ""),
        ("S3://b/", "s3://b", ""),
        ("s3://b//a", "s3://b", "/a"),
        ("s3://b/a b+c.mp4", "s3://b", "a b+c.mp4"),
        ("s3://b/100%.mp4", "s3://b", "100%.mp4"),
        ("s3://b/100%25.mp4", "s3://b", "100%.mp4"),
        ("s3://b/what?#.mp4", "s3://b", "what?#.mp4"),
        ("az://a/c/k/l", "az://a/c", "k/l"),
        ("az://a/c", "az://a/c", ""),
    ],
)
def test_what_people_write(uri: str, store: str, key: str) -> None:
    assert object_uri(uri) == ObjectUri(store, key)


@pytest.mark.parametrize("uri", ["s3://", "gs:///a", "az://a", "az://a/", "az:///c/k"])
def test_no_place(uri: str) -> None:
    with pytest.raises(ConfigError) as caught:
        object_uri(uri)
    assert caught.value.code == "config.source_uri"
