//! What every adapter promises, tried on each of them against the scripted provider in its own format, over a real socket.

mod broken;
mod replies;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use astrolabe_kernel::{
    Clock, Lifecycle,
    config::Secret,
    egress::{Egress, EgressConfig},
};
use tokio::time::Instant;

use crate::{
    bedrock::{Bedrock, Credentials, sign::Keys},
    chat::{ChatDelta, ChatReply, ChatRequest, Message, Tool},
    collect::Collector,
    error::ModelGatewayError,
    gemini::Gemini,
    openai::OpenAi,
    provider::{Call, Limits, Provider},
    scripted::{Script, ScriptedServer},
};

/// Long enough never to be reached on a busy machine, for the waits that a test is not about.
const LONG: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    OpenAi,
    Bedrock,
    Gemini,
}

const FORMATS: [Format; 3] = [Format::OpenAi, Format::Bedrock, Format::Gemini];

async fn serve(rules: &str) -> ScriptedServer {
    let script = Script::from_toml(&format!("api_key = \"right-key\"\n{rules}")).unwrap();
    ScriptedServer::start(script, SocketAddr::from(([127, 0, 0, 1], 0)), &Lifecycle::new()).await.unwrap()
}

impl Format {
    fn adapter(self, server: &ScriptedServer, key: &str) -> Arc<dyn Provider> {
        let egress = Egress::new(EgressConfig { offline: true, ..EgressConfig::default() }).unwrap();
        let (key, clock) = (Secret::new(key), Clock::System);
        match self {
            Self::OpenAi => Arc::new(OpenAi::new(&server.base_url(), key, egress, clock)),
            Self::Bedrock => {
                let keys = Keys { access_key_id: "AKID".to_owned(), secret_access_key: key, session_token: Secret::new("token") };
                Arc::new(Bedrock::new(&server.root(), "eu-central-1", Credentials::Keys(keys), egress, clock))
            }
            Self::Gemini => Arc::new(Gemini::new(&server.gemini_url(), key, egress, clock)),
        }
    }

    /// A server with these rules and the adapter for it.
    async fn with(self, rules: &str) -> (ScriptedServer, Arc<dyn Provider>) {
        let server = serve(rules).await;
        let adapter = self.adapter(&server, "right-key");
        (server, adapter)
    }
}

fn ask(text: &str) -> ChatRequest {
    ChatRequest { messages: vec![Message::system("be brief"), Message::user(text)], ..ChatRequest::default() }
}

fn limits() -> Limits {
    let now = Instant::now();
    Limits { first: now + LONG, idle: LONG, whole: now + LONG }
}

/// A model's name as they occur at Bedrock, with what has to be encoded in a path.
const MODEL: &str = "eu.maker.model-v1:0";

async fn whole(adapter: &dyn Provider, request: &ChatRequest) -> Result<ChatReply, ModelGatewayError> {
    adapter.complete(Call { model: MODEL, request: &Arc::new(request.clone()), limits: limits() }).await
}

/// The pieces of a stream, and how it ended.
async fn pieces(adapter: &dyn Provider, request: &ChatRequest, limits: Limits) -> (Vec<ChatDelta>, Result<(), ModelGatewayError>) {
    let mut stream = match adapter.stream(Call { model: MODEL, request: &Arc::new(request.clone()), limits }).await {
        Ok(stream) => stream,
        Err(e) => return (Vec::new(), Err(e)),
    };
    let mut pieces = Vec::new();
    loop {
        match stream.next().await {
            Ok(Some(piece)) => {
                assert!(!matches!(pieces.last(), Some(ChatDelta::End(_))), "nothing comes after the end");
                pieces.push(piece);
            }
            Ok(None) => {
                assert!(matches!(pieces.last(), Some(ChatDelta::End(_))), "a stream without an error has an end");
                return (pieces, Ok(()));
            }
            Err(e) => {
                assert!(stream.next().await.unwrap().is_none(), "nothing comes after an error");
                return (pieces, Err(e));
            }
        }
    }
}

fn collected(pieces: Vec<ChatDelta>) -> ChatReply {
    let mut collector = Collector::default();
    pieces.into_iter().for_each(|piece| collector.push(piece));
    collector.finish().unwrap()
}

async fn streamed(adapter: &dyn Provider, request: &ChatRequest) -> Result<ChatReply, ModelGatewayError> {
    let (pieces, end) = pieces(adapter, request, limits()).await;
    end.map(|()| collected(pieces))
}

fn weather() -> Tool {
    Tool {
        name: "weather".to_owned(),
        description: "The weather of a city.".to_owned(),
        parameters: serde_json::json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}),
        strict: false,
    }
}
