//! The client against the scripted provider, over a real socket.

use std::{net::SocketAddr, path::Path, time::Duration};

use astrolabe_kernel::{
    Clock, Lifecycle, Random, Timestamp,
    config::Secret,
    egress::{Egress, EgressConfig},
};

use crate::{
    chat::{ChatDelta, ChatReply, ChatRequest, FinishReason, Message, Usage},
    config::GatewayConfig,
    error::{ModelGatewayError, Stage},
    gateway::{Gateway, Pace, Status},
    scripted::{Script, ScriptedServer, start_if_configured},
};

/// Long enough never to be reached on a busy machine, for the waits that a test is not about.
const LONG: Duration = Duration::from_secs(60);
/// Short, for the wait that a test is about.
const SHORT: Duration = Duration::from_millis(60);

const PACE: Pace = Pace { whole: LONG, first_token: LONG, idle: LONG, backoff: Duration::from_millis(2) };

async fn serve(rules: &str) -> ScriptedServer {
    ScriptedServer::start(Script::from_toml(rules).unwrap(), SocketAddr::from(([127, 0, 0, 1], 0)), &Lifecycle::new()).await.unwrap()
}

fn gateway_with(server: &ScriptedServer, pace: Pace, change: impl FnOnce(&mut GatewayConfig)) -> Gateway {
    let mut config = GatewayConfig { base_url: server.base_url(), name: "test-model".to_owned(), ..GatewayConfig::default() };
    change(&mut config);
    let egress = Egress::new(EgressConfig { offline: true, ..EgressConfig::default() }).unwrap();
    Gateway::with_pace(config, pace, egress, Clock::System, Random::seeded(1)).unwrap()
}

fn gateway(server: &ScriptedServer) -> Gateway {
    gateway_with(server, PACE, |_| {})
}

fn ask(text: &str) -> ChatRequest {
    ChatRequest { messages: vec![Message::system("be brief"), Message::user(text)], ..ChatRequest::default() }
}

async fn reply(rules: &str) -> Result<ChatReply, ModelGatewayError> {
    gateway(&serve(rules).await).chat(ask("hello")).await
}

/// The texts of a stream and how it ended.
async fn pieces(gateway: &Gateway) -> (Vec<String>, Result<FinishReason, ModelGatewayError>) {
    let mut stream = match gateway.chat_stream(ask("hello")).await {
        Ok(stream) => stream,
        Err(e) => return (Vec::new(), Err(e)),
    };
    let mut texts = Vec::new();
    let mut end = None;
    while let Some(piece) = stream.next().await {
        assert!(end.is_none(), "nothing comes after the end");
        match piece {
            Ok(ChatDelta::Text(text)) => texts.push(text),
            Ok(ChatDelta::ToolCall(piece)) => panic!("{piece:?}"),
            Ok(ChatDelta::End(e)) => end = Some(Ok(e.finish_reason)),
            Err(e) => end = Some(Err(e)),
        }
    }
    (texts, end.expect("every stream has an end"))
}

#[tokio::test]
async fn a_reply_streams_in_pieces_and_ends_with_what_it_cost() {
    let server = serve("[[rules]]\nanswer = \"Zażółć gęślą jaźń 🚀\"\nusage = { prompt_tokens = 7, completion_tokens = 5 }").await;
    let gateway = gateway(&server);
    let (texts, end) = pieces(&gateway).await;
    assert_eq!(texts, ["Zażółć ", "gęślą ", "jaźń ", "🚀"]);
    assert_eq!(end.unwrap(), FinishReason::Stop);
    let whole = gateway.chat(ask("hello")).await.unwrap();
    assert_eq!(whole.text, "Zażółć gęślą jaźń 🚀");
    assert_eq!(whole.usage, Usage { input: 7, output: 5, ..Usage::default() });
    assert_eq!(whole.model, "test-model");
}

