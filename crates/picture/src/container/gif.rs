//! GIF blocks: tells whether the first frame is whole.

const EXTENSION: u8 = 0x21;
const FRAME: u8 = 0x2C;
const END: u8 = 0x3B;

/// Where the first frame ends; `None` where the bytes run out before. A block of no known kind ends the
/// walk, since what follows it is no question of length.
pub(crate) fn first_frame_end(bytes: &[u8]) -> Option<usize> {
    let screen = *bytes.get(10)?;
    let mut at = 13 + table(screen);
    loop {
        match *bytes.get(at)? {
            EXTENSION => at = skip_blocks(bytes, at + 2)?,
            FRAME => {
                let flags = *bytes.get(at + 9)?;
                // Behind the table one byte says how wide codes are.
                return skip_blocks(bytes, at + 10 + table(flags) + 1);
            }
            END => return Some(at + 1),
            _ => return Some(at),
        }
    }
}

/// Bytes of the colour table that flags announce.
fn table(flags: u8) -> usize {
    if flags & 0x80 == 0 {
        0
    } else {
        3 << ((flags & 7) + 1)
    }
}

/// Behind a row of blocks, each with its length in front, up to an empty one.
fn skip_blocks(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1 + length;
        if length == 0 {
            return Some(at);
        }
    }
}
