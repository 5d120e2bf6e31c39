//! The tags of a source that its results keep: who, when, with what and how it was taken.
//!
//! A list of what is kept, not of what is dropped, since what a list of dropped tags forgets is passed on.
//! Left out: the place (GPS), thumbnails and previews, makers' own notes (their offsets break when they
//! move, and they hold previews, places and serial numbers of their own), and what describes the stored
//! pixels (sizes, colour space, orientation), which no longer holds.

use super::tiff::{Tiff, widths};

/// Longest value that is kept, in bytes.
const MOST_VALUE: usize = 4096;
/// Most bytes of all values, so that a prompt still fits beside them in a JPEG segment.
const MOST_VALUES: usize = 16_384;

/// Where a tag stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Folder {
    Main,
    Photo,
}

/// Ranges of tags that are kept, ends included.
const KEPT: [(Folder, u16, u16); 27] = [
    (Folder::Main, 0x010D, 0x0110),  // document, description, maker, model
    (Folder::Main, 0x0131, 0x0132),  // software, date
    (Folder::Main, 0x013B, 0x013C),  // artist, computer
    (Folder::Main, 0x4746, 0x4746),  // rating
    (Folder::Main, 0x4749, 0x4749),  // rating in percent
    (Folder::Main, 0x8298, 0x8298),  // copyright
    (Folder::Main, 0x9C9B, 0x9C9F),  // title, comment, author, keywords, subject
    (Folder::Photo, 0x829A, 0x829A), // exposure time
    (Folder::Photo, 0x829D, 0x829D), // f-number
    (Folder::Photo, 0x8822, 0x8822), // exposure programme
    (Folder::Photo, 0x8824, 0x8824), // spectral sensitivity
    (Folder::Photo, 0x8827, 0x8827), // ISO speed
    (Folder::Photo, 0x8830, 0x8835), // kinds of sensitivity
    (Folder::Photo, 0x9000, 0x9000), // EXIF version
    (Folder::Photo, 0x9003, 0x9004), // when it was taken and stored
    (Folder::Photo, 0x9010, 0x9012), // their time zones
    (Folder::Photo, 0x9201, 0x920A), // shutter, aperture, light, flash, focal length
    (Folder::Photo, 0x9290, 0x9292), // fractions of seconds
    (Folder::Photo, 0x9400, 0x9405), // weather, camera's angle
    (Folder::Photo, 0xA20B, 0xA20B), // flash energy
    (Folder::Photo, 0xA215, 0xA215), // exposure index
    (Folder::Photo, 0xA217, 0xA217), // sensor
    (Folder::Photo, 0xA300, 0xA301), // kind of source, kind of scene
    (Folder::Photo, 0xA401, 0xA40A), // rendering, white balance, zoom, sharpness
    (Folder::Photo, 0xA40C, 0xA40C), // distance
    (Folder::Photo, 0xA430, 0xA43C), // owner, serial numbers, lens, title, photographer
    (Folder::Photo, 0xA460, 0xA462), // composite pictures
];

/// A tag with its value in big-endian order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) folder: Folder,
    pub(super) tag: u16,
    pub(super) kind: u16,
    pub(super) value: Vec<u8>,
}

/// What the EXIF block of a source says of how it was taken, without the place, thumbnails, makers' notes
/// and what describes stored pixels. Values over 4 KiB, and those behind the first 16 KiB, are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExifTags(pub(super) Vec<Tag>);

impl ExifTags {
    /// True where nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tags to keep of a block whose main folder stands at `first` and whose photo folder at `photo`.
    pub(super) fn of(tiff: &Tiff<'_>, first: usize, photo: Option<usize>) -> Self {
        let main = tiff.entries(first).map(|at| (Folder::Main, at));
        let photo = photo.into_iter().flat_map(|at| tiff.entries(at));
        let all = main.chain(photo.map(|at| (Folder::Photo, at)));
        let mut tags: Vec<Tag> = all
            .filter_map(|(folder, at)| read(tiff, folder, at))
            .collect();
        // The standard wants tags in order; of equal ones the first counts.
        tags.sort_by_key(|tag| (tag.folder, tag.tag));
        tags.dedup_by_key(|tag| (tag.folder, tag.tag));
        let mut room = MOST_VALUES;
        tags.retain(|tag| {
            let fits = tag.value.len() <= room;
            room -= if fits { tag.value.len() } else { 0 };
            fits
        });
        Self(tags)
    }
}

fn read(tiff: &Tiff<'_>, folder: Folder, at: usize) -> Option<Tag> {
    let (tag, kind) = (tiff.u16(at)?, tiff.u16(at + 2)?);
    let kept =
        |&(place, from, to): &(Folder, u16, u16)| place == folder && (from..=to).contains(&tag);
    if !KEPT.iter().any(kept) {
        return None;
    }
    let value = tiff.value(at)?;
    if value.is_empty() || value.len() > MOST_VALUE {
        return None;
    }
    let mut value = value.to_vec();
    if !tiff.big {
        let (_, number) = widths(kind)?;
        value.chunks_exact_mut(number).for_each(<[u8]>::reverse);
    }
    Some(Tag {
        folder,
        tag,
        kind,
        value,
    })
}
