//! `with-postgres COMMAND [ARGUMENT…]`: runs a command while an ephemeral PostgreSQL is up, its URL in
//! `TIDINGS_TEST_POSTGRES`. Ends with the command's exit code.
#![allow(clippy::print_stderr)]

use std::process::{Command, ExitCode};

use tidings_testkit::{POSTGRES_URL_VARIABLE, Postgres};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let Some(program) = arguments.next() else {
        eprintln!("usage: with-postgres COMMAND [ARGUMENT…]");
        return ExitCode::from(2);
    };
    let postgres = Postgres::start();
    let status = Command::new(&program).args(arguments).env(POSTGRES_URL_VARIABLE, postgres.url()).status();
    match status {
        Ok(status) => ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        Err(error) => {
            eprintln!("cannot run {}: {error}", program.display());
            ExitCode::from(127)
        }
    }
}
