"""What a store keeps for those who run the gateway: configurations, alerts, passes; and what pruning leaves."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from conformance.store_messages import refused
from conformance.store_samples import BYTES, NOON, Exercise, Place, Samples, change, creation, event, next_version
from gateway.alert import Alert, AlertName, AlertState
from gateway.message import MessageState
from gateway.store.interface import MessageOutcome, Step, Store
from gateway.store.upkeep import (
    ConfigurationVersion,
    Pass,
    Prunable,
    PrunedEncounter,
    PrunedMessage,
    Settled,
    VersionState,
)

FILES = {"gateway.yaml": "facility: MAIN\n", "dialects/site.yaml": "tables: {sex: {\u00c4: F, '': null}}\n"}


def _version(number: int, node: int = 0, state: VersionState = VersionState.ACTIVATED) -> ConfigurationVersion:
    return ConfigurationVersion(number, node, f"{number:064x}", state, "user:ops", NOON, FILES)


async def keeps_versions_of_the_configuration(place: Place) -> None:
    store = await place.open()
    assert await store.configurations() == []
    assert await store.configuration(1) is None
    assert await store.configuration_in_force(0) is None
    said = [_version(1), _version(2, node=1), _version(3, state=VersionState.KEPT), _version(4, node=1)]
    for one in said:
        await store.commit(Step(configurations=[one], events=[event()]))
    assert await store.configuration(2) == said[1]
    assert await store.configuration_in_force(0) == said[0], "what was only kept is not in force"
    assert await store.configuration_in_force(1) == said[3]
    listed = await store.configurations(before=4, limit=2)
    assert listed == [replace(one, files={}) for one in (said[2], said[1])]
    await refused(store, Step(configurations=[_version(4, node=0)], events=[event("never")]))


async def keeps_the_last_state_of_each_alert(place: Place) -> None:
    store = await place.open()
    assert await store.alerts() == []
    raised = Alert(0, AlertName.FEED_SILENT, "epic", AlertState.RAISED, NOON, "nothing for 30 minutes")
    other = replace(raised, node=1)
    await store.commit(Step(alerts=[raised, other]))
    assert await store.alerts() == [raised, other]
    ended = replace(raised, state=AlertState.OK, since=NOON + timedelta(minutes=1), told=True)
    await store.commit(Step(alerts=[ended]))
    assert await store.alerts() == [ended, other]


async def keeps_how_far_a_pass_has_come(place: Place) -> None:
    store = await place.open()
    assert await store.work_pass("reassess") is None
    for step in (Pass("reassess", "d1", "MAIN:HOSP:7", False, NOON), Pass("reassess", "d2", "", True, NOON)):
        await store.commit(Step(passes=[step]))
        assert await store.work_pass("reassess") == step


async def knows_the_oldest_that_waits_and_who_was_heard(place: Place) -> None:
    store, samples = await place.open(), Samples()
    assert await store.oldest_pending() is None
    first = replace(samples.message("M1"), received=NOON)
    later = replace(samples.message("M2"), received=NOON + timedelta(hours=1))
    for message in (first, later):
        await store.keep(message, event())
    assert await store.oldest_pending() == NOON
    await store.commit(Step(outcomes=[MessageOutcome(first.id, MessageState.PROCESSED)]))
    assert await store.oldest_pending() == later.received
    assert await store.heard_from("epic", 0) == later.received
    assert await store.heard_from("epic", later.id) is None
    assert await store.heard_from("cerner", 0) is None


async def _kept(store: Store, samples: Samples, control: str, state: MessageState, key: str | None = None) -> int:
    message = samples.message(control)
    await store.keep(message, event())
    if state is not MessageState.RECEIVED:
        outcome = MessageOutcome(
            message.id, state, reason="no-such-code: DG1-3", encounter=key, numbers=("N" + control,)
        )
        await store.commit(Step(outcomes=[outcome]))
    return message.id


async def prunes_messages_and_keeps_their_rows(place: Place) -> None:
    """The bytes go, the acknowledgement stays: a repeat is still known and told what it was told."""
    store, samples = await place.open(), Samples()
    aside = await _kept(store, samples, "M1", MessageState.SET_ASIDE)
    waits = await _kept(store, samples, "M2", MessageState.RECEIVED)
    other = await _kept(store, samples, "M3", MessageState.SET_ASIDE)
    reason = "no-such-code: DG1-3"
    whole = Prunable(aside, MessageState.SET_ASIDE, reason, len(BYTES))
    assert await store.prunable(MessageState.SET_ASIDE, 0, 2**62, 10) == [whole, replace(whole, id=other)]
    assert await store.prunable(MessageState.SET_ASIDE, aside, other, 10) == []
    await store.commit(Step(pruned=[PrunedMessage(aside, MessageState.SET_ASIDE, "pruned")], events=[event()]))
    assert (await store.prunable(MessageState.SET_ASIDE, 0, 2**62, 1)) == [replace(whole, reason="pruned", size=0)]
    pruned = await store.message(aside)
    assert pruned is not None
    assert (pruned.payload, pruned.reason, pruned.state) == (b"", "pruned", MessageState.SET_ASIDE)
    again = await store.keep(samples.message("M1"), event())
    assert (again.id, again.reply) == (aside, pruned.reply)
    await refused(store, Step(pruned=[PrunedMessage(waits, MessageState.SET_ASIDE, "pruned")]))
    untouched = await store.message(waits)
    assert untouched is not None
    assert untouched.payload == BYTES


async def lists_settled_encounters_until_they_are_pruned(place: Place) -> None:
    store, samples = await place.open(), Samples()
    cases = [samples.full_case(str(number)) for number in (1, 2)]
    for hours, case in enumerate(cases):
        step = creation(case, stage="accepted")
        step.events = [event("encounter/" + case.key, case.key, minutes=60 * hours)]
        await store.commit(step)
    await store.commit(creation(samples.full_case("3"), stage="held"))
    later = NOON + timedelta(days=1)
    [first, second] = await store.settled(later, None, 10)
    assert (first, second.key) == (Settled(cases[0].key, 1, NOON), cases[1].key)
    assert await store.settled(NOON + timedelta(minutes=30), None, 10) == [first]
    assert await store.settled(later, (first.changed, first.key), 10) == [second]
    await refused(store, Step(pruned_encounters=[PrunedEncounter(first.key, 7, later)]))
    await store.commit(Step(pruned_encounters=[PrunedEncounter(first.key, 1, later)]))
    assert await store.settled(later, None, 10) == [second]
    changed = change(cases[0], next_version(cases[0]), stage="accepted")
    await store.commit(Step(cases=[changed], events=[event(minutes=60 * 48)]))
    assert [one.key for one in await store.settled(later + timedelta(days=9), None, 10)] == [second.key, first.key]


async def lists_the_messages_of_an_encounter(place: Place) -> None:
    store, samples = await place.open(), Samples()
    mine = [await _kept(store, samples, f"M{n}", MessageState.PROCESSED, "MAIN:HOSP:1") for n in range(2)]
    await _kept(store, samples, "M9", MessageState.PROCESSED, "MAIN:HOSP:2")
    assert [one.id for one in await store.prunable_of("MAIN:HOSP:1")] == mine
    assert await store.prunable(MessageState.PROCESSED, 0, 2**62, 10) == [], "each belongs to an encounter"


async def gives_space_back_or_says_that_it_does_not(place: Place) -> None:
    store, samples = await place.open(), Samples()
    large = samples.message("M1", payload=bytes(1_000_000))
    await store.keep(large, event())
    await store.commit(Step(outcomes=[MessageOutcome(large.id, MessageState.UNUSED)]))
    await store.commit(Step(pruned=[PrunedMessage(large.id, MessageState.UNUSED, "pruned")]))
    given = await store.give_back(1_000)
    assert given >= 0
    assert await store.give_back(1_000) == 0
    assert await store.backlog() == 0


EXERCISES: tuple[Exercise, ...] = (
    keeps_versions_of_the_configuration,
    keeps_the_last_state_of_each_alert,
    keeps_how_far_a_pass_has_come,
    knows_the_oldest_that_waits_and_who_was_heard,
    prunes_messages_and_keeps_their_rows,
    lists_settled_encounters_until_they_are_pruned,
    lists_the_messages_of_an_encounter,
    gives_space_back_or_says_that_it_does_not,
)
