"""FHIR servers that the gateway comes to as a client: how it proves who it is, and how it takes their answers."""

from gateway.adapters.fhir_client.origin import origin_of
from gateway.adapters.fhir_client.server import (
    MEDIA_TYPE,
    Compressed,
    FhirServer,
    GivenUp,
    Limits,
    Parameters,
    TooLarge,
    server_at,
    version_told,
)
from gateway.adapters.fhir_client.smart_auth import NoToken, SmartAuth

__all__ = [
    "MEDIA_TYPE",
    "Compressed",
    "FhirServer",
    "GivenUp",
    "Limits",
    "NoToken",
    "Parameters",
    "SmartAuth",
    "TooLarge",
    "origin_of",
    "server_at",
    "version_told",
]
