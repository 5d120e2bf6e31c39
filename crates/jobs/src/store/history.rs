//! Looking through what there was, and counting it.

use rusqlite::types::Value;
use rusqlite::{OptionalExtension as _, params_from_iter};

use super::Database;
use super::jobs::{COLUMNS, JobRow};
use crate::{Error, Search, State};

impl Database {
    /// The jobs that `search` asks for, latest first, and whether there are more.
    pub(crate) fn history(&self, search: &Search) -> Result<(Vec<JobRow>, bool), Error> {
        let read = self.read();
        let mut sql = format!("SELECT {COLUMNS} FROM jobs WHERE 1");
        let mut values: Vec<Value> = Vec::new();
        let mut hold = |condition: &str, value: Value| {
            sql += " AND ";
            sql += condition;
            values.push(value);
        };
        if let Some(owner) = &search.owner {
            hold("owner = ?", owner.clone().into());
        }
        let text = search.text.as_deref().unwrap_or("").to_lowercase();
        for word in text.split_whitespace() {
            // Not LIKE, in which % and _ of a prompt would mean something.
            hold("instr(words, ?) > 0", word.to_owned().into());
        }
        if search.favourites {
            hold("favourite = ?", 1_i64.into());
        }
        if let Some(kind) = search.kind {
            hold("kind = ?", kind.name().to_owned().into());
        }
        if let Some(state) = search.state {
            hold("state = ?", state.name().to_owned().into());
        }
        if let Some(before) = search.before {
            let find = "SELECT seq FROM jobs WHERE id = ?1";
            let found: Option<i64> = read
                .query_row(find, [before.to_string()], |row| row.get(0))
                .optional()?;
            // A job that was removed meanwhile still has its place: names rise with time.
            match found {
                Some(seq) => hold("seq < ?", seq.into()),
                None => hold("id < ?", before.to_string().into()),
            }
        }
        sql += " ORDER BY seq DESC LIMIT ?";
        values.push((search.limit as i64 + 1).into());
        let mut statement = read.prepare_cached(&sql)?;
        let rows = statement.query_map(params_from_iter(values), JobRow::read)?;
        let mut jobs = rows
            .map(|row| row?)
            .collect::<Result<Vec<JobRow>, Error>>()?;
        let more = jobs.len() > search.limit;
        jobs.truncate(search.limit);
        Ok((jobs, more))
    }

    /// How many jobs there are, by state in the order of [`State::ALL`].
    pub(crate) fn counts(&self) -> Result<[u64; 5], Error> {
        let read = self.read();
        let mut statement =
            read.prepare_cached("SELECT state, COUNT(*) FROM jobs GROUP BY state")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut counts = [0; 5];
        for row in rows {
            let (state, count): (String, i64) = row?;
            if let Some(index) = State::ALL.iter().position(|known| known.name() == state) {
                counts[index] = u64::try_from(count).unwrap_or(0);
            }
        }
        Ok(counts)
    }
}
