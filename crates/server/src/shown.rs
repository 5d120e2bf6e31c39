//! Pictures as they are asked for: in another format, or smaller.

use imagegen::Recipe;
use imagegen_picture::{
    Carried, EncodeError, Filter, Format, Limits, Metadata, Picture, Size, decode, encode, flatten,
    resize,
};

use crate::error::{ApiError, decoding};

/// JPEG quality of previews.
const PREVIEW_QUALITY: u8 = 82;

/// The picture with its longest side at most `side` pixels; its alpha is kept.
fn fitted(picture: &Picture, side: u32) -> Picture {
    let size = picture.size();
    let longest = size.width.max(size.height);
    if longest <= side {
        return picture.clone();
    }
    let scaled = |length: u32| {
        let scaled = u64::from(length) * u64::from(side) / u64::from(longest);
        u32::try_from(scaled).unwrap_or(side).max(1)
    };
    let small = Size::new(scaled(size.width), scaled(size.height));
    resize(picture, small, Filter::Lanczos3)
}

/// A small JPEG of a picture, laid on white, without a word about its making.
pub(crate) fn preview(picture: &Picture, side: u32) -> Result<Vec<u8>, ApiError> {
    let small = flatten(&fitted(picture, side), imagegen_picture::WHITE);
    let format = Format::Jpeg {
        quality: PREVIEW_QUALITY,
    };
    let encoded = encode(&small, format, &Metadata::default());
    Ok(encoded.map_err(encoding)?.bytes)
}

/// A stored PNG as `format`: whole, with what it says of its making and what its source said of itself; or for
/// a look, at most `side` pixels long, without.
pub(crate) fn converted(
    png: &[u8],
    format: Format,
    side: Option<u32>,
    limits: &Limits,
) -> Result<Vec<u8>, ApiError> {
    let decoded = decode(png, limits).map_err(|cause| decoding(&cause))?;
    if let Some(side) = side {
        let small = fitted(&decoded.picture, side);
        return match format {
            Format::Jpeg { .. } => preview(&small, side),
            format => Ok(encode(&small, format, &Metadata::default())
                .map_err(encoding)?
                .bytes),
        };
    }
    // A sheet says nothing of its making.
    let said = Recipe::read("result", png)
        .ok()
        .map(|recipe| recipe.metadata());
    let metadata = Metadata {
        carried: Carried::of(&decoded.facts),
        ..said.unwrap_or_default()
    };
    Ok(encode(&decoded.picture, format, &metadata)
        .map_err(encoding)?
        .bytes)
}

fn encoding(error: EncodeError) -> ApiError {
    match error {
        EncodeError::TooLarge { .. } | EncodeError::Metadata(_) => {
            ApiError::field("invalid_value", "format", error.to_string())
        }
        error => ApiError::internal("encode", &error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_fitted_with_their_alpha() {
        let size = Size::new(300, 100);
        let picture = Picture::filled(size, [10, 20, 30]).unwrap();
        let clear = picture.clone().with_alpha(Some(vec![128; 30_000])).unwrap();
        let small = fitted(&clear, 60);
        assert_eq!(small.size(), Size::new(60, 20));
        assert!(small.alpha().unwrap().iter().all(|&alpha| alpha == 128));
        assert_eq!(fitted(&picture, 400), picture);
        let thin = Picture::filled(Size::new(1000, 1), [0; 3]).unwrap();
        assert_eq!(fitted(&thin, 16).size(), Size::new(16, 1));
    }
}
