from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from flask.testing import FlaskClient

from cordon.api.app import create_app
from cordon.deployments.model import CATEGORIES, LOCATION_REASONS, PURPOSES
from cordon.records import notice
from cordon.retention import service as retention
from world import SOUGHT_NAME, WINDOW_ENDS, WINDOW_STARTS, World


@pytest.fixture
def client(world: World) -> FlaskClient:
    return create_app(world.installation).test_client()


def page(client: FlaskClient, deployment_id: str) -> str:
    answer = client.get(f"/notice/{deployment_id}")
    assert answer.status_code == 200
    return " ".join(answer.get_data(as_text=True).split())


def test_before_its_publication_a_notice_is_not_to_be_told_from_one_that_never_was(
    world: World, client: FlaskClient
) -> None:
    drafted, never = client.get(f"/notice/{world.drafted()}"), client.get("/notice/never")
    assert (drafted.status_code, never.status_code) == (404, 404)
    assert drafted.data == never.data
    assert "There is no such notice" in drafted.get_data(as_text=True)


def test_it_says_where_when_by_whom_and_why_without_sign_in(world: World, client: FlaskClient) -> None:
    shown = page(client, world.announced())
    for said in (
        "Live facial recognition will be used here",
        "High Street, Testford",
        "Monday 23 November 2026, 10:00 to 16:00",
        "Testshire Police",
        "To find people wanted for serious or violent offences",
        "People wanted on a court warrant",
        "the force&#39;s data protection officer",
        "Information Commissioner",
    ):
        assert said in shown


def test_it_shows_nothing_operational(world: World, client: FlaskClient) -> None:
    deployment_id = world.opened(threshold=0.437, list_limit=4_321, false_alert_budget=0.00037)
    world.entry(deployment_id)
    deployment = world.deployment(deployment_id)
    shown = page(client, deployment_id)
    hidden = (
        SOUGHT_NAME,
        "PNC-",
        "0.437",
        "4321",
        "4,321",
        "0.00037",
        "Two linked robberies",
        "51.50",
        "push:",
        deployment.cameras[0].id,
        deployment.name,
        world.people["authoriser"].display_name,
        world.people["coordinator"].callsign,
        "North",
    )
    for secret in hidden:
        assert secret not in shown, secret


@pytest.mark.parametrize(
    ("moment", "title"),
    [
        (WINDOW_STARTS - timedelta(minutes=1), "will be used here"),
        (WINDOW_STARTS, "is in use here"),
        (WINDOW_ENDS, "was used here"),
    ],
)
def test_its_tense_follows_the_clock(world: World, client: FlaskClient, moment: object, title: str) -> None:
    deployment_id = world.announced()
    world.clock.move_to(moment)  # type: ignore[arg-type]
    assert f"<h1>Live facial recognition {title}</h1>" in page(client, deployment_id)


def test_it_stays_after_the_closing_and_after_the_purge(world: World, client: FlaskClient) -> None:
    deployment_id = world.opened()
    world.clock.move_to(WINDOW_ENDS + timedelta(days=40))
    assert len(retention.purge_due(world.installation)) == 2
    assert "was used here" in page(client, deployment_id)


@pytest.mark.parametrize(
    ("hours", "days", "said"),
    [
        (24, 31, ("24 hours after the end", "31 days after the end")),
        (1, 1, ("1 hour after the end", "1 day after the end")),
        (0, 0, ("deleted as soon as it is over",)),
    ],
)
def test_it_promises_what_the_purge_does(
    world: World, client: FlaskClient, hours: int, days: int, said: tuple[str, ...]
) -> None:
    deployment_id = world.announced(watchlist_retention_h=hours, alert_retention_d=days)
    shown = page(client, deployment_id)
    assert all(words in shown for words in said)
    world.clock.move_to(WINDOW_ENDS + max(timedelta(hours=hours), timedelta(days=days)))
    assert len(retention.purge_due(world.installation)) == 2


def test_an_exercise_says_so(world: World, client: FlaskClient) -> None:
    assert "This is an exercise" in page(client, world.announced(marked_exercise=True))
    assert "This is an exercise" not in page(client, world.announced())


def test_nothing_runs_loads_or_frames_in_it(world: World, client: FlaskClient) -> None:
    answer = client.get(f"/notice/{world.announced()}")
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'")
    assert "unsafe" not in policy
    html = answer.get_data(as_text=True)
    assert not re.search(r"<script|<style|style=|\son\w+=|<img|<iframe", html)
    assert client.get("/notice/notice.css").mimetype == "text/css"


class Headings(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "html":
            assert dict(attrs)["lang"] == "en"


def test_its_headings_and_landmarks_are_in_order(world: World, client: FlaskClient) -> None:
    parser = Headings()
    parser.feed(page(client, world.announced()))
    assert [tag for tag in parser.tags if tag in {"h1", "h2", "h3"}] == ["h1", "h2", "h2", "h2", "h2"]
    assert [tag for tag in parser.tags if tag in {"header", "main", "footer"}] == ["header", "main", "footer"]


def test_names_given_by_people_are_shown_as_text(world: World, client: FlaskClient) -> None:
    shown = page(client, world.announced(place_name="<script>alert(1)</script>"))
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


def test_a_window_past_midnight_names_both_days(world: World, client: FlaskClient) -> None:
    deployment_id = world.announced(window_ends_at=WINDOW_STARTS + timedelta(hours=20))
    assert "Monday 23 November 2026, 10:00, to Tuesday 24 November 2026, 06:00" in page(client, deployment_id)


@pytest.mark.parametrize("language", sorted(notice.languages()))
def test_each_language_has_every_word_that_english_has(language: str) -> None:
    words, english = notice.languages()[language].entries, notice.languages()["en"].entries
    assert words.keys() == english.keys()
    for group, codes in (("purposes", PURPOSES), ("categories", CATEGORIES), ("location_reasons", LOCATION_REASONS)):
        assert words[group].keys() == codes.keys()
    for name, text in english.items():
        if isinstance(text, str):
            assert set(re.findall(r"{\w+}", words[name])) == set(re.findall(r"{\w+}", text)), name