#[tokio::test]
async fn a_reply_is_the_same_however_its_bytes_are_cut_and_dressed() {
    for dress in [
        "",
        "wire_bytes = 1",
        "wire_bytes = 7\ncrlf = true",
        "comments = true\npiece_chars = 1\npause_ms = 1",
        "crlf = true\npiece_chars = 3",
        "never_stream = true",
    ] {
        let whole = reply(&format!("[[rules]]\nanswer = \"Zażółć gęślą jaźń\\n\\n日本 🚀\"\n{dress}")).await.unwrap();
        assert_eq!(whole.text, "Zażółć gęślą jaźń\n\n日本 🚀", "{dress}");
        assert_eq!(whole.usage, Usage { input: 3, output: 5, ..Usage::default() }, "{dress}");
    }
}

#[tokio::test]
async fn a_provider_that_does_not_count_gets_an_estimate_that_says_so() {
    let whole = reply("[[rules]]\nanswer = \"12345678\"\nno_usage = true\nfinish_reason = \"length\"").await.unwrap();
    assert_eq!(whole.usage, Usage { input: 11, output: 3, estimated: true, ..Usage::default() });
    assert_eq!(whole.finish_reason, FinishReason::Length);
}

#[tokio::test]
async fn an_empty_reply_is_a_reply() {
    assert_eq!(reply("[[rules]]\nanswer = \"\"").await.unwrap().text, "");
    assert_eq!(reply("[[rules]]\nanswer = \"\"\nnever_stream = true").await.unwrap().text, "");
}

#[tokio::test]
async fn what_is_sent_is_normalised_and_clamped() {
    let server = serve("[[rules]]\nanswer = \"ok\"").await;
    let gateway = gateway_with(&server, PACE, |c| (c.max_tokens, c.temperature) = (100, 0.2));
    let messages = vec![Message::user("a\0"), Message::user("b"), Message::system("s")];
    for (max_tokens, temperature) in [(Some(5000), Some(9.0)), (Some(0), Some(-1.0)), (None, Some(f32::NAN)), (Some(7), Some(0.5))] {
        gateway.chat(ChatRequest { messages: messages.clone(), max_tokens, temperature, ..ChatRequest::default() }).await.unwrap();
    }
    let sent = server.bodies();
    assert_eq!(sent[0]["messages"], serde_json::json!([{"role": "system", "content": "s"}, {"role": "user", "content": "a\n\nb"}]));
    let limits: Vec<_> =
        sent.iter().map(|b| (b["max_tokens"].as_u64().unwrap(), (b["temperature"].as_f64().unwrap() * 10.0).round() as i64)).collect();
    assert_eq!(limits, [(100, 20), (1, 0), (100, 2), (7, 5)]);
    assert_eq!(sent[0]["model"], "test-model");
}

