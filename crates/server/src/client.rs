//! Commands that use the API: over HTTP when a server runs, else in this process, on the data directory alone. Both go through the
//! same paths, checks and audit entries.

use std::{sync::Arc, time::Duration};

use astrolabe_kernel::{
    Error, Random, Result,
    config::Secret,
    egress::{Egress, EgressConfig, Method, Trust, header},
    error::code,
    http::Problem,
    limits::LimitsConfig,
    page::Page,
};
use axum::{
    Router,
    body::{Body, Bytes},
    http::Request,
};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower::ServiceExt;

use crate::{
    app::{App, Parts},
    cli::{Context, Remote},
    data_dir::{DataDir, Holder, Lock},
    router,
    system::System,
};

/// Answers of the API may have this many bytes.
const MAX_REPLY: usize = 64 << 20;
/// How long a request of a command may take: an upload of many files on a slow disk, or a model that thinks.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a command needs of the data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It may be new: the command puts something into it.
    Anything,
    /// It must be there: the command reads.
    Data,
}

/// A way to the API.
pub struct Client {
    token: Secret,
    way: Way,
}

enum Way {
    Remote { egress: Egress, base: String },
    Alone(Box<Alone>),
}

/// The whole application in this process.
struct Alone {
    app: App,
    router: Router,
    _lock: Lock,
}

