//! What a process that reads documents may do: compute for a while in some memory, and write to the pipe it was given.
//!
//! Limits of POSIX (`setrlimit`) work on every Unix and are required: a process that cannot set them reads nothing. Landlock (Linux 5.13, for the
//! network 6.7) comes on top and may be missing. `astrolabe extract --check` tries what is forbidden and says what came of it, which is what
//! `/readyz` shows.

use std::{fs::File, io, net::UdpSocket};

use astrolabe_kernel::{Error, Result};
use astrolabe_knowledge::ingest::extractor::Sandbox;

/// Address space of the child, in bytes.
const MEMORY: u64 = 1 << 30;
/// Seconds of processor time; a second later the kernel kills without asking.
const CPU: u64 = 30;

/// What Landlock does here, in words, or why it does nothing.
pub type Landlock = std::result::Result<String, String>;

/// Gives up every right that reading a document does not need. Returns where the answer goes: what a parser prints goes elsewhere.
///
/// # Errors
/// `internal` when a limit cannot be set.
#[cfg(unix)]
pub fn enter() -> Result<(File, Landlock)> {
    use rustix::{
        process::{Resource, Rlimit, getrlimit, setrlimit},
        stdio::{dup2_stdout, stderr, stdout},
    };
    let answer = File::from(rustix::io::fcntl_dupfd_cloexec(stdout(), 3).map_err(io::Error::from)?);
    // A parser that prints a warning must not print it into the answer.
    dup2_stdout(stderr()).map_err(io::Error::from)?;
    let landlock = landlock();
    let limits = [
        ("memory", Resource::As, MEMORY, MEMORY),
        ("processor time", Resource::Cpu, CPU, CPU + 1),
        ("core dump", Resource::Core, 0, 0),
        ("file size", Resource::Fsize, 0, 0),
        ("process", Resource::Nproc, 0, 0),
        // What is open stays open; nothing else can be: no file, no socket, no pipe.
        ("open file", Resource::Nofile, 0, 0),
    ];
    for (what, resource, soft, hard) in limits {
        // Where the system allows less already, that stays.
        let allowed = getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let limit = Rlimit { current: Some(soft.min(allowed)), maximum: Some(hard.min(allowed)) };
        setrlimit(resource, limit).map_err(|e| Error::internal(format_args!("the {what} limit of extraction could not be set: {e}")))?;
    }
    Ok((answer, landlock))
}

/// Elsewhere there is nothing that would hold a parser back.
///
/// # Errors
/// Always: a document is not read without limits.
#[cfg(not(unix))]
pub fn enter() -> Result<(File, Landlock)> {
    Err(Error::internal("documents are read with the limits of a Unix system only"))
}

/// No files, no TCP, no signals to other processes, no abstract sockets; and no new privileges, which Landlock needs.
#[cfg(target_os = "linux")]
fn landlock() -> Landlock {
    use landlock::{ABI, Access, AccessFs, AccessNet, LandlockStatus, Ruleset, RulesetAttr, RulesetStatus, Scope};
    let restricted = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V7))
        .and_then(|r| r.handle_access(AccessNet::from_all(ABI::V7)))
        .and_then(|r| r.scope(Scope::from_all(ABI::V7)))
        .and_then(Ruleset::create)
        .and_then(landlock::RulesetCreated::restrict_self)
        .map_err(|e| format!("Landlock failed: {e}"))?;
    match (restricted.ruleset, restricted.landlock) {
        (RulesetStatus::NotEnforced, _) => Err("this kernel has no Landlock".to_owned()),
        (RulesetStatus::FullyEnforced, _) => Ok("Landlock: files, TCP, signals and sockets of others".to_owned()),
        (RulesetStatus::PartiallyEnforced, LandlockStatus::Available { effective_abi, .. }) => {
            Ok(format!("Landlock in part, version {effective_abi:?} of the kernel's"))
        }
        (RulesetStatus::PartiallyEnforced, _) => Ok("Landlock in part".to_owned()),
    }
}

#[cfg(all(unix, not(target_os = "linux")))]
fn landlock() -> Landlock {
    Err("this system has no Landlock".to_owned())
}

/// Tries what is forbidden.
pub fn check(landlock: Landlock) -> Sandbox {
    let mut sandbox = Sandbox::default();
    let mut note = |holds: bool, what: &str| {
        if holds { &mut sandbox.in_force } else { &mut sandbox.missing }.push(what.to_owned());
    };
    let mebibytes = MEMORY >> 20;
    note(Vec::<u8>::new().try_reserve_exact(usize::try_from(MEMORY).unwrap_or(usize::MAX)).is_err(), &format!("{mebibytes} MiB of memory"));
    note(has_cpu_limit(), &format!("{CPU} s of processor time"));
    note(File::open("/").is_err() && File::open("/proc/self/status").is_err(), "no files");
    note(UdpSocket::bind(("127.0.0.1", 0)).is_err(), "no sockets");
    note(std::env::vars_os().next().is_none(), "no environment");
    note(has_no_new_privileges(), "no new privileges");
    match landlock {
        Ok(how) => note(true, &how),
        Err(why) => note(false, &why),
    }
    sandbox
}

#[cfg(unix)]
fn has_cpu_limit() -> bool {
    rustix::process::getrlimit(rustix::process::Resource::Cpu).current.is_some_and(|seconds| seconds <= CPU)
}

#[cfg(not(unix))]
fn has_cpu_limit() -> bool {
    false
}

#[cfg(target_os = "linux")]
fn has_no_new_privileges() -> bool {
    rustix::thread::no_new_privs().unwrap_or(false)
}

#[cfg(not(target_os = "linux"))]
fn has_no_new_privileges() -> bool {
    false
}
