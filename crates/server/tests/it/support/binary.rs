//! The real binary: commands that run to their end, and a server that is started and stopped.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

/// How commands of a test are run: on one data directory, with a clean environment.
#[derive(Clone)]
pub struct Binary {
    data_dir: PathBuf,
    env: Vec<(String, String)>,
}

/// What a command that ended left behind.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ended {
    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

impl Binary {
    /// Commands on the folder `data` in `folder`.
    pub fn new(folder: &Path) -> Self {
        Self { data_dir: folder.join("data"), env: Vec::new() }
    }

    /// The same with another data directory.
    pub fn on(&self, data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned(), env: self.env.clone() }
    }

    /// The same on a database, which may be one that loses everything in a crash.
    pub fn database(self, url: &str) -> Self {
        self.env("DATABASE_URL", url).env("ASTROLABE_DATABASE_ALLOW_UNSAFE_DURABILITY", "true")
    }

    /// The same with an environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The command, ready to be started.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_astrolabe"));
        command.env_clear().envs(self.env.iter().map(|(a, b)| (a, b)));
        // Coverage runs collect what child processes write under this name.
        if let Some(profile) = std::env::vars_os().find(|(name, _)| name == "LLVM_PROFILE_FILE") {
            command.env(profile.0, profile.1);
        }
        command.env("ASTROLABE_DATA_DIR", &self.data_dir).env("ASTROLABE_MODELS_DIR", self.data_dir.join("no-models"));
        command.args(args).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end that reads this from standard input.
    pub fn run_with(&self, args: &[&str], input: &str) -> Ended {
        let mut command = self.command(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        Ended {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Ended {
        let output = self.command(args).output().unwrap();
        Ended {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Starts a server on a free port and waits until it says that it listens and is ready.
    pub fn serve(&self) -> Server {
        self.serve_with(&[])
    }

    /// As [`Binary::serve`], with more arguments.
    pub fn serve_with(&self, args: &[&str]) -> Server {
        let mut all = vec!["serve", "--listen", "127.0.0.1:0"];
        all.extend_from_slice(args);
        let mut child = self.command(&all).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = Vec::new();
        let mut url = None;
        let mut open = false;
        while url.is_none() || !open {
            let Some(line) = lines.next() else { panic!("the server ended: {seen:#?}") };
            let line = line.unwrap();
            if let Ok(log) = serde_json::from_str::<Value>(&line) {
                match log["message"].as_str() {
                    Some("listening") => url = log["address"].as_str().map(|a| format!("http://{a}")),
                    Some("the data directory is open") => open = true,
                    _ => {}
                }
            }
            seen.push(line);
        }
        let log = std::thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>());
        Server { child, url: url.unwrap(), first: seen, log: Some(log) }
    }
}

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    /// Its address.
    pub url: String,
    /// What it had printed when it was ready.
    pub first: Vec<String>,
    log: Option<std::thread::JoinHandle<Vec<String>>>,
}

impl Server {
    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    /// Sends SIGHUP.
    pub fn hangup(&self) {
        self.signal(rustix::process::Signal::HUP);
    }

    /// Sends SIGKILL: the process ends between two instructions.
    pub fn kill(&self) {
        self.signal(rustix::process::Signal::KILL);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        let _ = rustix::process::kill_process(pid, signal);
    }

    /// Waits for its end. Returns the exit code (-1 after a signal) and everything it printed.
    pub fn wait(mut self) -> (i32, Vec<String>) {
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        let mut lines = std::mem::take(&mut self.first);
        lines.extend(self.log.take().unwrap().join().unwrap());
        (code, lines)
    }

    /// Stops it softly and expects a clean end.
    pub fn stop(self) -> Vec<String> {
        self.terminate();
        let started = Instant::now();
        let (code, lines) = self.wait();
        assert_eq!(code, 0, "{lines:#?}");
        assert!(started.elapsed() < Duration::from_secs(60), "a soft stop must not hang");
        lines
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
