"""Files that people write: read strictly, each mistake with its place, whatever the bytes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.yamlfile import Form, Loc, Mistake, Mistakes, Places, YamlFile, instead, parse_into, read, tell

PLAIN = Form()
ALIASES = Form(aliases=True)
CODES = Form(codes=True, key=re.compile(r".*"))


def parsed(text: str | bytes, form: Form = PLAIN) -> YamlFile:
    return parse_into(YamlFile("a.yaml"), text.encode() if isinstance(text, str) else text, form)


def told(file: YamlFile) -> list[tuple[int | None, str, str]]:
    return [(mistake.line, mistake.key, mistake.text) for mistake in file.mistakes]


# Data


def test_values_are_what_yaml_says_and_dates_are_text() -> None:
    file = parsed("a: 1\nb: [x, true, 1.5, 2026-01-31]\nc: {d: '01'}\ne: =\n")
    assert file.readable
    assert not file.mistakes
    assert file.data == {"a": 1, "b": ["x", True, 1.5, "2026-01-31"], "c": {"d": "01"}, "e": "="}
    assert {loc: file.line(loc) for loc in [("a",), ("b", 3), ("c", "d"), ("c", "gone")]} == {
        ("a",): 1,
        ("b", 3): 2,
        ("c", "d"): 3,
        ("c", "gone"): 3,
    }


def test_among_codes_everything_is_text_and_may_be_empty() -> None:
    file = parsed("01: NO\n1_0: 2026-01-31\nyes: ~\nb: [1.0, null]\n'': =\n", CODES)
    assert not file.mistakes
    assert file.data == {"01": "NO", "1_0": "2026-01-31", "yes": None, "b": ["1.0", None], "": "="}


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}\n", "\ufeff"])
def test_a_file_that_says_nothing_is_read(text: str) -> None:
    file = parsed(text)
    assert (file.readable, file.data, file.mistakes) == (True, {}, ())


def test_an_alias_repeats_a_part_where_it_may() -> None:
    text = "a: &a {b: [1]}\nc: *a\n"
    file = parsed(text, ALIASES)
    assert file.data == {"a": {"b": [1]}, "c": {"b": [1]}}
    assert file.data["a"] is not file.data["c"]
    assert told(parsed(text)) == [(2, "c", "uses an alias (*)")]


# Mistakes


def test_a_file_may_have_many() -> None:
    file = parsed(
        "a: 1\na: 2\nyes: 1\n12: x\nb: ~\nc: !!binary eA==\nd: .inf\n? [x]\n: y\n"
        "items:\n  - {name: one, n: }\n  - {n: }\n"
    )
    assert told(file) == [
        (2, "a", "stands twice, first on line 1"),
        (3, "yes", "is a key that is not a plain word"),
        (4, "12", "is a key that is not a plain word"),
        (5, "b", "is empty"),
        (6, "c", "is written with a YAML tag, which settings do not use"),
        (7, "d", "is not a number that can be used"),
        (8, "", "has a key that is not a plain word"),
        (11, "items[one].n", "is empty"),
        (12, "items[1].n", "is empty"),
    ]
    assert file.readable, "so that the rest is checked too"


@pytest.mark.parametrize(
    ("content", "line", "text"),
    [
        (b"a: [1\nb: 2\n", 2, "is not YAML"),
        (b"a: 1\n--- \nb: 2\n", 2, "is not YAML"),
        (b"a: *b\n", 1, "is not YAML"),
        (b"\n- a\n", 2, "is not a mapping"),
        (b"a: 1\nb: \xfc\n", 2, "is not UTF-8 text"),
        (b"a: 1\nb: \x07\n", 2, "has a character that YAML does not allow"),
        (b"#" * (1024 * 1024 + 1), None, "is larger than 1 MiB"),
        (b"\n" + b"[" * 1_000_000, 2, "is nested too deeply"),
        (b"a:\n " + b"{a: " * 17 + b"1" + b"}" * 17, 2, "is nested too deeply"),
    ],
)
def test_a_file_that_cannot_be_read_at_all(content: bytes, line: int | None, text: str) -> None:
    file = parsed(content, ALIASES)
    ((said_line, key, said),) = told(file)
    assert (said_line, key) == (line, "")
    assert said.startswith(text)
    assert not file.readable
    assert not file.data


@pytest.mark.parametrize(
    ("text", "line"), [("a:\n- [1, 2, 3, 4, 5, 6, 7]\n", 2), ("a: &a [1, 2]\nb: [*a, *a]\n", None)]
)
def test_a_file_has_as_many_values_as_it_may_aliases_written_out(text: str, line: int | None) -> None:
    file = parsed(text, Form(values=9, aliases=True))
    assert told(file) == [(line, "", "has too many settings")]
    assert not file.readable


def test_a_file_is_as_deep_as_it_may_be() -> None:
    assert not parsed(b"a: " + b"[" * 15 + b"1" + b"]" * 15).mistakes


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    (mistake,) = read(tmp_path / "gone.yaml", PLAIN).mistakes
    assert (mistake.file, mistake.line) == (str(tmp_path / "gone.yaml"), None)
    assert mistake.text == "cannot be read (No such file or directory)"


def test_about_what_is_spoilt_nothing_more_is_told() -> None:
    file = parsed("a: {b: ~}\n")
    file.tell(("a", "b", "c"), "is wrong too", "mend it")
    file.tell(("a",), "is wrong as a whole", "mend it")
    assert told(file) == [(1, "a.b", "is empty"), (1, "a", "is wrong as a whole")]


def test_one_form_for_all() -> None:
    first = Mistake("a.yaml", 3, "feeds[adt].listen", "is missing", "add it")
    second = Mistake("b.yaml", None, "", "cannot be read", "check its path")
    assert str(first) == "a.yaml:3: feeds[adt].listen: is missing\n    add it"
    assert str(second) == "b.yaml: cannot be read\n    check its path"
    assert str(Mistakes([first, second])) == f"2 mistakes in the configuration\n{first}\n{second}"
    assert str(Mistakes([second])) == f"1 mistake in the configuration\n{second}"


def test_places_outlive_the_file() -> None:
    places = parsed("feeds:\n- {name: adt}\n- {name: A B}\n").places
    assert str(places.mistake(("feeds", 0, "dialect"), "is wrong", "mend it")).startswith(
        "a.yaml:2: feeds[adt].dialect:"
    )
    assert str(places.mistake(("feeds", 1, "dialect"), "is wrong", "mend it")).startswith("a.yaml:3: feeds[1].dialect:")
    assert str(Places("the configuration").mistake(("feeds", 0), "is", "x")).startswith("the configuration: feeds[0]:")


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("Coder", "did you mean coder? write one of coder, ADT"),
        ("adt", "did you mean ADT? write one of coder, ADT"),
        ("zzz", "write one of coder, ADT"),
        (None, "write one of coder, ADT"),
    ],
)
def test_a_known_word_that_is_near_is_named(said: object, remedy: str) -> None:
    assert instead(said, ["coder", "ADT"]) == remedy


# What the models say


class Item(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    days: int | dict[str, int] = 0


class Whole(BaseModel):
    model_config = ConfigDict(extra="forbid")
    items: tuple[Item, ...] = ()


def complained(text: str) -> list[tuple[int | None, str, str]]:
    def known(loc: Loc) -> set[str]:
        return set((Item if loc else Whole).model_fields)

    file = parsed(text)
    with pytest.raises(ValidationError) as raised:
        Whole.model_validate(file.data)
    tell(file, raised.value.errors(), known)
    return told(file)


def test_each_complaint_has_its_place() -> None:
    assert complained("items:\n- {name: a, dayz: 1}\n- {days: 1}\n- 5\nitem: 1\n") == [
        (2, "items[a].dayz", "there is no such setting"),
        (3, "items[1].name", "is missing"),
        (4, "items[2]", "is not a group of settings"),
        (5, "item", "there is no such setting"),
    ]


def test_of_a_unions_variants_the_one_that_came_furthest_speaks_and_once() -> None:
    assert complained("items:\n- {name: a, days: x}\n- {name: b, days: {x: y, z: 1}}\n") == [
        (2, "items[a].days", "is not a whole number"),
        (3, "items[b].days.x", "is not a whole number"),
    ]


LIKELY = st.text(alphabet=st.sampled_from("abfeds{}[]:,-&*!|>'\"$#%@ \n\t0123~<=?"), max_size=60)


@given(st.one_of(st.binary(max_size=60), LIKELY.map(str.encode)), st.sampled_from([PLAIN, ALIASES, CODES]))
@settings(max_examples=300)
def test_no_bytes_make_anything_but_data_or_mistakes(content: bytes, form: Form) -> None:
    file = parsed(content, form)
    assert file.readable or file.mistakes
    assert all(mistake.text and mistake.remedy for mistake in file.mistakes)
