"""Words and phrases that one group says more than another."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from worker.insight.terms import MIN_GROUP, Said, Terms, distinctive


def said(group: dict[str, int], rest: dict[str, int]) -> Iterator[Said]:
    number = 0
    for texts, in_group in ((group, True), (rest, False)):
        for text, times in texts.items():
            for _ in range(times):
                number += 1
                yield Said(number, text, in_group, -0.9 if in_group else 0.9)


def terms(found: Terms) -> list[str]:
    return [term.term for term in found.terms]


def test_what_the_group_says_more_comes_first_and_what_all_say_not_at_all() -> None:
    found = distinctive(
        said(
            {"My flight was late, and the bag was lost.": 40, "Late again! What a flight": 60},
            {
                "Thanks for a great flight!": 70,
                "The flight was late": 5,
                "Nice crew, nice flight": 25,
            },
        )
    )
    assert (found.group, found.comparison) == (100, 100)
    assert terms(found)[0] == "late"
    assert "flight" not in terms(found)
    assert "bag was lost" in terms(found)
    late = found.terms[0]
    assert (late.records, late.elsewhere) == (100, 5)
    assert (late.share, late.share_elsewhere) == (1.0, 0.05)
    assert late.z > found.terms[-1].z >= 1.96
    assert len(late.examples) == 3


def test_a_phrase_stands_for_its_parts_and_crosses_no_full_stop() -> None:
    found = distinctive(
        said(
            {"customer service was no help. Bags went missing": 50},
            {"the crew was lovely": 50},
        )
    )
    assert "customer service" in terms(found)
    assert "customer" not in terms(found)
    assert "service" not in terms(found)
    assert not any("help" in term and "bags" in term for term in terms(found))


def test_handles_links_and_the_groups_own_name_are_no_terms() -> None:
    found = distinctive(
        said(
            {"@USAirways US Airways usairways https://t.co/x lost my luggage": 40},
            {"@united united is fine and so is my luggage": 40},
        ),
        names=["US Airways"],
    )
    assert "lost" in " ".join(terms(found))
    assert not any(word in " ".join(terms(found)) for word in ("airways", "usair", "http", "co"))


def test_forms_of_a_word_are_one_term() -> None:
    found = distinctive(said({"delayed": 30, "a delay": 20, "one hour": 9}, {"on time": 60}))
    (late,) = [term for term in found.terms if term.term.startswith("delay")]
    assert (late.term, late.records) == ("delayed", 50)


def test_two_people_are_no_trend_and_three_records_no_group() -> None:
    rare = distinctive(said({"zebra stripes": 2, "all is well": 60}, {"all is well": 60}))
    assert "zebra" not in " ".join(terms(rare))
    few = distinctive(said({"late late": MIN_GROUP - 1}, {"on time": 100}))
    assert (few.group, terms(few)) == (MIN_GROUP - 1, [])


@pytest.mark.parametrize("text", ["", "...", "@a @b", "1 2 3", "\U0001f600" * 40, "a" * 100_000])
def test_odd_texts_do_no_harm(text: str) -> None:
    found = distinctive(said({text: 40}, {"fine": 40}))
    assert (found.group, found.comparison) == (40, 40)


def test_other_scripts_have_terms_too() -> None:
    found = distinctive(said({"पार्सल देर से आया": 40}, {"बहुत अच्छा": 40}))
    assert found.group == 40
    german = distinctive(said({"Das Paket kam zu spät.": 40}, {"Alles war wunderbar.": 40}))
    assert "paket" in " ".join(terms(german))
