"""What the story is played with: the systems around the gateway, and looks at what became of a visit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from conformance import ehr, ehr_fhir, encoder
from conformance.desk_client import DeskClient
from conformance.hospital import FACILITY, Note, Visit
from conformance.mllp_sender import Acknowledgement, MllpSender
from conformance.telling import Probe, Seen, Teller

Address = tuple[str, int]
View = dict[str, Any]

LEFT = frozenset({"released", "accepted"})
"""The stages of an encounter whose claim has left."""
TAKEN = frozenset({"sent", "accepted"})
"""The states of a delivery that its destination took."""


@dataclass(slots=True)
class Cast:
    """Everybody and everything around the gateway, ready to play."""

    teller: Teller
    url: str
    feeds: dict[str, Address]
    tokens: dict[str, str]
    today: date
    zone: ZoneInfo
    desks: dict[str, DeskClient] = field(default_factory=dict)
    _numbers: count[int] = field(default_factory=lambda: count(1))

    def desk(self, who: str) -> DeskClient:
        """The desk of whoever holds the token `who`, one connection each."""
        if who not in self.desks:
            self.desks[who] = DeskClient(self.url, self.tokens[who])
        return self.desks[who]

    async def close(self) -> None:
        for desk in self.desks.values():
            await desk.__aexit__(None, None, None)

    def next_control(self) -> tuple[str, datetime]:
        """MSH-10 and MSH-7 of the next message, in the hospital's own time."""
        return f"DEMO{next(self._numbers):05d}", datetime.now(self.zone).replace(tzinfo=None)

    async def send(self, feed: str, what: str, payload: bytes) -> None:
        """Send one message; that it is acknowledged is expected."""
        try:
            async with MllpSender(*self.feeds[feed]) as sender:
                told = _told(await sender.send(payload))
        except Exception as fault:  # noqa: BLE001 - told as an expectation that was not met
            told = Seen(False, f"{type(fault).__name__}: {fault}")
        self.teller.note(f"{what} acknowledged", told)

    async def admit(self, visit: Visit, *events: str) -> None:
        """The EHR tells of the visit: ADT of each event."""
        for event in events:
            await self.send("epic-adt", f"ADT^{event} for {visit.number}", ehr.adt(event, visit, *self.next_control()))

    async def charge(self, visit: Visit) -> None:
        await self.send("epic-adt", f"DFT^P03 with {visit.total} USD", ehr.dft(visit, *self.next_control()))

    async def document(self, visit: Visit, notes: Iterable[Note] | None = None) -> None:
        for note in visit.notes if notes is None else notes:
            payload = ehr.mdm(visit, note, *self.next_control())
            await self.send("epic-adt", f"MDM^T02 with the {note.title.lower()}", payload)

    async def code(self, visit: Visit, diagnoses: tuple[str, ...] | None = None) -> None:
        """The encoder returns final codes, the visit's own unless others are given."""
        control, sent = self.next_control()
        codes = visit.diagnoses if diagnoses is None else diagnoses
        payload = encoder.final_codes(visit, control, sent, diagnoses=codes)
        await self.send("encoder", f"BAR^P05 with {', '.join(map(ehr.dotted, codes))} by {visit.coder}", payload)

    async def put_resources(self, visit: Visit) -> None:
        """The EHR writes the visit as FHIR resources: Encounter, DocumentReferences, Claim."""
        created = datetime.now(self.zone).replace(tzinfo=None)
        resources = [
            ehr_fhir.encounter(visit),
            *(ehr_fhir.document(visit, note) for note in visit.notes),
            ehr_fhir.claim(visit, created=created),
        ]
        headers = {"Authorization": f"Bearer {self.tokens['EHR_TOKEN']}", "Content-Type": "application/fhir+json"}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, trust_env=False) as http:
            for resource in resources:
                name = f"{resource['resourceType']}/{resource['id']}"
                answer = await http.put(f"/fhir/{name}", json=resource)
                what = f"HTTP {answer.status_code}" + ("" if answer.is_success else f" {answer.text[:300]}")
                self.teller.note(f"PUT {name} kept", Seen(answer.status_code == 201, what))

    def answers(self, path: str, member: str, value: str) -> Probe:
        """Looks whether a public address answers JSON whose `member` begins with `value`."""

        async def look() -> Seen:
            async with httpx.AsyncClient(base_url=self.url, trust_env=False) as http:
                answer = await http.get(path)
            said = str(answer.json().get(member)) if answer.is_success else ""
            return Seen(said.startswith(value), f"HTTP {answer.status_code}, {member} {said}")

        return look

    def has_left(self, visit: Visit, destination: str) -> Probe:
        """Looks whether the visit's claim was released and taken by `destination`."""

        async def look() -> Seen:
            view = await self.desk("SUPERVISOR_TOKEN").find(key(visit))
            if view is None:
                return Seen(False, "the gateway does not know the encounter")
            delivery = view["deliveries"][-1] if view["deliveries"] else None
            if delivery is None:
                return Seen(False, f"stage {view['stage']}; holds: {holds(view) or 'none'}")
            met = delivery["state"] in TAKEN and delivery["destination"] == destination and view["stage"] in LEFT
            claim = view["claims"][-1]
            by = "by itself" if claim["approved_by"] == "policy" else f"approved by {claim['approved_by']}"
            number = f"claim {claim['number']}" if met else f"delivery {delivery['state']}: {delivery['outcome']}"
            return Seen(met, f"{number}, {view['total']} USD, to {delivery['destination']}, {by}")

        return look

    def is_held(self, visit: Visit, *rules: str) -> Probe:
        """Looks whether all of `rules` hold the visit's claim, and no claim was made."""

        async def look() -> Seen:
            view = await self.desk("SUPERVISOR_TOKEN").find(key(visit))
            if view is None:
                return Seen(False, "the gateway does not know the encounter")
            standing = {hold["rule"] for hold in open_holds(view)}
            return Seen(standing >= set(rules) and not view["claims"], f"{view['stage']}; {holds(view) or 'no hold'}")

        return look

    def has_ended(self, visit: Visit, rule: str, *, state: str | None = None) -> Probe:
        """Looks whether a hold of `rule` stood and ended, in `state` (cleared, resolved) where one is named."""

        async def look() -> Seen:
            view = await self.desk("SUPERVISOR_TOKEN").find(key(visit))
            ours = [hold for hold in (view or {"holds": []})["holds"] if hold["rule"] == rule]
            ended = [hold for hold in ours if hold["state"] != "open"]
            if not ours or len(ended) < len(ours):
                return Seen(False, "it stands" if ours else "there never was one")
            last = ended[-1]
            reason = last["ended_reason"] or last["state"]
            return Seen(state in (None, last["state"]), f"{last['state']} by {last['ended_by'] or 'itself'}: {reason}")

        return look


def key(visit: Visit) -> str:
    """The encounter's key: facility, assigning authority, account number."""
    return f"{FACILITY}:{FACILITY}:{visit.account}"


def open_holds(view: View) -> list[View]:
    return [hold for hold in view["holds"] if hold["state"] == "open"]


def holds(view: View) -> str:
    """The open holds in a few words."""
    return ", ".join(dict.fromkeys(f"{hold['kind']} {hold['rule']}" for hold in open_holds(view)))


def _told(acknowledgement: Acknowledgement) -> Seen:
    text = f" {acknowledgement.text}" if acknowledgement.text else ""
    return Seen(acknowledgement.accepted, f"{acknowledgement.code}{text}")
