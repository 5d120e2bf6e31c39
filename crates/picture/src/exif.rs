//! EXIF: reads the few tags we act on, writes the one we need. A TIFF block in either byte order;
//! whatever is broken reads as absent.

use crate::Orientation;

const ORIENTATION: u16 = 0x0112;
const X_RESOLUTION: u16 = 0x011A;
const Y_RESOLUTION: u16 = 0x011B;
const RESOLUTION_UNIT: u16 = 0x0128;
const EXIF_FOLDER: u16 = 0x8769;
const USER_COMMENT: u16 = 0x9286;
const UNICODE: &[u8; 8] = b"UNICODE\0";
const LONG: u16 = 4;
const UNDEFINED: u16 = 7;

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
}

/// Reads a block, with or without [`PREFIX`].
pub(crate) fn read(block: &[u8]) -> Exif {
    let block = block.strip_prefix(PREFIX).unwrap_or(block);
    parse(block).unwrap_or_default()
}

fn parse(block: &[u8]) -> Option<Exif> {
    let big = match block.get(..4)? {
        b"MM\0*" => true,
        b"II*\0" => false,
        _ => return None,
    };
    let tiff = Tiff { block, big };
    let first = tiff.u32(4)? as usize;
    let orientation = tiff
        .short(first, ORIENTATION)
        .and_then(Orientation::from_exif);
    let per_inch = match tiff.short(first, RESOLUTION_UNIT) {
        Some(3) => 2.54,
        _ => 1.0,
    };
    let x = tiff.rational(first, X_RESOLUTION);
    let y = tiff.rational(first, Y_RESOLUTION);
    let dpi = x.zip(y).map(|(x, y)| (x * per_inch, y * per_inch));
    let comment = tiff
        .entry(first, EXIF_FOLDER)
        .and_then(|at| tiff.u32(at + 8))
        .and_then(|folder| tiff.bytes(folder as usize, USER_COMMENT))
        .and_then(|bytes| comment(bytes, big));
    Some(Exif {
        orientation,
        dpi,
        comment,
    })
}

struct Tiff<'a> {
    block: &'a [u8],
    big: bool,
}

impl<'a> Tiff<'a> {
    fn u16(&self, at: usize) -> Option<u16> {
        let bytes = *self.block.get(at..)?.first_chunk::<2>()?;
        Some(if self.big {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        })
    }

    fn u32(&self, at: usize) -> Option<u32> {
        let bytes = *self.block.get(at..)?.first_chunk::<4>()?;
        Some(if self.big {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    }

    /// Where the 12-byte entry of `tag` stands in the folder at `folder`.
    fn entry(&self, folder: usize, tag: u16) -> Option<usize> {
        let count = usize::from(self.u16(folder)?);
        (0..count)
            .map(|i| folder + 2 + i * 12)
            .find(|&at| self.u16(at) == Some(tag))
    }

    fn short(&self, folder: usize, tag: u16) -> Option<u16> {
        let at = self.entry(folder, tag)?;
        // Some writers use LONG where SHORT is due.
        if self.u16(at + 2)? == LONG {
            return u16::try_from(self.u32(at + 8)?).ok();
        }
        self.u16(at + 8)
    }

    fn rational(&self, folder: usize, tag: u16) -> Option<f32> {
        let at = self.u32(self.entry(folder, tag)? + 8)? as usize;
        let (top, bottom) = (self.u32(at)?, self.u32(at.checked_add(4)?)?);
        (top != 0 && bottom != 0).then(|| top as f32 / bottom as f32)
    }

    /// The payload of an entry of single bytes.
    fn bytes(&self, folder: usize, tag: u16) -> Option<&'a [u8]> {
        let at = self.entry(folder, tag)?;
        let count = self.u32(at + 4)? as usize;
        let start = if count <= 4 {
            at + 8
        } else {
            self.u32(at + 8)? as usize
        };
        self.block.get(start..)?.get(..count)
    }
}

fn comment(bytes: &[u8], big: bool) -> Option<String> {
    let text = bytes.get(8..)?;
    if bytes.starts_with(UNICODE) {
        let units = text.chunks_exact(2).map(|pair| match big {
            true => u16::from_be_bytes([pair[0], pair[1]]),
            false => u16::from_le_bytes([pair[0], pair[1]]),
        });
        return String::from_utf16(&units.collect::<Vec<_>>()).ok();
    }
    if bytes.starts_with(b"ASCII\0\0\0") {
        return String::from_utf8(text.to_vec()).ok();
    }
    None
}

/// A block that holds `comment` as a Unicode user comment: big endian, UTF-16, the form that
/// AUTOMATIC1111 writes and its readers expect.
pub(crate) fn write(comment: &str) -> Vec<u8> {
    const FOLDER: u32 = 8;
    const EXIF_AT: u32 = FOLDER + 2 + 12 + 4;
    const COMMENT_AT: u32 = EXIF_AT + 2 + 12 + 4;
    let mut text = UNICODE.to_vec();
    text.extend(comment.encode_utf16().flat_map(u16::to_be_bytes));

    let mut block = b"MM\0*".to_vec();
    block.extend(FOLDER.to_be_bytes());
    push_folder(&mut block, EXIF_FOLDER, LONG, 1, EXIF_AT);
    push_folder(
        &mut block,
        USER_COMMENT,
        UNDEFINED,
        text.len() as u32,
        COMMENT_AT,
    );
    block.extend(text);
    block
}

/// A folder of one entry, with none after it.
fn push_folder(block: &mut Vec<u8>, tag: u16, kind: u16, count: u32, value: u32) {
    block.extend(1u16.to_be_bytes());
    block.extend(tag.to_be_bytes());
    block.extend(kind.to_be_bytes());
    block.extend(count.to_be_bytes());
    block.extend(value.to_be_bytes());
    block.extend(0u32.to_be_bytes());
}
