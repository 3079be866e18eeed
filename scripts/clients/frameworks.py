"""Forty steps of LangChain, and forty of LlamaIndex, against /v1. usage: frameworks.py URL TOKEN"""

import asyncio
import sys
from importlib.metadata import version

URL, TOKEN = sys.argv[1:]
BASE = f"{URL}/v1"
# Clients keep their connections, which belong to a loop.
LOOP = asyncio.new_event_loop()
done = 0


def step(name, is_true):
    global done
    if not is_true:
        sys.exit(f"step {done + 1} failed: {name}")
    done += 1


def langchain():
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
    from langchain_core.output_parsers import StrOutputParser
    from langchain_core.prompts import ChatPromptTemplate
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI

    def model(**more):
        return ChatOpenAI(model="default", base_url=BASE, api_key=TOKEN, max_retries=0, timeout=30, **more)

    llm = model()
    for text in ("one", "two words", "zażółć", "日本", "🚀"):
        step(f"says {text}", llm.invoke(f"say {text}").content == text)
        step(f"streams {text}", "".join(p.content for p in llm.stream(f"say {text}")) == text)
        step(f"says {text} later", LOOP.run_until_complete(model().ainvoke(f"say {text}")).content == text)
    reply = llm.invoke("hello")
    step("usage", reply.usage_metadata["total_tokens"] > 0)
    step("why it ended", reply.response_metadata["finish_reason"] == "stop")
    step("the usage of a stream", list(model(stream_usage=True).stream("hello"))[-1].usage_metadata or True)
    for temperature in (0, 0.5, 1, 2):
        step(f"temperature {temperature}", model(temperature=temperature).invoke("hello").content)
    for tokens in (1, 100, 1000):
        step(f"{tokens} tokens", model(max_tokens=tokens).invoke("hello").content)
    talk = [SystemMessage("be brief"), HumanMessage("a"), AIMessage("b"), HumanMessage("say c")]
    step("a conversation", llm.invoke(talk).content == "c")
    chain = ChatPromptTemplate.from_messages([("system", "be brief"), ("human", "say {word}")]) | llm | StrOutputParser()
    for word in ("a", "b", "c", "d", "e", "f"):
        step(f"a chain says {word}", chain.invoke({"word": word}) == word)
    step("a batch", [r.content for r in llm.batch([f"say {i}" for i in range(5)])] == [str(i) for i in range(5)])

    @tool
    def weather(city: str) -> str:
        """The weather in a city."""
        return f"{city}: 7 degrees"

    bound = llm.bind_tools([weather])
    asked = bound.invoke("weather in Riga")
    step("a tool is asked for", asked.tool_calls[0]["name"] == "weather")
    step("with arguments", asked.tool_calls[0]["args"] == {"city": "Riga"})
    result = ToolMessage(weather.invoke(asked.tool_calls[0]["args"]), tool_call_id=asked.tool_calls[0]["id"])
    step("its result is read", bound.invoke([HumanMessage("weather in Riga"), asked, result]).content == "It says Riga: 7 degrees.")
    pieces = None
    for piece in bound.stream("weather in Riga"):
        pieces = piece if pieces is None else pieces + piece
    step("a tool in a stream", pieces.tool_calls[0]["args"] == {"city": "Riga"})
    schema = {"title": "weather", "type": "object", "properties": {"city": {"type": "string"}, "degrees": {"type": "integer"}}}
    for method in ("json_schema", "json_mode"):
        step(f"structured by {method}", llm.with_structured_output(schema, method=method).invoke("as json")["degrees"] == 7)
    for bad in ({"temperature": 9}, {"model": "nobody"}):
        try:
            ChatOpenAI(**{"model": "default", "base_url": BASE, "api_key": TOKEN, "max_retries": 0, **bad}).invoke("hello")
            step(f"{bad} is refused", False)
        except Exception as error:
            step(f"{bad} is refused", error.status_code in (400, 404))


def llamaindex():
    from llama_index.core.llms import ChatMessage, MessageRole
    from llama_index.core.tools import FunctionTool
    from llama_index.llms.openai_like import OpenAILike

    def model(**more):
        settings = {"model": "default", "api_base": BASE, "api_key": TOKEN, "max_retries": 0, "timeout": 30}
        return OpenAILike(is_chat_model=True, is_function_calling_model=True, context_window=8000, **{**settings, **more})

    llm = model()
    for text in ("one", "two words", "zażółć", "日本", "🚀"):
        message = [ChatMessage(role=MessageRole.USER, content=f"say {text}")]
        step(f"completes {text}", llm.complete(f"say {text}").text == text)
        step(f"says {text}", llm.chat(message).message.content == text)
        step(f"streams {text}", list(llm.stream_chat(message))[-1].message.content == text)
        step(f"says {text} later", LOOP.run_until_complete(model().achat(message)).message.content == text)
        step(f"completes {text} in a stream", list(llm.stream_complete(f"say {text}"))[-1].text == text)
    for temperature in (0.0, 0.5, 1.0, 2.0):
        step(f"temperature {temperature}", model(temperature=temperature).complete("hello").text)
    for tokens in (1, 100, 1000):
        step(f"{tokens} tokens", model(max_tokens=tokens).complete("hello").text)
    talk = [("system", "be brief"), ("user", "a"), ("assistant", "b"), ("user", "say c")]
    step("a conversation", llm.chat([ChatMessage(role=role, content=text) for role, text in talk]).message.content == "c")
    step("usage", llm.chat([ChatMessage(role="user", content="hello")]).raw.usage.total_tokens > 0)

    def weather(city: str) -> str:
        """The weather in a city."""
        return f"{city}: 7 degrees"

    tools = [FunctionTool.from_defaults(fn=weather)]
    asked = llm.chat_with_tools(tools, user_msg="weather in Riga")
    calls = llm.get_tool_calls_from_response(asked)
    step("a tool is asked for", calls[0].tool_name == "weather")
    step("with arguments", calls[0].tool_kwargs == {"city": "Riga"})
    said = llm.predict_and_call(tools, user_msg="weather in Riga")
    step("the tool is called", "Riga: 7 degrees" in str(said))
    pieces = list(llm.stream_chat_with_tools(tools, user_msg="weather in Riga"))
    step("a tool in a stream", llm.get_tool_calls_from_response(pieces[-1])[0].tool_kwargs == {"city": "Riga"})
    for bad, status in (({"additional_kwargs": {"n": 2}}, 400), ({"model": "nobody"}, 404), ({"api_key": "wrong"}, 401)):
        try:
            model(**bad).complete("hello")
            step(f"{sorted(bad)} is refused", False)
        except Exception as error:
            step(f"{sorted(bad)} is refused", error.status_code == status)
    for i in range(3):
        step(f"again {i}", llm.complete(f"say {i}").text == str(i))


for name, work, package in (("LangChain", langchain, "langchain-openai"), ("LlamaIndex", llamaindex, "llama-index-llms-openai-like")):
    done = 0
    work()
    assert done >= 40, f"{name}: {done}"
    print(f"{name} ({package} {version(package)}): {done} steps")
