"""Sends Claims over several connections, each with the next one once the last is answered.

`python -m bench.claims --port 8080 --connections 32 --claims 10000` prints what was measured as JSON. The sender is a
process of its own and speaks HTTP over bare sockets: it must not be what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from itertools import count

from bench.peers.claim_server import TOKEN

NUMBER = b"0000000000"
SIZE = 6_700


def claim(size: int = SIZE) -> bytes:
    """A professional Claim of about `size` bytes, with a placeholder where its number stands."""
    lines: list[dict[str, object]] = []
    whole: dict[str, object] = {
        "resourceType": "Claim",
        "identifier": [{"system": "https://ehr.example/claims", "value": f"C{NUMBER.decode()}"}],
        "status": "active",
        "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/claim-type", "code": "professional"}]},
        "use": "claim",
        "patient": {"reference": f"Patient/P{NUMBER.decode()}"},
        "created": "2026-03-01",
        "insurer": {"reference": "Organization/payer-7"},
        "provider": {"reference": "Practitioner/1043"},
        "priority": {"coding": [{"code": "normal"}]},
        "diagnosis": [
            {
                "sequence": place,
                "diagnosisCodeableConcept": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code}]},
            }
            for place, code in enumerate(("E11.9", "I10", "N18.3", "Z79.4"), start=1)
        ],
        "insurance": [{"sequence": 1, "focal": True, "coverage": {"reference": f"Coverage/V{NUMBER.decode()}"}}],
        "item": lines,
    }
    while len(json.dumps(whole)) < size:
        lines.append(_line(len(lines) + 1))
    return json.dumps(whole, separators=(", ", ": ")).encode()


def _line(place: int) -> dict[str, object]:
    return {
        "sequence": place,
        "diagnosisSequence": [1, 2],
        "productOrService": {"coding": [{"system": "http://www.ama-assn.org/go/cpt", "code": f"{99200 + place}"}]},
        "modifier": [{"coding": [{"system": "http://www.ama-assn.org/go/cpt", "code": "25"}]}],
        "servicedDate": "2026-02-28",
        "locationCodeableConcept": {"coding": [{"code": "11"}]},
        "quantity": {"value": 1},
        "unitPrice": {"value": 125.50, "currency": "USD"},
        "net": {"value": 125.50, "currency": "USD"},
        "encounter": [{"reference": f"Encounter/V{NUMBER.decode()}"}],
    }


async def _send(port: int, numbers: count[int], claims: int, body: bytes, waits: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = (
        f"POST /fhir/Claim HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Type: application/fhir+json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    while (number := next(numbers)) < claims:
        begun = time.perf_counter()
        writer.write(head + body.replace(NUMBER, b"%010d" % number))
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 201 "), answer[:300]
        length = int(answer.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        await reader.readexactly(length)
        waits.append(time.perf_counter() - begun)
    writer.close()


async def run(port: int, connections: int, claims: int) -> dict[str, float]:
    body, numbers = claim(), count()
    waits: list[float] = []
    begun = time.perf_counter()
    await asyncio.gather(*(_send(port, numbers, claims, body, waits) for _ in range(connections)))
    seconds = time.perf_counter() - begun
    waits.sort()
    return {
        "acknowledged": len(waits),
        "per_second": len(waits) / seconds,
        "p50_ms": waits[len(waits) // 2] * 1000,
        "p99_ms": waits[int(len(waits) * 0.99)] * 1000,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--claims", type=int, default=10_000)
    asked = parser.parse_args()
    print(json.dumps(asyncio.run(run(asked.port, asked.connections, asked.claims))))
