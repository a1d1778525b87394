//! The schema's history, one file a step. A step that was released never changes, and a step only expands: a server
//! of the version before still works with the schema after it.

use refinery::{Migration, Runner, Target};

use crate::{Error, Result};

const SQLITE: &[(&str, &str)] = &[
    ("V1__log", include_str!("migrations/sqlite/V1__log.sql")),
    ("V2__delivery", include_str!("migrations/sqlite/V2__delivery.sql")),
    ("V3__catalog", include_str!("migrations/sqlite/V3__catalog.sql")),
];
const POSTGRES: &[(&str, &str)] = &[
    ("V1__log", include_str!("migrations/postgres/V1__log.sql")),
    ("V2__delivery", include_str!("migrations/postgres/V2__delivery.sql")),
    ("V3__catalog", include_str!("migrations/postgres/V3__catalog.sql")),
];

/// The steps of an SQLite file.
pub(crate) fn sqlite() -> Result<Runner> {
    let mut runner = runner(SQLITE)?;
    runner.set_migration_table_name("schema_history");
    Ok(runner)
}

/// The steps of a PostgreSQL database, whose schema `tidings` must be there.
pub(crate) fn postgres() -> Result<Runner> {
    let mut runner = runner(POSTGRES)?;
    runner.set_migration_table_name("tidings.schema_history");
    Ok(runner)
}

fn runner(steps: &[(&str, &str)]) -> Result<Runner> {
    let migrations: Result<Vec<_>, _> = steps.iter().map(|(name, sql)| Migration::unapplied(name, sql)).collect();
    let migrations = migrations.map_err(|error| Error::Broken(format!("a migration's name is wrong: {error}")))?;
    Ok(Runner::new(&migrations).set_target(Target::Latest))
}

/// What a failed migration means to the operator.
pub(crate) fn failure(error: &refinery::Error) -> Error {
    use refinery::error::Kind;
    let reason = match error.kind() {
        Kind::MissingVersion(step) => {
            format!("its schema has step {step}, which this version does not know: it is newer")
        }
        Kind::DivergentVersion(step, _) => format!("step {step} of its schema is not the one of this version"),
        _ => format!("its schema cannot be brought up to date: {error}"),
    };
    Error::Unusable(reason)
}
