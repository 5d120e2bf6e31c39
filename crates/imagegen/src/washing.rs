//! Whether line drawings get colours under their lines.

use std::str::FromStr;

use crate::Error;

/// What is done about a source that is a line drawing, by models that can wash one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Washing {
    /// Colours are put under its lines before it is transformed.
    #[default]
    On,
    /// It is transformed as it is.
    Off,
}

impl Washing {
    /// Both.
    pub const ALL: [Self; 2] = [Self::On, Self::Off];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

impl FromStr for Washing {
    type Err = Error;

    /// Fails with [`Error::Setting`] for a name that is none.
    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|one| one.name() == name);
        found.ok_or_else(|| Error::setting("wash", name, "on or off"))
    }
}
