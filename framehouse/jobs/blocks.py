"""Prefect blocks that hold the credentials of stores, opened here at the edge; `storage` gets the SDK client alone.

Prefect is imported when a block is opened, not before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any

from framehouse.config import Settings, find_endpoints
from framehouse.errors import ConfigError, EngineUnavailable
from framehouse.storage import azure, s3
from framehouse.storage.stores import Clients
from framehouse.storage.uris import CLOUD_SCHEMES, scheme_of

BLOCKS: Mapping[str, tuple[str, str]] = {
    "s3-bucket": ("prefect_aws.s3", "S3Bucket"),
    "aws-credentials": ("prefect_aws.credentials", "AwsCredentials"),
    "minio-credentials": ("prefect_aws.credentials", "MinIOCredentials"),
    "gcs-bucket": ("prefect_gcp.cloud_storage", "GcsBucket"),
    "gcp-credentials": ("prefect_gcp.credentials", "GcpCredentials"),
    "azure-blob-storage-container": ("prefect_azure.blob_storage", "AzureBlobStorageContainer"),
    "azure-blob-storage-credentials": ("prefect_azure.credentials", "AzureBlobStorageCredentials"),
}
"""Types of blocks that open a store: the first half of `s3-bucket/name`."""

_SCHEMES = {"s3": "s3", "aws": "s3", "minio": "s3", "gcs": "gs", "gcp": "gs", "azure": "az"}


def clients_of(settings: Settings) -> Clients:
    """The stores that the settings name; their blocks are opened when a store is.

    Raises:
        ConfigError: code `config.blocks`, a name that is no store's, or a block that opens no store of that kind.
    """
    source = settings.source
    url = settings.prefect.api_url
    own: dict[str, Callable[[], Any] | None] = {_store_name(name): None for name in source.stores}
    held = {_store_name(store): partial(_open, block, settings, url) for store, block in source.blocks.items()}
    for store, block in source.blocks.items():
        _check(store, block)
    return Clients(own | held)


def client_of_block(block: Any) -> Any:
    """The SDK client of a block: of a bucket or container, or of the credentials in one.

    Raises:
        ConfigError: code `config.blocks`, no such block.
    """
    kind = type(block).get_block_type_slug()
    credentials = getattr(block, "credentials", None) or getattr(block, "gcp_credentials", None) or block
    if kind in ("s3-bucket", "aws-credentials", "minio-credentials"):
        parameters = credentials.aws_client_parameters.get_params_override()
        return s3.connect(credentials.get_boto3_session(), **parameters)
    if kind in ("gcs-bucket", "gcp-credentials"):
        return credentials.get_cloud_storage_client()
    if kind in ("azure-blob-storage-container", "azure-blob-storage-credentials"):
        return _azure_client(credentials)
    raise ConfigError(
        f"a block of type {kind} opens no store", code="config.blocks", hint=f"known: {', '.join(BLOCKS)}"
    )


def _azure_client(credentials: Any) -> Any:
    """The block's own client is asynchronous; this one is made of the same fields."""
    if credentials.connection_string is not None:
        return azure.connect(connection_string=credentials.connection_string.get_secret_value())
    login = None
    if credentials.client_id is not None:
        from azure.identity import ClientSecretCredential  # noqa: PLC0415  an extra

        login = ClientSecretCredential(
            credentials.tenant_id, credentials.client_id, credentials.client_secret.get_secret_value()
        )
    return azure.connect(account_url=credentials.account_url, credential=login)


def _open(name: str, settings: Settings, api_url: str) -> Any:
    """The client of a named block, which Prefect's server keeps.

    Raises:
        ConfigError: no block of that name, or the integration is not installed.
        EngineUnavailable: no Prefect server answers.
    """
    import httpx  # noqa: PLC0415
    from prefect.settings import PREFECT_API_URL, temporary_settings  # noqa: PLC0415  seconds, for blocks alone

    kind, _, block_name = name.partition("/")
    module, class_name = BLOCKS[kind]
    try:
        block_class = getattr(import_module(module), class_name)
    except ImportError as error:
        raise ConfigError(
            f"{name}: the integration for it is missing",
            code="config.extra_missing",
            hint="pip install 'framehouse[azure]'",
        ) from error
    try:
        with temporary_settings({PREFECT_API_URL: api_url or find_endpoints(settings).prefect_api_url}):
            block = block_class.load(block_name, _sync=True)
    except ValueError as error:
        raise ConfigError(
            f"{name}: Prefect knows no such block", code="config.blocks", hint="see: prefect block ls"
        ) from error
    except httpx.HTTPError as error:
        raise EngineUnavailable(f"{name}: Prefect does not answer ({type(error).__name__})") from error
    return client_of_block(block)


def _store_name(text: str) -> str:
    scheme, _, names = text.partition("://")
    if scheme_of(text) not in CLOUD_SCHEMES or names.rstrip("/").count("/") > (scheme_of(text) == "az"):
        hint = "write s3://bucket, gs://bucket or az://account/container"
        raise ConfigError(f"{text}: names no store", code="config.blocks", hint=hint)
    return f"{scheme.lower()}://{names.rstrip('/')}"


def _check(store: str, block: str) -> None:
    kind, slash, name = block.partition("/")
    scheme = _SCHEMES.get(kind.partition("-")[0])
    if kind not in BLOCKS or not slash or not name:
        raise ConfigError(
            f"{block}: names no block", code="config.blocks", hint=f"<type>/<name> of {', '.join(BLOCKS)}"
        )
    if scheme != scheme_of(store):
        raise ConfigError(
            f"{block} opens no {scheme_of(store)}:// store", code="config.blocks", hint=f"it opens {scheme}://"
        )
