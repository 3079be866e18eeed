//! Routes, retries, breakers and queues against scripted providers over real sockets.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use astrolabe_kernel::{
    Clock, Lifecycle, Random, Timestamp,
    egress::{Egress, EgressConfig},
};
use futures_util::{FutureExt, future::join_all};
use tokio::time::Instant;

use super::{Alias, DEFAULT, Route};
use crate::{
    chat::{ChatRequest, Message},
    config::GatewayConfig,
    error::ModelGatewayError,
    gateway::{Gateway, Pace},
    scripted::{Script, ScriptedServer},
};

const LONG: Duration = Duration::from_secs(60);
const PACE: Pace = Pace { whole: LONG, first_token: LONG, idle: LONG, backoff: Duration::from_millis(2) };

async fn serve(rules: &str) -> ScriptedServer {
    ScriptedServer::start(Script::from_toml(rules).unwrap(), SocketAddr::from(([127, 0, 0, 1], 0)), &Lifecycle::new()).await.unwrap()
}

fn egress() -> Egress {
    Egress::new(EgressConfig { offline: true, ..EgressConfig::default() }).unwrap()
}

/// A gateway on one provider that is asked without pauses, with a clock that the test moves.
fn on(server: &ScriptedServer, clock: &Clock, change: impl FnOnce(&mut GatewayConfig)) -> Gateway {
    let mut config = GatewayConfig { base_url: server.base_url(), name: "m".to_owned(), ..GatewayConfig::default() };
    change(&mut config);
    Gateway::with_pace(config, PACE, egress(), clock.clone(), Random::seeded(1)).unwrap()
}

fn manual() -> Clock {
    Clock::manual(Timestamp::from_micros(1_000_000_000))
}

fn ask(text: &str) -> ChatRequest {
    ChatRequest { messages: vec![Message::user(text)], ..ChatRequest::default() }
}

/// A folder with a file of routes, and a gateway that reads it.
struct Routed {
    folder: tempfile::TempDir,
    gateway: Gateway,
}

impl Routed {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("routes.toml");
        std::fs::write(&path, text).unwrap();
        let config = GatewayConfig { routes_file: path.to_str().unwrap().to_owned(), ..GatewayConfig::default() };
        let gateway = Gateway::from_config(config, egress(), manual(), Random::seeded(1)).unwrap();
        Self { folder, gateway }
    }

    fn alias(&self, name: &str) -> Arc<Alias> {
        self.gateway.alias(name).unwrap()
    }

    async fn ask(&self, alias: &str, request: ChatRequest) -> Result<String, ModelGatewayError> {
        self.gateway.chat_on(self.alias(alias), request).await.map(|reply| reply.text)
    }

    /// Writes the file anew, with another time of change however fast the test is.
    fn write(&self, text: &str, later: u64) {
        let path = self.folder.path().join("routes.toml");
        std::fs::write(&path, text).unwrap();
        let at = std::time::UNIX_EPOCH + Duration::from_secs(2_000_000_000 + later);
        std::fs::File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
        self.gateway.reload_if_changed();
    }
}

fn provider(name: &str, server: &ScriptedServer) -> String {
    format!("[providers.{name}]\nbase_url = \"{}\"\n", server.base_url())
}

#[tokio::test]
async fn the_next_route_answers_when_one_fails_for_a_reason_that_another_could_mend() {
    let good = serve("[[rules]]\nanswer = \"good\"").await;
    for fault in [
        "status = 429\nretry_after = \"1\"",
        "status = 500",
        "status = 503",
        "status = 504",
        "fault = \"html\"",
        "answer = \"a\"\nfault = \"cut\"",
        "status = 400\nanswer = \"this model's maximum context length is 8 tokens\"",
        "status = 400\nanswer = \"content_filter: the prompt was refused\"",
    ] {
        let bad = serve(&format!("[[rules]]\n{fault}")).await;
        let routed = Routed::new(&format!(
            "{}{}[aliases.a]\nroutes = [{{ provider = \"bad\", model = \"m\" }}, {{ provider = \"good\", model = \"n\", order = 1 }}]",
            provider("bad", &bad),
            provider("good", &good)
        ));
        assert_eq!(routed.ask("a", ask("hello")).await.unwrap(), "good", "{fault}");
        assert_eq!(bad.requests(), 1, "{fault}: another route is better than a retry");
        assert_eq!(good.bodies().last().unwrap()["model"], "n");
    }
}

