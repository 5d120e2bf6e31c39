//! Jobs and their results, one at a time.

use imagegen::{PaintedRecord, PromptRecord, Recipe};
use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};
use serde::{Deserialize, Serialize};

use super::{Database, parsed, written};
use crate::{AdviceMark, Error, Failure, JobId, JobResult, Order, State};

/// A job as it is stored, without its results.
#[derive(Debug, Clone)]
pub(crate) struct JobRow {
    pub(crate) seq: i64,
    pub(crate) id: JobId,
    pub(crate) owner: String,
    pub(crate) state: State,
    pub(crate) order: Order,
    pub(crate) source_name: Option<String>,
    pub(crate) created_ms: i64,
    pub(crate) started_ms: Option<i64>,
    pub(crate) finished_ms: Option<i64>,
    pub(crate) sheet: bool,
    pub(crate) warnings: Vec<String>,
    pub(crate) failure: Option<Failure>,
    pub(crate) favourite: bool,
    pub(crate) attempts: u32,
    /// Asked to stop while it ran.
    pub(crate) stopped: bool,
}

/// Columns of a [`JobRow`], in the order [`JobRow::read`] takes them.
pub(super) const COLUMNS: &str = "seq, id, owner, state, asked, source_name, created_ms, started_ms, \
                                  finished_ms, sheet_bytes IS NOT NULL, warnings, failure, favourite, attempts, stopped";

/// [`Failure`] as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredFailure {
    code: String,
    message: String,
}

/// A job to be added to the queue.
#[derive(Debug)]
pub(crate) struct NewJob<'a> {
    pub(crate) id: JobId,
    pub(crate) owner: &'a str,
    /// Filled in: with model, seed and strength.
    pub(crate) order: &'a Order,
    pub(crate) model: &'a str,
    /// Network calls times pixels.
    pub(crate) work: f64,
    pub(crate) now_ms: i64,
    /// Idempotency key, and the hash of the order as it came.
    pub(crate) key: Option<(&'a str, &'a str)>,
    /// Most jobs that wait, and most unfinished ones of an owner.
    pub(crate) limits: (usize, usize),
}

/// What became of a new job.
#[derive(Debug)]
pub(crate) enum Taken {
    /// It is in the queue.
    New,
    /// The key stands for this job.
    Again(JobId),
    /// The key stands for another order.
    KeyReused,
    /// Too many wait.
    QueueFull,
    /// Too many of this owner are unfinished.
    TooMany,
    /// The source is gone.
    NoSource,
}

/// A result to be added.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ResultRow {
    pub(crate) recipe: Recipe,
    pub(crate) warnings: Vec<String>,
    pub(crate) advice: Vec<AdviceMark>,
    /// Not in rows of versions that kept neither.
    #[serde(default)]
    pub(crate) prompts: Vec<PromptRecord>,
    #[serde(default)]
    pub(crate) painted: Option<PaintedRecord>,
}

impl ResultRow {
    fn into_result(self, index: usize) -> JobResult {
        let recipe = self.recipe;
        let [width, height] = recipe.size;
        JobResult {
            index,
            seed: recipe.seed,
            strength: recipe.strength,
            width,
            height,
            fidelity: recipe.fidelity,
            warnings: self.warnings,
            advice: self.advice,
            prompts: self.prompts,
            painted: self.painted,
            recipe,
        }
    }
}

/// How a job ends.
#[derive(Debug)]
pub(crate) struct Finish<'a> {
    pub(crate) state: State,
    pub(crate) failure: Option<&'a Failure>,
    pub(crate) now_ms: i64,
}

impl JobRow {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Result<Self, Error>> {
        let id: String = row.get(1)?;
        let state: String = row.get(3)?;
        let (order, warnings): (String, String) = (row.get(4)?, row.get(10)?);
        let failure: Option<String> = row.get(11)?;
        let stored = Stored {
            seq: row.get(0)?,
            owner: row.get(2)?,
            source_name: row.get(5)?,
            times: (row.get(6)?, row.get(7)?, row.get(8)?),
            sheet: row.get(9)?,
            favourite: row.get(12)?,
            attempts: row.get(13)?,
            stopped: row.get(14)?,
        };
        Ok(stored.join(&id, &state, [&order, &warnings], failure.as_deref()))
    }
}

/// The columns of a [`JobRow`] that are values already.
struct Stored {
    seq: i64,
    owner: String,
    source_name: Option<String>,
    times: (i64, Option<i64>, Option<i64>),
    sheet: bool,
    favourite: bool,
    attempts: u32,
    stopped: bool,
}

