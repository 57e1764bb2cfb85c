"""Which encounter a message is about: by account, by visit, never by guess; whatever the transport."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from services_world import EHR, SENT, World, key_of, open_rules, visit_number, world

from conformance import ehr, ehr_fhir
from conformance.hospital import Visit
from gateway.encounter.change import Change
from gateway.encounter.identity import EncounterKey, Identifier
from gateway.mappings.errors import MappingError
from gateway.message import MessageState
from gateway.pipeline.resolution import Number, Resolver, numbers
from gateway.rules import Rules

# One message


def change(key: str, *, account: str | None = None, visit: str | None = None, others: tuple[str, ...] = ()) -> Change:
    """A message keyed by `key`, of the authority HOSP, that names these numbers."""
    said = [("AN", account), ("VN", visit), *(("AN", other) for other in others)]
    identifiers = tuple(Identifier(value=value, authority="HOSP", type=kind) for kind, value in said if value)
    mrn = Identifier(value="M1", authority="HOSP", type="MR")
    return Change(1, EncounterKey("MAIN", "HOSP", key), identifiers=(mrn, *identifiers))


def known(**leading: str) -> Mapping[Number, list[str]]:
    """`A1="A1 A2"`: account A1 leads to the encounters keyed A1 and A2."""
    return {
        ("MAIN", "AN" if value.startswith("A") else "VN", "HOSP", value): [f"MAIN:HOSP:{key}" for key in keys.split()]
        for value, keys in leading.items()
    }


def resolved(change: Change, **leading: str) -> str:
    return Resolver(known(**leading)).key(change).rpartition(":")[2]


def test_the_numbers_that_lead_to_an_encounter_are_accounts_and_then_visits() -> None:
    assert numbers(change("A1", account="A1", visit="V1")) == [
        ("MAIN", "AN", "HOSP", "A1"),
        ("MAIN", "VN", "HOSP", "V1"),
    ]
    bare = Change(1, EncounterKey("MAIN", "", "A1"), identifiers=(Identifier(value="A1", type="AN"),))
    assert numbers(bare) == [("MAIN", "AN", "", "A1")]


def test_a_number_that_nobody_knows_begins_an_encounter() -> None:
    assert resolved(change("A1", account="A1", visit="V1")) == "A1"


def test_the_account_decides() -> None:
    assert resolved(change("A1", account="A1", visit="V9"), A1="A1", V9="A2") == "A1"


def test_a_visit_number_alone_leads_to_the_encounter_that_has_it() -> None:
    assert resolved(change("V1", visit="V1"), V1="A1") == "A1"


def test_an_encounter_begun_by_its_visit_number_is_adopted_when_the_account_is_known() -> None:
    assert resolved(change("A1", account="A1", visit="V1"), V1="V1") == "V1"


def test_a_visit_of_another_account_is_not_taken_for_this_one() -> None:
    assert resolved(change("A2", account="A2", visit="V1"), V1="A1") == "A2"


def test_two_accounts_of_one_visit_stay_two_encounters_though_the_visit_came_first() -> None:
    """The first account adopts what the visit began; the second has a bill of its own."""
    a1 = ("MAIN", "AN", "HOSP", "A1")
    resolver = Resolver(known(V1="V1"), {"MAIN:HOSP:V1": [a1]})
    assert resolver.key(change("A2", account="A2", visit="V1")) == "MAIN:HOSP:A2"
    assert resolver.key(change("A1", account="A1", visit="V1")) == "MAIN:HOSP:V1"


def test_the_accounts_of_a_batch_count_too() -> None:
    resolver = Resolver(known(V1="V1"))
    keys = [resolver.key(change(name, account=name, visit="V1")) for name in ("A1", "A2", "A1")]
    assert keys == ["MAIN:HOSP:V1", "MAIN:HOSP:A2", "MAIN:HOSP:V1"]


def test_a_visit_of_several_accounts_is_ambiguous_unless_the_account_is_named() -> None:
    with pytest.raises(MappingError, match="lead to 2 encounters; name the account"):
        resolved(change("V1", visit="V1"), V1="A1 A2")
    assert resolved(change("A2", account="A2", visit="V1"), V1="A1 A2", A2="A2") == "A2"


def test_numbers_that_lead_to_two_encounters_begun_under_them_are_ambiguous() -> None:
    with pytest.raises(MappingError, match="lead to 2 encounters"):
        resolved(change("A9", account="A9", visit="V1", others=("A1",)), V1="V1", A1="A1")


def test_two_visits_on_one_account_are_two_encounters_where_the_feed_counts_by_visit() -> None:
    """A recurring account: the feed's key is the visit number, and the account is the same each time."""
    assert resolved(change("V2", account="A1", visit="V2"), A1="V1", V1="V1") == "V2"
    assert resolved(change("V1", account="A1", visit="V1"), A1="V1 V2", V1="V1", V2="V2") == "V1"


