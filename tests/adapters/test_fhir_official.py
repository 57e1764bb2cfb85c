"""HL7's own R4 examples over HTTP: each is accepted, or refused with an OperationOutcome that says why."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import orjson
from test_fhir_facade import serving
from test_fhir_submission import Kept

TYPES = ("Claim", "Encounter", "DocumentReference")


async def test_each_official_example_is_accepted_or_refused_with_the_reason(shared_data: Path) -> None:
    counted: Counter[tuple[str, int]] = Counter()
    async with serving(Kept()) as client:
        for path in sorted((shared_data / "fhir" / "hl7-r4-official").rglob("*.json")):
            payload = path.read_bytes()
            kind = str(orjson.loads(payload).get("resourceType"))
            if kind not in TYPES:
                continue
            answer = await client.post(f"/fhir/{kind}", content=payload)
            counted[kind, answer.status_code] += 1
            body = answer.json()
            if answer.status_code == 201:
                assert body["resourceType"] == kind, path.name
                continue
            assert answer.status_code in (400, 422), path.name
            assert body["resourceType"] == "OperationOutcome", path.name
            assert all(issue["diagnostics"] and issue["code"] for issue in body["issue"]), path.name
    assert {kind for kind, _ in counted} == set(TYPES)
    assert sum(counted.values()) > 20