impl Stored {
    fn join(
        self,
        id: &str,
        state: &str,
        [order, warnings]: [&str; 2],
        failure: Option<&str>,
    ) -> Result<JobRow, Error> {
        let failure: Option<StoredFailure> = failure
            .map(|text| parsed("jobs.failure", text))
            .transpose()?;
        Ok(JobRow {
            seq: self.seq,
            id: read_id(id)?,
            owner: self.owner,
            state: State::parse(state).ok_or_else(|| Error::Damaged {
                subject: "jobs.state",
                got: state.to_owned(),
            })?,
            order: parsed("jobs.asked", order)?,
            source_name: self.source_name,
            created_ms: self.times.0,
            started_ms: self.times.1,
            finished_ms: self.times.2,
            sheet: self.sheet,
            warnings: parsed("jobs.warnings", warnings)?,
            failure: failure.map(|StoredFailure { code, message }| Failure { code, message }),
            favourite: self.favourite,
            attempts: self.attempts,
            stopped: self.stopped,
        })
    }
}

pub(super) fn read_id(text: &str) -> Result<JobId, Error> {
    text.parse().map_err(|_| Error::Damaged {
        subject: "jobs.id",
        got: text.to_owned(),
    })
}

fn count(connection: &Connection, sql: &str, owner: Option<&str>) -> Result<usize, Error> {
    let count: i64 = match owner {
        Some(owner) => connection.query_row(sql, [owner], |row| row.get(0))?,
        None => connection.query_row(sql, [], |row| row.get(0))?,
    };
    Ok(usize::try_from(count).unwrap_or(0))
}

