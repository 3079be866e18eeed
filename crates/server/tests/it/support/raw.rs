//! The plainest HTTP client there can be, for requests to the real binary: HTTP/1.0 over a blocking socket, so that the test sees
//! every byte as it comes and the end of the connection as what it is.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
};

use serde_json::Value;

use super::{Binary, Server};

/// A server's address and token.
#[derive(Clone)]
pub struct Raw {
    address: String,
    token: String,
}

/// An event of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its sequence number.
    pub seq: i64,
    /// What happened.
    pub kind: String,
    /// The event's data.
    pub data: Value,
}

/// A stream that is being read; ends when the connection does.
pub struct Events(BufReader<TcpStream>);

impl Raw {
    /// A client of a server on a data directory.
    pub fn new(binary: &Binary, server: &Server) -> Self {
        let token = std::fs::read_to_string(binary.data_dir().join("token")).unwrap().trim().to_owned();
        Self { address: server.url.trim_start_matches("http://").to_owned(), token }
    }

    /// A signed-in request. Returns status and JSON, or `None` when the connection ended before the answer did.
    pub fn call(&self, method: &str, path: &str, headers: &str, body: &str) -> Option<(u16, Value)> {
        let (status, body) = self.text(method, path, headers, body)?;
        Some((status, serde_json::from_str(&body).unwrap_or(Value::Null)))
    }

    /// As [`Raw::call`], with the body as it came.
    pub fn text(&self, method: &str, path: &str, headers: &str, body: &str) -> Option<(u16, String)> {
        let mut socket = self.send(method, path, headers, body)?;
        let mut reply = String::new();
        socket.read_to_string(&mut reply).ok()?;
        let (head, body) = reply.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// Posts JSON.
    pub fn post(&self, path: &str, body: &Value) -> Option<(u16, Value)> {
        self.call("POST", path, "content-type: application/json\r\n", &body.to_string())
    }

    /// Reads a stream behind a sequence number.
    pub fn events(&self, path: &str, after: i64) -> Option<Events> {
        let socket = self.send("GET", &format!("{path}?after={after}"), "accept: application/x-ndjson\r\n", "")?;
        let mut reader = BufReader::new(socket);
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
        }
        Some(Events(reader))
    }

    fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> Option<TcpStream> {
        let mut socket = TcpStream::connect(&self.address).ok()?;
        let (address, token, length) = (&self.address, &self.token, body.len());
        let head = format!(
            "{method} {path} HTTP/1.0\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n{headers}content-length: {length}\r\n\r\n{body}"
        );
        socket.write_all(head.as_bytes()).ok()?;
        Some(socket)
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).ok()? == 0 {
                return None;
            }
            // A killed server may leave half a line; a silent one sends empty lines.
            if let Ok(event) = serde_json::from_str::<Value>(&line) {
                return Some(Event { seq: event["seq"].as_i64()?, kind: event["event"].as_str()?.to_owned(), data: event["data"].clone() });
            }
        }
    }
}
