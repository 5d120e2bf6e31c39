//! What an operation refuses: always the operation, what it got and what it expected.

/// An operation was called with values it cannot work on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor has another shape than the operation needs.
    #[error("{subject} has shape {got:?}, expected {expected}")]
    Shape {
        /// The operation and the argument, for example `conv2d input`.
        subject: String,
        /// The shape that came.
        got: Vec<usize>,
        /// The shape that was needed, in words such as `[N, H, W, 64]`.
        expected: String,
    },
    /// A number or option is outside what the operation supports.
    #[error("{subject} is {got}, expected {expected}")]
    Value {
        /// The operation and the argument.
        subject: String,
        /// What came.
        got: String,
        /// What was needed.
        expected: String,
    },
}

impl Error {
    /// A [`Error::Shape`] from parts.
    pub fn shape(subject: &str, got: &[usize], expected: impl Into<String>) -> Self {
        Self::Shape {
            subject: subject.to_owned(),
            got: got.to_vec(),
            expected: expected.into(),
        }
    }

    /// A [`Error::Value`] from parts.
    pub fn value(subject: &str, got: impl ToString, expected: impl Into<String>) -> Self {
        Self::Value {
            subject: subject.to_owned(),
            got: got.to_string(),
            expected: expected.into(),
        }
    }
}