impl Client {
    /// Finds the server: the one that `remote` names, else the one that holds the data directory, else none, and the data directory
    /// is opened here.
    ///
    /// # Errors
    /// `server_unreachable`; `data_dir_busy` when a process holds the directory that is no server; what opening says.
    pub async fn connect(context: &Context, remote: &Remote, need: Need) -> Result<Self> {
        if let Some(server) = &remote.server {
            let token = match &remote.token {
                Some(token) => Secret::new(token.as_str()),
                None => read_token(&context.data_dir()?)?,
            };
            return Self::remote(server, token);
        }
        let config = context.config(Vec::new())?;
        let dir = match need {
            Need::Anything => context.create_data_dir()?,
            Need::Data => context.data_dir()?,
        };
        match dir.lock() {
            Ok(lock) => Self::alone(Parts::real(config, dir)?, lock).await,
            Err(error) if error.code() == code::DATA_DIR_BUSY => match dir.holder() {
                Some(Holder { url: Some(url), .. }) => {
                    let token = remote.token.as_deref().map_or_else(|| read_token(&dir), |t| Ok(Secret::new(t)))?;
                    Self::remote(&url, token)
                }
                _ => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    fn remote(server: &str, token: Secret) -> Result<Self> {
        let base = server.trim().trim_end_matches('/').to_owned();
        Ok(Self { token, way: Way::Remote { egress: Egress::new(EgressConfig::default())?, base } })
    }

    /// The application on a data directory that this process holds.
    ///
    /// # Errors
    /// What opening says.
    pub async fn alone(mut parts: Parts, lock: Lock) -> Result<Self> {
        // Nobody else asks here, and who works on a data directory alone need not be held back.
        let mut config = (*parts.config).clone();
        config.limits = LimitsConfig::off();
        parts.config = Arc::new(config);
        let egress_config: EgressConfig = parts.config.settings.section("egress")?;
        let system = System::new(parts.lifecycle.clone(), egress_config.offline, String::new);
        let app = App::open(&parts, system).await?;
        app.start();
        app.knowledge.loaded().await;
        let (router, _) = router::full(&app);
        Ok(Self { token: app.token.clone(), way: Way::Alone(Box::new(Alone { app, router, _lock: lock })) })
    }

    /// The address of the server, or nothing when the work is done here.
    pub fn server(&self) -> Option<&str> {
        match &self.way {
            Way::Remote { base, .. } => Some(base),
            Way::Alone(_) => None,
        }
    }

    /// The application, when the work is done here.
    pub fn app(&self) -> Option<&App> {
        match &self.way {
            Way::Remote { .. } => None,
            Way::Alone(alone) => Some(&alone.app),
        }
    }

    /// Sends a request and returns its JSON answer; `Null` for an answer without a body.
    ///
    /// # Errors
    /// The server's own error, by its code; `server_unreachable`.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let body = body.map(|b| ("application/json".to_owned(), Bytes::from(b.to_string())));
        self.send(method, path, body).await
    }

    /// As [`Client::call`], with the answer as a type.
    ///
    /// # Errors
    /// As [`Client::call`]; `upstream_failed` when the answer is of another shape.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let value = self.call(Method::GET, path, None).await?;
        serde_json::from_value(value)
            .map_err(|e| Error::new(code::UPSTREAM_FAILED, "the server's answer is not what this version expects").with_internal(e))
    }

    /// Every item of a list, page by page. `path` ends where a further parameter can be put.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn all<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let page: Page<T> = self.get(&format!("{path}limit=200{cursor}")).await?;
            items.extend(page.items);
            match page.next_cursor {
                Some(next) => cursor = format!("&cursor={}", encode(&next)),
                None => return Ok(items),
            }
        }
    }

    /// Sends a body of any kind.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn send(&self, method: Method, path: &str, body: Option<(String, Bytes)>) -> Result<Value> {
        let (status, bytes) = match &self.way {
            Way::Remote { egress, base } => {
                let mut request = egress
                    .request("astrolabe", Trust::Operator, method, &format!("{base}{path}"))?
                    .bearer(self.token.expose())
                    .timeout(PATIENCE);
                if let Some((content_type, body)) = body {
                    request = request.header("content-type", &content_type).body(body);
                }
                let response = request.send().await.map_err(|e| unreachable(e, base))?;
                (response.status().as_u16(), response.bytes(MAX_REPLY).await.map_err(|e| unreachable(e, base))?)
            }
            Way::Alone(alone) => {
                let mut request = self.request(method, path);
                let body = match body {
                    Some((content_type, body)) => {
                        request = request.header(header::CONTENT_TYPE, content_type);
                        Body::from(body)
                    }
                    None => Body::empty(),
                };
                let request = request.body(body).map_err(Error::internal)?;
                let response = alone.router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
                let status = response.status().as_u16();
                (status, response.into_body().collect().await.map_err(Error::internal)?.to_bytes())
            }
        };
        if (200..300).contains(&status) {
            return if bytes.is_empty() {
                Ok(Value::Null)
            } else {
                serde_json::from_slice(&bytes).map_err(|e| {
                    Error::new(code::UPSTREAM_FAILED, "the server's answer is not JSON: is it an Astrolabe server?").with_internal(e)
                })
            };
        }
        Err(refusal(status, &bytes))
    }

    /// Hands the bytes of an answer on as they arrive, for answers that are larger than memory.
    ///
    /// # Errors
    /// As [`Client::call`], and those of `each`.
    pub async fn download(&self, path: &str, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        match &self.way {
            Way::Remote { egress, base } => {
                let request = egress.request("astrolabe", Trust::Operator, Method::GET, &format!("{base}{path}"))?;
                let mut response = request.bearer(self.token.expose()).without_timeout().send().await.map_err(|e| unreachable(e, base))?;
                let status = response.status().as_u16();
                if !(200..300).contains(&status) {
                    return Err(refusal(status, &response.bytes(MAX_REPLY).await?));
                }
                while let Some(bytes) = response.chunk().await.map_err(|e| unreachable(e, base))? {
                    each(&bytes)?;
                }
            }
            Way::Alone(alone) => {
                let request = self.request(Method::GET, path).body(Body::empty()).map_err(Error::internal)?;
                let response = alone.router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
                let status = response.status().as_u16();
                let mut body = response.into_body();
                if !(200..300).contains(&status) {
                    return Err(refusal(status, &body.collect().await.map_err(Error::internal)?.to_bytes()));
                }
                while let Some(frame) = body.frame().await {
                    if let Ok(bytes) = frame.map_err(Error::internal)?.into_data() {
                        each(&bytes)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// A request to this process.
    fn request(&self, method: Method, path: &str) -> axum::http::request::Builder {
        Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token.expose()))
    }

    /// Ends the work: what was done here is finished and sealed.
    pub async fn close(self) {
        if let Way::Alone(alone) = self.way {
            alone.app.stop(Duration::from_secs(10)).await;
        }
    }
}

/// What is told of a server that does not answer.
fn unreachable(error: Error, base: &str) -> Error {
    match error.code() {
        c if c == code::UPSTREAM_FAILED || c == code::UPSTREAM_TIMEOUT => {
            Error::new(code::SERVER_UNREACHABLE, format!("the server at {base} does not answer")).with_internal(format_args!("{error:?}"))
        }
        _ => error,
    }
}

/// The server's problem as our own error, so that the exit code and the hint are the same with and without a server.
fn refusal(status: u16, body: &[u8]) -> Error {
    let Ok(problem) = serde_json::from_slice::<Problem>(body) else {
        return Error::new(code::UPSTREAM_FAILED, format!("the server answered {status} without saying why: is it an Astrolabe server?"));
    };
    let known = code::ALL.iter().copied().find(|c| c.name == problem.code);
    let mut error =
        Error::new(known.unwrap_or(code::UPSTREAM_FAILED), problem.detail).with_internal(format_args!("trace_id {}", problem.trace_id));
    for field in problem.errors {
        error = error.and_field(field.field, field.message);
    }
    error
}

fn read_token(dir: &DataDir) -> Result<Secret> {
    let file = dir.token_file();
    if !file.try_exists()? {
        return Err(Error::new(code::MISSING_TOKEN, format!("there is no token in {}: give one with --token", file.display())));
    }
    astrolabe_platform::sessions::token(&file, &Random::system())
}

/// A body of `multipart/form-data` with files, and its content type (RFC 7578). The boundary is random, so that no file can hold it.
pub fn multipart(files: &[(String, Bytes)]) -> (String, Bytes) {
    let boundary = format!("astrolabe-{}", Random::system().token(18));
    let mut body = Vec::with_capacity(files.iter().map(|(n, b)| n.len() + b.len() + 200).sum());
    for (name, bytes) in files {
        // Quotes, backslashes and line breaks are percent-encoded, as browsers do (HTML standard, multipart form data).
        let name = name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
        let head = format!(
            "--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\ncontent-type: application/octet-stream\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), Bytes::from(body))
}

/// Text for a query string.
pub fn encode(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
