//! Every call of a model is in the books and under the rules, whoever makes it: the API, a question, an agent.

use std::{sync::Arc, time::Duration};

use astrolabe_gateway::{
    chat::{EmbedReply, Usage},
    scripted::{Script, ScriptedServer},
    surface::{self, LocalEmbedder, Surface},
};
use astrolabe_kernel::{
    Lifecycle, Principal, Random,
    db::FromRow,
    http::{Observer, observe},
    principal::default_tenant,
};
use axum::{Extension, http::Method, middleware::from_fn_with_state};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use crate::support::{Call, Reply, TestApp};

const HANDBOOK: &str =
    "# Keys\n\n## Office keys\n\nThe office keys are kept at the reception desk in Łódź. Ask ann@example.org, who notes the number.\n";
const QUESTION: &str = "Where are the office keys kept?";
const ANSWER: &str =
    "answer = \"The office keys are kept at the reception desk in Łódź [1].\"\nusage = { prompt_tokens = 70, completion_tokens = 9 }";

/// The app on a scripted provider, with a document.
struct World {
    app: TestApp,
    provider: ScriptedServer,
}

/// A record of usage, as it is stored.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    purpose: String,
    agent: String,
    outcome: String,
    tokens: (i64, i64),
    estimated: bool,
    cost: Option<i64>,
}

impl FromRow for Line {
    fn from_row(row: &astrolabe_kernel::db::Row) -> astrolabe_kernel::Result<Self> {
        Ok(Self {
            purpose: row.get("purpose")?,
            agent: row.get("agent")?,
            outcome: row.get("outcome")?,
            tokens: (row.get("input_tokens")?, row.get("output_tokens")?),
            estimated: row.get("estimated")?,
            cost: row.get("cost_micro_usd")?,
        })
    }
}

