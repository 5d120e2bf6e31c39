//! In what products are computed.

use std::fmt;
use std::str::FromStr;

use super::Level;
use crate::Error;

/// What the factors of convolutions, linear layers and attention are rounded to. Everything else, sums among it, is f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Precision {
    /// Not at all.
    #[default]
    F32,
    /// bfloats, 8 bits of precision.
    Bf16,
    /// Integers of 8 bits in convolutions and linear layers, each row or window of activations and each output's weights
    /// by a scale of their own; attention is f32.
    Int8,
}

impl Precision {
    /// All of them, the finest first.
    pub const ALL: [Self; 3] = [Self::F32, Self::Bf16, Self::Int8];

    /// Whether this machine multiplies faster in it at a level than in f32, or it is f32.
    pub fn is_fast_at(self, level: Level) -> bool {
        match self {
            Self::F32 => true,
            Self::Bf16 => level.is_fast_in_bf16(),
            Self::Int8 => level.has_int8(),
        }
    }

    /// The name `--precision` takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL
            .into_iter()
            .find(|precision| precision.name() == name);
        found.ok_or_else(|| Error::value("precision", name, "f32, bf16 or int8"))
    }
}
