//! EXIF: reads the tags we act on and those a result keeps, writes a block of them. A TIFF block in either
//! byte order; whatever is broken reads as absent.

mod tags;
mod tiff;
mod write;

pub use tags::ExifTags;
pub(crate) use write::write;

use crate::Orientation;
use tiff::Tiff;

const ORIENTATION: u16 = 0x0112;
const X_RESOLUTION: u16 = 0x011A;
const Y_RESOLUTION: u16 = 0x011B;
const RESOLUTION_UNIT: u16 = 0x0128;
const EXIF_FOLDER: u16 = 0x8769;
const GPS_FOLDER: u16 = 0x8825;
/// The version of the GPS folder, the one tag in it that tells no place.
const GPS_VERSION: u16 = 0;
const USER_COMMENT: u16 = 0x9286;
const UNICODE: &[u8; 8] = b"UNICODE\0";
/// The byte order mark.
const MARK: u16 = 0xFEFF;

/// The prefix of EXIF in a JPEG segment; some writers put it in PNG and WebP too.
pub(crate) const PREFIX: &[u8; 6] = b"Exif\0\0";

/// What we read of an EXIF block.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Exif {
    pub(crate) orientation: Option<Orientation>,
    /// Pixels per inch, across and down.
    pub(crate) dpi: Option<(f32, f32)>,
    /// The user comment where it is text.
    pub(crate) comment: Option<String>,
    /// Whether it says where the picture was taken.
    pub(crate) place: bool,
    /// What a result may keep.
    pub(crate) tags: ExifTags,
}

/// Reads a block, with or without [`PREFIX`].
pub(crate) fn read(block: &[u8]) -> Exif {
    let block = block.strip_prefix(PREFIX).unwrap_or(block);
    parse(block).unwrap_or_default()
}

fn parse(block: &[u8]) -> Option<Exif> {
    let tiff = Tiff::of(block)?;
    let first = tiff.u32(4)? as usize;
    let below = |tag| Some(tiff.long(first, tag)? as usize);
    let photo = below(EXIF_FOLDER);
    let comment = photo
        .and_then(|folder| tiff.value(tiff.entry(folder, USER_COMMENT)?))
        .and_then(|bytes| comment(bytes, tiff.big));
    let place = below(GPS_FOLDER).is_some_and(|folder| {
        let tags = tiff.entries(folder).map(|at| tiff.u16(at));
        tags.flatten().any(|tag| tag != GPS_VERSION)
    });
    Some(Exif {
        orientation: tiff
            .short(first, ORIENTATION)
            .and_then(Orientation::from_exif),
        dpi: dpi(&tiff, first),
        comment,
        place,
        tags: ExifTags::of(&tiff, first, photo),
    })
}

fn dpi(tiff: &Tiff<'_>, first: usize) -> Option<(f32, f32)> {
    let per_inch = match tiff.short(first, RESOLUTION_UNIT) {
        Some(3) => 2.54,
        Some(1) => return None, // no unit: only the shape of a pixel
        _ => 1.0,
    };
    let x = tiff.rational(first, X_RESOLUTION)?;
    let y = tiff.rational(first, Y_RESOLUTION)?;
    Some((x * per_inch, y * per_inch))
}

fn comment(bytes: &[u8], big: bool) -> Option<String> {
    let text = bytes.get(8..)?;
    if bytes.starts_with(UNICODE) {
        return utf16(text, big);
    }
    if bytes.starts_with(b"ASCII\0\0\0") {
        return String::from_utf8(text.to_vec()).ok();
    }
    None
}

/// UTF-16 in the block's byte order or, since writers disagree, in the one that the text itself tells.
fn utf16(text: &[u8], big: bool) -> Option<String> {
    let units = |big: bool| {
        text.chunks_exact(2).map(move |pair| match big {
            true => u16::from_be_bytes([pair[0], pair[1]]),
            false => u16::from_le_bytes([pair[0], pair[1]]),
        })
    };
    // Read the wrong way round, Latin text is all high bytes without low ones. Big-endian blocks are what
    // we write: nothing in them is guessed, so that every text of ours comes back.
    let latin = |unit| (0x20..0x180).contains(&unit) || matches!(unit, 0x09 | 0x0A | 0x0D);
    let marked = units(!big).next() == Some(MARK);
    let swapped = marked || (!big && !text.is_empty() && units(true).all(latin));
    let units: Vec<u16> = units(big != swapped).collect();
    let text = match units.as_slice() {
        [MARK, rest @ ..] if swapped || !big => rest,
        all => all,
    };
    String::from_utf16(text).ok()
}