#[tokio::test]
async fn a_model_that_refuses_temperature_and_limits_is_not_sent_any_unless_they_are_configured() {
    let server = serve("[[rules]]\nanswer = \"ok\"\nrefuses = [\"temperature\", \"max_tokens\"]").await;
    let request = || ChatRequest { max_tokens: Some(7), temperature: Some(0.0), ..ask("hello") };
    assert_eq!(gateway(&server).chat(request()).await.unwrap().text, "ok", "also when the request has wishes");
    let configured: [fn(&mut GatewayConfig); 2] = [|c| c.max_tokens = 100, |c| c.temperature = 1.0];
    for change in configured {
        let error = gateway_with(&server, PACE, change).chat(request()).await.unwrap_err();
        assert!(matches!(error, ModelGatewayError::Refused { status: Some(400), .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_failure_before_the_first_text_is_repeated_twice_at_most() {
    for status in ["429\nretry_after = \"0\"", "500", "503", "529\nretry_after = \"Sun, 06 Nov 1994 08:49:37 GMT\""] {
        let server = serve(&format!("[[rules]]\ntimes = 2\nstatus = {status}\n[[rules]]\nanswer = \"at last\"")).await;
        assert_eq!(gateway(&server).chat(ask("hello")).await.unwrap().text, "at last", "{status}");
        assert_eq!(server.requests(), 3);
    }
    let server = serve("[[rules]]\nstatus = 502\nanswer = \"bad gateway\"").await;
    let error = gateway(&server).chat(ask("hello")).await.unwrap_err();
    assert!(matches!(error, ModelGatewayError::ProviderServerError { status: Some(502), started: false, .. }), "{error:?}");
    assert_eq!(server.requests(), 3);
}

#[tokio::test]
async fn a_cut_or_an_error_before_the_first_text_is_repeated() {
    for fault in ["cut", "end", "error_event"] {
        let server = serve(&format!("[[rules]]\ntimes = 1\nanswer = \"a b c\"\nfault = \"{fault}\"\n[[rules]]\nanswer = \"whole\"")).await;
        assert_eq!(gateway(&server).chat(ask("hello")).await.unwrap().text, "whole", "{fault}");
        assert_eq!(server.requests(), 2, "{fault}");
    }
}

#[tokio::test]
async fn a_provider_that_asks_for_a_long_wait_is_left_alone_and_the_caller_is_told() {
    let server = serve("[[rules]]\nstatus = 429\nretry_after = \"3600\"").await;
    let error = gateway(&server).chat(ask("hello")).await.unwrap_err();
    assert_eq!(error.suggested_sleep(), Some(Duration::from_secs(20)));
    assert_eq!(server.requests(), 1);
    let error = astrolabe_kernel::Error::from(error);
    assert_eq!((error.code().name, error.retry_after()), ("overloaded", Some(Duration::from_secs(3600))));
}

#[tokio::test]
async fn a_refusal_is_not_repeated_and_does_not_show_the_key() {
    let server = serve("api_key = \"right\"\n[[rules]]\nanswer = \"ok\"").await;
    let with_key = |key: &str| gateway_with(&server, PACE, |c| c.api_key = Secret::new(key));
    assert_eq!(with_key("right").chat(ask("hello")).await.unwrap().text, "ok");
    let error = with_key("sk-hunter2").chat(ask("hello")).await.unwrap_err();
    assert_eq!(server.requests(), 2);
    assert!(matches!(error, ModelGatewayError::Refused { status: Some(401), .. }));
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    let error = astrolabe_kernel::Error::from(error);
    assert_eq!((error.code().name, error.message().contains("model.api_key")), ("upstream_failed", true));
    assert!(error.internal_detail().unwrap().contains("[redacted]"));
}

#[tokio::test]
async fn silence_before_the_first_event_is_a_timeout() {
    let server = serve("[[rules]]\nfault = \"hang\"").await;
    let gateway = gateway_with(&server, Pace { first_token: SHORT, ..PACE }, |_| {});
    let error = gateway.chat(ask("hello")).await.unwrap_err();
    assert!(matches!(error, ModelGatewayError::ProviderTimeout { stage: Stage::FirstToken }), "{error:?}");
    // On a busy machine the time may be over before the request has reached the server; it is never asked twice.
    assert!(server.requests() <= 1);
    assert_eq!(astrolabe_kernel::Error::from(error).code().name, "upstream_timeout");
    server.until_open(0).await;
}

#[tokio::test]
async fn silence_in_the_middle_is_a_timeout_and_comments_are_silence() {
    for comments in [false, true] {
        let server = serve(&format!("[[rules]]\nanswer = \"a b c\"\nfault = \"hang\"\nfault_after = 2\ncomments = {comments}")).await;
        let (texts, end) = pieces(&gateway_with(&server, Pace { idle: SHORT * 15, ..PACE }, |_| {})).await;
        assert_eq!(texts, ["a ", "b "]);
        assert!(matches!(end, Err(ModelGatewayError::ProviderTimeout { stage: Stage::Idle })), "{end:?}");
        server.until_open(0).await;
    }
}

#[tokio::test]
async fn the_callers_deadline_ends_everything() {
    let server = serve("[[rules]]\nfault = \"hang\"").await;
    let clock = Clock::manual(Timestamp::from_micros(1_000_000));
    let egress = Egress::new(EgressConfig::default()).unwrap();
    let config = GatewayConfig { base_url: server.base_url(), name: "m".to_owned(), ..GatewayConfig::default() };
    let gateway = Gateway::with_pace(config, PACE, egress, clock.clone(), Random::seeded(1)).unwrap();
    for deadline in [clock.now().plus(SHORT), clock.now(), clock.now().minus(LONG)] {
        let error = gateway.chat(ChatRequest { deadline: Some(deadline), ..ask("hello") }).await.unwrap_err();
        assert!(matches!(error, ModelGatewayError::ProviderTimeout { stage: Stage::Whole }), "{error:?}");
    }
}

#[tokio::test]
async fn a_stream_that_is_cut_gives_what_came_and_then_an_error() {
    for fault in ["cut", "end", "error_event"] {
        let server = serve(&format!("[[rules]]\nanswer = \"a b c d\"\nfault = \"{fault}\"\nfault_after = 2")).await;
        let (texts, end) = pieces(&gateway(&server)).await;
        assert_eq!(texts, ["a ", "b "], "{fault}");
        assert!(matches!(end, Err(ModelGatewayError::ProviderServerError { started: true, .. })), "{fault}: {end:?}");
        assert_eq!(server.requests(), 1, "text that was seen is never asked for again");
    }
}

#[tokio::test]
async fn what_is_not_the_protocol_is_an_error_and_not_a_hang() {
    for (fault, after) in [("invalid_json", 0), ("invalid_json", 2), ("invalid_utf8", 1), ("long_line", 1), ("html", 0)] {
        for never_stream in [false, true] {
            let rules = format!("[[rules]]\nanswer = \"a b c\"\nfault = \"{fault}\"\nfault_after = {after}\nnever_stream = {never_stream}");
            let server = serve(&rules).await;
            let error = gateway(&server).chat(ask("hello")).await.unwrap_err();
            assert!(matches!(error, ModelGatewayError::Protocol { .. }), "{rules}: {error:?}");
            assert_eq!(server.requests(), 1);
        }
    }
}

#[tokio::test]
async fn dropping_a_stream_tells_the_provider_to_stop() {
    let server = serve("[[rules]]\nanswer = \"a b c\"\nfault = \"hang\"\nfault_after = 1").await;
    let gateway = gateway_with(&server, PACE, |c| (c.concurrency, c.queue) = (1, 0));
    let mut stream = gateway.chat_stream(ask("hello")).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), ChatDelta::Text("a ".to_owned()));
    server.until_open(1).await;
    let error = gateway.chat_stream(ask("hello")).await.unwrap_err();
    assert!(matches!(error, ModelGatewayError::ProviderOverloaded { .. }), "the one place is taken: {error:?}");
    drop(stream);
    server.until_open(0).await;
    assert!(gateway.chat_stream(ask("hello")).await.is_ok());
}

#[tokio::test]
async fn replies_that_were_read_to_the_end_share_connections() {
    let server = serve("[[rules]]\nanswer = \"a b c\"").await;
    let egress = Egress::new(EgressConfig::default()).unwrap();
    let config = GatewayConfig { base_url: server.base_url(), name: "m".to_owned(), ..GatewayConfig::default() };
    let gateway = Gateway::with_pace(config, PACE, egress.clone(), Clock::System, Random::seeded(1)).unwrap();
    for _ in 0..5 {
        gateway.chat(ask("hello")).await.unwrap();
    }
    // A second one is opened when the first has not found its way back into the pool yet.
    assert!(server.requests() == 5 && egress.counts().connections < 5, "{:?}", egress.counts());
}

#[tokio::test]
async fn without_a_model_every_call_says_so_and_nothing_is_sent() {
    let egress = Egress::new(EgressConfig::default()).unwrap();
    let gateway = Gateway::from_config(GatewayConfig::default(), egress.clone(), Clock::System, Random::seeded(1)).unwrap();
    assert!(!gateway.is_configured());
    assert_eq!((gateway.status(), gateway.probe().await), (Status::NotConfigured, Status::NotConfigured));
    let error = astrolabe_kernel::Error::from(gateway.chat(ask("hello")).await.unwrap_err());
    assert_eq!(error.code().name, "model_not_configured");
    assert_eq!(egress.counts().connections, 0);
}

#[tokio::test]
async fn offline_mode_refuses_a_provider_outside_and_does_not_try_again() {
    let egress = Egress::new(EgressConfig { offline: true, ..EgressConfig::default() }).unwrap();
    let config = GatewayConfig { base_url: "https://api.provider.example/v1".to_owned(), name: "m".to_owned(), ..GatewayConfig::default() };
    let gateway = Gateway::from_config(config, egress.clone(), Clock::System, Random::seeded(1)).unwrap();
    let error = astrolabe_kernel::Error::from(gateway.chat(ask("hello")).await.unwrap_err());
    assert_eq!(error.code().name, "egress_refused");
    assert!(matches!(gateway.probe().await, Status::ConnectionFailed(_)));
    assert_eq!((egress.counts().connections, egress.counts().refused), (0, 2));
}

#[tokio::test]
async fn the_status_follows_the_provider() {
    let life = Lifecycle::new();
    let script = Script::from_toml("api_key = \"k\"\n[[rules]]\nanswer = \"ok\"").unwrap();
    let server = ScriptedServer::start(script, SocketAddr::from(([127, 0, 0, 1], 0)), &life).await.unwrap();
    let gateway = gateway_with(&server, PACE, |c| c.api_key = Secret::new("k"));
    assert_eq!(gateway.status(), Status::Loading);
    assert_eq!(gateway.probe().await, Status::Ok);
    let stranger = gateway_with(&server, PACE, |_| {});
    assert_eq!(stranger.probe().await, Status::ConnectionFailed("the provider refuses the key with status 401".to_owned()));
    // A provider that is gone shows with the next probe.
    assert!(life.stop(LONG).await);
    let gone = gateway_with(&server, PACE, |_| {});
    assert_eq!(gone.probe().await.as_str(), "connection_failed");
    assert_eq!(gone.status().detail(), Some(format!("model at http://{} cannot be reached", server.address()).as_str()));
}

#[tokio::test]
async fn watching_asks_at_once_and_ends_with_the_lifecycle() {
    let server = serve("[[rules]]\nanswer = \"ok\"").await;
    let gateway = gateway(&server);
    let life = Lifecycle::new();
    gateway.watch(&life);
    while gateway.status() == Status::Loading {
        tokio::task::yield_now().await;
    }
    assert_eq!(gateway.status(), Status::Ok);
    assert!(life.stop(LONG).await);
}

#[tokio::test]
async fn a_failed_call_brings_the_next_probe_forward_and_a_bad_request_does_not() {
    let (life, probing) = (Lifecycle::new(), Lifecycle::new());
    let script = Script::from_toml("[[rules]]\ntimes = 1\nstatus = 400\n[[rules]]\nanswer = \"ok\"").unwrap();
    let server = ScriptedServer::start(script, SocketAddr::from(([127, 0, 0, 1], 0)), &life).await.unwrap();
    let gateway = gateway(&server);
    assert_eq!(gateway.probe().await, Status::Ok);
    gateway.chat(ask("hello")).await.unwrap_err();
    assert_eq!(gateway.status(), Status::Ok);
    gateway.watch(&probing);
    assert!(life.stop(LONG).await);
    gateway.chat(ask("hello")).await.unwrap_err();
    while gateway.status() == Status::Ok {
        tokio::task::yield_now().await;
    }
    assert_eq!(gateway.status().as_str(), "connection_failed");
    assert!(probing.stop(LONG).await);
}

#[tokio::test]
async fn calls_are_counted_by_outcome() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let server = serve(
        "[[rules]]\ntimes = 1\nanswer = \"a\"\nusage = { prompt_tokens = 7, completion_tokens = 5 }\n[[rules]]\ntimes = 1\nstatus = 400\n[[rules]]\nanswer = \"a b\"",
    )
    .await;
    let gateway = gateway(&server);
    gateway.chat(ask("hello")).await.unwrap();
    gateway.chat(ask("hello")).await.unwrap_err();
    drop(gateway.chat_stream(ask("hello")).await.unwrap());
    let text = recorder.handle().render();
    for line in [
        "model_tokens_total{model=\"test-model\",kind=\"prompt\"} 7",
        "model_tokens_total{model=\"test-model\",kind=\"completion\"} 5",
        "model_errors_total{model=\"test-model\",kind=\"refused\"} 1",
        "model_request_duration_seconds_count{model=\"test-model\",outcome=\"ok\"} 1",
        "model_request_duration_seconds_count{model=\"test-model\",outcome=\"error\"} 1",
        "model_request_duration_seconds_count{model=\"test-model\",outcome=\"canceled\"} 1",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn a_scripted_name_starts_the_provider_and_answers_from_the_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rules.toml"), "[[rules]]\ncontains = \"leave\"\nanswer = \"{{sentence 1}} [1] and wrongly [9]\"")
        .unwrap();
    let life = Lifecycle::new();
    let mut config = GatewayConfig { name: "scripted/rules.toml".to_owned(), ..GatewayConfig::default() };
    config.validate().unwrap();
    assert!(start_if_configured(&mut GatewayConfig::default(), Path::new("/"), &life).await.unwrap().is_none());
    let server = start_if_configured(&mut config, folder.path(), &life).await.unwrap().unwrap();
    assert!(server.address().ip().is_loopback());
    let egress = Egress::new(EgressConfig { offline: true, ..EgressConfig::default() }).unwrap();
    let gateway = Gateway::from_config(config, egress, Clock::System, Random::seeded(1)).unwrap();
    let reply = gateway.chat(ask("[1] Leave\nEmployees get 26 days. More on request.\n\nHow long is the leave?")).await.unwrap();
    assert_eq!(reply.text, "Employees get 26 days. [1] and wrongly [9]");
    let error = gateway.chat(ask("something else")).await.unwrap_err();
    assert!(matches!(error, ModelGatewayError::Refused { status: Some(400), .. }), "no rule fits");
}

#[tokio::test]
async fn a_scripted_name_is_served_in_the_format_of_the_provider_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rules.toml"), "[[rules]]\nanswer = \"ok\"").unwrap();
    for provider in ["", "openai", "vllm", "bedrock", "Gemini", "google"] {
        let life = Lifecycle::new();
        let mut config =
            GatewayConfig { name: "scripted/rules.toml".to_owned(), provider: provider.to_owned(), ..GatewayConfig::default() };
        start_if_configured(&mut config, folder.path(), &life).await.unwrap().unwrap();
        let egress = Egress::new(EgressConfig { offline: true, ..EgressConfig::default() }).unwrap();
        let gateway = Gateway::from_config(config, egress, Clock::System, Random::seeded(1)).unwrap();
        let reply = gateway.chat(ask("hello")).await.unwrap();
        assert_eq!((reply.text.as_str(), reply.model.as_str()), ("ok", "scripted/rules.toml"), "{provider}");
        assert_eq!(gateway.probe().await, Status::Ok, "{provider}");
    }
}

#[tokio::test]
async fn an_address_alone_asks_the_one_model_that_is_there() {
    let server = serve("[[rules]]\nanswer = \"ok\"").await;
    let root = server.root();
    let gateway = gateway_with(&server, PACE, |c| (c.base_url, c.name) = (root, String::new()));
    for _ in 0..2 {
        assert_eq!(gateway.chat(ask("hello")).await.unwrap().model, "scripted");
    }
    assert_eq!((gateway.model(), server.bodies()[1]["model"].as_str()), ("default", Some("scripted")));
}
