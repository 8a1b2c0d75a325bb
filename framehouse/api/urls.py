"""Absolute URLs of this server."""

from __future__ import annotations

from fastapi import Request

from framehouse.api.context import Api


def absolute(api: Api, request: Request, path: str) -> str:
    """A path of ours under the address that the client used, or the public one of the settings."""
    base = api.settings.api.public_url or f"{request.url.scheme}://{request.headers.get('host', request.url.netloc)}"
    return f"{base.rstrip('/')}{path}"
