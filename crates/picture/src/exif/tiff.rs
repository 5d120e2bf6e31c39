//! Folders of tags in a TIFF block of either byte order. Never reads outside the block.

pub(super) const ASCII: u16 = 2;
pub(super) const SHORT: u16 = 3;
pub(super) const LONG: u16 = 4;
pub(super) const RATIONAL: u16 = 5;
pub(super) const UNDEFINED: u16 = 7;

/// Bytes of a value of a kind and of the numbers it is made of; `None` for kinds TIFF does not know.
/// EXIF has no floats (11 and 12), but there are programs that write them.
pub(super) fn widths(kind: u16) -> Option<(usize, usize)> {
    Some(match kind {
        1 | ASCII | 6 | UNDEFINED | 129 => (1, 1), // 129 is UTF-8
        SHORT | 8 => (2, 2),
        LONG | 9 => (4, 4),
        RATIONAL | 10 => (8, 4),
        11 => (4, 4),
        12 => (8, 8),
        _ => return None,
    })
}

/// A block.
pub(super) struct Tiff<'a> {
    pub(super) block: &'a [u8],
    /// Whether its numbers have their high byte first.
    pub(super) big: bool,
}

impl<'a> Tiff<'a> {
    pub(super) fn of(block: &'a [u8]) -> Option<Self> {
        let big = match block.get(..4)? {
            b"MM\0*" => true,
            b"II*\0" => false,
            _ => return None,
        };
        Some(Self { block, big })
    }

    pub(super) fn u16(&self, at: usize) -> Option<u16> {
        let bytes = *self.block.get(at..)?.first_chunk::<2>()?;
        Some(if self.big {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        })
    }

    pub(super) fn u32(&self, at: usize) -> Option<u32> {
        let bytes = *self.block.get(at..)?.first_chunk::<4>()?;
        Some(if self.big {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    }

    /// Where the 12-byte entries of the folder at `folder` stand, as far as the block holds them.
    pub(super) fn entries(&self, folder: usize) -> impl Iterator<Item = usize> + use<> {
        let room = self.block.len().saturating_sub(folder.saturating_add(2)) / 12;
        let count = usize::from(self.u16(folder).unwrap_or(0)).min(room);
        (0..count).map(move |index| folder + 2 + index * 12)
    }

    /// Where the entry of `tag` stands.
    pub(super) fn entry(&self, folder: usize, tag: u16) -> Option<usize> {
        self.entries(folder).find(|&at| self.u16(at) == Some(tag))
    }

    pub(super) fn short(&self, folder: usize, tag: u16) -> Option<u16> {
        let at = self.entry(folder, tag)?;
        // Some writers use LONG where SHORT is due.
        if self.u16(at + 2)? == LONG {
            return u16::try_from(self.u32(at + 8)?).ok();
        }
        self.u16(at + 8)
    }

    pub(super) fn long(&self, folder: usize, tag: u16) -> Option<u32> {
        self.u32(self.entry(folder, tag)? + 8)
    }

    /// A positive fraction.
    pub(super) fn rational(&self, folder: usize, tag: u16) -> Option<f32> {
        let at = self.long(folder, tag)? as usize;
        let (top, bottom) = (self.u32(at)?, self.u32(at.checked_add(4)?)?);
        (top != 0 && bottom != 0).then(|| top as f32 / bottom as f32)
    }

    /// The value of the entry at `at`, as the block stores it.
    pub(super) fn value(&self, at: usize) -> Option<&'a [u8]> {
        let (width, _) = widths(self.u16(at + 2)?)?;
        let length = width.checked_mul(self.u32(at + 4)? as usize)?;
        let start = if length <= 4 {
            at + 8
        } else {
            self.u32(at + 8)? as usize
        };
        self.block.get(start..)?.get(..length)
    }
}
