"""Every destination passes the one suite."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from mllp_making import charge, mllp_settings

from conformance.billing_endpoint import BillingEndpoint
from conformance.billing_mllp import MllpBilling
from conformance.destination import CHECKS, KEY, OTHER_KEY, Harness
from gateway.adapters.fhir_claim import FhirClaimDestination, shared_client
from gateway.adapters.mllp.destination import MllpDestination
from gateway.adapters.x12_file import SUFFIX, X12FileDestination
from gateway.config.model import FhirClaim


@dataclass
class FileHarness:
    destination: X12FileDestination
    directory: Path

    def payload(self, mark: str) -> bytes:
        return f"ISA*{mark}~".encode()

    def received(self) -> Sequence[bytes]:
        return [path.read_bytes() for path in sorted(self.directory.glob("*" + SUFFIX))]

    async def take_away(self) -> None:
        """A file where the directory should be: not even root can write into it."""
        self.directory.rename(self.directory.with_suffix(".gone"))
        self.directory.write_text("in the way")


@dataclass
class HttpHarness:
    destination: FhirClaimDestination
    peer: BillingEndpoint
    client: httpx.AsyncClient

    def payload(self, mark: str) -> bytes:
        return json.dumps({"resourceType": "Claim", "use": mark}).encode()

    def received(self) -> Sequence[bytes]:
        return [self.payload(str(claim["use"])) for claim in self.peer.claims]

    async def take_away(self) -> None:
        await self.peer.__aexit__()


@dataclass
class MllpHarness:
    """The first payload is the first key's message, and the second the other's: MSH-10 is the key."""

    destination: MllpDestination
    peer: MllpBilling

    def payload(self, mark: str) -> bytes:
        return charge({"one": KEY, "two": OTHER_KEY}[mark])

    def received(self) -> Sequence[bytes]:
        return self.peer.messages

    async def take_away(self) -> None:
        await self.peer.__aexit__()


async def _quickly(seconds: float) -> None:
    return None


@pytest.fixture(params=["x12-file", "fhir-claim", "mllp"])
async def harness(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Harness]:
    if request.param == "x12-file":
        directory = tmp_path / "out"
        directory.mkdir()
        yield FileHarness(X12FileDestination("clearinghouse", directory), directory)
        return
    if request.param == "mllp":
        async with MllpBilling() as receiver:
            destination = MllpDestination(mllp_settings(receiver.port))
            yield MllpHarness(destination, receiver)
            await destination.close()
        return
    async with BillingEndpoint() as peer, shared_client() as client:
        settings = FhirClaim.model_validate({"name": "payer-fhir", "kind": "fhir-claim", "url": peer.url})
        yield HttpHarness(FhirClaimDestination(settings, client, sleep=_quickly), peer, client)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_conforms(harness: Harness, check) -> None:
    await check(harness)
