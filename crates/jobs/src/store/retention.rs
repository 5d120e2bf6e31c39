//! What may be dropped, oldest first, and dropping it. Favourites, unfinished jobs and sources in use never
//! may.

use rusqlite::params;

use super::Database;
use super::jobs::read_id;
use crate::{Error, JobId};

/// Something that may be dropped.
#[derive(Debug, Clone)]
pub(crate) enum Old {
    /// A finished job with its pictures.
    Job(JobId),
    /// A source that no job uses, be it as a mask.
    Source(String),
}

impl Database {
    /// Bytes of all sources and results.
    pub(crate) fn stored_bytes(&self) -> Result<u64, Error> {
        let sql = "SELECT (SELECT COALESCE(SUM(bytes), 0) FROM sources) \
                   + (SELECT COALESCE(SUM(bytes), 0) FROM results) \
                   + (SELECT COALESCE(SUM(sheet_bytes), 0) FROM jobs)";
        let bytes: i64 = self.read().query_row(sql, [], |row| row.get(0))?;
        Ok(u64::try_from(bytes).unwrap_or(0))
    }

    /// The oldest thing that may be dropped: a job that was over before `job_ms`, or a source that was last
    /// used before `source_ms`.
    pub(crate) fn oldest(&self, job_ms: i64, source_ms: i64) -> Result<Option<Old>, Error> {
        let sql = "SELECT id, NULL, finished_ms AS since FROM jobs \
                   WHERE state IN ('done', 'failed', 'cancelled') AND favourite = 0 AND since < ?1 \
                   UNION ALL \
                   SELECT NULL, sha256, used_ms AS since FROM sources WHERE since < ?2 \
                   AND NOT EXISTS (SELECT 1 FROM jobs WHERE source = sha256 \
                       OR (kind = 'inpaint' AND instr(asked, sha256) > 0)) \
                   ORDER BY since LIMIT 1";
        let read = self.read();
        let mut statement = read.prepare_cached(sql)?;
        let mut rows = statement.query(params![job_ms, source_ms])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let (id, sha256): (Option<String>, Option<String>) = (row.get(0)?, row.get(1)?);
        Ok(match (id, sha256) {
            (Some(id), _) => Some(Old::Job(read_id(&id)?)),
            (None, Some(sha256)) => Some(Old::Source(sha256)),
            (None, None) => None,
        })
    }

    /// Drops a job unless it became a favourite. False where it is still there.
    pub(crate) fn drop_job(&self, id: &JobId) -> Result<bool, Error> {
        let sql = "DELETE FROM jobs WHERE id = ?1 AND favourite = 0 \
                   AND state IN ('done', 'failed', 'cancelled')";
        self.write(|write| Ok(write.execute(sql, [id.to_string()])? > 0))
    }

    /// Drops a source unless it is used. False where it is still there.
    pub(crate) fn drop_source(&self, sha256: &str) -> Result<bool, Error> {
        let sql = "DELETE FROM sources WHERE sha256 = ?1 \
                   AND NOT EXISTS (SELECT 1 FROM jobs WHERE source = ?1 \
                       OR (kind = 'inpaint' AND instr(asked, ?1) > 0))";
        self.write(|write| Ok(write.execute(sql, [sha256])? > 0))
    }
}
