"""Records that were drawn for review, and what a person says of them: the only pages that write.

They work without scripts; `review.js` adds one key a label.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy import Engine

from worker.dashboard.asking import Database, known_filters
from worker.dashboard.pages import page
from worker.errors import Forbidden, Misasked
from worker.insight.review import LABELS
from worker.insight.wording import legible
from worker.store.analytics import reviews
from worker.web.guard import Caller

router = APIRouter(
    include_in_schema=False,
    default_response_class=HTMLResponse,
    dependencies=[Depends(known_filters)],
)

LISTED = 50

FORM_BYTES = 10_000

HOW_TO_ENABLE = (
    "Start it with `sentiment-worker dashboard --review` to let people judge records here."
)

Draw = Annotated[int, Path(ge=1, lt=2**63)]
Number = Annotated[int, Path(ge=1, lt=2**31)]


def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


def _judging(request: Request) -> Engine:
    """The database with a reviewer's rights. Raises Forbidden where nobody may judge here, or the
    one who asks may not."""
    engine: Engine | None = request.app.state.judging
    if engine is None:
        raise Forbidden("Records cannot be judged here.", hint=HOW_TO_ENABLE)
    if not _caller(request).may_judge:
        raise Forbidden(
            "You may read records but not judge them.",
            hint="Sign in with a name and the reviewers' token (SENTIMENT_REVIEWER_TOKEN).",
        )
    return engine


async def _form(request: Request) -> dict[str, str]:
    """The form's fields; if a name is repeated, the last value counts."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > FORM_BYTES:
            raise Misasked("The form is too large.")
    try:
        fields = parse_qs(body.decode(errors="replace"), max_num_fields=10)
    except ValueError as error:
        raise Misasked("The form has too many fields.") from error
    return {name: values[-1] for name, values in fields.items()}


Asking = Annotated[Caller, Depends(_caller)]
Judging = Annotated[Engine, Depends(_judging)]
Form = Annotated[dict[str, str], Depends(_form)]


@router.get("/review")
def draws(request: Request, engine: Database, caller: Asking) -> Response:
    """The newest draws, and how far they are."""
    may_judge = request.app.state.judging is not None and caller.may_judge
    rows = reviews.listed(engine, LISTED)
    return page(request, "reviews", "Review", rows=rows, may_judge=may_judge, how=HOW_TO_ENABLE)


@router.get("/review/{review_id}")
def next_record(
    request: Request,
    engine: Judging,
    caller: Asking,
    review_id: Draw,
    too_late: Annotated[bool, Query()] = False,
) -> Response:
    """The next record of a draw for the one who asks; what the machine said is not shown."""
    review = reviews.get(engine, review_id)
    waiting = reviews.to_judge(engine, review_id, caller.name)
    return page(
        request,
        "review",
        f"Review of {review['source']}",
        review=review,
        item=waiting[0] if waiting else None,
        text=legible(waiting[0]["text"]) if waiting else "",
        left=len(waiting),
        caller=caller,
        can_undo=reviews.last_by(engine, review_id, caller.name) is not None,
        too_late=too_late,
        labels=LABELS,
    )


@router.post("/review/{review_id}/{number}/label")
def label(engine: Judging, caller: Asking, form: Form, review_id: Draw, number: Number) -> Response:
    """Judge a record, and go on to the next."""
    if form.get("label") not in LABELS:
        raise Misasked("The form names no label.", hint=f"Labels are {', '.join(LABELS)}.")
    done = reviews.say(engine, review_id, number, form["label"], by=caller.name)
    return _on(review_id, done=done)


@router.post("/review/{review_id}/{number}/skip")
def skip(engine: Judging, caller: Asking, form: Form, review_id: Draw, number: Number) -> Response:
    """Pass a record over, with a reason, and go on to the next."""
    why = form.get("why", "").strip()
    if not why:
        raise Misasked("Say in a word or two why the record cannot be judged.")
    return _on(review_id, done=reviews.skip(engine, review_id, number, why, by=caller.name))


@router.post("/review/{review_id}/undo")
def undo(engine: Judging, caller: Asking, review_id: Draw) -> Response:
    """Take back what the one who asks said last; the record waits for them again."""
    number = reviews.last_by(engine, review_id, caller.name)
    done = number is not None and reviews.undo(engine, review_id, number, by=caller.name)
    return _on(review_id, done=done)


def _on(review_id: int, *, done: bool) -> Response:
    """303: the browser asks for the next page, and a reload judges nothing twice."""
    more = "" if done else "?too_late=true"
    return RedirectResponse(f"/review/{review_id}{more}", status_code=303)
