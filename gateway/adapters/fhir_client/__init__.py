"""FHIR servers that the gateway comes to as a client: how it proves who it is (SMART Backend Services)."""

from gateway.adapters.fhir_client.smart_auth import NoToken, SmartAuth

__all__ = ["NoToken", "SmartAuth"]
