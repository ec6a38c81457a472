import pytest
from PIL import Image

from curate.errors import FetchError, InputError, UsageError
from curate.pipelines.caption.ask import Ask
from curate.pipelines.caption.endpoint import KEY_VARIABLE, Endpoint, EndpointOptions
from curate.pipelines.caption.prompts import Prompts
from curate.pipelines.caption.sampling import Decoding
from tests.pipelines.caption.chat_server import MODEL, serving

PROMPTS = Prompts(with_alt="in {language}: ALT={alt}|", without_alt="ALT=|")
RED = Image.new("RGB", (40, 20), (200, 10, 10))


@pytest.fixture
def server():
    with serving() as found:
        yield found


def endpoint(server, *, decoding=None, **options):
    values = {"url": server.url, "model": MODEL, "wait_s": 0.01, "attempts": 3, **options}
    return Endpoint(EndpointOptions(**values), PROMPTS, decoding or Decoding())


def ask(alt, number=0, lang="en"):
    return Ask(f"pair-{number}", RED, alt, lang)


def answers(server, *alts, **options):
    return endpoint(server, **options).answers([ask(alt, i) for i, alt in enumerate(alts)])


def test_images_and_alt_texts_are_sent_and_answers_come_in_order(server):
    alts = [f"dog {i}" for i in range(30)]
    found = answers(server, *alts)
    assert [one.text for one in found] == [f"a red image: {alt}" for alt in alts]
    assert all(one.counts["prompt_tokens"] == 10 and one.counts["requests"] == 1 for one in found)
    assert 1 < server.most_at_once <= 8


def test_what_passes_is_asked_again_and_counted(server):
    busy, now, broken, half = answers(server, "busy later", "busy now", "broken", "half")
    assert [one.text for one in (busy, now, broken, half)] == [
        f"a red image: {alt}" for alt in ("busy later", "busy now", "broken", "half")
    ]
    assert busy.counts["again_http_429"] == now.counts["again_http_429"] == 2
    assert broken.counts["again_http_500"] == 1 and half.counts["requests"] == 2
    assert sum(half.counts[name] for name in ("again_bad_answer", "again_no_connection")) == 1


@pytest.mark.parametrize(
    ("alt", "reason", "tries"),
    [
        ("dead", {"http_500"}, 3),
        ("halves", {"bad_answer", "no_connection"}, 3),
        ("garbage", {"bad_answer"}, 3),
        ("flood", {"bad_answer"}, 3),
        ("other", {"other_model"}, 1),
        ("empty", {"empty_answer"}, 1),
        ("null", {"empty_answer"}, 1),
        ("long", {"too_long"}, 1),
        ("bad", {"http_400"}, 1),
        ("moved", {"http_302"}, 1),
        ("drops", {"timeout"}, 3),
    ],
)
def test_what_stays_is_a_failed_caption_with_its_reason_and_the_others_come(
    server, alt, reason, tries
):
    failed, good = answers(server, alt, "fine", **({"timeout_s": 0.3} if alt == "drops" else {}))
    assert failed.text is None and failed.reason in reason
    assert server.tries[alt] == tries and failed.counts["requests"] == tries
    assert good.text == "a red image: fine"


def test_a_caption_that_is_cut_off_is_kept_and_counted(server):
    (found,) = answers(server, "cut")
    assert found.text == "a dog and" and found.counts["cut_off"] == 1


def test_a_server_that_refuses_us_ends_the_run(server):
    with pytest.raises(FetchError, match=f"answers 401: it wants another key. Set {KEY_VARIABLE}"):
        answers(server, "key")


def test_a_server_that_is_down_ends_the_run_and_not_one_caption():
    with serving() as server:
        gone = server.url
    asked = endpoint(type("Gone", (), {"url": gone}), wait_s=0.001, concurrency=2)
    with pytest.raises(FetchError, match="has taken none of [0-9]+ requests"):
        asked.answers([ask("dog", i) for i in range(40)])
    with pytest.raises(InputError, match="cannot be reached"):
        asked.require_model()


def test_a_model_that_the_server_does_not_have_is_refused_before_anything_is_asked(server):
    endpoint(server).require_model()
    with pytest.raises(InputError, match=f"has no model 'nothing'; it has {MODEL}"):
        endpoint(server, model="nothing").require_model()
    server.models = None  # it does not tell
    endpoint(server, model="nothing").require_model()


def test_connections_stay_open_between_batches(server):
    asked = endpoint(server, concurrency=2)
    for _ in range(3):
        asked.answers([ask(f"dog {i}", i) for i in range(4)])
    assert server.connections <= 2


def test_requests_begin_no_faster_than_allowed(server):
    answers(server, *(f"dog {i}" for i in range(6)), per_second=20)
    gaps = [b - a for a, b in zip(server.times, server.times[1:], strict=False)]
    assert sum(gaps) >= 5 / 20 * 0.9


def test_key_seed_language_and_size_reach_the_server(server, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "secret")
    big = Ask("p", Image.new("RGB", (3000, 1000), (10, 10, 200)), "a {language} dog", "de")
    decoding = Decoding(max_tokens=7, temperature=0.2, top_p=0.7, seed=1)
    (found,) = endpoint(server, decoding=decoding, image_size=100).answers([big])
    assert found.text == "a blue image: a {language} dog"
    body = server.bodies["a {language} dog"]
    assert server.headers["Authorization"] == "Bearer secret"
    assert (body["max_tokens"], body["temperature"], body["top_p"]) == (7, 0.2, 0.7)
    assert body["seed"] == decoding.seed_of("p") % 2**31 != Decoding().seed_of("p") % 2**31
    assert body["messages"][0]["content"][1]["text"].startswith("in German: ")
    assert len(body["messages"][0]["content"][0]["image_url"]["url"]) < 3000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "localhost:8000"}, "expected such as http://host:8000/v1"),
        ({"concurrency": 0}, "concurrency is 0"),
        ({"per_second": 0.0}, "--per-second is 0.0"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        EndpointOptions(**{"url": "http://x/v1", "model": "m", **options})
