//! Sound replies.

use serde_json::json;

use super::*;
use crate::chat::{
    EmbedRequest, FinishReason, Image, ImageKind, Part, ReasoningEffort, ResponseFormat, Role, ToolChoice, ToolResult, Usage,
};

#[tokio::test]
async fn a_reply_is_the_same_as_a_whole_and_as_a_stream() {
    for format in FORMATS {
        let rules = "[[rules]]\nanswer = \"Zażółć gęślą\\n\\n日本 🚀\"\nusage = { prompt_tokens = 70, completion_tokens = 50, \
                     prompt_tokens_details = { cached_tokens = 20 }, completion_tokens_details = { reasoning_tokens = 30 } }";
        let (_server, adapter) = format.with(rules).await;
        let reply = whole(&*adapter, &ask("hello")).await.unwrap();
        assert_eq!((reply.text.as_str(), reply.finish_reason), ("Zażółć gęślą\n\n日本 🚀", FinishReason::Stop), "{format:?}");
        // Converse does not say what was thought.
        let reasoning = if format == Format::Bedrock { 0 } else { 30 };
        assert_eq!(reply.usage, Usage { input: 70, output: 50, cached: 20, reasoning, estimated: false }, "{format:?}");
        assert_eq!(reply.model, MODEL, "{format:?}");
        assert_eq!(streamed(&*adapter, &ask("hello")).await.unwrap(), reply, "{format:?}");
    }
}

#[tokio::test]
async fn a_stream_comes_in_pieces_however_its_bytes_are_cut_and_dressed() {
    for format in FORMATS {
        for dress in ["", "wire_bytes = 1", "wire_bytes = 7\ncrlf = true", "comments = true\npause_ms = 1", "never_stream = true"] {
            let (_server, adapter) = format.with(&format!("[[rules]]\nanswer = \"one two three\"\n{dress}")).await;
            let (pieces, end) = pieces(&*adapter, &ask("hello"), limits()).await;
            end.unwrap();
            if dress != "never_stream = true" {
                assert_eq!(pieces[..2], [ChatDelta::Text("one ".to_owned()), ChatDelta::Text("two ".to_owned())], "{format:?} {dress}");
            }
            assert_eq!(collected(pieces).text, "one two three", "{format:?} {dress}");
        }
    }
}

#[tokio::test]
async fn why_a_reply_ended_is_said_in_one_language() {
    for format in FORMATS {
        for (word, reason) in
            [("length", FinishReason::Length), ("content_filter", FinishReason::ContentFilter), ("stop", FinishReason::Stop)]
        {
            let (_server, adapter) = format.with(&format!("[[rules]]\nanswer = \"a\"\nfinish_reason = \"{word}\"")).await;
            assert_eq!(whole(&*adapter, &ask("hello")).await.unwrap().finish_reason, reason, "{format:?}");
            assert_eq!(streamed(&*adapter, &ask("hello")).await.unwrap().finish_reason, reason, "{format:?}");
        }
    }
}

#[tokio::test]
async fn an_empty_reply_is_a_reply() {
    for format in FORMATS {
        let (_server, adapter) = format.with("[[rules]]\nanswer = \"\"").await;
        assert_eq!(whole(&*adapter, &ask("hello")).await.unwrap().text, "", "{format:?}");
        assert_eq!(streamed(&*adapter, &ask("hello")).await.unwrap().text, "", "{format:?}");
    }
}

