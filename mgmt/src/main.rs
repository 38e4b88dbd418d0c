//! The `statelite` program and, as links to it, the commands xCAT's users know.

fn main() -> std::process::ExitCode {
    statelite_mgmt::cli::run(std::env::args().collect())
}