def test_a_feed_that_counts_by_visit_finds_what_another_began_by_account() -> None:
    assert resolved(change("V1", account="A1", visit="V1"), A1="A1", V1="A1") == "A1"
    assert resolved(change("V2", account="A1", visit="V2"), A1="A1", V1="A1") == "A1"


def test_a_feed_that_counts_by_account_finds_the_visit_among_several() -> None:
    assert resolved(change("A1", account="A1", visit="V2"), A1="V1 V2", V1="V1", V2="V2") == "V2"
    with pytest.raises(MappingError):
        resolved(change("A1", account="A1"), A1="V1 V2")


def test_one_number_for_account_and_visit_is_the_accounts() -> None:
    both = Change(
        1,
        EncounterKey("MAIN", "HOSP", "7"),
        identifiers=tuple(Identifier(value="7", authority="HOSP", type=kind) for kind in ("VN", "AN")),
    )
    assert Resolver({("MAIN", "AN", "HOSP", "7"): ["MAIN:HOSP:7"]}).key(both) == "MAIN:HOSP:7"


def test_a_message_without_numbers_is_about_the_encounter_that_it_is_keyed_by() -> None:
    answer = Change(1, EncounterKey("MAIN", "HOSP", "A1"))
    assert Resolver({}).key(answer) == "MAIN:HOSP:A1"


def test_earlier_messages_of_a_batch_count() -> None:
    resolver = Resolver({})
    assert resolver.key(change("V1", visit="V1")) == "MAIN:HOSP:V1"
    assert resolver.key(change("A1", account="A1", visit="V1")) == "MAIN:HOSP:V1"
    assert resolver.key(change("A1", account="A1", visit="V2")) == "MAIN:HOSP:V1"
    assert resolver.key(change("V2", visit="V2")) == "MAIN:HOSP:V1"


def test_the_same_number_of_another_authority_is_another() -> None:
    leading = {("MAIN", "VN", "CLINIC", "V1"): ["MAIN:CLINIC:V1"]}
    assert Resolver(leading).key(change("V1", visit="V1")) == "MAIN:HOSP:V1"


# The whole way


def without_account(payload: bytes, visit: Visit) -> bytes:
    """The message as a system sends it that knows visits only."""
    bare = payload.replace(f"{visit.account}^^^MAIN^AN".encode(), b"")
    assert bare != payload
    return bare


@pytest.fixture
def either(rules: Rules) -> Rules:
    """The EHR's feed counts by account, and by visit where there is no account."""
    profiles = {**rules.profiles, EHR: replace(rules.profiles[EHR], key=("account", "visit"))}
    return replace(rules, profiles=profiles)


@pytest.mark.parametrize("one_batch", [True, False])
async def test_a_message_that_names_only_the_visit_finds_its_encounter(either: Rules, one_batch: bool) -> None:
    async with world(either) as gateway:
        visit = visit_number(1)
        await gateway.register(visit)
        if not one_batch:
            await gateway.work()
        await gateway.send(without_account(ehr.dft(visit, "x", SENT), visit))
        await gateway.work()
        assert await gateway.keys() == [key_of(visit)]
        assert len((await gateway.encounter(key_of(visit))).charges) == 2