#[tokio::test]
async fn tools_are_called_answered_and_the_reply_goes_on() {
    let rules = "[[rules]]\nafter_tools = true\nanswer = \"So: {{result}}\"\n[[rules]]\nanswer = \"Let me look.\"\ncalls = [\
                 { name = \"weather\", arguments = '{\"city\": \"Łódź 🚀\"}' }, { name = \"weather\", arguments = '{\"city\": \"Kyiv\"}' }, { name = \"clock\" }]";
    for format in FORMATS {
        let (server, adapter) = format.with(rules).await;
        let clock = Tool { name: "clock".to_owned(), description: String::new(), parameters: json!({"type": "object"}), strict: false };
        let mut request = ChatRequest { tools: vec![weather(), clock], ..ask("weather?") };
        for stream in [false, true] {
            let reply = if stream { streamed(&*adapter, &request).await } else { whole(&*adapter, &request).await }.unwrap();
            assert_eq!((reply.text.as_str(), reply.finish_reason), ("Let me look.", FinishReason::ToolCalls), "{format:?}");
            let calls = &reply.tool_calls;
            let arguments: Vec<serde_json::Value> = calls.iter().map(|c| serde_json::from_str(&c.arguments).unwrap()).collect();
            assert_eq!(arguments, [json!({"city": "Łódź 🚀"}), json!({"city": "Kyiv"}), json!({})], "{format:?}");
            assert_eq!(calls.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["weather", "weather", "clock"], "{format:?}");
            assert!(calls[0].id != calls[1].id && !calls[0].id.is_empty(), "{format:?}");
            // The results come in another order than the calls.
            let results = [(2, "noon", false), (0, "rain", false), (1, "unknown city", true)];
            let results =
                results.map(|(i, content, is_error)| ToolResult { call_id: calls[i].id.clone(), content: content.to_owned(), is_error });
            let mut next = request.clone();
            next.messages.extend([reply.clone().into_message(), Message::tool_results(results)]);
            next.messages = crate::conversation::normalise(next.messages).unwrap();
            let reply = if stream { streamed(&*adapter, &next).await } else { whole(&*adapter, &next).await }.unwrap();
            assert_eq!((reply.text.as_str(), reply.finish_reason), ("So: noon\n\nrain\n\nunknown city", FinishReason::Stop), "{format:?}");
            // The conversation goes on when no tools are offered any more.
            next.tools.clear();
            assert!(whole(&*adapter, &next).await.is_ok(), "{format:?}");
        }
        if format == Format::Gemini {
            assert!(server.bodies()[1].to_string().contains("\"thoughtSignature\":\"c2lnbmF0dXJl\""), "the signature comes back");
        }
        request.tool_choice = ToolChoice::None;
        assert!(whole(&*adapter, &request).await.is_ok(), "{format:?}");
    }
}

#[tokio::test]
async fn a_tool_can_be_demanded() {
    for format in FORMATS {
        let (_server, adapter) = format.with("[[rules]]\nanswer = '{\"city\":\"Oslo\"}'").await;
        let request =
            ChatRequest { tools: vec![weather()], tool_choice: ToolChoice::Tool("weather".to_owned()), ..ask("weather in Oslo?") };
        for reply in [whole(&*adapter, &request).await.unwrap(), streamed(&*adapter, &request).await.unwrap()] {
            assert_eq!((reply.tool_calls.len(), reply.tool_calls[0].name.as_str()), (1, "weather"), "{format:?}");
            assert_eq!(reply.tool_calls[0].arguments, "{\"city\":\"Oslo\"}", "{format:?}");
        }
    }
}

#[tokio::test]
async fn json_after_a_schema_comes_as_text() {
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": false});
    let with_schema = ResponseFormat::JsonSchema { name: "number".to_owned(), description: None, schema: schema.clone(), strict: true };
    for format in FORMATS {
        let (server, adapter) = format.with("[[rules]]\nanswer = '{\"n\":7}'").await;
        for response_format in [with_schema.clone(), ResponseFormat::JsonObject] {
            let request = ChatRequest { response_format, ..ask("a number") };
            for reply in [whole(&*adapter, &request).await.unwrap(), streamed(&*adapter, &request).await.unwrap()] {
                assert_eq!((reply.text.as_str(), reply.finish_reason), ("{\"n\":7}", FinishReason::Stop), "{format:?}");
                assert!(reply.tool_calls.is_empty(), "{format:?}");
            }
        }
        assert!(server.bodies()[0].to_string().contains(&schema["properties"].to_string()), "{format:?}: the schema was sent");
    }
}

