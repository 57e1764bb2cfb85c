"""Words that a provider query must not have, as data: whole words, whatever their case.

Source: AHIMA/ACDIS, Guidelines for Achieving a Compliant Query Practice. Words with a common clinical meaning of their
own (pain's "quality", "patient denies", "range of motion") are left out or stand only in the phrase that is meant.
"""

from __future__ import annotations

import re

PAYMENT_WORDS: tuple[str, ...] = (
    "apr-drg", "bill", "billable", "billed", "billing", "bonus", "case mix", "case mix index", "cc", "ccs", "cmi",
    "charge capture", "claim denial", "clawback", "cost", "costs", "denial", "denials", "dollar", "dollars", "drg",
    "drgs", "financial", "financially", "gmlos", "hac", "hacs", "hcc score", "hospital acquired condition", "incentive",
    "insurance", "insurer", "insurers", "mcc", "mccs", "money", "ms-drg", "overpayment", "paid", "pay", "payer",
    "payers", "payment", "payments", "payor", "payors", "penalty", "profit", "raf", "raf score", "reimburse",
    "reimbursed", "reimbursement", "relative weight", "revenue", "risk adjustment", "underpayment", "value-based",
)  # fmt: skip
QUALITY_WORDS: tuple[str, ...] = (
    "core measure", "core measures", "mortality index", "observed to expected", "patient safety indicator",
    "patient safety indicators", "quality indicator", "quality indicators", "quality measure", "quality measures",
    "quality metric", "quality metrics", "quality score", "quality scores", "report card", "risk of mortality",
    "severity of illness", "star rating", "star ratings",
)  # fmt: skip
LEADING_WORDS: tuple[str, ...] = (
    "clearly", "don't you agree", "do you not agree", "in order to capture", "in order to support", "isn't it",
    "it is obvious", "kindly add", "kindly document", "must be documented", "needs to be documented", "obviously",
    "please add", "please change", "please confirm", "please document", "please update", "should be documented",
    "undoubtedly", "we need you to", "we recommend", "would you agree", "you agree", "you should",
)  # fmt: skip

_VOLUME = re.compile(r"(?<![\w-])\d+(?:[.,]\d+)?\s*cc(?![\w-])", re.IGNORECASE)
"""An amount such as `500 cc`: not the CC of a DRG."""


def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(words, key=len, reverse=True)
    phrases = "|".join(r"[\s/-]+".join(map(re.escape, re.split(r"[\s-]", word))) for word in longest_first)
    return re.compile(rf"(?<!\w)(?:{phrases})(?!\w)", re.IGNORECASE)


_PAYMENT, _QUALITY, _LEADING = _pattern(PAYMENT_WORDS), _pattern(QUALITY_WORDS), _pattern(LEADING_WORDS)


def payment_words(text: str) -> tuple[str, ...]:
    """The words of payment in `text`, as they stand there."""
    return tuple(_PAYMENT.findall(_plain(_VOLUME.sub(" ", text))))


def quality_words(text: str) -> tuple[str, ...]:
    """The words of quality scores in `text`."""
    return tuple(_QUALITY.findall(_plain(text)))


def leading_words(text: str) -> tuple[str, ...]:
    """The words in `text` that lead to an answer."""
    return tuple(_LEADING.findall(_plain(text)))


def _plain(text: str) -> str:
    """Typographic apostrophes and hyphens as typed ones."""
    return text.replace("\u2019", "'").replace("\u2010", "-").replace("\u2011", "-").replace("\u2013", "-")
