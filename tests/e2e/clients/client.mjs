// The steps of scenario.md with the official Node client.
import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({apiKey: "none", maxRetries: 0, timeout: 60000});
const message = (text) => [{role: "user", content: text}];
const chat = (model, text, more = {}, options = {}) =>
  client.chat.completions.create({model, messages: message(text), max_tokens: 5, ...more}, options);

const steps = {
  async models() {
    const names = [];
    for await (const item of client.models.list()) names.push(item.id);
    for (const name of ["alpha", "beta", "tiny", "late"]) assert.ok(names.includes(name), name);
  },
  async chat() {
    const answer = await chat("alpha", "one");
    assert.ok(answer.choices[0].message.content);
    assert.equal(answer.usage.completion_tokens, 5);
    const text = await client.completions.create({model: "beta", prompt: "two", max_tokens: 3});
    assert.equal(text.usage.completion_tokens, 3);
  },
  async stream() {
    let text = "", usage;
    for await (const chunk of await chat("alpha", "three", {
      max_tokens: 20, stream: true, stream_options: {include_usage: true}})) {
      text += chunk.choices[0]?.delta.content ?? "";
      usage = chunk.usage ?? usage;
    }
    assert.ok(text);
    assert.equal(usage.completion_tokens, 20);
  },
  async embeddings() {
    const answer = await client.embeddings.create({model: "alpha", input: "five", encoding_format: "float"});
    assert.ok(answer.data[0].embedding.length > 0);
  },
  async unknown_model() {
    await assert.rejects(chat("nobody", "six"), (error) =>
      error instanceof OpenAI.NotFoundError && error.message.includes("alpha"));
  },
  async bad_body() {
    await assert.rejects(chat(7, "seven"), (error) =>
      error instanceof OpenAI.BadRequestError && error.param === "model");
  },
  async abort_while_queued() {
    const busy = await chat("alpha", "long", {max_tokens: 1500, stream: true});
    const first = busy[Symbol.asyncIterator]();
    await first.next();
    const abort = new AbortController();
    const gone = chat("beta", "gone before its turn", {}, {signal: abort.signal});
    setTimeout(() => abort.abort(), 200);
    await assert.rejects(gone, OpenAI.APIUserAbortError);
    busy.controller.abort();
  },
  async abort_in_stream() {
    const answer = await chat("alpha", "cut", {max_tokens: 5000, stream: true});
    let count = 0;
    for await (const chunk of answer) {
      void chunk;
      if (++count === 5) break;
    }
    answer.controller.abort();
  },
  async too_many() {
    const results = await Promise.allSettled(
      Array.from({length: 8}, (_, i) => chat("tiny", `n${i}`, {max_tokens: 300})));
    const limited = results.filter((r) => r.status === "rejected").map((r) => r.reason);
    assert.ok(limited.length > 0, "eight requests at once, none was refused");
    for (const error of limited) assert.ok(error instanceof OpenAI.RateLimitError, String(error));
    assert.ok(Number(limited[0].headers.get("retry-after")) >= 1);
  },
  async timeout_in_queue() {
    await assert.rejects(chat("late", "too late"), (error) => [504, 429].includes(error.status));
  },
  async big_body() {
    const answer = await chat("alpha", "word ".repeat(1_000_000), {max_tokens: 2});
    assert.equal(answer.usage.completion_tokens, 2);
  },
  async several_at_once() {
    const answers = await Promise.all(Array.from({length: 24}, (_, i) =>
      chat(["alpha", "beta"][i % 2], `m${i}`, {max_tokens: 10})));
    for (const answer of answers) assert.equal(answer.usage.completion_tokens, 10);
  },
  async heartbeats() {
    await chat("alpha", "first", {max_tokens: 2});
    let text = "";
    for await (const chunk of await chat("beta", "waits", {max_tokens: 4, stream: true})) {
      text += chunk.choices[0]?.delta.content ?? "";
    }
    assert.ok(text);
  },
};

for (const [name, step] of Object.entries(steps)) {
  await step();
  console.log("ok", name);
}
