"""An independent client, fhirpy, that knows nothing of this server: it writes, finds, pages and follows references."""

from __future__ import annotations

import pytest
from fhirpy import AsyncFHIRClient
from fhirpy.base.exceptions import OperationOutcome, ResourceNotFound
from kept_world import Kept, Still, door
from test_fhir_submission import encounter


async def test_fhirpy_writes_finds_pages_and_follows_references() -> None:
    async with door(Kept(clock=Still(ticking=1))) as http:
        client = AsyncFHIRClient(str(http.base_url).rstrip("/"), authorization="Bearer a")
        patient = client.resource("Patient", identifier=[{"system": "urn:mr", "value": "1"}])
        await patient.save()
        for number in range(5):
            fields = {name: value for name, value in encounter().items() if name != "resourceType"}
            visit = client.resource("Encounter", **fields, subject=patient.to_reference())
            visit["identifier"] = [{"system": "urn:vn", "value": f"V{number}"}]
            await visit.save()

        found = await client.resources("Encounter").search(patient=patient.id, status="finished").limit(2).fetch_all()
        assert sorted(one["identifier"][0]["value"] for one in found) == [f"V{n}" for n in range(5)]
        assert await client.resources("Encounter").count() == 5
        last = await client.resources("Encounter").sort("-_lastUpdated").first()
        assert last["identifier"][0]["value"] == "V4"

        one = await client.resources("Encounter").search(identifier="urn:vn|V3").get()
        one["status"] = "cancelled"
        await one.save()
        assert one["meta"]["versionId"] == "2"
        assert [each.id for each in await client.resources("Encounter").search(status="cancelled").fetch()] == [one.id]

        bundle = await client.resources("Encounter").search(_id=one.id).include("Encounter", "patient").fetch_raw()
        assert [entry.resource.resource_type for entry in bundle.entry] == ["Encounter", "Patient"]
        whose = await one["subject"].to_resource()
        assert whose["identifier"][0]["value"] == "1"

        unless = {"If-None-Exist": "identifier=urn:mr|1"}
        careful = AsyncFHIRClient(client.url, authorization="Bearer a", extra_headers=unless)
        again = careful.resource("Patient", identifier=[{"system": "urn:mr", "value": "1"}])
        await again.save()
        assert again.id == patient.id


async def test_fhirpy_is_told_what_is_wrong() -> None:
    async with door(Kept()) as http:
        client = AsyncFHIRClient(str(http.base_url).rstrip("/"), authorization="Bearer a")
        with pytest.raises(ResourceNotFound):
            await client.reference("Patient", "none").to_resource()
        with pytest.raises(OperationOutcome, match="required value set"):
            await client.resource("Encounter", **{**encounter(status="asleep"), "resourceType": "Encounter"}).save()