/// The job that an owner's key stands for, and the hash of its order.
fn keyed(
    connection: &Connection,
    owner: &str,
    key: &str,
) -> Result<Option<(JobId, String)>, Error> {
    let sql = "SELECT jobs.id, keys.asked FROM keys JOIN jobs ON jobs.seq = keys.job \
               WHERE keys.owner = ?1 AND keys.key = ?2";
    let found: Option<(String, String)> = connection
        .query_row(sql, [owner, key], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    found
        .map(|(id, asked)| Ok((read_id(&id)?, asked)))
        .transpose()
}

impl Database {
    /// A job, without its results.
    pub(crate) fn job(&self, id: &JobId) -> Result<Option<JobRow>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM jobs WHERE id = ?1");
        let read = self.read();
        let mut statement = read.prepare_cached(&sql)?;
        let found = statement.query_row([id.to_string()], JobRow::read);
        found.optional()?.transpose()
    }

    /// The results of a job, in order.
    pub(crate) fn results(&self, seq: i64) -> Result<Vec<JobResult>, Error> {
        let read = self.read();
        let mut statement = read
            .prepare_cached("SELECT place, document FROM results WHERE job = ?1 ORDER BY place")?;
        let rows = statement.query_map([seq], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut results = Vec::new();
        for row in rows {
            let (place, document): (i64, String) = row?;
            let row: ResultRow = parsed("results.document", &document)?;
            results.push(row.into_result(usize::try_from(place).unwrap_or(0)));
        }
        Ok(results)
    }

    /// The job that an owner's key stands for, and the hash of its order.
    pub(crate) fn keyed(&self, owner: &str, key: &str) -> Result<Option<(JobId, String)>, Error> {
        keyed(&self.read(), owner, key)
    }

    /// Adds a job at the end of the queue, unless something speaks against it.
    pub(crate) fn add(&self, new: &NewJob<'_>) -> Result<Taken, Error> {
        self.write(|write| {
            if let Some((key, asked)) = new.key
                && let Some((id, before)) = keyed(write, new.owner, key)?
            {
                return Ok(match before == asked {
                    true => Taken::Again(id),
                    false => Taken::KeyReused,
                });
            }
            let waiting = "SELECT COUNT(*) FROM jobs WHERE state = 'queued'";
            if count(write, waiting, None)? >= new.limits.0 {
                return Ok(Taken::QueueFull);
            }
            let unfinished = "SELECT COUNT(*) FROM jobs WHERE state IN ('queued', 'running') \
                              AND owner = ?1";
            if count(write, unfinished, Some(new.owner))? >= new.limits.1 {
                return Ok(Taken::TooMany);
            }
            let source_name = match new.order.kind.source() {
                None => None,
                Some(sha256) => match super::sources::use_source(write, sha256, new)? {
                    None => return Ok(Taken::NoSource),
                    found => found,
                },
            };
            if let Some(sha256) = new.order.kind.mask()
                && super::sources::use_source(write, sha256, new)?.is_none()
            {
                return Ok(Taken::NoSource);
            }
            insert(write, new, source_name.as_deref())?;
            if let Some((key, asked)) = new.key {
                let seq = write.last_insert_rowid();
                write.execute(
                    "INSERT INTO keys (owner, key, job, asked) VALUES (?1, ?2, ?3, ?4)",
                    params![new.owner, key, seq, asked],
                )?;
            }
            Ok(Taken::New)
        })
    }

    /// Adds a result, or replaces it. `bytes` are those of its picture; what is said of it counts besides. False where the
    /// job is gone.
    pub(crate) fn add_result(
        &self,
        seq: i64,
        index: usize,
        row: &ResultRow,
        bytes: usize,
    ) -> Result<bool, Error> {
        let document = written(row);
        let bytes = bytes + document.len();
        self.write(|write| {
            let added = write.execute(
                "INSERT OR REPLACE INTO results (job, place, document, bytes) \
                 SELECT seq, ?2, ?3, ?4 FROM jobs WHERE seq = ?1",
                params![seq, index as i64, document, bytes as i64],
            )?;
            Ok(added > 0)
        })
    }

    /// Notes that a job has its sheet. False where the job is gone.
    pub(crate) fn add_sheet(&self, seq: i64, bytes: usize) -> Result<bool, Error> {
        let sql = "UPDATE jobs SET sheet_bytes = ?2 WHERE seq = ?1";
        self.write(|write| Ok(write.execute(sql, params![seq, bytes as i64])? > 0))
    }

    /// Replaces what a person should know about a job as a whole.
    pub(crate) fn set_warnings(&self, seq: i64, warnings: &[String]) -> Result<(), Error> {
        let sql = "UPDATE jobs SET warnings = ?2 WHERE seq = ?1";
        self.write(|write| {
            write.execute(sql, params![seq, written(&warnings)])?;
            Ok(())
        })
    }

    /// Ends a running job. False where the job is gone.
    pub(crate) fn finish(&self, seq: i64, finish: &Finish<'_>) -> Result<bool, Error> {
        self.write(|write| {
            let failure = finish.failure.map(|failure| {
                written(&StoredFailure {
                    code: failure.code.clone(),
                    message: failure.message.clone(),
                })
            });
            let changed = write.execute(
                "UPDATE jobs SET state = ?2, failure = ?3, finished_ms = ?4 \
                 WHERE seq = ?1 AND state = 'running'",
                params![seq, finish.state.name(), failure, finish.now_ms],
            )?;
            Ok(changed > 0)
        })
    }

    /// Puts a running job back into its place in the queue, as if it had not been begun.
    pub(crate) fn put_back(&self, seq: i64) -> Result<bool, Error> {
        let sql = "UPDATE jobs SET state = 'queued', started_ms = NULL, attempts = attempts - 1 \
                   WHERE seq = ?1 AND state = 'running'";
        self.write(|write| Ok(write.execute(sql, [seq])? > 0))
    }

    /// Cancels a queued job, or notes that a running one is to stop. False where there was nothing to do.
    pub(crate) fn cancel(&self, id: &JobId, now_ms: i64) -> Result<bool, Error> {
        self.write(|write| {
            let id = id.to_string();
            let queued = write.execute(
                "UPDATE jobs SET state = 'cancelled', finished_ms = ?2 \
                 WHERE id = ?1 AND state = 'queued'",
                params![id, now_ms],
            )?;
            let running = "UPDATE jobs SET stopped = 1 WHERE id = ?1 AND state = 'running'";
            Ok(queued + write.execute(running, [id])? > 0)
        })
    }

    /// Drops a job and its results. False where there is none.
    pub(crate) fn remove(&self, id: &JobId) -> Result<bool, Error> {
        let sql = "DELETE FROM jobs WHERE id = ?1";
        self.write(|write| Ok(write.execute(sql, [id.to_string()])? > 0))
    }

    /// Marks a job as favourite, or not. False where there is none.
    pub(crate) fn set_favourite(&self, id: &JobId, favourite: bool) -> Result<bool, Error> {
        let sql = "UPDATE jobs SET favourite = ?2 WHERE id = ?1";
        self.write(|write| Ok(write.execute(sql, params![id.to_string(), favourite])? > 0))
    }
}

fn insert(
    connection: &Connection,
    new: &NewJob<'_>,
    source_name: Option<&str>,
) -> Result<(), Error> {
    let order = new.order;
    let words = [
        &order.prompt,
        &order.negative_prompt,
        source_name.unwrap_or(""),
    ]
    .map(str::to_lowercase)
    .join("\n");
    connection.execute(
        "INSERT INTO jobs (id, owner, state, kind, model, source, source_name, asked, words, work, \
         created_ms) VALUES (:id, :owner, 'queued', :kind, :model, :source, :source_name, :asked, \
         :words, :work, :now)",
        named_params! {
            ":id": new.id.to_string(),
            ":owner": new.owner,
            ":kind": order.kind.kind().name(),
            ":model": new.model,
            ":source": order.kind.source(),
            ":source_name": source_name,
            ":asked": written(order),
            ":words": words,
            ":work": new.work,
            ":now": new.now_ms,
        },
    )?;
    Ok(())
}