impl World {
    async fn new(rules: &str, guardrails: &str) -> Self {
        let provider =
            ScriptedServer::start(Script::from_toml(rules).unwrap(), ([127, 0, 0, 1], 0).into(), &Lifecycle::new()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings.toml");
        std::fs::write(&file, guardrails).unwrap();
        let app = TestApp::with_file(&file, &[("model.base_url", &provider.base_url()), ("model.name", "behind")]).await;
        app.ingested("handbook", "keys.md", HANDBOOK).await;
        Self { app, provider }
    }

    async fn ask(&self) -> Reply {
        self.app.post("/api/v1/ask").json(json!({"question": QUESTION})).send().await
    }

    async fn run(&self, input: &str) -> Reply {
        self.app.post("/v1/agents/run").json(json!({"agent": "support", "input": input, "tool_calls": [], "meta": {}})).send().await
    }

    /// The records, by agent and purpose.
    async fn records(&self) -> Vec<Line> {
        self.app.app.ledger.flush().await.unwrap();
        let mut tx = self.app.app.kernel.db.read(default_tenant()).await.unwrap();
        tx.all("SELECT * FROM usage_records WHERE tenant_id = $1 ORDER BY agent, purpose, id", astrolabe_kernel::args![default_tenant()])
            .await
            .unwrap()
    }

    async fn budget(&self, budget: Value) {
        let made = self.app.post("/api/v1/budgets").json(budget).send().await;
        assert_eq!(made.status, 201, "{}", made.text());
    }

    /// What the model was sent last.
    fn sent(&self) -> String {
        self.provider.bodies().last().unwrap().to_string()
    }
}

fn line(purpose: &str, agent: &str, tokens: (i64, i64)) -> Line {
    Line { purpose: purpose.to_owned(), agent: agent.to_owned(), outcome: "ok".to_owned(), tokens, estimated: false, cost: None }
}

#[tokio::test]
async fn a_question_and_an_agents_plan_and_its_question_are_in_the_books_under_whoever_asked() {
    let rules = format!(
        "[[rules]]\ncontains = \"Where\"\ntimes = 1\n{ANSWER}\n[[rules]]\ncontains = \"passages\"\n{ANSWER}\n[[rules]]\nanswer = '{{\"steps\": []}}'\nusage = {{ prompt_tokens = 5, completion_tokens = 3 }}"
    );
    let world = World::new(&rules, "").await;
    assert_eq!(world.ask().await.json()["mode"], "model");
    assert_eq!(world.records().await, [line("ask", "", (70, 9))]);
    // The same again comes from the answers that are kept, and costs nothing.
    assert_eq!(world.ask().await.json()["mode"], "model");
    let run = world.run("Which desk is it at, please?").await;
    assert_eq!(run.status, 200, "{}", run.text());
    let records = world.records().await;
    assert_eq!(records[1..], [line("ask", "support", (5, 3)), line("plan", "support", (5, 3))], "{records:?}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_in_the_books_with_our_own_count() {
    let rules = "[[rules]]\nanswer = \"The office keys are kept at the reception desk in Łódź [1]. And more that never comes.\"\nfault = \"cut\"\nfault_after = 14";
    let world = World::new(rules, "").await;
    let answer = world.ask().await.json();
    assert!(answer["notices"].as_array().unwrap().contains(&json!("model_interrupted")), "{answer}");
    let records = world.records().await;
    let [record] = &records[..] else { panic!("{records:?}") };
    assert_eq!((record.purpose.as_str(), record.outcome.as_str(), record.estimated), ("ask", "failed", true), "{record:?}");
    assert!(record.tokens.0 > 50 && record.tokens.1 > 10, "{record:?}");
}

#[tokio::test]
async fn a_budget_that_is_used_up_is_told_to_whoever_asks_and_nothing_is_sent() {
    let world = World::new(&format!("[[rules]]\n{ANSWER}"), "").await;
    world.budget(json!({"scope": "tenant", "period": "day", "unit": "tokens", "amount": 10, "action": "block"})).await;
    for reply in [world.ask().await, world.run("Which desk is it at, please?").await] {
        assert_eq!((reply.status, reply.code().as_str()), (429, "budget_exceeded"), "{}", reply.text());
        assert!(reply.json()["detail"].as_str().unwrap().contains("budget"), "{}", reply.text());
    }
    let stream = world.app.post("/api/v1/ask").header("accept", "text/event-stream").json(json!({"question": QUESTION})).send().await;
    let events = stream.events();
    let last = events.last().unwrap();
    assert_eq!((last.kind.as_str(), last.data.to_string().contains("budget_exceeded")), ("ask.failed", true), "{last:?}");
    assert_eq!((world.provider.requests(), world.records().await.len()), (0, 0));
}

#[tokio::test]
async fn a_budget_of_an_agent_leaves_people_alone() {
    let world = World::new(&format!("[[rules]]\n{ANSWER}"), "").await;
    world.budget(json!({"scope": "agent", "subject": "support", "period": "day", "unit": "tokens", "amount": 10, "action": "block"})).await;
    assert_eq!(world.run(QUESTION).await.status, 429);
    assert_eq!(world.ask().await.json()["mode"], "model");
}

const RULES: &str = "[[guardrails.rules]]\nname = \"people\"\ncheck = \"personal\"\nmode = \"mask\"\non = [\"input\"]\n\
    [[guardrails.rules]]\nname = \"no-desks\"\ncheck = \"pattern\"\npatterns = [\"secret desk\"]\nmode = \"block\"\n";

#[tokio::test]
async fn what_a_question_sends_to_the_model_is_masked_and_comes_back_in_the_answer() {
    let answer = "answer = \"The office keys are at the reception desk in Łódź, ask [EMAIL_1] [1].\"";
    let world = World::new(&format!("[[rules]]\n{answer}"), RULES).await;
    let reply = world.ask().await.json();
    assert!(reply["answer"].as_str().unwrap().contains("ask ann@example.org [1]"), "{reply}");
    assert!(world.sent().contains("[EMAIL_1]") && !world.sent().contains("ann@example.org"), "{}", world.sent());
}

#[tokio::test]
async fn what_a_rule_blocks_is_told_on_the_way_in_and_on_the_way_out() {
    let world = World::new("[[rules]]\nanswer = \"The office keys are kept at the secret desk [1].\"", RULES).await;
    let blocked = world.ask().await;
    assert_eq!(blocked.code(), "output_refused", "{}", blocked.text());
    let asked = world.app.post("/api/v1/ask").json(json!({"question": "Where is the secret desk with the office keys?"})).send().await;
    assert_eq!((asked.status, asked.code().as_str()), (400, "input_refused"), "{}", asked.text());
    let planned = world.run("Where is the secret desk with the office keys?").await;
    assert_eq!((planned.status, planned.code().as_str()), (400, "input_refused"), "{}", planned.text());
    let outcomes: Vec<_> = world.records().await.into_iter().map(|r| r.outcome).collect();
    assert_eq!(outcomes, ["blocked"], "what was not sent is in no book");
}

/// Two providers behind the alias `default`: the second answers when a rule blocks what the first says, where its route says so.
async fn two_routes(fallback_on: &str) -> (TestApp, [ScriptedServer; 2], tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut servers = Vec::new();
    for answer in ["Secret desk, as ever.", "At the reception."] {
        let script = Script::from_toml(&format!("[[rules]]\nanswer = \"{answer}\"")).unwrap();
        servers.push(ScriptedServer::start(script, ([127, 0, 0, 1], 0).into(), &Lifecycle::new()).await.unwrap());
    }
    let servers: [ScriptedServer; 2] = servers.try_into().ok().unwrap();
    let routes = format!(
        "[providers.a]\nbase_url = \"{}\"\n[providers.b]\nbase_url = \"{}\"\n[aliases.default]\nroutes = [{{ provider = \"a\", model = \"one\"{fallback_on} }}, \
         {{ provider = \"b\", model = \"two\", order = 1 }}]",
        servers[0].base_url(),
        servers[1].base_url()
    );
    let (file, settings) = (folder.path().join("routes.toml"), folder.path().join("settings.toml"));
    std::fs::write(&file, routes).unwrap();
    std::fs::write(&settings, RULES).unwrap();
    let app = TestApp::with_file(&settings, &[("model.routes_file", file.to_str().unwrap())]).await;
    (app, servers, folder)
}

#[tokio::test]
async fn an_answer_that_a_rule_blocks_comes_from_the_next_route_where_the_route_says_so() {
    for stream in [false, true] {
        let body = json!({"model": "default", "stream": stream, "messages": [{"role": "user", "content": "where?"}]});
        let (app, servers, _folder) = two_routes("").await;
        let reply = app.post("/v1/chat/completions").json(body.clone()).send().await;
        assert!(reply.status == 200 && reply.text().contains("reception") && !reply.text().contains("esk"), "{}", reply.text());
        assert_eq!([servers[0].requests(), servers[1].requests()], [1, 1]);
        let (app, servers, _folder) = two_routes(", fallback_on = [\"timeout\"]").await;
        let reply = app.post("/v1/chat/completions").json(body).send().await;
        assert!(reply.status == 502 && reply.text().contains("output_refused"), "{} {}", reply.status, reply.text());
        assert_eq!([servers[0].requests(), servers[1].requests()], [1, 0]);
    }
}

#[tokio::test]
async fn embeddings_made_in_this_process_are_in_the_books_and_cost_nothing() {
    let world = World::new("rules = []", "").await;
    let embed = |texts: Vec<String>| -> BoxFuture<'static, _> {
        let usage = Usage { input: 11, ..Usage::default() };
        Box::pin(async move { Ok(EmbedReply { vectors: vec![vec![0.5]; texts.len()], usage, model: "mini".to_owned() }) })
    };
    let here = LocalEmbedder { name: Arc::new(|| Some("mini".to_owned())), embed: Arc::new(embed) };
    let app = &world.app.app;
    let observer = Observer { clock: app.kernel.clock.clone(), random: Random::system(), time_limit: Duration::from_secs(60) };
    let (router, _) = surface::routes(Surface::new(app.kernel.clone(), app.models.clone(), vec![here], None))
        .layer(Extension(app.kernel.policies.clone()))
        .layer(Extension(Principal::local_admin()))
        .layer(from_fn_with_state(observer, observe))
        .into_parts();
    let reply = Call::new(router, Method::POST, "/v1/embeddings").json(json!({"model": "mini", "input": ["a", "b"]})).send().await;
    assert_eq!((reply.status, &reply.json()["usage"]["total_tokens"]), (200, &json!(11)), "{}", reply.text());
    let records = world.records().await;
    assert_eq!(records, [Line { cost: Some(0), ..line("api", "", (11, 0)) }]);
    let by = world.app.get("/api/v1/usage?by=provider").send().await.json()["items"][0].clone();
    assert_eq!((&by["key"], &by["unpriced"], &by["cost_micro_usd"]), (&json!("in-process"), &json!(0), &json!(0)), "{by}");
}
