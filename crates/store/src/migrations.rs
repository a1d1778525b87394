//! The schema's history, one file a step. A step that was released never changes, and a step only expands: a server
//! of the version before still works with the schema after it, and may start on it. Where a step takes away what no
//! released version uses any more, it raises `meta.needs_step` to the first one that a server must know then.

use refinery::{Migration, Runner, Target};

use crate::{Error, Result};

const SQLITE: &[(&str, &str)] = &[
    ("V1__log", include_str!("migrations/sqlite/V1__log.sql")),
    ("V2__delivery", include_str!("migrations/sqlite/V2__delivery.sql")),
    ("V3__catalog", include_str!("migrations/sqlite/V3__catalog.sql")),
    ("V4__leases", include_str!("migrations/sqlite/V4__leases.sql")),
    ("V5__shards", include_str!("migrations/sqlite/V5__shards.sql")),
    ("V6__quotas", include_str!("migrations/sqlite/V6__quotas.sql")),
    ("V7__side_by_side", include_str!("migrations/sqlite/V7__side_by_side.sql")),
    ("V8__between", include_str!("migrations/sqlite/V8__between.sql")),
];
const POSTGRES: &[(&str, &str)] = &[
    ("V1__log", include_str!("migrations/postgres/V1__log.sql")),
    ("V2__delivery", include_str!("migrations/postgres/V2__delivery.sql")),
    ("V3__catalog", include_str!("migrations/postgres/V3__catalog.sql")),
    ("V4__leases", include_str!("migrations/postgres/V4__leases.sql")),
    ("V5__shards", include_str!("migrations/postgres/V5__shards.sql")),
    ("V6__quotas", include_str!("migrations/postgres/V6__quotas.sql")),
    ("V7__side_by_side", include_str!("migrations/postgres/V7__side_by_side.sql")),
    ("V8__between", include_str!("migrations/postgres/V8__between.sql")),
];

/// How far a schema is that was there before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    /// Its last step.
    pub(crate) step: i32,
    /// The step that a server must know to work with it, if the schema says so.
    pub(crate) needs: Option<i32>,
}

impl Standing {
    /// Whether this version has steps to add. A schema that is ahead is left alone if this version may work with it.
    pub(crate) fn is_behind(self) -> Result<bool> {
        self.judge(POSTGRES.len())
    }

    /// Refuses a schema to which this version would add steps, or that is too new for it.
    pub(crate) fn must_not_be_older(self) -> Result<()> {
        let known = i32::try_from(POSTGRES.len()).unwrap_or(i32::MAX);
        if self.is_behind()? && self.step < known {
            return Err(Error::Behind(format!(
                "its schema has {} of the {known} steps of this version. The version that last ran on it can read it as it \
                 is; a server of this version brings it up to date",
                self.step
            )));
        }
        Ok(())
    }

    fn judge(self, steps: usize) -> Result<bool> {
        let known = i32::try_from(steps).unwrap_or(i32::MAX);
        match self.needs {
            _ if self.step <= known => Ok(true),
            Some(needs) if needs <= known => Ok(false),
            _ => Err(Error::Unusable(format!(
                "its schema is newer: it has step {}, and this version knows the first {known}",
                self.step
            ))),
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_histories_have_the_same_steps_in_order() {
        let names = |steps: &[(&'static str, &str)]| steps.iter().map(|(name, _)| *name).collect::<Vec<_>>();
        assert_eq!(names(SQLITE), names(POSTGRES));
        for (index, name) in names(SQLITE).iter().enumerate() {
            assert!(name.starts_with(&format!("V{}__", index + 1)), "{name}");
        }
    }

    #[test]
    fn a_schema_that_is_ahead_is_left_alone_where_it_only_expanded() {
        let judged = |step, needs| Standing { step, needs }.judge(7).ok();
        assert_eq!(judged(6, None), Some(true));
        assert_eq!(judged(7, Some(7)), Some(true));
        assert_eq!(judged(9, Some(7)), Some(false));
        assert_eq!(judged(9, Some(8)), None);
        assert_eq!(judged(9, None), None);
    }
}
