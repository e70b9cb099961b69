"""A checklist of what a sentiment model should be able to do, in the manner of CheckList
(https://aclanthology.org/2020.acl-main.442/): short texts with the label that people would give,
by capability. Written for this project. None of the sentences was trained on; the multilingual
model has seen some of the emoji and ratings.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

NEGATIVE, NEUTRAL, POSITIVE = "negative", "neutral", "positive"

Case = tuple[str, str]
"""A text and its label."""

THINGS = ("food", "room", "delivery", "app")
GOOD = ("excellent", "lovely", "great", "wonderful", "perfect")
BAD = ("terrible", "awful", "disgusting", "useless", "horrible")


def vocabulary() -> Iterator[Case]:
    for thing, (words, label) in product(THINGS, ((GOOD, POSITIVE), (BAD, NEGATIVE))):
        yield from ((f"The {thing} was {word}.", label) for word in words)


def negation() -> Iterator[Case]:
    for thing in THINGS:
        yield f"The {thing} was not good.", NEGATIVE
        yield f"The {thing} is not bad at all.", POSITIVE
        yield f"I don't hate the {thing}, quite the opposite.", POSITIVE
        yield f"I would not recommend the {thing}.", NEGATIVE
        yield f"The {thing} never disappoints.", POSITIVE
        yield f"There is nothing to like about the {thing}.", NEGATIVE
        yield f"I can't complain about the {thing}.", POSITIVE
        yield f"The {thing} isn't worth the money.", NEGATIVE
        yield f"I couldn't be happier with the {thing}.", POSITIVE
        yield f"No problems with the {thing} so far.", POSITIVE


def comparison() -> Iterator[Case]:
    for thing in THINGS:
        yield f"This {thing} is much better than the one we had before.", POSITIVE
        yield f"This {thing} is far worse than last year's.", NEGATIVE
        yield f"I have had better {thing}s than this.", NEGATIVE
        yield f"Nothing beats this {thing}.", POSITIVE
        yield f"The old {thing} was better.", NEGATIVE
        yield f"The best {thing} I have ever had.", POSITIVE
        yield f"The worst {thing} in town.", NEGATIVE
        yield f"You will not find a better {thing} anywhere.", POSITIVE


def two_sided() -> Iterator[Case]:
    """What stands behind "but" is what the writer leaves with."""
    for one, other in product(THINGS, THINGS):
        if one != other:
            yield f"The {one} was awful, but the {other} made up for everything.", POSITIVE
            yield f"The {one} was nice, but the {other} ruined it all.", NEGATIVE


def sarcasm() -> Iterator[Case]:
    troubles = (
        "another delay", "my luggage is gone", "two hours on hold", "the app crashed again",
        "no hot water", "my flight is cancelled", "a parking ticket", "the server is down",
    )  # fmt: skip
    for trouble in troubles:
        yield f"Oh great, {trouble}.", NEGATIVE
        yield f"Thanks a lot, {trouble}. Just what I needed.", NEGATIVE
        yield f"Wow, {trouble}. Amazing service as always.", NEGATIVE
        yield f"Love it: {trouble}. 🙄", NEGATIVE


def emoji() -> Iterator[Case]:
    for sign in "😍 😊 🥰 👍 🎉 ❤️ 😁 💯 🙌 🤩 👏 😻".split():
        yield sign, POSITIVE
        yield sign * 3, POSITIVE
    for sign in "😡 😢 💔 👎 🤮 😠 😞 🤬 😤 😩 😾 🙁".split():
        yield sign, NEGATIVE
        yield sign * 3, NEGATIVE


def ratings_in_digits() -> Iterator[Case]:
    for good in ("10/10", "9/10", "5/5", "5 out of 5", "100%", "4.5/5", "10 out of 10", "A+"):
        yield good, POSITIVE
        yield f"{good}, would come again", POSITIVE
    for bad in ("1/10", "0/10", "1/5", "2 out of 10", "0 out of 5", "1.5/5", "2/10", "0/5"):
        yield bad, NEGATIVE
        yield f"{bad}, never again", NEGATIVE


def ratings_in_words() -> Iterator[Case]:
    for good in ("five stars", "Five out of five", "four and a half stars", "ten out of ten",
                 "full marks", "two thumbs up"):  # fmt: skip
        yield good, POSITIVE
        yield f"{good} from me", POSITIVE
        yield f"I give it {good}", POSITIVE
    for bad in ("one star", "zero stars", "one out of ten", "two out of ten", "two thumbs down",
                "no stars at all"):  # fmt: skip
        yield bad, NEGATIVE
        yield f"{bad} from me", NEGATIVE
        yield f"I give it {bad}", NEGATIVE


def plain_facts() -> Iterator[Case]:
    yield from (
        (text, NEUTRAL)
        for text in (
            "The shop opens at nine.", "My order number is 48213.", "The train leaves at 7:40.",
            "The package contains four screws.", "We flew from Boston to Denver on Tuesday.",
            "The meeting has moved to room 12.", "It is available in blue and grey.",
            "Closed on Sundays.", "The report has 34 pages.", "The manual is in three languages.",
            "The battery has 4,000 mAh.", "Our office is next to the station.",
            "The warranty lasts two years.", "The hotel has 120 rooms.",
            "The invoice is due on Friday.", "The concert starts at eight.",
            "It was delivered to my neighbour.", "The update is version 3.2.",
            "They sell shoes and bags.", "The bus stops in front of the museum.",
            "Breakfast is served until ten.", "Our flight has a stop in Dallas.",
            "There are two bedrooms and a bath.", "The form has five sections.",
            "You can pay by card.", "The museum is not open on Mondays.",
            "The box weighs two kilos.", "I am writing about order 771.",
            "The price includes tax.", "The next version comes in May.",
        )
    )  # fmt: skip


def questions() -> Iterator[Case]:
    for thing in ("refund form", "contract", "timetable", "booking", "manual", "price list"):
        yield f"Where can I find the {thing}?", NEUTRAL
        yield f"Could you send me the {thing}?", NEUTRAL
        yield f"Is the {thing} on your website?", NEUTRAL
        yield f"When will the {thing} be available?", NEUTRAL
        yield f"Do I need the {thing} with me?", NEUTRAL


def over_time() -> Iterator[Case]:
    for thing in THINGS:
        yield f"I used to love the {thing}, now I can't stand it.", NEGATIVE
        yield f"I used to hate the {thing}, now I love it.", POSITIVE
        yield f"At first I had doubts about the {thing}, but it won me over.", POSITIVE
        yield f"It started well, then the {thing} got worse every day.", NEGATIVE
        yield f"My sister hated the {thing}. I loved it.", POSITIVE
        yield f"Everybody praises the {thing}. I think it is a waste of money.", NEGATIVE


def clutter() -> Iterator[Case]:
    """Handles, links, capitals, slips of the finger."""
    for words, label in ((GOOD, POSITIVE), (BAD, NEGATIVE)):
        for word in words:
            yield f"@user @another the service was {word} http://t.co/abc", label
            yield f"THE SERVICE WAS {word.upper()}!!!", label
            yield f"teh servcie was {word}", label
            yield f"#{word} #service", label


def languages() -> Iterator[Case]:
    yield from (
        (text, label)
        for label, texts in {
            POSITIVE: (
                "Das Hotel war wunderbar.", "Ich bin sehr zufrieden.", "L'hôtel était merveilleux.",
                "Je suis très content du service.", "El hotel era maravilloso.",
                "Estoy muy contento con el servicio.", "L'albergo era meraviglioso.",
                "Sono molto contento del servizio.", "O hotel era maravilhoso.",
                "Estou muito feliz com o serviço.", "الفندق كان رائعا", "أنا سعيد جدا بالخدمة",
            ),
            NEGATIVE: (
                "Das Hotel war furchtbar.", "Ich bin sehr enttäuscht.", "L'hôtel était affreux.",
                "Je suis très déçu du service.", "El hotel era horrible.",
                "Estoy muy decepcionado con el servicio.", "L'albergo era orribile.",
                "Sono molto deluso dal servizio.", "O hotel era horrível.",
                "Estou muito decepcionado com o serviço.", "الفندق كان سيئا جدا",
                "أنا محبط جدا من الخدمة",
            ),
            NEUTRAL: (
                "Der Zug fährt um acht Uhr ab.", "Der Bericht hat zwölf Seiten.",
                "Le train part à huit heures.", "Le rapport a douze pages.",
                "El tren sale a las ocho.", "El informe tiene doce páginas.",
                "Il treno parte alle otto.", "Il rapporto ha dodici pagine.",
                "O trem parte às oito.", "O relatório tem doze páginas.",
                "يغادر القطار في الساعة الثامنة", "التقرير من اثنتي عشرة صفحة",
            ),
        }.items()
        for text in texts
    )  # fmt: skip


CAPABILITIES = {
    "plain words": vocabulary,
    "negation": negation,
    "comparison": comparison,
    "two-sided": two_sided,
    "sarcasm": sarcasm,
    "emoji alone": emoji,
    "ratings in digits": ratings_in_digits,
    "ratings in words": ratings_in_words,
    "plain facts": plain_facts,
    "questions": questions,
    "over time, and others' opinions": over_time,
    "clutter": clutter,
    "six other languages": languages,
}
