//! The CLI's entry point.

use std::process::ExitCode;

fn main() -> ExitCode {
    miax::cli::run(std::env::args_os())
}
