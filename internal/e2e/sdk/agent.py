"""An agent with an official Python SDK, as the end-to-end tests run it.

    agent.py openai|anthropic|google SCENARIO...

AGENT_BASE_URL and AGENT_API_KEY say where to call and as whom; AGENT_UPLOAD is
the size in bytes of the picture that the scenario "upload" sends. Prints one
JSON object per scenario on a line of its own; an error of the SDK is a result
as well, with what an application would see of it. The SDK's own retries stay as
they are: whether it retries is one of the questions.
"""

import base64
import json
import os
import sys
import warnings

warnings.simplefilter("ignore", DeprecationWarning)  # of model names, which only the mock provider sees

BASE = os.environ["AGENT_BASE_URL"]
KEY = os.environ["AGENT_API_KEY"]
UPLOAD = int(os.environ.get("AGENT_UPLOAD", "0"))

# What the mock provider reads: the usage to report, and how to stream.
PROMPT = "[[p=1200 c=300 words=8]] Write something."
SLOW = "[[p=1200 c=300 words=200 ev=0.1]] Write slowly."
TOOL = "[[p=110 c=20 tool]] What is the weather in Oslo?"
WEATHER = {
    "type": "object",
    "properties": {"location": {"type": "string"}},
    "required": ["location"],
}


def picture():
    """Bytes that begin like a PNG; nobody decodes the rest."""
    head = b"\x89PNG\r\n\x1a\n"
    return head + bytes(range(256)) * ((UPLOAD - len(head)) // 256 + 1)


def failure(e):
    response = getattr(e, "response", None)
    body = getattr(e, "body", None)
    return {
        "error": {
            "classes": [c.__name__ for c in type(e).__mro__ if c.__module__.split(".")[0] not in ("builtins",)],
            "status": getattr(e, "status_code", None) or getattr(e, "code", None),
            "code": getattr(e, "code", None),
            "type": getattr(e, "type", None),
            "message": str(getattr(e, "message", None) or e),
            "body": body if body is not None else getattr(e, "details", None),
            "headers": {k.lower(): v for k, v in response.headers.items()} if hasattr(response, "headers") else {},
        }
    }


class OpenAI:
    def __init__(self):
        import openai

        self.errors = openai.APIError
        self.client = openai.OpenAI(base_url=BASE + "/v1", api_key=KEY)

    def _chat(self, prompt, **more):
        return self.client.chat.completions.create(
            model=more.pop("model", "fake"), messages=[{"role": "user", "content": prompt}], **more
        )

    def chat(self):
        r = self._chat(PROMPT)
        return {"text": r.choices[0].message.content, "input": r.usage.prompt_tokens, "output": r.usage.completion_tokens}

    def stream(self):
        text, usage = "", 0
        for chunk in self._chat(PROMPT, stream=True):
            usage += chunk.usage is not None
            text += "".join(c.delta.content or "" for c in chunk.choices)
        return {"text": text, "usage_chunks": usage}

    def stream_usage(self):
        text, last = "", None
        for chunk in self._chat(PROMPT, stream=True, stream_options={"include_usage": True}):
            last = chunk.usage or last
            text += "".join(c.delta.content or "" for c in chunk.choices)
        return {"text": text, "input": last.prompt_tokens, "output": last.completion_tokens}

    def tool(self):
        tools = [{"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}]
        call = self._chat(TOOL, tools=tools).choices[0].message.tool_calls[0]
        return {"tool": call.function.name, "arguments": json.loads(call.function.arguments)}

    def tool_stream(self):
        tools = [{"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}]
        name, arguments = "", ""
        for chunk in self._chat(TOOL, tools=tools, stream=True):
            for choice in chunk.choices:
                for part in choice.delta.tool_calls or []:
                    name += part.function.name or ""
                    arguments += part.function.arguments or ""
        return {"tool": name, "arguments": json.loads(arguments)}

    def upload(self):
        r = self.client.images.edit(model="gpt-image-1", image=("dot.png", picture(), "image/png"), prompt="a dot")
        return {"images": len(r.data)}

    def upload_inline(self):
        url = "data:image/png;base64," + base64.b64encode(picture()).decode()
        r = self.client.chat.completions.create(
            model="fake",
            max_tokens=20,
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "[[p=1200 c=20 words=2]] What is this?"},
                        {"type": "image_url", "image_url": {"url": url}},
                    ],
                }
            ],
        )
        return {"text": r.choices[0].message.content}

    def responses(self):
        r = self.client.responses.create(model="gpt-4o", input=PROMPT)
        return {"text": r.output_text, "input": r.usage.input_tokens, "output": r.usage.output_tokens}

    def responses_stream(self):
        text, done = "", False
        for event in self.client.responses.create(model="gpt-4o", input=PROMPT, stream=True):
            text += event.delta if event.type == "response.output_text.delta" else ""
            done = done or event.type == "response.completed"
        return {"text": text, "done": done}

    def embeddings(self):
        r = self.client.embeddings.create(model="text-embedding-3-small", input="hello")
        return {"vectors": len(r.data)}

    def cancel(self):
        seen = 0
        with self._chat(SLOW, stream=True) as stream:
            for _ in stream:
                seen += 1
                if seen == 3:
                    break
        return {"seen": seen}


class Anthropic:
    def __init__(self):
        import anthropic

        self.errors = anthropic.APIError
        self.client = anthropic.Anthropic(base_url=BASE, api_key=KEY)

    def _ask(self, prompt, **more):
        return dict(
            model=more.pop("model", "claude-sonnet-4-5"),
            max_tokens=1024,
            messages=[{"role": "user", "content": prompt}],
            **more,
        )

    def chat(self):
        r = self.client.messages.create(**self._ask(PROMPT))
        return {"text": r.content[0].text, "input": r.usage.input_tokens, "output": r.usage.output_tokens}

    def stream(self):
        with self.client.messages.stream(**self._ask(PROMPT)) as stream:
            text = "".join(stream.text_stream)
            usage = stream.get_final_message().usage
        return {"text": text, "input": usage.input_tokens, "output": usage.output_tokens}

    def tool_result(self):
        """The turn after a tool call: its result goes back to the model."""
        messages = [
            {"role": "user", "content": TOOL},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "get_weather", "input": {"location": "Oslo"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "rain"}]},
        ]
        r = self.client.messages.create(
            model="claude-sonnet-4-5",
            max_tokens=64,
            messages=messages,
            tools=[{"name": "get_weather", "input_schema": WEATHER}],
        )
        return {"text": r.content[0].text, "input": r.usage.input_tokens}

    def upload(self):
        data = base64.b64encode(picture()).decode()
        content = [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}},
            {"type": "text", "text": "[[p=1200 c=20 words=2]] What is this?"},
        ]
        r = self.client.messages.create(
            model="claude-sonnet-4-5", max_tokens=64, messages=[{"role": "user", "content": content}]
        )
        return {"text": r.content[0].text}

    def cancel(self):
        seen = 0
        with self.client.messages.stream(**self._ask(SLOW)) as stream:
            for _ in stream.text_stream:
                seen += 1
                if seen == 3:
                    break
        return {"seen": seen}


class Google:
    def __init__(self):
        from google import genai
        from google.genai import errors, types

        self.errors = errors.APIError
        self.client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=BASE, api_version="v1beta"))

    def chat(self):
        r = self.client.models.generate_content(model="gemini-2.5-flash", contents=PROMPT)
        u = r.usage_metadata
        return {"text": r.text, "input": u.prompt_token_count, "output": u.candidates_token_count}

    def stream(self):
        text, last = "", None
        for chunk in self.client.models.generate_content_stream(model="gemini-2.5-flash", contents=PROMPT):
            text += chunk.text or ""
            last = chunk.usage_metadata or last
        return {"text": text, "input": last.prompt_token_count, "output": last.candidates_token_count}


def main():
    agent = {"openai": OpenAI, "anthropic": Anthropic, "google": Google}[sys.argv[1]]()
    for scenario in sys.argv[2:]:
        try:
            result = getattr(agent, scenario)()
        except agent.errors as e:
            result = failure(e)
        print(json.dumps({"scenario": scenario, **result}), flush=True)


main()
