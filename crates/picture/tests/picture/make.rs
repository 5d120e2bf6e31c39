//! Makes small inputs byte by byte, so that what is read back is known without a second decoder.

use std::io::Write;

use imagegen_picture::{Decoded, Format, Limits, Metadata, Orientation, Picture, Size};

pub(crate) const RED: [u8; 3] = [220, 40, 40];
pub(crate) const GREEN: [u8; 3] = [40, 180, 60];
pub(crate) const BLUE: [u8; 3] = [50, 70, 210];
pub(crate) const YELLOW: [u8; 3] = [230, 200, 50];

/// Four colours in the four quarters: red, green; blue, yellow.
pub(crate) fn quarters(width: u32, height: u32) -> Picture {
    let colour = |x, y| match (x < width / 2, y < height / 2) {
        (true, true) => RED,
        (false, true) => GREEN,
        (true, false) => BLUE,
        (false, false) => YELLOW,
    };
    painted(width, height, colour)
}

/// A picture by a function of column and row.
pub(crate) fn painted(width: u32, height: u32, colour: impl Fn(u32, u32) -> [u8; 3]) -> Picture {
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let rgb = places.flat_map(|(x, y)| colour(x, y)).collect();
    Picture::new(Size::new(width, height), rgb, None).expect("planes of that size")
}

/// Every pixel its own colour.
pub(crate) fn busy(width: u32, height: u32) -> Picture {
    painted(width, height, |x, y| {
        [
            (x * 37 + y * 11) as u8,
            (x * 5 + y * 71) as u8,
            (x * y) as u8,
        ]
    })
}

/// `turned` so that `orientation` sets it upright again: what a camera would store.
pub(crate) fn stored(upright: &Picture, orientation: Orientation) -> Picture {
    let inverse = match orientation {
        Orientation::TurnRight => Orientation::TurnLeft,
        Orientation::TurnLeft => Orientation::TurnRight,
        own => own,
    };
    inverse.apply(upright.clone())
}

pub(crate) fn decode(bytes: &[u8]) -> Decoded {
    imagegen_picture::decode(bytes, &Limits::default()).expect("a sound file")
}

pub(crate) fn encode(picture: &Picture, format: Format) -> Vec<u8> {
    imagegen_picture::encode(picture, format, &Metadata::default())
        .expect("an encodable picture")
        .bytes
}

/// A little-endian EXIF block with an orientation and 300 dpi.
pub(crate) fn exif(orientation: u16) -> Vec<u8> {
    let mut block = b"II*\0\x08\0\0\0".to_vec();
    block.extend(4u16.to_le_bytes());
    let end = 8 + 2 + 4 * 12 + 4u32;
    // Tag, type (3 short, 5 rational), count, value or place.
    for (tag, kind, value) in [
        (0x112, 3, orientation.into()),
        (0x11A, 5, end),
        (0x11B, 5, end),
        (0x128, 3, 2),
    ] {
        block.extend(u16::to_le_bytes(tag));
        block.extend(u16::to_le_bytes(kind));
        block.extend(1u32.to_le_bytes());
        block.extend(u32::to_le_bytes(value));
    }
    block.extend([0; 4]);
    block.extend(300u32.to_le_bytes());
    block.extend(1u32.to_le_bytes());
    block
}

/// Puts a segment right behind the start of a JPEG.
pub(crate) fn with_segment(mut jpeg: Vec<u8>, marker: u8, payload: &[u8]) -> Vec<u8> {
    let mut segment = vec![0xFF, marker];
    segment.extend((payload.len() as u16 + 2).to_be_bytes());
    segment.extend(payload);
    jpeg.splice(2..2, segment);
    jpeg
}

pub(crate) fn chunk(kind: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(kind);
    crc.update(payload);
    let mut out = (payload.len() as u32).to_be_bytes().to_vec();
    out.extend(kind);
    out.extend(payload);
    out.extend(crc.sum().to_be_bytes());
    out
}

pub(crate) fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).expect("room in memory");
    encoder.finish().expect("room in memory")
}

/// A PNG of a given kind. `rows` are packed samples, each row with its filter byte in front.
pub(crate) struct Png<'a> {
    pub(crate) size: (u32, u32),
    pub(crate) depth: u8,
    pub(crate) colour: u8,
    pub(crate) interlaced: bool,
    /// Chunks between header and pixels.
    pub(crate) before: Vec<Vec<u8>>,
    pub(crate) rows: &'a [u8],
}

impl Png<'_> {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut header = self.size.0.to_be_bytes().to_vec();
        header.extend(self.size.1.to_be_bytes());
        header.extend([self.depth, self.colour, 0, 0, self.interlaced.into()]);
        let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
        out.extend(chunk(b"IHDR", &header));
        out.extend(self.before.concat());
        out.extend(chunk(b"IDAT", &deflate(self.rows)));
        out.extend(chunk(b"IEND", &[]));
        out
    }
}

