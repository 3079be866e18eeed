//! A stream as it came over the wire, taken apart.

use serde_json::Value;

use super::{Event, Reply};

impl Reply {
    /// The events of a stream in either form.
    pub fn events(&self) -> Vec<Event> {
        let text = self.text();
        match self.header("content-type") {
            "text/event-stream" => {
                assert!(text.starts_with("retry: 1000\n\n"), "{text}");
                text.split("\n\n").filter(|block| block.starts_with("id: ") && block.contains('\n')).map(sse).collect()
            }
            "application/x-ndjson" => text.lines().filter(|line| !line.is_empty()).map(ndjson).collect(),
            other => panic!("{other:?} is no stream: {text}"),
        }
    }
}

fn sse(block: &str) -> Event {
    let mut lines = block.lines();
    let mut field = |name: &str| lines.next().unwrap().strip_prefix(name).unwrap().to_owned();
    let event =
        Event { seq: field("id: ").parse().unwrap(), kind: field("event: "), data: serde_json::from_str(&field("data: ")).unwrap() };
    assert_eq!(lines.next(), None, "{block}");
    event
}

fn ndjson(line: &str) -> Event {
    let value: Value = serde_json::from_str(line).unwrap();
    let mut keys: Vec<&String> = value.as_object().unwrap().keys().collect();
    keys.sort_unstable();
    assert_eq!(keys, ["data", "event", "seq"]);
    Event { seq: value["seq"].as_i64().unwrap(), kind: value["event"].as_str().unwrap().to_owned(), data: value["data"].clone() }
}
