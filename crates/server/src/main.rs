//! The astrolabe binary.

fn main() -> std::process::ExitCode {
    astrolabe_server::cli::main()
}
