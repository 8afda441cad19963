// An agent with an official Node SDK, as the end-to-end tests run it.
//
//   node agent.js openai|anthropic SCENARIO...
//
// The environment and the output are those of agent.py.
"use strict";

globalThis.File ??= require("node:buffer").File; // Node 18 has no global one

const BASE = process.env.AGENT_BASE_URL;
const KEY = process.env.AGENT_API_KEY;
const UPLOAD = Number(process.env.AGENT_UPLOAD || 0);

const PROMPT = "[[p=1200 c=300 words=8]] Write something.";
const SLOW = "[[p=1200 c=300 words=200 ev=0.1]] Write slowly.";
const TOOL = "[[p=110 c=20 tool]] What is the weather in Oslo?";
const WEATHER = { type: "object", properties: { location: { type: "string" } }, required: ["location"] };

function picture() {
  const bytes = Buffer.alloc(UPLOAD, 0x5a);
  Buffer.from("\x89PNG\r\n\x1a\n", "latin1").copy(bytes);
  return bytes;
}

function failure(e) {
  const classes = [];
  for (let p = Object.getPrototypeOf(e); p && p !== Error.prototype; p = Object.getPrototypeOf(p)) {
    classes.push(p.constructor.name);
  }
  return {
    error: {
      classes,
      status: e.status ?? null,
      code: e.code ?? null,
      type: e.type ?? null,
      message: String(e.message),
      body: e.error ?? null,
      headers: e.headers ? Object.fromEntries(e.headers) : {},
    },
  };
}

function openai() {
  const OpenAI = require("openai");
  const client = new OpenAI({ baseURL: BASE + "/v1", apiKey: KEY });
  const ask = (content, more = {}) => ({ model: "fake", messages: [{ role: "user", content }], ...more });
  const tools = [{ type: "function", function: { name: "get_weather", parameters: WEATHER } }];
  return {
    error: OpenAI.APIError,
    async chat() {
      const r = await client.chat.completions.create(ask(PROMPT));
      return { text: r.choices[0].message.content, input: r.usage.prompt_tokens, output: r.usage.completion_tokens };
    },
    async stream() {
      let text = "";
      let usage = 0;
      for await (const chunk of await client.chat.completions.create(ask(PROMPT, { stream: true }))) {
        if (chunk.usage) usage++;
        for (const c of chunk.choices) text += c.delta.content ?? "";
      }
      return { text, usage_chunks: usage };
    },
    async tool() {
      const r = await client.chat.completions.create(ask(TOOL, { tools }));
      const call = r.choices[0].message.tool_calls[0].function;
      return { tool: call.name, arguments: JSON.parse(call.arguments) };
    },
    async upload() {
      const image = await OpenAI.toFile(picture(), "dot.png", { type: "image/png" });
      const r = await client.images.edit({ model: "gpt-image-1", image, prompt: "a dot" });
      return { images: r.data.length };
    },
    async cancel() {
      let seen = 0;
      for await (const _ of await client.chat.completions.create(ask(SLOW, { stream: true }))) {
        if (++seen === 3) break; // leaving the loop aborts the request
      }
      return { seen };
    },
  };
}

function anthropic() {
  const Anthropic = require("@anthropic-ai/sdk");
  const client = new Anthropic({ baseURL: BASE, apiKey: KEY, authToken: null });
  const ask = (content, more = {}) => ({
    model: "claude-sonnet-4-5",
    max_tokens: 1024,
    messages: [{ role: "user", content }],
    ...more,
  });
  return {
    error: Anthropic.APIError,
    async chat() {
      const r = await client.messages.create(ask(PROMPT));
      return { text: r.content[0].text, input: r.usage.input_tokens, output: r.usage.output_tokens };
    },
    async stream() {
      const stream = client.messages.stream(ask(PROMPT));
      let text = "";
      stream.on("text", (t) => (text += t));
      const { usage } = await stream.finalMessage();
      return { text, input: usage.input_tokens, output: usage.output_tokens };
    },
  };
}

async function main() {
  const agent = { openai, anthropic }[process.argv[2]]();
  for (const scenario of process.argv.slice(3)) {
    let result;
    try {
      result = await agent[scenario]();
    } catch (e) {
      if (!(e instanceof agent.error)) throw e;
      result = failure(e);
    }
    console.log(JSON.stringify({ scenario, ...result }));
  }
}

main().catch((e) => {
  console.error(e);
  process.exit(1);
});
