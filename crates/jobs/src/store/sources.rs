//! Sources that were put, and what each owner calls them.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::jobs::NewJob;
use super::{Database, parsed, written};
use crate::{Error, SourceEntry};

/// Notes that a source is ordered. Gives what the owner calls it, `None` where it is not there.
pub(super) fn use_source(
    write: &Connection,
    sha256: &str,
    new: &NewJob<'_>,
) -> Result<Option<String>, Error> {
    let sql = "UPDATE sources SET used_ms = ?2 WHERE sha256 = ?1";
    if write.execute(sql, params![sha256, new.now_ms])? == 0 {
        return Ok(None);
    }
    let sql = "SELECT COALESCE((SELECT name FROM source_names WHERE sha256 = ?1 AND owner = ?2), \
               '')";
    let name = write.query_row(sql, [sha256, new.owner], |row| row.get(0))?;
    Ok(Some(name))
}

impl Database {
    /// A source, under the name it was first put with.
    pub(crate) fn source(&self, sha256: &str) -> Result<Option<SourceEntry>, Error> {
        let sql = "SELECT name, width, height, format, bytes, warnings FROM sources \
                   WHERE sha256 = ?1";
        let read = self.read();
        let mut statement = read.prepare_cached(sql)?;
        let found = statement
            .query_row([sha256], |row| {
                let warnings: String = row.get(5)?;
                let bytes: i64 = row.get(4)?;
                let entry = SourceEntry {
                    sha256: sha256.to_owned(),
                    name: row.get(0)?,
                    width: row.get(1)?,
                    height: row.get(2)?,
                    format: row.get(3)?,
                    bytes: u64::try_from(bytes).unwrap_or(0),
                    warnings: Vec::new(),
                    known: true,
                };
                Ok((entry, warnings))
            })
            .optional()?;
        let Some((mut entry, warnings)) = found else {
            return Ok(None);
        };
        entry.warnings = parsed("sources.warnings", &warnings)?;
        Ok(Some(entry))
    }

    /// Adds a source, or notes that it was put again, and what its owner calls it.
    pub(crate) fn add_source(
        &self,
        entry: &SourceEntry,
        owner: &str,
        now_ms: i64,
    ) -> Result<(), Error> {
        self.write(|write| {
            write.execute(
                "INSERT INTO sources VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
                 ON CONFLICT (sha256) DO UPDATE SET used_ms = excluded.used_ms",
                params![
                    entry.sha256,
                    entry.name,
                    entry.width,
                    entry.height,
                    entry.format,
                    entry.bytes as i64,
                    written(&entry.warnings),
                    now_ms,
                ],
            )?;
            write.execute(
                "INSERT OR REPLACE INTO source_names (sha256, owner, name) VALUES (?1, ?2, ?3)",
                params![entry.sha256, owner, entry.name],
            )?;
            Ok(())
        })
    }
}
