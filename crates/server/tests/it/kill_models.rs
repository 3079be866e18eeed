//! The real binary, killed in the middle of model calls, has one record for every call that reached the provider.
//!
//! Each call can be told from all others twice: by the tokens that the provider counts for it, and by the length of its question, which is
//! what a call that was cut is estimated by. The usual form is small; the long one is `ASTROLABE_MODEL_KILLS=50`.

use std::{
    collections::{BTreeMap, BTreeSet},
    env::var_os,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use astrolabe_gateway::{ChatRequest, Message, tokens};
use astrolabe_kernel::{
    Db, Result,
    db::{FromRow, Row},
    testing,
};
use serde_json::{Value, json};

use crate::support::{Binary, Raw};

/// Calls that reach the provider before the process is killed.
const CALLS: usize = 60;

/// Callers at the same time.
const CALLERS: usize = 16;

/// What the provider counts for the call `n`: `COUNTED + n` tokens read, and these written.
const COUNTED: u64 = 1_000_000;
const WRITTEN: u64 = 7;

const PIECES: u32 = 4;

/// What the provider saw.
#[derive(Default)]
struct Seen {
    asked: Mutex<BTreeSet<u64>>,
    news: Condvar,
    twice: AtomicBool,
}

/// A provider that answers at once and keeps its connections, streams with a pause between pieces.
fn provider(listener: TcpListener, seen: &Arc<Seen>) {
    for socket in listener.incoming().map_while(std::result::Result::ok) {
        let seen = Arc::clone(seen);
        thread::spawn(move || {
            let mut reader = BufReader::new(socket);
            while serve(&mut reader, &seen).is_some() {}
        });
    }
}

fn serve(reader: &mut BufReader<TcpStream>, seen: &Seen) -> Option<()> {
    let (mut length, mut is_get) = (0, false);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        is_get |= line.starts_with("GET ");
        if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = n.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let whole = |body: &str| {
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    };
    if is_get {
        return reader.get_mut().write_all(&whole("{\"object\":\"list\",\"data\":[]}")).ok();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body: Value = serde_json::from_slice(&body).unwrap();
    let n: u64 = body["user"].as_str().unwrap().parse().unwrap();
    if !seen.asked.lock().unwrap().insert(n) {
        seen.twice.store(true, Ordering::Release);
    }
    seen.news.notify_all();
    let usage = json!({"prompt_tokens": COUNTED + n, "completion_tokens": WRITTEN, "total_tokens": COUNTED + n + WRITTEN});
    let socket = reader.get_mut();
    if body["stream"] != true {
        let message = json!({"role": "assistant", "content": "a few words"});
        let reply = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "usage": usage,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]});
        return socket.write_all(&whole(&reply.to_string())).ok();
    }
    socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n").ok()?;
    let event = |choices: Value, usage: &Value| {
        let data = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, "usage": usage});
        format!("data: {data}\n\n")
    };
    let mut send = |text: &str| socket.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).ok();
    for _ in 0..PIECES {
        send(&event(json!([{"index": 0, "delta": {"content": "word "}, "finish_reason": null}]), &Value::Null))?;
        // The pause is part of what is played: a model that takes its time, so that kills fall into streams.
        thread::sleep(std::time::Duration::from_millis(2));
    }
    send(&event(json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]), &Value::Null))?;
    send(&event(json!([]), &usage))?;
    send("data: [DONE]\n\n")?;
    socket.write_all(b"0\r\n\r\n").ok()
}

/// The question of a call, longer than that of the call before it.
fn question(n: u64) -> String {
    "word ".repeat(usize::try_from(n).unwrap())
}

/// What we count for it before a provider does.
fn estimate(n: u64) -> u64 {
    tokens::estimate(&ChatRequest { messages: vec![Message::user(question(n))], ..ChatRequest::default() }, 0).input
}

/// Calls until the server is gone; notes those that were answered to their end.
fn caller(raw: &Raw, next: &AtomicU64, answered: &Mutex<BTreeSet<u64>>) {
    loop {
        let n = next.fetch_add(1, Ordering::AcqRel);
        let stream = n.is_multiple_of(2);
        let body =
            json!({"model": "default", "user": n.to_string(), "stream": stream, "messages": [{"role": "user", "content": question(n)}]});
        let Some((status, text)) = raw.text("POST", "/v1/chat/completions", "content-type: application/json\r\n", &body.to_string()) else {
            return;
        };
        let is_whole = if stream { text.contains("data: [DONE]") } else { serde_json::from_str::<Value>(&text).is_ok() };
        if !is_whole {
            return;
        }
        assert_eq!(status, 200, "{text}");
        answered.lock().unwrap().insert(n);
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    outcome: String,
    input: u64,
    output: u64,
    estimated: bool,
}

impl FromRow for Record {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            outcome: row.get("outcome")?,
            input: u64::try_from(row.get::<i64>("input_tokens")?).unwrap(),
            output: u64::try_from(row.get::<i64>("output_tokens")?).unwrap(),
            estimated: row.get("estimated")?,
        })
    }
}

