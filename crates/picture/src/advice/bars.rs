//! Letterboxing: flat bars of one colour at two opposite borders that end in an abrupt line.

use crate::{Picture, Rect, Size};

/// Levels of 255 in any channel by which pixels of a bar may differ from its colour: what JPEG does to it.
const FLAT: u8 = 8;
/// Share of a line's pixels that may be further off.
const STRAY: f64 = 0.01;
/// Levels by which a pixel of the picture differs from the bar.
const APART: u8 = 24;
/// Share of the pixels of a line behind a bar that has to differ. A subject on a plain ground begins
/// with a few pixels, a night sky grows lighter slowly; a picture begins with all of its line.
const ABRUPT: f64 = 0.5;
/// Lines behind a bar in which that has to happen: JPEG blurs the border within a block of 8.
const BEHIND: usize = 8;

/// Flat bars at opposite borders, in pixels. All 0 where there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bars {
    /// Rows at the top.
    pub top: u32,
    /// Rows at the bottom.
    pub bottom: u32,
    /// Columns at the left.
    pub left: u32,
    /// Columns at the right.
    pub right: u32,
}

impl Bars {
    /// What a picture of `size` is without them.
    pub fn inside(&self, size: Size) -> Rect {
        Rect {
            x: self.left,
            y: self.top,
            size: Size::new(
                size.width - self.left - self.right,
                size.height - self.top - self.bottom,
            ),
        }
    }

    /// Share of a picture of `size` that they cover, 0 to 1.
    pub fn share(&self, size: Size) -> f64 {
        1.0 - self.inside(size).size.pixels() as f64 / size.pixels() as f64
    }
}

/// The bars of an opaque picture.
pub(super) fn find_bars(picture: &Picture) -> Bars {
    let [top, bottom] = pair(picture, Lines::Rows);
    let [left, right] = pair(picture, Lines::Columns);
    Bars {
        top,
        bottom,
        left,
        right,
    }
}

#[derive(Clone, Copy)]
enum Lines {
    Rows,
    Columns,
}

/// Bars at the first and the last lines; both or none.
fn pair(picture: &Picture, lines: Lines) -> [u32; 2] {
    let Size { width, height } = picture.size();
    let (count, len) = match lines {
        Lines::Rows => (height, width),
        Lines::Columns => (width, height),
    };
    let pixel = |line: usize, at: usize| match lines {
        Lines::Rows => picture.pixel(at as u32, line as u32),
        Lines::Columns => picture.pixel(line as u32, at as u32),
    };
    let (count, len) = (count as usize, len as usize);
    let colour = middle(len, |at| pixel(0, at));
    let bar = |line: &dyn Fn(usize) -> usize| bar(count, len, colour, |i, at| pixel(line(i), at));
    let first = bar(&|i| i);
    let last = bar(&|i| count - 1 - i);
    match first > 0 && last > 0 {
        true => [first, last].map(|lines| lines as u32),
        false => [0, 0],
    }
}

/// Flat lines of `colour` from line 0 on that end abruptly; 0 where they don't or all lines are flat.
fn bar(
    count: usize,
    len: usize,
    colour: [u8; 3],
    pixel: impl Fn(usize, usize) -> [u8; 3],
) -> usize {
    let share = |line: usize, levels: u8| {
        let off = (0..len).filter(|&at| apart(pixel(line, at), colour) > levels);
        off.count() as f64 / len as f64
    };
    let Some(flat) = (0..count).find(|&line| share(line, FLAT) > STRAY) else {
        return 0;
    };
    let behind = flat..(flat + BEHIND).min(count);
    let abrupt = |line| share(line, APART) >= ABRUPT;
    if flat > 0 && behind.into_iter().any(abrupt) {
        flat
    } else {
        0
    }
}

/// Largest difference of a channel.
fn apart(one: [u8; 3], other: [u8; 3]) -> u8 {
    let differences = [0, 1, 2].map(|channel| one[channel].abs_diff(other[channel]));
    differences.into_iter().max().unwrap_or(0)
}

/// The median of each channel of a line.
fn middle(len: usize, pixel: impl Fn(usize) -> [u8; 3]) -> [u8; 3] {
    [0, 1, 2].map(|channel| {
        let mut levels: Vec<u8> = (0..len).map(|at| pixel(at)[channel]).collect();
        levels.sort_unstable();
        levels[len / 2]
    })
}
