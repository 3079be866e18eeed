//! Refusals, failures and broken replies.

use futures_util::StreamExt;

use super::*;
use crate::{
    chat::EmbedRequest,
    error::Stage,
    provider::reply::{Decode, Out},
};

#[tokio::test]
async fn a_refusal_becomes_the_error_that_says_what_can_be_done() {
    type Fits = fn(&ModelGatewayError) -> bool;
    let cases: [(&str, Fits); 11] = [
        (
            "status = 429\nretry_after = \"7\"",
            |e| matches!(e, ModelGatewayError::ProviderOverloaded { retry_after: Some(wait) } if wait.as_secs() == 7),
        ),
        ("status = 503", |e| matches!(e, ModelGatewayError::ProviderOverloaded { retry_after: None })),
        ("status = 529", |e| matches!(e, ModelGatewayError::ProviderOverloaded { .. })),
        ("status = 500", |e| matches!(e, ModelGatewayError::ProviderServerError { status: Some(500), started: false, .. })),
        ("status = 504", |e| matches!(e, ModelGatewayError::ProviderTimeout { stage: Stage::FirstToken })),
        ("status = 400", |e| matches!(e, ModelGatewayError::Refused { status: Some(400), .. })),
        ("status = 401", |e| matches!(e, ModelGatewayError::Refused { status: Some(401), .. })),
        ("status = 404", |e| matches!(e, ModelGatewayError::Refused { status: Some(404), .. })),
        ("status = 400\nanswer = \"API key not valid. Please pass a valid API key.\"", |e| {
            matches!(e, ModelGatewayError::Refused { status: Some(401), .. })
        }),
        ("status = 400\nanswer = \"Input is too long for requested model.\"", |e| matches!(e, ModelGatewayError::ContextOverflow { .. })),
        ("status = 400\nanswer = \"This model's maximum context length is 8192 tokens.\"", |e| {
            matches!(e, ModelGatewayError::ContextOverflow { .. })
        }),
    ];
    for format in FORMATS {
        for (rule, fits) in cases {
            let (server, adapter) = format.with(&format!("[[rules]]\n{rule}")).await;
            for result in [whole(&*adapter, &ask("hello")).await, streamed(&*adapter, &ask("hello")).await] {
                let error = result.unwrap_err();
                assert!(fits(&error), "{format:?} {rule}: {error:?}");
            }
            assert_eq!(server.requests(), 2, "an adapter asks once");
        }
    }
}

#[tokio::test]
async fn a_key_that_is_refused_shows_nowhere() {
    for format in FORMATS {
        let (server, _) = format.with("[[rules]]\nanswer = \"a\"").await;
        let adapter = format.adapter(&server, "sk-hunter2");
        let embed = EmbedRequest { inputs: vec!["a".to_owned()], ..EmbedRequest::default() };
        let errors = [
            whole(&*adapter, &ask("hello")).await.unwrap_err(),
            streamed(&*adapter, &ask("hello")).await.unwrap_err(),
            adapter.embed("m", &embed, Instant::now() + LONG).await.unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, ModelGatewayError::Refused { status: Some(401), .. }), "{format:?}: {error:?}");
            assert!(!format!("{error:?} {adapter:?}").contains("hunter2"), "{format:?}: {error:?}");
        }
    }
}

