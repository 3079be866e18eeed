"""The vendors' own SDKs against the scripted model, in each wire format.

Our adapters and our scripted server come from the same hands and could agree on the same mistake; the SDKs are what the providers
themselves read and write. Started by model-sdks.sh with the server's address.
"""

import json
import sys
import time

import boto3
import botocore.config
import botocore.exceptions
import openai
from google import genai
from google.genai import errors as genai_errors
from google.genai import types

URL = sys.argv[1]
KEY = "right-key"
TEXT = "Zażółć gęślą jaźń 🚀"
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CITIES = [{"city": "Łódź"}, {"city": "Kyiv"}]
done = 0


def same(found, wanted, what):
    global done
    assert found == wanted, f"{what}: {found!r} is not {wanted!r}"
    done += 1


def fails(kind, call, what):
    global done
    try:
        call()
    except kind as error:
        done += 1
        return error
    raise AssertionError(f"{what}: no {kind.__name__}")


def openai_chat():
    client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
    ask = client.chat.completions.create
    user = lambda text: [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]  # noqa: E731

    whole = ask(model="m", messages=user("hello"), temperature=0.1, max_completion_tokens=9)
    same(whole.choices[0].message.content, TEXT, "openai text")
    same(whole.choices[0].finish_reason, "stop", "openai finish reason")
    same((whole.usage.prompt_tokens, whole.usage.completion_tokens, whole.usage.total_tokens), (70, 50, 120), "openai usage")
    same(whole.usage.prompt_tokens_details.cached_tokens, 20, "openai cached tokens")
    same(whole.usage.completion_tokens_details.reasoning_tokens, 30, "openai reasoning tokens")

    chunks = list(ask(model="m", messages=user("hello"), stream=True, stream_options={"include_usage": True}))
    same("".join(c.choices[0].delta.content or "" for c in chunks if c.choices), TEXT, "openai stream")
    same(len(chunks) > 4, True, "openai stream in pieces")
    same(chunks[-1].usage.completion_tokens, 50, "openai usage of a stream")
    without = list(ask(model="m", messages=user("hello"), stream=True))
    same([c.usage for c in without if c.usage], [], "openai usage only on demand")

    tools = [{"type": "function", "function": {"name": "weather", "description": "The weather.", "parameters": CITY}}]
    messages = user("weather?")
    reply = ask(model="m", messages=messages, tools=tools)
    calls = reply.choices[0].message.tool_calls
    same([json.loads(c.function.arguments) for c in calls], CITIES, "openai calls")
    same(reply.choices[0].finish_reason, "tool_calls", "openai finish reason with calls")
    messages.append(reply.choices[0].message)
    messages += [{"role": "tool", "tool_call_id": c.id, "content": t} for c, t in zip(calls, ["rain", "sun"])]
    same(ask(model="m", messages=messages, tools=tools).choices[0].message.content, "It is rain\n\nsun.", "openai after tools")

    with client.chat.completions.stream(model="m", messages=user("weather?"), tools=tools) as stream:
        final = stream.get_final_completion()
    same([json.loads(c.function.arguments) for c in final.choices[0].message.tool_calls], CITIES, "openai streamed calls")

    form = {"type": "json_schema", "json_schema": {"name": "number", "schema": SCHEMA, "strict": True}}
    same(json.loads(ask(model="m", messages=user("a number"), response_format=form).choices[0].message.content), {"n": 7}, "openai json")

    picture = [{"role": "user", "content": [
        {"type": "text", "text": "what picture is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
    ]}]
    same(ask(model="m", messages=picture).choices[0].message.content, "A cat.", "openai picture")

    # Once as base64, which the SDK asks for by itself, and once as numbers.
    vectors = client.embeddings.create(model="m", input=["one", "two", "one"])
    same([len(d.embedding) for d in vectors.data], [8, 8, 8], "openai vectors")
    same(vectors.data[0].embedding, vectors.data[2].embedding, "openai vectors of the same text")
    numbers = client.embeddings.create(model="m", input="one", dimensions=16, encoding_format="float")
    same(len(numbers.data[0].embedding), 16, "openai dimensions")
    same([round(a, 5) for a in numbers.data[0].embedding[:8]], [round(a, 5) for a in vectors.data[0].embedding], "openai base64")
    same([m.id for m in client.models.list()], ["scripted"], "openai models")

    limited = fails(openai.RateLimitError, lambda: ask(model="m", messages=user("slow down")), "openai 429")
    same(limited.response.headers["retry-after"], "0", "openai retry-after")
    fails(openai.BadRequestError, lambda: ask(model="m", messages=user("too long")), "openai 400")
    fails(openai.InternalServerError, lambda: ask(model="m", messages=user("fall over")), "openai 500")
    fails(openai.BadRequestError, lambda: ask(model="m", messages=user("hi"), tool_choice="required"), "openai contradiction")
    fails(openai.APIError, lambda: list(ask(model="m", messages=user("break off"), stream=True)), "openai error in a stream")
    stranger = openai.OpenAI(base_url=f"{URL}/v1", api_key="wrong", max_retries=0)
    fails(openai.AuthenticationError, lambda: stranger.chat.completions.create(model="m", messages=user("hi")), "openai 401")


def bedrock():
    def connect(secret):
        return boto3.client(
            "bedrock-runtime", endpoint_url=URL, region_name="eu-central-1", aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key=secret,
            aws_session_token="a/session+token==", config=botocore.config.Config(retries={"total_max_attempts": 1}),
        )

    client = connect(KEY)
    model = "eu.anthropic.claude-sonnet-4-20250514-v1:0"
    user = lambda text: [{"role": "user", "content": [{"text": text}]}]  # noqa: E731
    text_of = lambda reply: "".join(b.get("text", "") for b in reply["output"]["message"]["content"])  # noqa: E731

    whole = client.converse(
        modelId=model, messages=user("hello"), system=[{"text": "Be brief."}],
        inferenceConfig={"maxTokens": 9, "temperature": 0.1, "topP": 0.5, "stopSequences": ["END"]},
    )
    same(text_of(whole), TEXT, "bedrock text")
    same(whole["stopReason"], "end_turn", "bedrock stop reason")
    usage = whole["usage"]
    same((usage["inputTokens"], usage["cacheReadInputTokens"], usage["outputTokens"]), (50, 20, 50), "bedrock usage")

    events = list(client.converse_stream(modelId=model, messages=user("hello"))["stream"])
    same("".join(e["contentBlockDelta"]["delta"]["text"] for e in events if "contentBlockDelta" in e), TEXT, "bedrock stream")
    same(next(iter(events[0])), "messageStart", "bedrock first event")
    same(events[-1]["metadata"]["usage"]["outputTokens"], 50, "bedrock usage of a stream")
    same([e["messageStop"]["stopReason"] for e in events if "messageStop" in e], ["end_turn"], "bedrock stop reason of a stream")

    tools = {"tools": [{"toolSpec": {"name": "weather", "description": "The weather.", "inputSchema": {"json": CITY}}}]}
    messages = user("weather?")
    reply = client.converse(modelId=model, messages=messages, toolConfig=tools)
    uses = [b["toolUse"] for b in reply["output"]["message"]["content"] if "toolUse" in b]
    same([u["input"] for u in uses], CITIES, "bedrock calls")
    same(reply["stopReason"], "tool_use", "bedrock stop reason with calls")
    messages.append(reply["output"]["message"])
    results = [{"toolResult": {"toolUseId": u["toolUseId"], "content": [{"text": t}]}} for u, t in zip(uses, ["rain", "sun"])]
    messages.append({"role": "user", "content": results})
    same(text_of(client.converse(modelId=model, messages=messages, toolConfig=tools)), "It is rain\n\nsun.", "bedrock after tools")

    blocks = {}
    for event in client.converse_stream(modelId=model, messages=user("weather?"), toolConfig=tools)["stream"]:
        if "contentBlockDelta" in event and "toolUse" in event["contentBlockDelta"]["delta"]:
            index = event["contentBlockDelta"]["contentBlockIndex"]
            blocks[index] = blocks.get(index, "") + event["contentBlockDelta"]["delta"]["toolUse"]["input"]
    same([json.loads(b) for b in blocks.values()], CITIES, "bedrock streamed calls")

    form = {"tools": [{"toolSpec": {"name": "json_reply", "inputSchema": {"json": SCHEMA}}}], "toolChoice": {"tool": {"name": "json_reply"}}}
    reply = client.converse(modelId=model, messages=user("a number"), toolConfig=form)
    same([b["toolUse"]["input"] for b in reply["output"]["message"]["content"] if "toolUse" in b], [{"n": 7}], "bedrock json")

    picture = [{"role": "user", "content": [{"text": "what picture?"}, {"image": {"format": "png", "source": {"bytes": PIXEL}}}]}]
    same(text_of(client.converse(modelId=model, messages=picture)), "A cat.", "bedrock picture")

    def invoke(name, body):
        return json.loads(client.invoke_model(modelId=name, body=json.dumps(body), contentType="application/json")["body"].read())

    titan = invoke("amazon.titan-embed-text-v2:0", {"inputText": "one two", "dimensions": 16})
    same((len(titan["embedding"]), titan["inputTextTokenCount"]), (16, 2), "bedrock titan")
    cohere = invoke("cohere.embed-multilingual-v3", {"texts": ["one", "two"], "input_type": "search_document"})
    same([len(v) for v in cohere["embeddings"]], [8, 8], "bedrock cohere")

    def status(call, what):
        return fails(botocore.exceptions.ClientError, call, what).response["Error"]["Code"]

    ask = lambda client, text: client.converse(modelId=model, messages=user(text))  # noqa: E731
    same(status(lambda: ask(client, "slow down"), "bedrock 429"), "ThrottlingException", "bedrock 429")
    same(status(lambda: ask(client, "too long"), "bedrock 400"), "ValidationException", "bedrock 400")
    same(status(lambda: ask(client, "fall over"), "bedrock 500"), "InternalServerException", "bedrock 500")
    # The signature of the SDK fits ours with the right key alone.
    same(status(lambda: ask(connect("wrong"), "hello"), "bedrock 401"), "AccessDeniedException", "bedrock 401")
    broken = lambda: list(client.converse_stream(modelId=model, messages=user("break off"))["stream"])  # noqa: E731
    fails(botocore.exceptions.EventStreamError, broken, "bedrock exception in a stream")


def gemini():
    def connect(key):
        return genai.Client(api_key=key, http_options=types.HttpOptions(base_url=URL, api_version="v1beta"))

    client = connect(KEY)
    model = "gemini-2.5-flash"
    ask = lambda text, **config: client.models.generate_content(  # noqa: E731
        model=model, contents=text, config=types.GenerateContentConfig(**config)
    )

    whole = ask("hello", system_instruction="Be brief.", temperature=0.1, max_output_tokens=9, stop_sequences=["END"], seed=7)
    same(whole.text, TEXT, "gemini text")
    same(whole.candidates[0].finish_reason, types.FinishReason.STOP, "gemini finish reason")
    usage = whole.usage_metadata
    same((usage.prompt_token_count, usage.candidates_token_count, usage.thoughts_token_count), (70, 20, 30), "gemini usage")
    same((usage.cached_content_token_count, usage.total_token_count), (20, 120), "gemini cached tokens")
    same(whole.model_version, model, "gemini model")

    chunks = list(client.models.generate_content_stream(model=model, contents="hello"))
    same("".join(c.text or "" for c in chunks), TEXT, "gemini stream")
    same(len(chunks) > 4, True, "gemini stream in pieces")
    same(chunks[-1].usage_metadata.total_token_count, 120, "gemini usage of a stream")

    for declaration in ({"parameters_json_schema": CITY}, {"parameters": types.Schema(type="OBJECT", properties={"city": types.Schema(type="STRING")})}):
        tool = types.Tool(function_declarations=[types.FunctionDeclaration(name="weather", description="The weather.", **declaration)])
        manual = {"tools": [tool], "automatic_function_calling": types.AutomaticFunctionCallingConfig(disable=True)}
        reply = ask("weather?", **manual)
        same([c.args for c in reply.function_calls], CITIES, "gemini calls")
        results = [
            types.Part(function_response=types.FunctionResponse(id=c.id, name=c.name, response={"output": t}))
            for c, t in zip(reply.function_calls, ["rain", "sun"])
        ]
        talk = [types.Content(role="user", parts=[types.Part(text="weather?")]), reply.candidates[0].content, types.Content(role="user", parts=results)]
        same(ask(talk, **manual).text, "It is rain\n\nsun.", "gemini after tools")
        streamed = list(client.models.generate_content_stream(model=model, contents="weather?", config=types.GenerateContentConfig(**manual)))
        same([c.args for s in streamed for c in s.function_calls or []], CITIES, "gemini streamed calls")

    schema = types.Schema(type="OBJECT", properties={"n": types.Schema(type="INTEGER")}, required=["n"])
    same(json.loads(ask("a number", response_mime_type="application/json", response_schema=schema).text), {"n": 7}, "gemini json")
    same(json.loads(ask("a number", response_mime_type="application/json", response_json_schema=SCHEMA).text), {"n": 7}, "gemini json schema")
    picture = [types.Part(text="what picture?"), types.Part.from_bytes(data=PIXEL, mime_type="image/png")]
    same(ask(picture).text, "A cat.", "gemini picture")

    vectors = client.models.embed_content(model="text-embedding-004", contents=["one", "two", "one"])
    same([len(e.values) for e in vectors.embeddings], [8, 8, 8], "gemini vectors")
    same(vectors.embeddings[0].values, vectors.embeddings[2].values, "gemini vectors of the same text")
    sized = client.models.embed_content(model="m", contents="one", config=types.EmbedContentConfig(output_dimensionality=16))
    same(len(sized.embeddings[0].values), 16, "gemini dimensions")

    same(fails(genai_errors.ClientError, lambda: ask("slow down"), "gemini 429").code, 429, "gemini 429")
    same(fails(genai_errors.ClientError, lambda: ask("too long"), "gemini 400").status, "INVALID_ARGUMENT", "gemini 400")
    same(fails(genai_errors.ServerError, lambda: ask("fall over"), "gemini 500").code, 500, "gemini 500")
    # Kept in a name: a client closes its connections when nobody holds it.
    stranger = connect("wrong")
    refused = lambda: stranger.models.generate_content(model=model, contents="hello")  # noqa: E731
    same(fails(genai_errors.ClientError, refused, "gemini 401").code, 401, "gemini 401")


for run in (openai_chat, bedrock, gemini):
    before, began = done, time.monotonic()
    run()
    print(f"{run.__name__}: {done - before} checks, {time.monotonic() - began:.1f} s")
