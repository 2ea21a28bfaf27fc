"""The steps of scenario.md with the official Python client."""
import concurrent.futures
import threading

import openai

client = openai.OpenAI(api_key="none", max_retries=0, timeout=60)


def message(text):
    return [{"role": "user", "content": text}]


def models():
    names = {item.id for item in client.models.list()}
    assert {"alpha", "beta", "tiny", "late"} <= names, names


def chat():
    answer = client.chat.completions.create(model="alpha", messages=message("one"), max_tokens=5)
    assert answer.model and answer.choices[0].message.content
    assert answer.usage.completion_tokens == 5, answer.usage
    answer = client.completions.create(model="beta", prompt="two", max_tokens=3)
    assert answer.choices[0].text and answer.usage.completion_tokens == 3


def stream():
    text, usage = "", None
    for chunk in client.chat.completions.create(
            model="alpha", messages=message("three"), max_tokens=20, stream=True,
            stream_options={"include_usage": True}):
        if chunk.choices:
            text += chunk.choices[0].delta.content or ""
        usage = chunk.usage or usage
    assert text and usage.completion_tokens == 20, (text, usage)
    parts = list(client.completions.create(model="alpha", prompt="four", max_tokens=4, stream=True))
    assert len(parts) >= 4


def embeddings():
    answer = client.embeddings.create(model="alpha", input="five")
    assert len(answer.data) == 1 and len(answer.data[0].embedding) > 0


def unknown_model():
    try:
        client.chat.completions.create(model="nobody", messages=message("six"))
    except openai.NotFoundError as error:
        assert "alpha" in str(error), error
    else:
        raise AssertionError("an unknown model was answered")


def bad_body():
    try:
        client.post("/chat/completions", body={"model": 7, "messages": []}, cast_to=object)
    except openai.BadRequestError as error:
        assert error.body["param"] == "model", error.body
    else:
        raise AssertionError("a numeric model was answered")


def abort_while_queued():
    busy = client.chat.completions.create(model="alpha", messages=message("long"), max_tokens=1500,
                                          stream=True)
    next(iter(busy))
    try:
        client.with_options(timeout=0.3).chat.completions.create(
            model="beta", messages=message("gone before its turn"), max_tokens=5)
    except openai.APITimeoutError:
        pass
    else:
        raise AssertionError("beta answered while alpha was busy")
    busy.close()


def abort_in_stream():
    answer = client.chat.completions.create(model="alpha", messages=message("cut"), max_tokens=5000,
                                            stream=True)
    for count, _ in enumerate(answer):
        if count == 5:
            break
    answer.close()


def too_many():
    done = threading.Event()
    limited = []

    def one(number):
        try:
            client.chat.completions.create(model="tiny", messages=message(f"n{number}"), max_tokens=300)
        except openai.RateLimitError as error:
            limited.append(error)
            done.set()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(8)))
    assert limited, "eight requests at once, none was refused"
    assert int(limited[0].response.headers["retry-after"]) >= 1, limited[0].response.headers


def timeout_in_queue():
    try:
        client.chat.completions.create(model="late", messages=message("too late"), max_tokens=5)
    except openai.APIStatusError as error:
        assert error.status_code in (504, 429), error
    else:
        raise AssertionError("late answered in time")


def big_body():
    answer = client.chat.completions.create(model="alpha", messages=message("word " * 1_000_000),
                                            max_tokens=2)
    assert answer.usage.completion_tokens == 2


def several_at_once():
    def one(number):
        name = ("alpha", "beta")[number % 2]
        answer = client.chat.completions.create(model=name, messages=message(f"m{number}"), max_tokens=10)
        return answer.usage.completion_tokens

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        assert list(pool.map(one, range(24))) == [10] * 24


def heartbeats():
    """beta streams have heartbeats: comments before the first chunk must not disturb the client."""
    client.chat.completions.create(model="alpha", messages=message("first"), max_tokens=2)
    chunks = list(client.chat.completions.create(model="beta", messages=message("waits"), max_tokens=4,
                                                 stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text, chunks


for step in (models, chat, stream, embeddings, unknown_model, bad_body, abort_while_queued,
             abort_in_stream, too_many, timeout_in_queue, big_body, several_at_once, heartbeats):
    step()
    print("ok", step.__name__, flush=True)
