"""What gateway.yaml says of alerts, silence and retention."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from gateway.config.model import Config
from gateway.config.upkeep import Alerts, Hours
from gateway.message import MessageState
from gateway.settings import ConfigErrors, load


def said(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "gateway.yaml"
    path.write_text(text)
    return load(path, {"ALERT_TOKEN": "alert-0123456789"})


def test_all_of_it(tmp_path: Path) -> None:
    config = said(
        tmp_path,
        "feeds:\n"
        '  - {name: epic, listen: "mllp://127.0.0.1:0", silent_after: 30, silent_hours: "07:00-19:00"}\n'
        "alerts: {webhook: 'https://alerts.example/hook', token_env: ALERT_TOKEN, queue_minutes: 10}\n"
        "retention: {processed: 400 days, unused: 1 day, set_aside: never, replayed: 90}\n"
        "processing: {reassess: false}\n",
    )
    assert config.alerts.token is not None
    assert config.alerts.token.get_secret_value() == "alert-0123456789"
    assert config.retention.by_state() == {
        MessageState.PROCESSED: timedelta(days=400),
        MessageState.UNUSED: timedelta(days=1),
        MessageState.REPLAYED: timedelta(days=90),
    }
    assert config.feeds[0].silent_hours is not None
    assert not config.processing.reassess
    assert "alert-0123" not in repr(config)


def test_nothing_is_pruned_and_no_feed_is_watched_unless_it_is_said() -> None:
    assert Config().retention.by_state() == {}
    assert Config().alerts == Alerts()
    assert Config().processing.reassess


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("retention: {processed: forever}", "400 days"),
        ("retention: {recieved: 3 days}", "there are processed"),
        ("alerts: {token: zebra-crossing-0123}", "a secret does not belong in this file"),
        ("alerts: {webhook: 'http://alerts.example/'}", "use https://"),
        ('feeds: [{name: a, listen: "mllp://127.0.0.1:0", silent_hours: "7-19"}]', "07:00-19:00"),
        ('feeds: [{name: a, listen: "mllp://127.0.0.1:0", silent_after: 0}]', "greater than 0"),
    ],
)
def test_a_mistake_says_what_to_write(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        said(tmp_path, text + "\n")
    assert told in str(caught.value)
    assert "gateway.yaml:1" in str(caught.value)
    assert "zebra" not in str(caught.value)


@pytest.mark.parametrize(
    ("hours", "moments"),
    [
        ("07:00-19:00", {"06:59": None, "07:00": "07:00", "18:59": "07:00", "19:00": None}),
        ("22:00-06:00", {"21:59": None, "22:00": "22:00", "05:59": "22:00", "06:00": None}),
        ("00:00-00:00", {"00:00": "00:00", "23:59": "00:00"}),
    ],
)
def test_hours_of_the_day(hours: str, moments: dict[str, str | None]) -> None:
    config = Config.model_validate({"feeds": [{"name": "a", "listen": "mllp://127.0.0.1:0", "silent_hours": hours}]})
    said_ = config.feeds[0].silent_hours
    assert isinstance(said_, Hours)
    for moment, expected in moments.items():
        hour, minute = map(int, moment.split(":"))
        began = said_.began(datetime(2026, 3, 2, hour, minute))  # noqa: DTZ001 - the day's own hours
        assert (began and f"{began:%H:%M}") == expected, moment
        assert began is None or began <= datetime(2026, 3, 2, hour, minute)  # noqa: DTZ001
