//! The `milena` command.

fn main() -> std::process::ExitCode {
    milena::cli::main()
}
