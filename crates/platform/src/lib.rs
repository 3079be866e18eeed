//! Sign-in, the audit console and the jobs console.
