"""Forty steps of OpenAI's client for Python against /v1. usage: openai_python.py URL TOKEN"""

import asyncio
import json
import sys

import openai

URL, TOKEN = sys.argv[1:]
client = openai.OpenAI(base_url=f"{URL}/v1", api_key=TOKEN, max_retries=0, timeout=30)
done = 0


def step(name, is_true):
    global done
    if not is_true:
        sys.exit(f"step {done + 1} failed: {name}")
    done += 1


def user(text):
    return [{"role": "user", "content": text}]


def chat(text="hello", **more):
    return client.chat.completions.create(model="default", messages=user(text), **more)


def refused(kind, param, work):
    try:
        work()
    except kind as error:
        return error.param == param
    return False


names = [model.id for model in client.models.list()]
step("models are listed", "default" in names)
step("one model is read", client.models.retrieve("default").id == "default")
step("an unknown model is 404", refused(openai.NotFoundError, "model", lambda: client.models.retrieve("nobody")))

reply = chat()
step("a completion has text", reply.choices[0].message.content == "zażółć gęślą jaźń 🚀")
step("it says why it ended", reply.choices[0].finish_reason == "stop")
step("it tells its usage", reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens > 0)
step("it is a completion", reply.object == "chat.completion")
step("it has an id", reply.id)
step("an empty conversation is named", refused(openai.BadRequestError, "messages", lambda: client.chat.completions.create(model="default", messages=[])))
step("length is told", chat("cut short").choices[0].finish_reason == "length")
for temperature in (0, 1, 2):
    step(f"temperature {temperature}", chat(temperature=temperature).choices)
step("limits of tokens under both names", chat(max_tokens=5).choices and chat(max_completion_tokens=5).choices)
step("stop, seed and penalties", chat(stop=["x"], seed=1, presence_penalty=1, frequency_penalty=-1).choices)
several = [{"role": "system", "content": "be brief"}, *user("a"), {"role": "assistant", "content": "b"}, *user("say hi")]
step("a conversation", client.chat.completions.create(model="default", messages=several).choices[0].message.content == "hi")
parts = [{"role": "user", "content": [{"type": "text", "text": "say parts"}]}]
step("parts", client.chat.completions.create(model="default", messages=parts).choices[0].message.content == "parts")
raw = client.chat.completions.with_raw_response.create(model="default", messages=user("hello"))
step("the request has an id", raw.headers["x-request-id"])

pieces = list(chat("say one two three", stream=True))
text = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
step("a stream has the text", text == "one two three")
step("a stream has an end", any(p.choices and p.choices[0].finish_reason == "stop" for p in pieces))
step("no usage unless asked for", all(piece.usage is None for piece in pieces))
pieces = list(chat("say one", stream=True, stream_options={"include_usage": True}))
step("usage at the end when asked for", pieces[-1].usage and not pieces[-1].choices)
stream = chat("slowly", stream=True)
next(iter(stream))
stream.close()
step("a stream can be left", chat().choices)


def broken():
    for _ in chat("break off", stream=True):
        pass


try:
    broken()
    step("a stream that breaks off says so", False)
except openai.APIError:
    step("a stream that breaks off says so", True)

tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]
call = chat("weather in Riga", tools=tools).choices[0]
step("a tool is asked for", call.finish_reason == "tool_calls" and call.message.tool_calls[0].function.name == "weather")
step("its arguments are JSON", json.loads(call.message.tool_calls[0].function.arguments) == {"city": "Riga"})
result = {"role": "tool", "tool_call_id": call.message.tool_calls[0].id, "content": "7 degrees"}
said = client.chat.completions.create(model="default", messages=[*user("weather in Riga"), call.message, result], tools=tools)
step("its result is read", said.choices[0].message.content == "It says 7 degrees.")
pieces = [p.choices[0].delta.tool_calls for p in chat("weather in Riga", tools=tools, stream=True) if p.choices and p.choices[0].delta.tool_calls]
step("a tool in a stream", "".join(c.function.arguments or "" for p in pieces for c in p) == '{"city":"Riga"}')
schema = {"type": "object", "properties": {"city": {"type": "string"}, "degrees": {"type": "integer"}}}
asked = chat("as json", response_format={"type": "json_schema", "json_schema": {"name": "weather", "schema": schema}})
step("JSON after a schema", json.loads(asked.choices[0].message.content)["degrees"] == 7)

step("a wrong value is 400 and named", refused(openai.BadRequestError, "temperature", lambda: chat(temperature=9)))
step("a contradiction is 400 and named", refused(openai.BadRequestError, "tool_choice", lambda: chat(tool_choice="required")))
step("an unknown field is 400 and named", refused(openai.BadRequestError, "nonsense", lambda: chat(extra_body={"nonsense": 1})))
wrong = openai.OpenAI(base_url=f"{URL}/v1", api_key="wrong", max_retries=0)
step("a wrong key is 401", refused(openai.AuthenticationError, None, lambda: wrong.models.list()))
try:
    chat("too busy")
    step("a busy provider is told", False)
except openai.InternalServerError as error:
    step("a busy provider is told", error.status_code == 503 and error.response.headers["retry-after"])

key = {"Idempotency-Key": "clients-python"}
first, second = (client.chat.completions.create(model="default", messages=user("say once"), extra_headers=key) for _ in range(2))
step("a repeat under a key is the same", first.id == second.id)

response = client.responses.create(model="default", input="say hello")
step("a response has text", response.output_text == "hello" and response.status == "completed")
step("a response is found again", client.responses.retrieve(response.id).output_text == "hello")
step("a response goes on", client.responses.create(model="default", input="say more", previous_response_id=response.id).output_text == "more")
kinds = [event.type for event in client.responses.create(model="default", input="say hello", stream=True)]
step("a response streams", kinds[0] == "response.created" and kinds[-1] == "response.completed")
later = client.responses.create(model="default", input="slowly", background=True)
step("a response in the background is canceled", client.responses.cancel(later.id).status == "cancelled")


async def together():
    many = openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key=TOKEN, max_retries=0)
    replies = await asyncio.gather(*(many.chat.completions.create(model="default", messages=user(f"say {i}")) for i in range(20)))
    return [reply.choices[0].message.content for reply in replies] == [str(i) for i in range(20)]


step("twenty at a time", asyncio.run(together()))
assert done >= 40, done
print(f"openai for Python {openai.__version__}: {done} steps")