#[tokio::test]
async fn a_route_that_is_no_fallback_for_a_reason_is_not_tried_and_neither_is_one_for_a_wrong_request() {
    let good = serve("[[rules]]\nanswer = \"good\"").await;
    for (fault, only) in [("status = 400\nanswer = \"no such parameter\"", "\"server_error\""), ("status = 500", "\"timeout\"")] {
        let bad = serve(&format!("[[rules]]\n{fault}")).await;
        let routed = Routed::new(&format!(
            "{}{}[aliases.a]\nroutes = [{{ provider = \"bad\", model = \"m\", fallback_on = [{only}] }}, \
             {{ provider = \"good\", model = \"n\", order = 1 }}]",
            provider("bad", &bad),
            provider("good", &good)
        ));
        routed.ask("a", ask("hello")).await.unwrap_err();
    }
    assert_eq!(good.requests(), 0);
}

#[tokio::test]
async fn weights_share_conversations_out_and_each_keeps_its_route() {
    let server = serve("[[rules]]\nanswer = \"ok\"").await;
    let routed = Routed::new(&format!(
        "{}[aliases.a]\nroutes = [{{ provider = \"p\", model = \"three\", weight = 3 }}, {{ provider = \"p\", model = \"one\" }}, \
         {{ provider = \"p\", model = \"behind\", weight = 1000, order = 1 }}]",
        provider("p", &server)
    ));
    let alias = routed.alias("a");
    let models = |key| alias.order(key).iter().map(|route: &Arc<Route>| route.model.clone()).collect::<Vec<_>>();
    let first: Vec<String> = (0..4_000u64).map(|key| models(key * 7_919)[0].clone()).collect();
    let three = first.iter().filter(|model| *model == "three").count();
    assert!((2_850..3_150).contains(&three), "{three} of 4000 instead of 3000");
    assert!((0..4_000u64).all(|key| models(key)[2] == "behind" && models(key) == models(key)));
    // The same conversation, one turn later.
    for text in ["a", "b", "c", "d", "e", "f"] {
        routed.ask("a", ask(text)).await.unwrap();
        let longer = vec![Message::user(text), Message::assistant("ok"), Message::user("and then?")];
        routed.ask("a", ChatRequest { messages: longer, ..ChatRequest::default() }).await.unwrap();
    }
    let asked: Vec<_> = server.bodies().iter().map(|body| body["model"].as_str().unwrap().to_owned()).collect();
    // The first message alone is the conversation's beginning; an answer behind it is what the second request adds.
    assert_eq!(asked.len(), 12);
    assert!(asked.chunks(2).all(|pair| pair[0] == pair[1]), "{asked:?}");
}

#[tokio::test]
async fn each_route_clamps_the_parameters_for_its_model() {
    let server = serve("[[rules]]\ntimes = 1\nstatus = 500\n[[rules]]\nanswer = \"ok\"").await;
    let routed = Routed::new(&format!(
        "{}[aliases.a]\nroutes = [{{ provider = \"p\", model = \"m\", max_tokens = 10, temperature = [0.5, 1.0], top_p = [0.0, 0.5] }}, \
         {{ provider = \"p\", model = \"n\", order = 1 }}]",
        provider("p", &server)
    ));
    let wish = ChatRequest { max_tokens: Some(99), temperature: Some(0.0), top_p: Some(1.0), ..ask("hello") };
    routed.ask("a", wish).await.unwrap();
    let sent: Vec<_> = server.bodies().iter().map(|b| (b["max_tokens"].clone(), b["temperature"].clone(), b["top_p"].clone())).collect();
    assert_eq!(sent, [(10.into(), 0.5.into(), 0.5.into()), (99.into(), 0.0.into(), 1.0.into())]);
}

#[tokio::test]
async fn a_file_that_changes_is_read_again_and_a_broken_one_changes_nothing() {
    let (first, second) = (serve("[[rules]]\nanswer = \"first\"").await, serve("[[rules]]\nanswer = \"second\"").await);
    let of = |server| format!("{}[aliases.{DEFAULT}]\nroutes = [{{ provider = \"p\", model = \"m\" }}]", provider("p", server));
    let routed = Routed::new(&of(&first));
    assert_eq!(routed.gateway.model(), DEFAULT);
    assert_eq!(routed.gateway.chat(ask("hello")).await.unwrap().text, "first");
    routed.write("[providers.p]\nbase_url = 7", 1);
    assert_eq!(routed.gateway.chat(ask("hello")).await.unwrap().text, "first");
    assert!(routed.gateway.load().unwrap_err().message().contains("routes.toml: line 2"));
    routed.write(&of(&second), 2);
    assert_eq!(routed.gateway.chat(ask("hello")).await.unwrap().text, "second");
}