/// `picture` as an RGB PNG with `before` in front of its pixels.
pub(crate) fn png_with(picture: &Picture, before: Vec<Vec<u8>>) -> Vec<u8> {
    let width = picture.size().width;
    let rows: Vec<u8> = picture
        .rgb()
        .chunks_exact(width as usize * 3)
        .flat_map(|row| [&[0], row].concat())
        .collect();
    let size = (width, picture.size().height);
    Png {
        size,
        depth: 8,
        colour: 2,
        interlaced: false,
        before,
        rows: &rows,
    }
    .bytes()
}

/// `picture` as a lossless WebP with `chunks`, by way of the extended header.
pub(crate) fn webp_with(picture: &Picture, flags: u8, chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let plain = encode(picture, Format::WebP);
    let Size { width, height } = picture.size();
    let mut header = vec![flags, 0, 0, 0];
    header.extend(&(width - 1).to_le_bytes()[..3]);
    header.extend(&(height - 1).to_le_bytes()[..3]);
    let mut body = b"WEBP".to_vec();
    body.extend(riff_chunk(b"VP8X", &header));
    body.extend(&plain[12..]);
    for (kind, payload) in chunks {
        body.extend(riff_chunk(kind, payload));
    }
    riff_chunk(b"RIFF", &body)
}

fn riff_chunk(kind: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut out = kind.to_vec();
    out.extend((payload.len() as u32).to_le_bytes());
    out.extend(payload);
    out.resize(out.len().next_multiple_of(2), 0);
    out
}

/// Asserts that no value of `got` is further than `tolerance` from `want`.
#[track_caller]
pub(crate) fn assert_near(got: &[u8], want: &[u8], tolerance: u8) {
    assert_eq!(got.len(), want.len());
    let worst = got
        .iter()
        .zip(want)
        .map(|(a, b)| a.abs_diff(*b))
        .max()
        .unwrap_or(0);
    assert!(
        worst <= tolerance,
        "values differ by up to {worst}, expected at most {tolerance}"
    );
}

/// A baseline JPEG of one row of 8x8 blocks, each of one colour: `components` values of `blocks`, as they
/// are stored. `adobe` is the transform that Adobe's marker names, where there is one.
pub(crate) fn flat_jpeg(components: usize, adobe: Option<u8>, blocks: &[[u8; 4]]) -> Vec<u8> {
    let mut out = vec![0xFF, 0xD8];
    let mut segment = |marker: u8, payload: &[u8]| {
        out.extend([0xFF, marker]);
        out.extend((payload.len() as u16 + 2).to_be_bytes());
        out.extend(payload);
    };
    if let Some(transform) = adobe {
        segment(
            0xEE,
            &[b"Adobe\0\x64\0\0\0\0".as_slice(), &[transform]].concat(),
        );
    }
    segment(0xDB, &[&[0][..], &[1; 64]].concat()); // nothing is rounded
    let count = components as u8;
    let mut frame = vec![8, 0, 8];
    frame.extend((8 * blocks.len() as u16).to_be_bytes());
    frame.push(count);
    frame.extend((1..=count).flat_map(|id| [id, 0x11, 0]));
    segment(0xC0, &frame);
    // Twelve lengths of DC values with codes of 4 bits; AC knows the end of the block alone, 1 bit.
    let lengths = |bits: usize, count: u8| -> Vec<u8> {
        (1..=16)
            .map(|n| if n == bits { count } else { 0 })
            .collect()
    };
    let dc: Vec<u8> = [vec![0x00], lengths(4, 12), (0..12).collect()].concat();
    segment(0xC4, &dc);
    segment(0xC4, &[vec![0x10], lengths(1, 1), vec![0]].concat());
    let mut scan = vec![count];
    scan.extend((1..=count).flat_map(|id| [id, 0]));
    scan.extend([0, 63, 0]);
    segment(0xDA, &scan);

    let mut bits = Vec::new();
    let mut push = |value: i32, count: u32| {
        bits.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
    };
    let mut last = [0; 4];
    for block in blocks {
        for component in 0..components {
            let value = 8 * (i32::from(block[component]) - 128);
            let step = value - last[component];
            last[component] = value;
            let length = 32 - step.unsigned_abs().leading_zeros();
            push(length as i32, 4);
            push(if step < 0 { step - 1 } else { step }, length);
            push(0, 1); // end of block
        }
    }
    for byte in bits.chunks(8) {
        let byte = (0..8).fold(0u8, |sum, bit| sum << 1 | u8::from(bit_or_one(byte, bit)));
        out.push(byte);
        if byte == 0xFF {
            out.push(0);
        }
    }
    out.extend([0xFF, 0xD9]);
    out
}

/// The last byte is filled up with ones.
fn bit_or_one(bits: &[bool], bit: usize) -> bool {
    bits.get(bit).copied().unwrap_or(true)
}
