//! Values of orders that are texts.

use std::str::FromStr;

use crate::Error;

/// A value by its name, where it has one; `expected` names those that there are.
///
/// Fails with [`Error::Value`] by the name of the field.
pub(crate) fn read<T: FromStr>(
    field: &'static str,
    text: Option<&str>,
    expected: &str,
) -> Result<Option<T>, Error> {
    let parsed = text.map(|text| {
        let unknown = |_| Error::value(field, quoted(text), expected);
        text.parse().map_err(unknown)
    });
    parsed.transpose()
}

/// What came, short enough for a message.
pub(crate) fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(64).collect::<String>())
}
