//! The two ends of `bench/gateway`: a provider that answers at once or after a delay, and callers that measure what stands between.
//!
//! ```text
//! gateway_bench provider 127.0.0.1:9100 0          # milliseconds before an answer and between the pieces of a stream
//! gateway_bench provider 127.0.0.1:9100 0 500      # the same, with other milliseconds between the pieces
//! gateway_bench callers 127.0.0.1:8080 TOKEN MODEL CONCURRENCY SECONDS [stream]
//! ```
//!
//! Both speak just enough HTTP/1.1 to cost next to nothing beside what is measured. The callers print one line of JSON.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a measuring program, run by hand, that may stop on any surprise"
)]

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const WHOLE: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"The office keys are kept at the reception desk."},"finish_reason":"stop"}],"usage":{"prompt_tokens":400,"completion_tokens":10,"total_tokens":410}}"#;

const PIECE: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"},\"finish_reason\":null}]}\n\n";

const END: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":400,\"completion_tokens\":10,\"total_tokens\":410}}\n\ndata: [DONE]\n\n";

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[1..] {
        ["provider", address, delay] => provider(address, millis(delay), millis(delay)).await,
        ["provider", address, delay, pause] => provider(address, millis(delay), millis(pause)).await,
        ["callers", address, token, model, concurrency, seconds, ref rest @ ..] => {
            let request = request(address, token, model, rest.contains(&"stream"));
            callers(address, request, concurrency.parse().unwrap(), Duration::from_secs(seconds.parse().unwrap())).await;
        }
        _ => println!("gateway_bench provider ADDRESS DELAY_MS [PAUSE_MS] | callers ADDRESS TOKEN MODEL CONCURRENCY SECONDS [stream]"),
    }
}

fn millis(text: &str) -> Duration {
    Duration::from_millis(text.parse().unwrap())
}

/// Whether a body asks for a stream, however its JSON is written.
fn is_stream(body: &[u8]) -> bool {
    let key = b"\"stream\":";
    let after = body.windows(key.len()).position(|w| w == key).map(|at| &body[at + key.len()..]);
    after.is_some_and(|rest| rest.trim_ascii_start().starts_with(b"true"))
}

/// Reads one request; whether it asks for a stream. Nothing at the end of the connection.
async fn read_request(socket: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<bool> {
    loop {
        if let Some(head) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
            let length: usize = text.lines().find_map(|l| l.strip_prefix("content-length:")).map_or(0, |n| n.trim().parse().unwrap());
            let end = head + 4 + length;
            if buffer.len() >= end {
                let stream = is_stream(&buffer[head..end]);
                buffer.drain(..end);
                return Some(stream);
            }
        }
        if socket.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

async fn provider(address: &str, delay: Duration, pause: Duration) {
    let whole = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{WHOLE}", WHOLE.len());
    let whole: Arc<[u8]> = whole.into_bytes().into();
    let chunk = |data: &str| format!("{:x}\r\n{data}\r\n", data.len());
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let pieces: Arc<Vec<String>> = Arc::new(
        (0..10).map(|i| if i == 0 { head.to_owned() + &chunk(PIECE) } else { chunk(PIECE) }).chain([chunk(END) + "0\r\n\r\n"]).collect(),
    );
    let listener = TcpListener::bind(address).await.unwrap();
    println!("ready");
    while let Ok((mut socket, _)) = listener.accept().await {
        socket.set_nodelay(true).unwrap();
        let (whole, pieces) = (whole.clone(), pieces.clone());
        tokio::spawn(async move {
            let mut buffer = Vec::new();
            while let Some(stream) = read_request(&mut socket, &mut buffer).await {
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
                if !stream {
                    if socket.write_all(&whole).await.is_err() {
                        return;
                    }
                    continue;
                }
                for piece in pieces.iter() {
                    if socket.write_all(piece.as_bytes()).await.is_err() {
                        return;
                    }
                    if !pause.is_zero() {
                        tokio::time::sleep(pause).await;
                    }
                }
            }
        });
    }
}

/// A request of two kilobytes, as it goes over the wire.
fn request(host: &str, token: &str, model: &str, stream: bool) -> Arc<[u8]> {
    let text = "Employees get 26 days of leave a year, and more on request. ".repeat(32);
    let stream = if stream { "\"stream\":true," } else { "" };
    let body = format!(
        r#"{{"model":"{model}",{stream}"messages":[{{"role":"system","content":"be brief"}},{{"role":"user","content":"{text}"}}]}}"#
    );
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
    .into()
}

/// Reads one answer to its end; its status.
async fn read_answer(socket: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<u16> {
    let closed = || std::io::Error::other("closed");
    let head = loop {
        if let Some(head) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            break head;
        }
        if socket.read_buf(buffer).await? == 0 {
            return Err(closed());
        }
    };
    let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
    let status = text[9..12].parse().unwrap_or(0);
    let length = text.lines().find_map(|l| l.strip_prefix("content-length:")).map(|n| n.trim().parse::<usize>().unwrap_or(0));
    loop {
        let over = match length {
            Some(length) => buffer.len() >= head + 4 + length,
            None => buffer.ends_with(b"\r\n0\r\n\r\n"),
        };
        if over {
            buffer.clear();
            return Ok(status);
        }
        if socket.read_buf(buffer).await? == 0 {
            return Err(closed());
        }
    }
}

async fn callers(address: &str, request: Arc<[u8]>, concurrency: usize, duration: Duration) {
    let measured = Arc::new(Mutex::new((Vec::<u64>::new(), 0u64)));
    let warm = Instant::now() + Duration::from_secs(1);
    let end = warm + duration;
    let tasks: Vec<_> = (0..concurrency)
        .map(|_| {
            let (address, request, measured) = (address.to_owned(), request.clone(), measured.clone());
            tokio::spawn(async move {
                let (mut took, mut failed) = (Vec::new(), 0);
                let mut socket = TcpStream::connect(&address).await.unwrap();
                socket.set_nodelay(true).unwrap();
                let mut buffer = Vec::with_capacity(16 * 1024);
                while Instant::now() < end {
                    let begun = Instant::now();
                    let status = match socket.write_all(&request).await {
                        Ok(()) => read_answer(&mut socket, &mut buffer).await,
                        Err(e) => Err(e),
                    };
                    match status {
                        Ok(200) if begun > warm => took.push(begun.elapsed().as_micros() as u64),
                        Ok(200) => {}
                        Ok(_) => failed += 1,
                        Err(_) => {
                            failed += 1;
                            buffer.clear();
                            socket = TcpStream::connect(&address).await.unwrap();
                        }
                    }
                }
                let mut all = measured.lock().unwrap();
                all.0.extend(took);
                all.1 += failed;
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let (mut took, failed) = std::mem::take(&mut *measured.lock().unwrap());
    took.sort_unstable();
    let at = |share: f64| took.get(((took.len() as f64 * share) as usize).min(took.len().saturating_sub(1))).copied().unwrap_or(0);
    println!(
        "{{\"requests\":{},\"failed\":{failed},\"per_second\":{:.0},\"p50_us\":{},\"p99_us\":{}}}",
        took.len(),
        took.len() as f64 / duration.as_secs_f64(),
        at(0.5),
        at(0.99)
    );
}
