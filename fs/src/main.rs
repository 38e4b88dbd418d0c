//! The `statelitefs` program: see [`statelitefs::cli`].

fn main() {
    let args = std::env::args_os()
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    std::process::exit(statelitefs::cli::run(args));
}