async fn records(url: &str) -> (Vec<Record>, i64) {
    let db = Db::open(url, 2).await.unwrap();
    let mut tx = db.read_all().await.unwrap();
    let records = tx.all("SELECT outcome, input_tokens, output_tokens, estimated FROM usage_records", &[]).await.unwrap();
    let sum = tx.one("SELECT CAST(SUM(requests) AS BIGINT) AS n FROM usage_days", &[]).await.unwrap();
    drop(tx);
    db.close().await;
    (records, sum)
}

#[test]
fn every_call_that_reached_the_provider_has_one_record_however_often_the_process_is_killed() {
    let kills = var_os("ASTROLABE_MODEL_KILLS").and_then(|v| v.to_str()?.parse().ok()).unwrap_or(5);
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let url = runtime.block_on(testing::database_url(folder.path()));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Seen::default());
    thread::spawn({
        let seen = Arc::clone(&seen);
        move || provider(listener, &seen)
    });
    let binary = Binary::new(folder.path())
        .database(&url)
        .env("ASTROLABE_KNOWLEDGE_EMBEDDINGS", "false")
        .env("ASTROLABE_MODEL_BASE_URL", &format!("http://{address}/v1"))
        .env("ASTROLABE_MODEL_NAME", "m")
        .env("ASTROLABE_LIMITS_ASK_PER_MINUTE", "1000000")
        .env("ASTROLABE_LIMITS_WRITE_PER_MINUTE", "1000000");
    let (next, answered) = (AtomicU64::new(1), Mutex::default());
    for round in 1..=kills {
        let server = binary.serve();
        let raw = Raw::new(&binary, &server);
        thread::scope(|scope| {
            for _ in 0..CALLERS {
                scope.spawn(|| caller(&raw, &next, &answered));
            }
            let enough = seen.asked.lock().unwrap();
            drop(seen.news.wait_while(enough, |asked| asked.len() < round * CALLS).unwrap());
            server.kill();
        });
        assert_eq!(server.wait().0, -1, "it died of the signal");
    }
    // The next start writes what is missing; one more finds nothing left to do.
    for _ in 0..2 {
        drop(binary.serve().stop());
    }
    let left = std::fs::read_dir(binary.data_dir().join("usage")).unwrap().count();
    assert_eq!(left, 0, "journals whose records are all in the database are gone");

    let (records, sum) = runtime.block_on(records(&url));
    assert_eq!(usize::try_from(sum).unwrap(), records.len(), "the sums are of the same records");
    let asked = seen.asked.lock().unwrap();
    let answered = answered.lock().unwrap();
    let of_estimate: BTreeMap<u64, u64> = (1..next.load(Ordering::Acquire)).map(|n| (estimate(n), n)).collect();
    let mut of_call: BTreeMap<u64, Vec<&Record>> = BTreeMap::new();
    for record in &records {
        let n = match record.estimated {
            false => record.input - COUNTED,
            true => of_estimate[&record.input],
        };
        of_call.entry(n).or_default().push(record);
    }
    let whole = |n: u64| Record { outcome: "ok".to_owned(), input: COUNTED + n, output: WRITTEN, estimated: false };
    for n in asked.iter() {
        let [record] = of_call.remove(n).unwrap_or_default()[..] else {
            panic!("the call {n} reached the provider and has not one record")
        };
        let is_cut = record.estimated && record.outcome == "cut";
        assert!(*record == whole(*n) || is_cut && !answered.contains(n), "{n}: {record:?}, answered: {}", answered.contains(n));
    }
    // What is left was in the journal and died on its way to the provider.
    for (n, left) in &of_call {
        assert!(left.len() == 1 && left[0].outcome == "cut" && left[0].estimated, "{n}: {left:?}");
    }
    let cut = records.iter().filter(|r| r.estimated).count();
    eprintln!(
        "{kills} kills, {} calls reached the provider, {} were answered in full, {cut} records are estimated",
        asked.len(),
        answered.len()
    );
    assert!(!seen.twice.load(Ordering::Acquire), "no call was sent twice");
    assert!(answered.len() > asked.len() / 2 && cut > 0 && cut <= kills * CALLERS, "{cut} of {} were cut", records.len());
}
