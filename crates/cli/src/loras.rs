//! LoRAs that options name.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use imagegen::files::Shelf;
use imagegen::{Lora, LoraUse};

/// Reads what `--lora` names: a file, or a name on the shelf, and how much of it.
pub(crate) fn read(named: &str, shelf: Option<&Shelf<Lora>>) -> Result<LoraUse> {
    let (name, weight) = parted(named, |path| Path::new(path).exists());
    let path = Path::new(name);
    let lora = match shelf {
        Some(shelf) if !path.exists() => shelf.get(name)?,
        _ => Arc::new(imagegen::files::read_lora(path)?),
    };
    Ok(LoraUse { lora, weight })
}

/// Parts `FILE:WEIGHT`; the weight is 1 where there is none, and where a file of the whole name `is_there`. A colon
/// before anything but a number is part of the name, such as a drive's.
fn parted(named: &str, is_there: impl Fn(&str) -> bool) -> (&str, f64) {
    let weighed = || {
        let (name, weight) = named.rsplit_once(':')?;
        Some((name, weight.trim().parse().ok()?))
    };
    match weighed() {
        Some((name, weight)) if !name.is_empty() && !is_there(named) => (name, weight),
        _ => (named, 1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_a_number_behind_the_last_colon() {
        for (named, want) in [
            ("fur.safetensors", ("fur.safetensors", 1.0)),
            ("fur.safetensors:0.8", ("fur.safetensors", 0.8)),
            ("a/fur.safetensors:-1", ("a/fur.safetensors", -1.0)),
            (r"C:\fur.safetensors", (r"C:\fur.safetensors", 1.0)),
            (r"C:\fur.safetensors:.5", (r"C:\fur.safetensors", 0.5)),
            ("9:16.safetensors", ("9:16.safetensors", 1.0)),
            ("fur:soon", ("fur:soon", 1.0)),
            (":1", (":1", 1.0)),
        ] {
            assert_eq!(parted(named, |_| false), want);
        }
        assert_eq!(parted("9:16", |name| name == "9:16"), ("9:16", 1.0));
    }
}
