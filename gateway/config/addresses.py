"""Addresses as settings have them: where the gateway listens, and where it sends."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gateway.yamlfile import NAME


class Settings(BaseModel):
    """A frozen group of settings; an unknown key is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Name = Annotated[str, Field(pattern=NAME)]

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Endpoint(Settings):
    """A host and port: `host:port`. Port 0 takes a free one."""

    host: str
    port: Annotated[int, Field(ge=0, le=65535)]

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def endpoint(value: object, scheme: str, form: str) -> object:
    """What `scheme://host:port` says, as Endpoint's fields. ValueError with the remedy `write it as {form}`."""
    if isinstance(value, Endpoint | dict):
        return value
    if not isinstance(value, str):
        raise ValueError(f"no host is named; write it as {form}")  # noqa: TRY004 - pydantic collects ValueError only
    try:
        parts = urlsplit(value if "//" in value else f"//{value}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"a port is a number from 0 to 65535; write it as {form}") from error
    beyond = parts.path.strip("/") or parts.query or parts.fragment or parts.username
    if parts.scheme not in ("", scheme) or not host or port is None or beyond:
        raise ValueError(f"not an address to listen on; write it as {form}")
    return {"host": host, "port": port}


def _http_endpoint(value: object) -> object:
    return endpoint(value, "http", "host:port, as 127.0.0.1:8080")


HttpListen = Annotated[Endpoint, BeforeValidator(_http_endpoint)]


class MllpAddress(Endpoint):
    """`mllps://host:port` over TLS, `mllp://host:port` without."""

    tls: bool


def _mllp_address(value: object) -> object:
    if isinstance(value, Endpoint | dict):
        return value
    tls = isinstance(value, str) and value.startswith("mllps://")
    try:
        found = endpoint(value, "mllps" if tls else "mllp", "")
    except ValueError:
        found = None
    if not isinstance(found, dict) or not found["port"]:
        raise ValueError("not an address to send to; write it as mllps://host:port, as mllps://billing.example:2575")
    return {**found, "tls": tls}


MllpReceiver = Annotated[MllpAddress, BeforeValidator(_mllp_address)]
