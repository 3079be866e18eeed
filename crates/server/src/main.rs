//! The astrolabe binary.
fn main() {}