@pytest.mark.parametrize("one_batch", [True, False])
async def test_an_encounter_begun_by_its_visit_number_goes_on_under_it(either: Rules, one_batch: bool) -> None:
    async with world(either) as gateway:
        visit = visit_number(1)
        await gateway.send(without_account(ehr.adt("A04", visit, "x", SENT), visit))
        if not one_batch:
            await gateway.work()
        await gateway.register(visit, "A03")
        await gateway.document(visit)
        await gateway.charge(visit)
        await gateway.code(visit)
        await gateway.work()
        begun = f"MAIN:MAIN:{visit.number}"
        assert await gateway.keys() == [begun]
        assert (await gateway.encounter(begun)).visit.account == Identifier(value="A1", authority="MAIN", type="AN")
        assert open_rules(await gateway.case(begun)) == set()
        assert len((await gateway.case(begun)).claims) == 1


async def test_a_visit_of_two_accounts_is_set_aside_when_no_account_is_named(either: Rules) -> None:
    async with world(either) as gateway:
        visit = visit_number(1)
        await gateway.register(visit, "A04")
        await gateway.register(replace(visit, account="A2"), "A04")
        bad = await gateway.send(without_account(ehr.dft(visit, "x", SENT), visit))
        await gateway.register(visit_number(3), "A04")
        await gateway.work()
        message = await gateway.message(bad.id)
        assert message.state is MessageState.SET_ASIDE
        assert message.reason is not None
        assert message.reason.startswith("ambiguous-encounter")
        assert visit.number not in message.reason
        assert await gateway.keys() == ["MAIN:MAIN:A1", "MAIN:MAIN:A2", "MAIN:MAIN:A3"]


async def test_a_feed_that_counts_by_visit_keeps_the_visits_of_an_account_apart(rules: Rules) -> None:
    profiles = {name: replace(profile, key=("visit",)) for name, profile in rules.profiles.items()}
    async with world(replace(rules, profiles=profiles)) as gateway:
        one, other = visit_number(1), replace(visit_number(2), account="A1")
        await gateway.tell(one)
        await gateway.tell(other)
        await gateway.work()
        assert await gateway.keys() == ["MAIN:MAIN:V1", "MAIN:MAIN:V2"]
        for key in await gateway.keys():
            case = await gateway.case(key)
            assert [str(claim.billed.total) for claim in case.claims] == ["180.50"]


# Over both


async def test_one_visit_over_hl7_and_fhir_is_one_encounter(gateway: World) -> None:
    visit = visit_number(1)
    await gateway.register(visit)
    await gateway.put(ehr_fhir.encounter(visit))
    for note in visit.notes:
        await gateway.put(ehr_fhir.document(visit, note))
    await gateway.put(ehr_fhir.claim(visit, created=SENT))
    await gateway.work()
    assert await gateway.set_aside() == []
    assert await gateway.keys() == [key_of(visit)]
    encounter = await gateway.encounter(key_of(visit))
    assert {d.source for d in encounter.documents} == {"ehr-fhir"}
    assert {i.type for i in encounter.identifiers} >= {"AN", "VN"}
    numbers = [(i.type, i.value) for i in encounter.identifiers if i.type in ("AN", "VN")]
    assert len(set(numbers)) == len(numbers)
    assert len((await gateway.case(key_of(visit))).claims) == 1


async def test_fhir_may_come_first(gateway: World) -> None:
    visit = visit_number(1)
    await gateway.tell_over_fhir(visit)
    await gateway.work()
    await gateway.register(visit, "A08")
    await gateway.work()
    assert await gateway.set_aside() == []
    assert await gateway.keys() == [key_of(visit)]
    assert len((await gateway.encounter(key_of(visit))).charges) == 2


async def test_a_patients_other_visit_is_another_encounter(gateway: World) -> None:
    """Nothing is taken from the patient's number: both visits are of one person."""
    one, other = visit_number(1), visit_number(2)
    assert one.person.mrn == other.person.mrn
    await gateway.register(one)
    await gateway.register(other)
    await gateway.work()
    assert len(await gateway.keys()) == 2
