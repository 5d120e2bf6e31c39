//! Writes a big-endian block, the order that AUTOMATIC1111 uses and its readers expect.

use super::tags::{ExifTags, Folder, Tag};
use super::tiff::{LONG, RATIONAL, SHORT, UNDEFINED, widths};
use super::{
    EXIF_FOLDER, ORIENTATION, RESOLUTION_UNIT, UNICODE, USER_COMMENT, X_RESOLUTION, Y_RESOLUTION,
};
use crate::Orientation;

/// Where the first folder stands, behind byte order, magic number and this very place.
const MAIN_AT: usize = 8;
const INCHES: u16 = 2;

/// A block that says `tags`, the resolution `dpi` and, as a Unicode user comment, `comment`. `None` where
/// there is nothing to say. With tags it also says that the picture stands upright.
pub(crate) fn write(
    tags: &ExifTags,
    dpi: Option<(f32, f32)>,
    comment: Option<&str>,
) -> Option<Vec<u8>> {
    let of = |folder| {
        tags.0
            .iter()
            .filter(move |tag| tag.folder == folder)
            .cloned()
    };
    let mut main: Vec<Tag> = of(Folder::Main).collect();
    let mut photo: Vec<Tag> = of(Folder::Photo).collect();
    if let Some(comment) = comment {
        let mut text = UNICODE.to_vec();
        text.extend(comment.encode_utf16().flat_map(u16::to_be_bytes));
        photo.push(tag(Folder::Photo, USER_COMMENT, UNDEFINED, text));
    }
    if !tags.is_empty() {
        let upright = (Orientation::Upright as u16).to_be_bytes();
        main.push(tag(Folder::Main, ORIENTATION, SHORT, upright.to_vec()));
    }
    if let Some((x, y)) = dpi {
        main.push(tag(Folder::Main, X_RESOLUTION, RATIONAL, fraction(x)));
        main.push(tag(Folder::Main, Y_RESOLUTION, RATIONAL, fraction(y)));
        let unit = INCHES.to_be_bytes().to_vec();
        main.push(tag(Folder::Main, RESOLUTION_UNIT, SHORT, unit));
    }
    if main.is_empty() && photo.is_empty() {
        return None;
    }
    if !photo.is_empty() {
        // Where it stands is known when the main folder's length is.
        main.push(tag(Folder::Main, EXIF_FOLDER, LONG, vec![0; 4]));
    }
    main.sort_by_key(|tag| tag.tag);
    photo.sort_by_key(|tag| tag.tag);
    let photo_at = MAIN_AT + folder_length(&main);
    for tag in main.iter_mut().filter(|tag| tag.tag == EXIF_FOLDER) {
        tag.value = (photo_at as u32).to_be_bytes().to_vec();
    }
    let mut block = b"MM\0*".to_vec();
    block.extend((MAIN_AT as u32).to_be_bytes());
    push_folder(&mut block, &main);
    if !photo.is_empty() {
        push_folder(&mut block, &photo);
    }
    Some(block)
}

fn tag(folder: Folder, tag: u16, kind: u16, value: Vec<u8>) -> Tag {
    Tag {
        folder,
        tag,
        kind,
        value,
    }
}

/// A resolution as numerator and denominator, to four digits.
fn fraction(dpi: f32) -> Vec<u8> {
    const DIGITS: u32 = 10_000;
    let (top, bottom) = if dpi.fract() == 0.0 {
        (dpi as u32, 1)
    } else {
        ((f64::from(dpi) * f64::from(DIGITS)).round() as u32, DIGITS)
    };
    [top.to_be_bytes(), bottom.to_be_bytes()].concat()
}

/// Bytes of a folder with its values.
fn folder_length(tags: &[Tag]) -> usize {
    let values = tags.iter().map(|tag| outside(&tag.value));
    2 + tags.len() * 12 + 4 + values.sum::<usize>()
}

/// Bytes that a value takes outside its entry; places are even.
fn outside(value: &[u8]) -> usize {
    if value.len() <= 4 {
        0
    } else {
        value.len().next_multiple_of(2)
    }
}

/// A folder with its values behind it, and none after it.
fn push_folder(block: &mut Vec<u8>, tags: &[Tag]) {
    let mut value_at = block.len() + 2 + tags.len() * 12 + 4;
    let mut values = Vec::new();
    block.extend((tags.len() as u16).to_be_bytes());
    for tag in tags {
        let (width, _) = widths(tag.kind).unwrap_or((1, 1));
        let count = tag.value.len() / width;
        block.extend(tag.tag.to_be_bytes());
        block.extend(tag.kind.to_be_bytes());
        block.extend((count as u32).to_be_bytes());
        let length = outside(&tag.value);
        if length == 0 {
            let mut place = [0; 4];
            place[..tag.value.len()].copy_from_slice(&tag.value);
            block.extend(place);
        } else {
            block.extend((value_at as u32).to_be_bytes());
            values.extend(&tag.value);
            values.resize(values.len().next_multiple_of(2), 0);
            value_at += length;
        }
    }
    block.extend([0; 4]);
    block.extend(values);
}
