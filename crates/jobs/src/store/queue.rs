//! The queue: whose turn it is, what waits, what a crash left.

use rusqlite::{OptionalExtension as _, params};

use super::jobs::read_id;
use super::{Database, written};
use crate::{Error, JobId};

/// Most times a job is begun: again once after its process ended under it.
const ATTEMPTS: u32 = 2;

/// A job that waits.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    pub(crate) id: JobId,
    pub(crate) model: String,
    /// Network calls times pixels.
    pub(crate) work: f64,
}

/// A job whose turn it is.
#[derive(Debug, Clone)]
pub(crate) struct Claimed {
    pub(crate) seq: i64,
    pub(crate) id: JobId,
    pub(crate) model: String,
    pub(crate) work: f64,
}

impl Database {
    /// Everything that waits, next first.
    pub(crate) fn waiting(&self) -> Result<Vec<Waiting>, Error> {
        let read = self.read();
        let mut statement = read.prepare_cached(
            "SELECT id, model, work FROM jobs WHERE state = 'queued' ORDER BY seq",
        )?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let mut waiting = Vec::new();
        for row in rows {
            let (id, model, work): (String, _, _) = row?;
            let id = read_id(&id)?;
            waiting.push(Waiting { id, model, work });
        }
        Ok(waiting)
    }

    /// Takes the next job out of the queue and begins it.
    pub(crate) fn claim(&self, now_ms: i64) -> Result<Option<Claimed>, Error> {
        self.write(|write| {
            let sql = "SELECT seq, id, model, work FROM jobs WHERE state = 'queued' \
                       ORDER BY seq LIMIT 1";
            let next: Option<(i64, String, String, f64)> = write
                .query_row(sql, [], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
                })
                .optional()?;
            let Some((seq, id, model, work)) = next else {
                return Ok(None);
            };
            write.execute(
                "UPDATE jobs SET state = 'running', started_ms = ?2, attempts = attempts + 1 \
                 WHERE seq = ?1",
                params![seq, now_ms],
            )?;
            let id = read_id(&id)?;
            Ok(Some(Claimed {
                seq,
                id,
                model,
                work,
            }))
        })
    }

    /// Deals with jobs that were running when their process ended: stopped ones are cancelled, others wait
    /// again, those begun twice fail.
    pub(crate) fn recover(&self, now_ms: i64) -> Result<(), Error> {
        let failure = serde_json::json!({
            "code": "crashed",
            "message": format!(
                "the program ended {ATTEMPTS} times while it worked on this job; it is not begun again"
            ),
        });
        self.write(|write| {
            write.execute(
                "UPDATE jobs SET state = 'cancelled', finished_ms = ?1 \
                 WHERE state = 'running' AND stopped = 1",
                [now_ms],
            )?;
            write.execute(
                "UPDATE jobs SET state = 'failed', failure = ?2, finished_ms = ?1 \
                 WHERE state = 'running' AND attempts >= ?3",
                params![now_ms, written(&failure), ATTEMPTS],
            )?;
            write.execute(
                "UPDATE jobs SET state = 'queued', started_ms = NULL WHERE state = 'running'",
                [],
            )?;
            Ok(())
        })
    }

    /// Seconds of each model for each network call and pixel.
    pub(crate) fn speeds(&self) -> Result<Vec<(String, f64)>, Error> {
        let read = self.read();
        let mut statement = read.prepare("SELECT model, seconds FROM speeds")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(crate) fn set_speed(&self, model: &str, seconds: f64) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO speeds (model, seconds) VALUES (?1, ?2)";
        self.write(|write| {
            write.execute(sql, params![model, seconds])?;
            Ok(())
        })
    }

    /// Seconds of an average job, of the last twenty that were done.
    pub(crate) fn average_seconds(&self) -> Result<Option<f64>, Error> {
        let sql = "SELECT AVG(ms) / 1000.0 FROM (SELECT finished_ms - started_ms AS ms FROM jobs \
                   WHERE state = 'done' ORDER BY seq DESC LIMIT 20)";
        Ok(self.read().query_row(sql, [], |row| row.get(0))?)
    }
}
