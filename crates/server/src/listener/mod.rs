//! The accept loop: HTTP/1.1 and HTTP/2 without TLS on one port, with limits on how many connections there are and how slowly they
//! may speak, and a stop that lets requests finish.

mod patient;

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use astrolabe_kernel::{Error, Lifecycle, Result, error::code, http::Peer};
use axum::{Router, body::Body};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tower::ServiceExt;

use self::patient::Patient;

/// The head of a request may have this many bytes. Smaller ones that are still too large are refused with a problem document, in
/// `kernel::http`; this is where reading ends.
const MAX_HEAD: usize = 66 << 10;
/// The head of a request may have this many headers, likewise.
const MAX_HEADERS: usize = 200;
/// How long a refused connection may take to read why.
const REFUSAL: Duration = Duration::from_secs(1);
/// An HTTP/2 connection that answers no ping within this is dropped.
const PING: Duration = Duration::from_secs(20);

/// Limits of connections.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at the same time.
    pub connections: usize,
    /// How long a connection may take to send the head of a request.
    pub header_timeout: Duration,
    /// How long a connection may take nothing of the answer that waits for it.
    pub write_timeout: Duration,
}

/// Opens the address `host:port`.
///
/// # Errors
/// `address_in_use`; `invalid_config` when it is no address of this machine or may not be used.
pub async fn bind(address: &str) -> Result<(TcpListener, SocketAddr)> {
    use std::io::ErrorKind;
    let listener = TcpListener::bind(address).await.map_err(|error| {
        match error.kind() {
            ErrorKind::AddrInUse => Error::new(code::ADDRESS_IN_USE, format!("the address {address} is in use by another process")),
            ErrorKind::PermissionDenied => {
                Error::new(code::INVALID_CONFIG, format!("server.listen: this user may not listen on {address}; use a port above 1023"))
            }
            ErrorKind::AddrNotAvailable => {
                Error::new(code::INVALID_CONFIG, format!("server.listen: {address} is not an address of this machine"))
            }
            _ => Error::new(code::INVALID_CONFIG, format!("server.listen: cannot listen on {address}: write it as host:port")),
        }
        .with_internal(error)
    })?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

/// Accepts connections until the lifecycle stops; each request goes to the router that `current` gives at that moment.
pub async fn accept(
    listener: TcpListener,
    lifecycle: Lifecycle,
    limits: Limits,
    current: impl Fn() -> Router + Clone + Send + Sync + 'static,
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    loop {
        let (stream, peer) = tokio::select! {
            () = lifecycle.stopping() => return,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Too many open files, most of the time: taking a breath lets connections end.
                    tracing::warn!(error = %error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            metrics::counter!("connections_refused_total").increment(1);
            lifecycle.spawn("connection refusal", refuse(stream));
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (life, current) = (lifecycle.clone(), current.clone());
        lifecycle.spawn("connection", async move {
            converse(stream, Peer(peer.ip()), life, limits, current).await;
            drop(place);
        });
    }
}

async fn refuse(mut stream: TcpStream) {
    let body = "{\"type\":\"urn:astrolabe:error:overloaded\",\"title\":\"Overloaded\",\"status\":503,\"code\":\"overloaded\",\
                \"detail\":\"more connections than server.max_connections allows\"}";
    let text = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let _ = tokio::time::timeout(REFUSAL, async {
        stream.write_all(text.as_bytes()).await?;
        stream.shutdown().await
    })
    .await;
}

async fn converse(
    stream: TcpStream,
    peer: Peer,
    lifecycle: Lifecycle,
    limits: Limits,
    current: impl Fn() -> Router + Clone + Send + Sync + 'static,
) {
    let spoken = Arc::new(AtomicBool::new(false));
    let heard = spoken.clone();
    let service = hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer);
        heard.store(true, Ordering::Relaxed);
        let router = current();
        async move {
            let response = router.oneshot(request.map(Body::new)).await.unwrap_or_else(|never: Infallible| match never {});
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .max_header_list_size(MAX_HEAD as u32)
        .max_concurrent_streams(256);
    let connection = builder.serve_connection(TokioIo::new(Patient::new(stream, limits.write_timeout)), service);
    let mut connection = std::pin::pin!(connection);
    // While the builder waits for the first bytes to tell the versions apart, its own time limits do not run yet.
    let silence = tokio::time::sleep(limits.header_timeout);
    let mut silence = std::pin::pin!(silence);
    let mut first = true;
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(error = %error, "a connection broke off");
                }
                return;
            }
            () = silence.as_mut(), if first => {
                if !spoken.load(Ordering::Relaxed) {
                    return;
                }
                first = false;
            }
            () = lifecycle.stopping(), if !stopping => {
                connection.as_mut().graceful_shutdown();
                stopping = true;
            }
        }
    }
}