#[tokio::test]
async fn pictures_and_parameters_arrive() {
    for format in FORMATS {
        let (server, adapter) = format.with("[[rules]]\nanswer = \"a cat\"").await;
        let image = Part::Image(Image::Inline { kind: ImageKind::Webp, base64: "UklGRg==".to_owned() });
        let request = ChatRequest {
            messages: vec![Message { role: Role::User, content: vec![Part::Text("what is it?".to_owned()), image] }],
            max_tokens: Some(123),
            temperature: Some(0.5),
            top_p: Some(0.25),
            stop: vec!["END".to_owned()],
            seed: (format != Format::Bedrock).then_some(-1),
            reasoning_effort: (format != Format::Bedrock).then_some(ReasoningEffort::Low),
            ..ChatRequest::default()
        };
        assert_eq!(whole(&*adapter, &request).await.unwrap().text, "a cat", "{format:?}");
        let sent = server.bodies()[0].to_string();
        for part in ["UklGRg==", "123", "0.5", "0.25", "END", "webp"] {
            assert!(sent.contains(part), "{format:?} {part}: {sent}");
        }
    }
}

#[tokio::test]
async fn a_picture_by_address_is_refused_where_it_cannot_be_fetched() {
    let image = Part::Image(Image::Url("https://example.com/cat.png".to_owned()));
    let request = ChatRequest { messages: vec![Message { role: Role::User, content: vec![image] }], ..ChatRequest::default() };
    for format in FORMATS {
        let (server, adapter) = format.with("[[rules]]\nanswer = \"a cat\"").await;
        match (format, whole(&*adapter, &request).await) {
            (Format::OpenAi, Ok(_)) => {}
            (_, Err(ModelGatewayError::Invalid(e))) => assert_eq!((e.fields()[0].field.as_str(), server.requests()), ("messages", 0)),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn texts_become_vectors_in_their_order_however_many_there_are() {
    for format in FORMATS {
        let (_server, adapter) = format.with("[[rules]]\nanswer = \"\"").await;
        let inputs: Vec<String> = (0..250).map(|i| format!("text {i}")).collect();
        for model in ["amazon.titan-embed-text-v2:0", "cohere.embed-multilingual-v3"] {
            let dimensions = model.starts_with("amazon").then_some(16);
            let request = EmbedRequest { inputs: inputs.clone(), dimensions, deadline: None };
            let reply = adapter.embed(model, &request, Instant::now() + LONG).await.unwrap();
            assert_eq!((reply.vectors.len(), reply.vectors[0].len()), (250, if dimensions.is_some() { 16 } else { 8 }), "{format:?}");
            for at in [0, 95, 96, 249] {
                assert_eq!(reply.vectors[at], crate::scripted::plan::vector(&inputs[at], dimensions.map(|d| d as usize)), "{format:?}");
            }
            assert!(reply.usage.input >= 250, "{format:?} {:?}", reply.usage);
        }
    }
}

#[tokio::test]
async fn a_provider_that_does_not_count_gets_an_estimate_that_says_so() {
    for format in FORMATS {
        let (_server, adapter) = format.with("[[rules]]\nanswer = \"Four words are here.\"\nno_usage = true").await;
        for reply in [whole(&*adapter, &ask("hello")).await.unwrap(), streamed(&*adapter, &ask("hello")).await.unwrap()] {
            assert_eq!(reply.usage, Usage { input: 11, output: 5, estimated: true, ..Usage::default() }, "{format:?}");
        }
    }
}

#[tokio::test]
async fn dropping_a_stream_hangs_up() {
    for format in FORMATS {
        let (server, adapter) = format.with("[[rules]]\nanswer = \"a b c\"\nfault = \"hang\"\nfault_after = 1").await;
        let request = Arc::new(ask("hello"));
        let mut stream = adapter.stream(Call { model: MODEL, request: &request, limits: limits() }).await.unwrap();
        assert_eq!(stream.next().await.unwrap(), Some(ChatDelta::Text("a ".to_owned())), "{format:?}");
        server.until_open(1).await;
        drop(stream);
        server.until_open(0).await;
    }
}

#[tokio::test]
async fn a_probe_says_whether_the_provider_is_there_and_takes_the_key() {
    for format in FORMATS {
        let (server, adapter) = format.with("[[rules]]\nanswer = \"a\"").await;
        adapter.probe(Instant::now() + LONG).await.unwrap();
        let stranger = format.adapter(&server, "sk-hunter2").probe(Instant::now() + LONG).await;
        // Bedrock has nothing to ask that costs nothing.
        assert_eq!(stranger.is_ok(), format == Format::Bedrock, "{format:?}");
    }
}