#[tokio::test]
async fn a_provider_that_did_not_change_keeps_what_was_learnt_of_it() {
    let server = serve("[[rules]]\nstatus = 500").await;
    let text = format!("{}[aliases.a]\nroutes = [{{ provider = \"p\", model = \"m\" }}]\n", provider("p", &server));
    let routed = Routed::new(&text);
    for _ in 0..10 {
        routed.ask("a", ask("hello")).await.unwrap_err();
    }
    let asked = server.requests();
    routed.write(&format!("{text}[aliases.b]\nroutes = [{{ provider = \"p\", model = \"m\" }}]\n"), 1);
    let error = routed.ask("b", ask("hello")).await.unwrap_err();
    assert!(matches!(error, ModelGatewayError::Unavailable { .. }), "the breaker is that of the model, whatever the alias: {error:?}");
    assert_eq!(server.requests(), asked);
}

#[tokio::test]
async fn a_provider_that_fails_always_is_asked_no_more_than_a_tenth_more_often_than_we_are() {
    for fault in ["status = 500", "status = 429\nretry_after = \"0\"", "answer = \"a\"\nfault = \"cut\""] {
        let server = serve(&format!("[[rules]]\n{fault}")).await;
        let clock = manual();
        let gateway = on(&server, &clock, |_| {});
        let calls = 400;
        for _ in 0..calls {
            gateway.chat(ask("hello")).await.unwrap_err();
            // Long enough for the breaker to send a probe with every call: the worst that it lets happen.
            clock.advance(Duration::from_secs(5));
        }
        assert!(server.requests() <= calls * 11 / 10, "{fault}: {} requests for {calls} calls", server.requests());
    }
}

#[tokio::test]
async fn the_breaker_opens_within_ten_failures_and_a_probe_closes_it() {
    let server = serve("[[rules]]\ntimes = 9\nstatus = 500\n[[rules]]\nanswer = \"ok\"").await;
    let clock = manual();
    let gateway = on(&server, &clock, |_| {});
    let mut refused = None;
    while refused.is_none() {
        match gateway.chat(ask("hello")).await.unwrap_err() {
            ModelGatewayError::Unavailable { retry_after } => refused = Some(retry_after),
            other => assert!(matches!(other, ModelGatewayError::ProviderServerError { .. }), "{other:?}"),
        }
    }
    assert!(server.requests() <= 10);
    let asked = server.requests();
    for _ in 0..50 {
        let error = astrolabe_kernel::Error::from(gateway.chat(ask("hello")).await.unwrap_err());
        assert_eq!((error.code().name, error.retry_after()), ("overloaded", refused));
    }
    assert_eq!(server.requests(), asked, "it is left alone");
    // It recovers now; within five seconds a call finds that out.
    let mut waited = Duration::ZERO;
    while gateway.chat(ask("hello")).await.is_err() {
        clock.advance(Duration::from_millis(100));
        waited += Duration::from_millis(100);
        assert!(waited < Duration::from_secs(5));
    }
    assert_eq!(gateway.chat(ask("hello")).await.unwrap().text, "ok");
}

#[tokio::test]
async fn callers_wait_in_a_bounded_queue_and_the_rest_is_refused_with_a_time_to_come_back() {
    let server = serve("[[rules]]\nanswer = \"a b\"\nfault = \"hang\"\nfault_after = 1").await;
    let gateway = on(&server, &manual(), |c| (c.concurrency, c.queue) = (1, 1));
    let holder = gateway.chat_stream(ask("hello")).await.unwrap();
    let mut waiting = Box::pin(gateway.chat_stream(ask("hello")));
    assert!((&mut waiting).now_or_never().is_none());
    let error = astrolabe_kernel::Error::from(gateway.chat_stream(ask("hello")).await.unwrap_err());
    assert_eq!((error.code().name, error.retry_after().is_some()), ("overloaded", true));
    drop(holder);
    let mut stream = waiting.await.unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn a_caller_that_hangs_up_is_no_failure_of_the_provider_and_stops_it_within_a_tenth_of_a_second() {
    let server = serve("[[rules]]\nfault = \"hang\"").await;
    let gateway = on(&server, &manual(), |_| {});
    for _ in 0..20 {
        let call = gateway.chat(ask("hello"));
        tokio::select! {
            _ = call => panic!("the provider never answers"),
            () = server.until_open(1) => {}
        }
        let dropped = Instant::now();
        server.until_open(0).await;
        assert!(dropped.elapsed() < Duration::from_millis(100), "{:?}", dropped.elapsed());
    }
    assert_eq!(server.requests(), 20, "the breaker heard nothing of it");
}

#[tokio::test]
async fn calls_at_the_same_time_share_one_budget_of_retries() {
    let server = serve("[[rules]]\nstatus = 500").await;
    let gateway = on(&server, &manual(), |c| c.concurrency = 200);
    let calls = 200;
    join_all((0..calls).map(|_| gateway.chat(ask("hello")))).await;
    assert!(server.requests() <= calls * 11 / 10, "{}", server.requests());
}
