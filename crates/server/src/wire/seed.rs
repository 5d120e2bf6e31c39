//! Seeds: 64 bits that no reader may round.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

/// The largest number that every reader of JSON keeps.
const EXACT: u64 = 1 << 53;

/// A seed: a number up to 2^53, text above; both are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seed(pub(crate) u64);

impl Serialize for Seed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            0..=EXACT => serializer.serialize_u64(self.0),
            _ => serializer.collect_str(&self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Seed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl de::Visitor<'_> for Reader {
            type Value = Seed;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(
                    f,
                    "a whole number from 0 to {}, as text above 2^53",
                    u64::MAX
                )
            }

            fn visit_u64<E: de::Error>(self, seed: u64) -> Result<Seed, E> {
                Ok(Seed(seed))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Seed, E> {
                let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                let seed = digits.then(|| text.parse().ok()).flatten();
                seed.map(Seed)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        from.deserialize_any(Reader)
    }
}

impl PartialSchema for Seed {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
            .minimum(Some(0))
            .maximum(Some(EXACT));
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^[0-9]{1,19}$"));
        OneOfBuilder::new()
            .item(number)
            .item(text)
            .description(Some(
                "Seed of all noise, 0 to 2^64 - 1: a number up to 2^53, text above, so that no reader rounds it.",
            ))
            .into()
    }
}

impl ToSchema for Seed {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_never_rounded() {
        for (seed, text) in [
            (0, "0"),
            (EXACT, "9007199254740992"),
            (EXACT + 1, "\"9007199254740993\""),
            (u64::MAX, "\"18446744073709551615\""),
        ] {
            assert_eq!(serde_json::to_string(&Seed(seed)).unwrap(), text);
            assert_eq!(serde_json::from_str::<Seed>(text).unwrap(), Seed(seed));
        }
        assert_eq!(serde_json::from_str::<Seed>("\"7\"").unwrap(), Seed(7));
        let above = "9007199254740993";
        assert_eq!(
            serde_json::from_str::<Seed>(above).unwrap(),
            Seed(EXACT + 1)
        );
        for bad in [
            "-1",
            "1.5",
            "\"\"",
            "\"+1\"",
            "\"x\"",
            "\"18446744073709551616\"",
            "null",
        ] {
            assert!(serde_json::from_str::<Seed>(bad).is_err(), "{bad}");
        }
    }
}
