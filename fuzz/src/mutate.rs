//! Mutations: of bytes, of numbers, of pieces; then checksums are made right again, most of the time, so
//! that what lies behind them is reached.

use flate2::Crc;

use crate::random::Random;

/// Longest file that is made.
const LONGEST: usize = 1 << 16;
/// Bytes that formats treat in a way of their own.
const BYTES: [u8; 12] = [0, 1, 7, 8, 0x10, 0x20, 0x3F, 0x7F, 0x80, 0xC0, 0xFE, 0xFF];

/// One of `files`, with one to six mutations.
pub(crate) fn mutated(files: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut file = files[random.below(files.len())].clone();
    for _ in 0..=random.small(6) {
        mutate(&mut file, files, random);
    }
    file.truncate(LONGEST);
    if random.below(8) > 0 {
        mend_png(&mut file);
    }
    if random.below(4) > 0 {
        mend_riff(&mut file);
    }
    if random.below(4) > 0 {
        mend_header_length(&mut file);
    }
    file
}

fn mutate(file: &mut Vec<u8>, files: &[Vec<u8>], random: &mut Random) {
    let at = random.below(file.len());
    match random.below(11) {
        0 => change(file, at, |byte| byte ^ (1 << (at % 8))),
        1 => {
            let value = random.next() as u8;
            change(file, at, |_| value);
        }
        2 => {
            let value = BYTES[random.below(BYTES.len())];
            change(file, at, |_| value);
        }
        3 => {
            let step = random.small(16) as u8;
            change(file, at, |byte| byte.wrapping_add(step).wrapping_sub(8));
        }
        4 => number(file, at, random),
        5 => {
            let end = at + random.small(file.len() - at);
            file.drain(at..end);
        }
        6 => {
            let end = at + random.small(file.len() - at);
            let piece = file[at..end].to_vec();
            let to = random.below(file.len());
            file.splice(to..to, piece);
        }
        7 => file.truncate(at),
        8 => {
            let other = &files[random.below(files.len())];
            let from = random.below(other.len());
            let length = random.small(other.len() - from);
            let end = (at + random.small(file.len() - at)).min(file.len());
            file.splice(at..end, other[from..from + length].iter().copied());
        }
        9 => text(file, at, random),
        _ => {
            let piece = vec![BYTES[random.below(BYTES.len())]; random.small(5000)];
            file.splice(at..at, piece);
        }
    }
}

fn change(file: &mut [u8], at: usize, to: impl Fn(u8) -> u8) {
    if let Some(byte) = file.get_mut(at) {
        *byte = to(*byte);
    }
}

/// A number of two, four or eight bytes in either order, at the ends of its range.
fn number(file: &mut [u8], at: usize, random: &mut Random) {
    let ends = [
        0,
        1,
        0x7FFF,
        0x8000,
        0xFFFF,
        0x7FFF_FFFF,
        0x8000_0000,
        0xFFFF_FFFF,
        u64::MAX,
    ];
    let value = match random.below(3) {
        0 => ends[random.below(ends.len())],
        1 => file.len() as u64,
        _ => random.small(4096) as u64,
    };
    let width = [2, 4, 8][random.below(3)];
    let bytes = match random.below(2) {
        0 => value.to_le_bytes()[..width].to_vec(),
        _ => value.to_be_bytes()[8 - width..].to_vec(),
    };
    for (byte, new) in file.iter_mut().skip(at).zip(bytes) {
        *byte = new;
    }
}

/// A run of digits or a mark of JSON, as other texts have them.
fn text(file: &mut Vec<u8>, at: usize, random: &mut Random) {
    const PIECES: [&str; 14] = [
        "0",
        "-1",
        "18446744073709551615",
        "4294967296",
        "1e400",
        "null",
        "[",
        "]",
        "{",
        "}",
        "\"",
        ",",
        ":",
        "\\u0000",
    ];
    let piece = PIECES[random.below(PIECES.len())].bytes();
    let digits = file[at.min(file.len())..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit());
    let end = at + digits.count();
    file.splice(at.min(file.len())..end.min(file.len()), piece);
}

/// Makes the checksum of every PNG chunk right.
fn mend_png(file: &mut [u8]) {
    if !file.starts_with(b"\x89PNG\r\n\x1a\n") {
        return;
    }
    let mut at = 8;
    while let Some(length) = file.get(at..).and_then(|rest| rest.first_chunk::<4>()) {
        let length = u32::from_be_bytes(*length) as usize;
        let end = at.saturating_add(8).saturating_add(length);
        let (Some(covered), true) = (file.get(at + 4..end), end + 4 <= file.len()) else {
            return;
        };
        let mut crc = Crc::new();
        crc.update(covered);
        file[end..end + 4].copy_from_slice(&crc.sum().to_be_bytes());
        at = end + 4;
    }
}

/// Makes the length in a RIFF header right.
fn mend_riff(file: &mut [u8]) {
    if file.starts_with(b"RIFF") && file.len() >= 12 {
        let length = (file.len() - 8) as u32;
        file[4..8].copy_from_slice(&length.to_le_bytes());
    }
}

/// Makes the length of a safetensors header end at its last brace.
fn mend_header_length(file: &mut [u8]) {
    if file.get(8) == Some(&b'{')
        && let Some(end) = file.iter().rposition(|&byte| byte == b'}')
    {
        let length = (end + 1).saturating_sub(8) as u64;
        file[..8].copy_from_slice(&length.to_le_bytes());
    }
}
