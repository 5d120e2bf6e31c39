//! What bytes look like when they are no picture we read. Content only, never a name.

/// A kind of content that is not a picture we read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LooksLike {
    /// A web page, often an error or login page saved in a picture's place.
    Html,
    /// Vector graphics.
    Svg,
    /// Other XML.
    Xml,
    /// JSON.
    Json,
    /// A Git LFS pointer in place of the file it stands for.
    LfsPointer,
    /// Plain text.
    Text,
    /// A PDF document.
    Pdf,
    /// An Apple HEIC or HEIF photo.
    Heic,
    /// An AVIF picture.
    Avif,
    /// A JPEG XL picture.
    JpegXl,
    /// A JPEG 2000 picture.
    Jpeg2000,
    /// A Photoshop document.
    Photoshop,
    /// An OpenEXR picture.
    OpenExr,
    /// A video.
    Video,
    /// A ZIP archive, or a document that is one inside.
    Zip,
    /// Compressed with gzip.
    Gzip,
    /// Nothing but zero bytes.
    Zeros,
    /// Nothing we know.
    Unknown,
}

impl std::fmt::Display for LooksLike {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Html => "a web page (HTML)",
            Self::Svg => "vector graphics (SVG)",
            Self::Xml => "XML",
            Self::Json => "JSON",
            Self::LfsPointer => "a Git LFS pointer",
            Self::Text => "plain text",
            Self::Pdf => "a PDF document",
            Self::Heic => "a HEIC photo",
            Self::Avif => "an AVIF picture",
            Self::JpegXl => "a JPEG XL picture",
            Self::Jpeg2000 => "a JPEG 2000 picture",
            Self::Photoshop => "a Photoshop document",
            Self::OpenExr => "an OpenEXR picture",
            Self::Video => "a video",
            Self::Zip => "a ZIP archive",
            Self::Gzip => "a gzip archive",
            Self::Zeros => "nothing but zero bytes",
            Self::Unknown => "unknown data",
        })
    }
}

impl LooksLike {
    /// True for pictures of a kind that this build does not read.
    pub fn is_picture(self) -> bool {
        use LooksLike as L;
        matches!(
            self,
            L::Svg | L::Heic | L::Avif | L::JpegXl | L::Jpeg2000 | L::Photoshop | L::OpenExr
        )
    }
}

/// Names the content of `bytes`, which are no picture we read.
pub(crate) fn sniff(bytes: &[u8]) -> LooksLike {
    const MAGIC: [(&[u8], LooksLike); 11] = [
        (b"%PDF-", LooksLike::Pdf),
        (b"\xFF\x0A", LooksLike::JpegXl),
        (b"\0\0\0\x0CJXL ", LooksLike::JpegXl),
        (b"\0\0\0\x0CjP  ", LooksLike::Jpeg2000),
        (b"\xFF\x4F\xFF\x51", LooksLike::Jpeg2000),
        (b"8BPS", LooksLike::Photoshop),
        (b"\x76\x2f\x31\x01", LooksLike::OpenExr),
        (b"PK\x03\x04", LooksLike::Zip),
        (b"\x1f\x8b", LooksLike::Gzip),
        (b"\x1a\x45\xdf\xa3", LooksLike::Video),
        (b"version https://git-lfs", LooksLike::LfsPointer),
    ];
    if let Some((_, kind)) = MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return *kind;
    }
    if bytes.get(4..8) == Some(b"ftyp") {
        return brand(bytes.get(8..12).unwrap_or_default());
    }
    if bytes.iter().all(|&byte| byte == 0) {
        return LooksLike::Zeros;
    }
    text(bytes)
}

fn brand(brand: &[u8]) -> LooksLike {
    match brand {
        b"avif" | b"avis" => LooksLike::Avif,
        b"heic" | b"heix" | b"hevc" | b"heim" | b"heis" | b"mif1" | b"msf1" => LooksLike::Heic,
        _ => LooksLike::Video,
    }
}

fn text(bytes: &[u8]) -> LooksLike {
    let head = &bytes[..bytes.len().min(1024)];
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The cut at 1024 may fall inside a character.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return LooksLike::Unknown,
    };
    if text
        .chars()
        .any(|c| c.is_control() && !c.is_ascii_whitespace())
    {
        return LooksLike::Unknown;
    }
    let start = text
        .trim_start_matches('\u{feff}')
        .trim_start()
        .to_ascii_lowercase();
    if start.starts_with("<!doctype html") || start.starts_with("<html") {
        LooksLike::Html
    } else if start.contains("<svg") && start.starts_with('<') {
        LooksLike::Svg
    } else if start.contains("<html") && start.starts_with('<') {
        LooksLike::Html
    } else if start.starts_with("<?xml") {
        LooksLike::Xml
    } else if start.starts_with('{') || start.starts_with('[') {
        LooksLike::Json
    } else {
        LooksLike::Text
    }
}
