//! The database's form, and how older forms become it. Steps are only ever added.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::Error;

/// What leads from each version to the next; `user_version` counts those that were taken.
const STEPS: &[&str] = &[
    // 1: jobs, their results, sources, idempotency keys.
    r#"
    CREATE TABLE sources (
        sha256   TEXT PRIMARY KEY,
        name     TEXT NOT NULL,
        width    INTEGER NOT NULL,
        height   INTEGER NOT NULL,
        format   TEXT NOT NULL,
        bytes    INTEGER NOT NULL,
        warnings TEXT NOT NULL,    -- JSON: texts
        used_ms  INTEGER NOT NULL  -- last put or ordered
    ) STRICT;
    CREATE TABLE source_names (    -- as each owner calls it
        sha256   TEXT NOT NULL REFERENCES sources ON DELETE CASCADE,
        owner    TEXT NOT NULL,
        name     TEXT NOT NULL,
        PRIMARY KEY (sha256, owner)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE jobs (
        seq         INTEGER PRIMARY KEY AUTOINCREMENT, -- order of the queue and of the history
        id          TEXT NOT NULL UNIQUE,
        owner       TEXT NOT NULL,
        state       TEXT NOT NULL,
        kind        TEXT NOT NULL,
        model       TEXT NOT NULL,
        source      TEXT REFERENCES sources,
        source_name TEXT,
        asked       TEXT NOT NULL,             -- JSON: the order, filled in
        words       TEXT NOT NULL,             -- what a search looks through, in lower case
        work        REAL NOT NULL,             -- network calls times pixels
        stopped     INTEGER NOT NULL DEFAULT 0, -- 1: asked to stop while running
        favourite   INTEGER NOT NULL DEFAULT 0,
        attempts    INTEGER NOT NULL DEFAULT 0,
        created_ms  INTEGER NOT NULL,
        started_ms  INTEGER,
        finished_ms INTEGER,
        sheet_bytes INTEGER,                   -- NULL: no sheet
        warnings    TEXT NOT NULL DEFAULT '[]', -- JSON: texts
        failure     TEXT                       -- JSON: code and message
    ) STRICT;
    CREATE INDEX jobs_by_state ON jobs (state, seq);
    CREATE INDEX jobs_by_owner ON jobs (owner, seq);
    CREATE INDEX jobs_by_source ON jobs (source);
    CREATE TABLE results (
        job      INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
        place    INTEGER NOT NULL, -- counted from 0
        document TEXT NOT NULL,    -- JSON: recipe, warnings, advice
        bytes    INTEGER NOT NULL,
        PRIMARY KEY (job, place)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE keys (
        owner TEXT NOT NULL,
        key   TEXT NOT NULL,
        job   INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
        asked TEXT NOT NULL, -- SHA-256 of the order as it came
        PRIMARY KEY (owner, key)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX keys_by_job ON keys (job);
    "#,
    // 2: how fast models are, so that the first job after a start has an estimate.
    r#"
    CREATE TABLE speeds (
        model   TEXT PRIMARY KEY,
        seconds REAL NOT NULL -- for each network call and pixel
    ) STRICT, WITHOUT ROWID;
    "#,
];

/// The version that this program writes.
const LATEST: i64 = STEPS.len() as i64;

/// Brings the database to this program's version, in one transaction.
///
/// Fails with [`Error::Newer`] where a later program wrote it, and leaves it untouched.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), Error> {
    migrate_to(connection, path, LATEST)
}

fn migrate_to(connection: &mut Connection, path: &Path, version: i64) -> Result<(), Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let got: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let Some(missing) = usize::try_from(got)
        .ok()
        .and_then(|taken| STEPS.get(taken..version as usize))
    else {
        return Err(Error::Newer {
            path: path.to_owned(),
            got,
            known: version,
        });
    };
    for step in missing {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", version)?;
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that a schema consists of.
    fn schema(connection: &Connection) -> Vec<(String, Option<String>)> {
        let mut statement = connection
            .prepare("SELECT name, sql FROM sqlite_schema ORDER BY name")
            .unwrap();
        let rows = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn every_version_becomes_the_latest_and_keeps_its_rows() {
        let path = Path::new("jobs.sqlite");
        let mut fresh = Connection::open_in_memory().unwrap();
        migrate(&mut fresh, path).unwrap();
        for version in 1..=LATEST {
            let mut old = Connection::open_in_memory().unwrap();
            migrate_to(&mut old, path, version).unwrap();
            let insert = "INSERT INTO sources VALUES ('ab', 'a.png', 1, 2, 'PNG', 3, '[]', 4)";
            old.execute(insert, []).unwrap();
            migrate(&mut old, path).unwrap();
            assert_eq!(schema(&old), schema(&fresh), "from version {version}");
            let width: i64 = old
                .query_row("SELECT width FROM sources", [], |row| row.get(0))
                .unwrap();
            assert_eq!(width, 1);
        }
    }

    #[test]
    fn what_a_later_program_wrote_is_refused_and_left_alone() {
        let mut later = Connection::open_in_memory().unwrap();
        later
            .pragma_update(None, "user_version", LATEST + 1)
            .unwrap();
        let error = migrate(&mut later, Path::new("jobs.sqlite")).unwrap_err();
        assert!(
            matches!(error, Error::Newer { got, known, .. } if (got, known) == (LATEST + 1, LATEST)),
            "{error}"
        );
        assert!(schema(&later).is_empty());
    }

    #[test]
    fn a_step_that_fails_leaves_the_version_as_it_was() {
        let mut broken = Connection::open_in_memory().unwrap();
        broken.execute_batch("CREATE TABLE keys (a)").unwrap();
        assert!(migrate(&mut broken, Path::new("jobs.sqlite")).is_err());
        let version: i64 = broken
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap();
        assert_eq!((version, schema(&broken).len()), (0, 1));
    }
}
