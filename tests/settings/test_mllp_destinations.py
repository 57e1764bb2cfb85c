"""MLLP destinations in `gateway.yaml`: what they are by default, and each mistake with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.answers import Action, Heard
from gateway.config.model import Mllp
from gateway.settings import ConfigErrors, load

HEAD = "store: sqlite:///gateway.db\ndestinations:\n  - name: billing\n    kind: mllp\n"


def loaded(directory: Path, text: str) -> Mllp:
    path = directory / "gateway.yaml"
    path.write_text(HEAD + text)
    (found,) = load(path, {}).destinations
    assert isinstance(found, Mllp)
    return found


def mistakes(directory: Path, text: str) -> list[tuple[int | None, str, str]]:
    with pytest.raises(ConfigErrors) as raised:
        loaded(directory, text)
    return [(one.line, one.key, one.text) for one in raised.value.mistakes]


def test_the_defaults_are_the_safe_ones(tmp_path: Path) -> None:
    found = loaded(tmp_path, "    address: mllps://billing.example:2575\n")
    assert (found.address.host, found.address.port, found.address.tls) == ("billing.example", 2575, True)
    assert (found.idempotent, found.usage, found.acknowledgement, found.concurrency) == (False, "T", "original", 1)
    assert found.answers == ()


def test_files_start_at_the_configuration_s_directory(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("")
    found = loaded(tmp_path, "    address: mllps://billing.example:2575\n    tls: {ca: ca.pem}\n")
    assert found.tls.ca == tmp_path / "ca.pem"


def test_rows_of_answers_are_read(tmp_path: Path) -> None:
    text = "    address: mllp://127.0.0.1:1\n    answers:\n      - {when: AE, error: 207, do: retry, tries: 5}\n"
    (rule,) = loaded(tmp_path, text).answers
    assert (rule.when, rule.error, rule.do, rule.tries) == (Heard.AE, "207", Action.RETRY, 5)


def test_plain_mllp_leaves_this_machine_only_knowingly(tmp_path: Path) -> None:
    ((line, key, text),) = mistakes(tmp_path, "    address: mllp://10.0.0.1:2575\n")
    assert (line, key) == (5, "destinations[billing].address")
    assert "plain MLLP" in text
    assert loaded(tmp_path, "    plain: true\n    address: mllp://10.0.0.1:2575\n").plain


@pytest.mark.parametrize("address", ["billing.example:2575x", "mllps://billing.example", "http://x:1", "mllp://x:0"])
def test_what_is_no_address_is_told(tmp_path: Path, address: str) -> None:
    ((line, _, text),) = mistakes(tmp_path, f"    address: {address}\n")
    assert (line, text) == (5, "not an address to send to")


def test_a_retry_that_may_bill_twice_is_refused_at_its_row(tmp_path: Path) -> None:
    rows = "    answers:\n      - {when: AE, do: park}\n      - {when: no-answer, do: retry}\n"
    ((line, key, text),) = mistakes(tmp_path, f"    address: mllp://127.0.0.1:1\n{rows}")
    assert (line, key) == (8, "destinations[billing].answers[1].do")
    assert text == "a retry after no-answer may bill a claim twice"
    assert loaded(tmp_path, f"    address: mllp://127.0.0.1:1\n    idempotent: true\n{rows}").answers


def test_mistakes_of_rows_are_told_with_their_lines(tmp_path: Path) -> None:
    rows = "    answers:\n      - {when: refused, do: park}\n      - {when: AE, do: park, code: 1}\n"
    told = mistakes(tmp_path, f"    address: mllp://127.0.0.1:1\n{rows}")
    assert [(line, key) for line, key, _ in told] == [
        (7, "destinations[billing].answers[0]"),
        (8, "destinations[billing].answers[1].code"),
    ]


def test_certificates_without_tls_or_a_key_without_its_certificate(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("")
    plain = mistakes(tmp_path, "    address: mllp://127.0.0.1:1\n    tls: {ca: x.pem}\n")
    assert [(line, text) for line, _, text in plain] == [(6, "certificates have no meaning without TLS")]
    alone = mistakes(tmp_path, "    address: mllps://127.0.0.1:1\n    tls: {key: x.pem}\n")
    assert [(line, text) for line, _, text in alone] == [(6, "a key without its certificate")]


def test_files_that_are_not_there_are_told(tmp_path: Path) -> None:
    text = "    address: mllps://127.0.0.1:1\n    tls: {ca: a.pem, certificate: b.pem, key: c.pem}\n"
    told = mistakes(tmp_path, text)
    assert [(line, key.rpartition(".")[2]) for line, key, _ in told] == [(6, "ca"), (6, "certificate"), (6, "key")]
