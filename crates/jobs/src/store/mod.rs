//! The database: the truth about jobs, results and sources. Knows nothing of pictures' bytes, of models
//! or of threads.

mod history;
mod jobs;
mod migrations;
mod queue;
mod retention;
mod sources;

pub(crate) use jobs::{Finish, JobRow, NewJob, ResultRow, Taken};
pub(crate) use queue::{Claimed, Waiting};
pub(crate) use retention::Old;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::Error;

/// How long a reader or writer waits for another connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// One connection that writes and one that reads, so that readers do not wait for the disk.
#[derive(Debug)]
pub(crate) struct Database {
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
}

impl Database {
    /// Opens the database, which is made where it is not there, and brings it to this program's version.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let mut writer = connect(path)?;
        migrations::migrate(&mut writer, path)?;
        Ok(Self {
            writer: Mutex::new(writer),
            reader: Mutex::new(connect(path)?),
        })
    }

    fn read(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `work` in one transaction: wholly, or not at all where it fails.
    fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }
}

fn connect(path: &Path) -> Result<Connection, Error> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // Every commit reaches the disk: an order that was taken outlives the machine's power.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}

/// Reads a stored JSON document.
fn parsed<T: serde::de::DeserializeOwned>(subject: &'static str, text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::Damaged {
        subject,
        got: error.to_string(),
    })
}

/// Writes a JSON document to be stored.
fn written(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("stored documents hold texts as keys and finite numbers")
}