#[tokio::test]
async fn what_is_not_the_protocol_is_an_error_and_not_a_hang() {
    for format in FORMATS {
        for dress in [
            "fault = \"invalid_json\"",
            "fault = \"invalid_json\"\nfault_after = 2",
            "fault = \"invalid_utf8\"\nfault_after = 1",
            "fault = \"long_line\"\nfault_after = 1",
            "fault = \"wrong_checksum\"\nfault_after = 1",
            "fault = \"html\"",
            "content_type = \"text/html\"",
            "content_type = \"application/octet-stream\"",
        ] {
            let (_server, adapter) = format.with(&format!("[[rules]]\nanswer = \"a b c\"\n{dress}")).await;
            for result in [whole(&*adapter, &ask("hello")).await, streamed(&*adapter, &ask("hello")).await] {
                let error = result.unwrap_err();
                assert!(matches!(error, ModelGatewayError::Protocol { .. }), "{format:?} {dress}: {error:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_error_behind_a_status_of_success_is_an_error() {
    for format in FORMATS {
        let (_server, adapter) = format.with("[[rules]]\nanswer = \"a b c\"\nfault = \"error_event\"\nfault_after = 1").await;
        let error = whole(&*adapter, &ask("hello")).await.unwrap_err();
        assert!(matches!(error, ModelGatewayError::ProviderServerError { started: false, .. }), "{format:?}: {error:?}");
        let (pieces, end) = pieces(&*adapter, &ask("hello"), limits()).await;
        assert_eq!(pieces, [ChatDelta::Text("a ".to_owned())], "{format:?}");
        assert!(matches!(end, Err(ModelGatewayError::ProviderServerError { started: true, .. })), "{format:?}: {end:?}");
    }
}

#[tokio::test]
async fn the_character_nul_does_not_reach_the_caller() {
    for format in FORMATS {
        let (_server, adapter) = format.with("[[rules]]\nanswer = \"x\"\nfault = \"nul\"\nfault_after = 1").await;
        assert_eq!(whole(&*adapter, &ask("hello")).await.unwrap().text, "xab", "{format:?}");
        assert_eq!(streamed(&*adapter, &ask("hello")).await.unwrap().text, "xab", "{format:?}");
    }
}

#[tokio::test]
async fn silence_is_a_timeout_at_every_stage() {
    for format in FORMATS {
        let now = Instant::now;
        let short = Duration::from_millis(80);
        let (_server, adapter) = format.with("[[rules]]\nfault = \"hang\"").await;
        let (_, end) = pieces(&*adapter, &ask("hello"), Limits { first: now() + short, ..limits() }).await;
        assert!(matches!(end, Err(ModelGatewayError::ProviderTimeout { stage: Stage::FirstToken })), "{format:?}: {end:?}");
        let (_, end) = pieces(&*adapter, &ask("hello"), Limits { whole: now() + short, ..limits() }).await;
        assert!(matches!(end, Err(ModelGatewayError::ProviderTimeout { stage: Stage::Whole })), "{format:?}: {end:?}");
        let request = Arc::new(ask("hello"));
        let call = Call { model: MODEL, request: &request, limits: Limits { whole: now() + short, ..limits() } };
        let error = adapter.complete(call).await.unwrap_err();
        assert!(matches!(error, ModelGatewayError::ProviderTimeout { stage: Stage::Whole }), "{format:?}: {error:?}");
        let (_server, adapter) = format.with("[[rules]]\nanswer = \"a b c\"\nfault = \"hang\"\nfault_after = 2\ncomments = true").await;
        let (pieces, end) = pieces(&*adapter, &ask("hello"), Limits { idle: Duration::from_millis(600), ..limits() }).await;
        assert_eq!(pieces.len(), 2, "{format:?}");
        assert!(matches!(end, Err(ModelGatewayError::ProviderTimeout { stage: Stage::Idle })), "{format:?}: {end:?}");
    }
}

/// A reply with text, two calls and usage, cut after each of its bytes, by a break and by an end in good order.
async fn cut_everywhere(format: Format, stream: bool) {
    const RULE: &str =
        "answer = \"Zażółć jaźń\"\ncalls = [{ name = \"weather\", arguments = '{\"city\": \"Łódź\"}' }, { name = \"clock\" }]";
    let request = ChatRequest { tools: vec![weather()], ..ask("hello") };
    let (_server, adapter) = format.with(&format!("[[rules]]\n{RULE}")).await;
    let recorded = if stream { streamed(&*adapter, &request).await } else { whole(&*adapter, &request).await }.unwrap();
    // Ids carry the number of the request.
    let said = |reply: &ChatReply| {
        let calls: Vec<_> = reply.tool_calls.iter().map(|c| (c.name.clone(), c.arguments.clone())).collect();
        (reply.text.clone(), calls, reply.finish_reason)
    };
    const MOST: usize = 2_500;
    let way = ["cut_bytes", "end_bytes"];
    let rule = |way: &str, at: usize| format!("[[rules]]\ncontains = \"<{way} {at}>\"\n{RULE}\n{way} = {at}\n");
    // A whole reply is one text, of which most cuts are alike.
    let places: Vec<usize> = (0..MOST).step_by(if stream { 1 } else { 3 }).collect();
    let (mut failed, mut complete) = (0, 0);
    for places in places.chunks(200) {
        let rules: String = places.iter().flat_map(|at| way.map(|way| rule(way, *at))).collect();
        let (_server, adapter) = format.with(&rules).await;
        let outcome = |way: &'static str, at: usize| {
            let (adapter, request) = (Arc::clone(&adapter), ChatRequest { tools: vec![weather()], ..ask(&format!("<{way} {at}>")) });
            async move {
                if !stream {
                    return (way, at, whole(&*adapter, &request).await);
                }
                let (pieces, end) = pieces(&*adapter, &request, limits()).await;
                let text: String = pieces.iter().filter_map(|p| if let ChatDelta::Text(t) = p { Some(t.as_str()) } else { None }).collect();
                assert!("Zażółć jaźń".starts_with(&text), "{format:?} {way} {at}: {text}");
                (way, at, end.map(|()| collected(pieces)))
            }
        };
        let tries = places.iter().flat_map(|at| way.map(|way| (way, *at)));
        let mut tries = futures_util::stream::iter(tries).map(|(way, at)| outcome(way, at)).buffered(16);
        while let Some((way, at, result)) = tries.next().await {
            match result {
                Ok(reply) => {
                    assert_eq!(said(&reply), said(&recorded), "{format:?} {way} {at}");
                    complete += 1;
                }
                Err(ModelGatewayError::ProviderServerError { .. } | ModelGatewayError::Protocol { .. }) => failed += 1,
                Err(other) => panic!("{format:?} {way} {at}: {other:?}"),
            }
        }
        // The recorded bytes are over: from here on nothing is missing.
        if complete > 100 {
            break;
        }
    }
    assert!(failed > 200 && complete > 0, "{format:?}: {failed} failed, {complete} complete");
}

#[tokio::test]
async fn a_stream_of_openai_that_is_cut_anywhere_is_whole_or_an_error() {
    cut_everywhere(Format::OpenAi, true).await;
}

#[tokio::test]
async fn a_stream_of_bedrock_that_is_cut_anywhere_is_whole_or_an_error() {
    cut_everywhere(Format::Bedrock, true).await;
}

#[tokio::test]
async fn a_stream_of_gemini_that_is_cut_anywhere_is_whole_or_an_error() {
    cut_everywhere(Format::Gemini, true).await;
}

#[tokio::test]
async fn a_whole_reply_that_is_cut_anywhere_is_whole_or_an_error() {
    for format in FORMATS {
        cut_everywhere(format, false).await;
    }
}

type Sample = (Format, Vec<u8>, fn() -> Box<dyn Decode>);

/// A stream of each format, and what reads it.
fn samples() -> [Sample; 3] {
    use crate::scripted::plan::{Answer, Step, sample};
    let calls = [("weather".to_owned(), "{\"city\": \"Łódź\"}".to_owned())];
    let answer = Answer { number: 1, model: "m", text: "Zażółć jaźń", calls: &calls, usage: Default::default(), include_usage: true };
    let bytes = |format: &str| {
        let steps = sample(format, &answer);
        steps.iter().flat_map(|s| if let Step::Send(bytes) = s { bytes.to_vec() } else { Vec::new() }).collect()
    };
    [
        (Format::OpenAi, bytes("openai"), || Box::<crate::openai::decode::Decoder>::default()),
        (Format::Bedrock, bytes("bedrock"), || Box::new(crate::bedrock::decode::Decoder::new(false))),
        (Format::Gemini, bytes("gemini"), || Box::<crate::gemini::decode::Decoder>::default()),
    ]
}

/// Bytes of sound replies with some changed, dropped or doubled, by a generator that repeats.
#[test]
fn no_damage_to_a_reply_makes_a_decoder_panic() {
    let random = astrolabe_kernel::Random::seeded(7);
    let below = |n: usize| usize::try_from(random.below(n as u64)).unwrap();
    let request = Arc::new(ask("hello"));
    for (format, sound, make) in samples() {
        for _ in 0..20_000 {
            let mut bytes = sound.clone();
            for _ in 0..=below(3) {
                let at = below(bytes.len());
                match below(4) {
                    0 => bytes[at] = u8::try_from(below(256)).unwrap(),
                    1 => drop(bytes.drain(at..(at + 1 + below(20)).min(bytes.len()))),
                    2 => {
                        let piece = bytes[at..(at + 1 + below(20)).min(bytes.len())].to_vec();
                        bytes.splice(at..at, piece);
                    }
                    _ => bytes.truncate(at.max(1)),
                }
                if bytes.is_empty() {
                    bytes.push(0);
                }
            }
            let (mut decoder, mut out) = (make(), Out::new("m", &request));
            let cut = below(bytes.len());
            let _ = decoder
                .push(&bytes[..cut], &mut out)
                .and_then(|_| decoder.push(&bytes[cut..], &mut out))
                .and_then(|_| decoder.finish(&mut out));
            let _ = make().whole(&bytes, &mut Out::new("m", &request));
            let pieces: Vec<_> = std::iter::from_fn(|| out.take()).collect();
            let ends = pieces.iter().filter(|p| matches!(p, ChatDelta::End(_))).count();
            assert!(ends <= 1 && (ends == 0 || matches!(pieces.last(), Some(ChatDelta::End(_)))), "{format:?}: {pieces:?}");
        }
    }
}
