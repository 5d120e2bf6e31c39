//! Configuration files of the diffusers layout: what is read, and what is refused by name.

use serde_json::{Map, Value};

use crate::Error;

/// One JSON object and the name it has in errors.
pub(crate) struct ConfigFile {
    file: String,
    fields: Map<String, Value>,
}

impl ConfigFile {
    pub(crate) fn parse(file: &str, json: &str) -> Result<Self, Error> {
        let fields = serde_json::from_str(json).map_err(|error| Error::Config {
            file: file.to_owned(),
            problem: error.to_string(),
        })?;
        Ok(Self {
            file: file.to_owned(),
            fields,
        })
    }

    /// Takes the fields of `other`, over those of the same name.
    pub(crate) fn overlay(&mut self, other: Self) {
        self.fields.extend(other.fields);
    }

    /// The error that field `name` should have been `expected`.
    pub(crate) fn wrong(&self, name: &str, expected: impl Into<String>) -> Error {
        let got = self
            .fields
            .get(name)
            .map_or("absent".to_owned(), Value::to_string);
        Error::Unsupported {
            subject: format!("{} field \"{name}\"", self.file),
            got,
            expected: expected.into(),
        }
    }

    /// A field that is there and not null.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// A whole number from 1 to a million.
    pub(crate) fn size(&self, name: &str, default: Option<usize>) -> Result<usize, Error> {
        match (self.get(name), default) {
            (None, Some(default)) => Ok(default),
            (value, _) => value
                .and_then(as_size)
                .ok_or_else(|| self.wrong(name, "a whole number from 1 to 1000000")),
        }
    }

    /// One size for all of `count` levels, or a list of `count`.
    pub(crate) fn sizes(
        &self,
        name: &str,
        count: usize,
        default: Option<usize>,
    ) -> Result<Vec<usize>, Error> {
        match self.get(name) {
            Some(Value::Array(list)) => {
                let sizes: Option<Vec<_>> = list.iter().map(as_size).collect();
                sizes
                    .filter(|sizes| sizes.len() == count)
                    .ok_or_else(|| self.wrong(name, format!("a whole number or a list of {count}")))
            }
            _ => Ok(vec![self.size(name, default)?; count]),
        }
    }

    pub(crate) fn number(&self, name: &str, default: f64) -> Result<f64, Error> {
        match self.get(name) {
            None => Ok(default),
            Some(value) => value
                .as_f64()
                .filter(|number| number.is_finite())
                .ok_or_else(|| self.wrong(name, "a number")),
        }
    }

    pub(crate) fn flag(&self, name: &str, default: bool) -> Result<bool, Error> {
        match self.get(name) {
            None => Ok(default),
            Some(value) => value
                .as_bool()
                .ok_or_else(|| self.wrong(name, "true or false")),
        }
    }

    pub(crate) fn text(&self, name: &str, default: &str) -> Result<String, Error> {
        match self.get(name) {
            None => Ok(default.to_owned()),
            Some(value) => value
                .as_str()
                .map(str::to_owned)
                .ok_or_else(|| self.wrong(name, "a text")),
        }
    }

    pub(crate) fn texts(&self, name: &str) -> Result<Vec<String>, Error> {
        self.get(name)
            .and_then(Value::as_array)
            .and_then(|list| list.iter().map(|v| v.as_str().map(str::to_owned)).collect())
            .ok_or_else(|| self.wrong(name, "a list of texts"))
    }

    /// Fails unless each field is absent, null, or has the value this build runs.
    pub(crate) fn only(&self, fields: &[(&str, Value)]) -> Result<(), Error> {
        for (name, runs) in fields {
            if self.get(name).is_some_and(|got| got != runs) {
                return Err(self.wrong(name, runs.to_string()));
            }
        }
        Ok(())
    }
}

fn as_size(value: &Value) -> Option<usize> {
    value
        .as_u64()
        .filter(|size| (1..=1_000_000).contains(size))
        .map(|size| size as usize)
}
