//! Filling with patches: what is not known goes on as its surround does, with its texture and its lines.
//!
//! From coarse to fine, the unknown part is made of those patches of the known part that fit best to what
//! is there so far, averaged where they overlap (Wexler, Shechtman and Irani, "Space-time completion of
//! video", 2007). They are found by random search and by asking neighbours (Barnes et al., "PatchMatch",
//! 2009), and compared by colour and by how busy their surround is (after Newson et al., "Video inpainting
//! of complex scenes", 2014). Same bytes on every CPU: sums are of whole numbers or in one order.

mod level;
mod matches;
mod votes;

use crate::fill::Known;
use crate::mask::{Mask, depth};
use crate::{Filter, Picture, Rect, Size, fill, resize};

use level::{Level, Use, busy};
use matches::Matches;
use votes::Votes;

/// A level is coarse enough where no pixel lies deeper in what is unknown, in pixels.
const COARSE_DEPTH: f32 = 4.0;
/// Patches to choose from that a level must have: with fewer, whole things are repeated.
const FEWEST_SOURCES: usize = 400;
/// Patches come from as far around the mask as its longer side reaches, at least this far, in pixels.
const NEAR: u32 = 64;
/// What is larger than this with its surround, in pixels, is filled smaller and enlarged.
const MOST_PIXELS: u64 = 1 << 20;
/// Rounds of searching and averaging at the coarsest level, and at all others.
const FIRST_ROUNDS: usize = 16;
const ROUNDS: usize = 5;

/// The picture with what `mask` covers fully made of patches of what it does not cover at all; nothing of
/// what was there is read. Where too little of that is left, the filling is [`fill`]'s. Alpha stays.
///
/// Patches come from around the mask, as far away as it is long. What takes more than a megapixel with that
/// surround is filled at one megapixel and enlarged, so that no filling takes more than a few seconds.
///
/// Panics where the mask is not of the picture's size.
pub fn fill_with_patches(picture: &Picture, mask: &Mask) -> Picture {
    let smooth = fill(picture, mask);
    let Some(bounds) = mask.bounds() else {
        return smooth;
    };
    let window = around(bounds, picture.size());
    let (part, cover) = (smooth.part(window), mask.part(window));
    let size = at_most(window.size, MOST_PIXELS);
    let filled = match size == window.size {
        true => filled(&part, &cover),
        false => {
            let small = filled(&resize(&part, size, Filter::Lanczos3), &cover.resized(size));
            small.map(|small| resize(&small, window.size, Filter::Lanczos3))
        }
    };
    let Some(filled) = filled else {
        return smooth;
    };
    let width = picture.size().width as usize;
    let mut rgb = smooth.rgb().to_vec();
    let rows = filled.rgb().chunks_exact(3 * window.size.width as usize);
    for (row, colours) in rows.enumerate() {
        let start = (window.y as usize + row) * width + window.x as usize;
        for (column, colour) in colours.chunks_exact(3).enumerate() {
            let place = start + column;
            if mask.coverage()[place] == 255 {
                rgb[3 * place..3 * place + 3].copy_from_slice(colour);
            }
        }
    }
    let alpha = smooth.alpha().map(<[u8]>::to_vec);
    Picture::from_planes(picture.size(), rgb, alpha)
}

/// `bounds` with its surround, as far as a picture of `size` goes.
fn around(bounds: Rect, size: Size) -> Rect {
    let reach = bounds.size.width.max(bounds.size.height).max(NEAR);
    let span = |start: u32, length: u32, most: u32| {
        let from = start.saturating_sub(reach);
        (
            from,
            (start + length).saturating_add(reach).min(most) - from,
        )
    };
    let (x, width) = span(bounds.x, bounds.size.width, size.width);
    let (y, height) = span(bounds.y, bounds.size.height, size.height);
    Rect {
        x,
        y,
        size: Size::new(width, height),
    }
}

/// `size`, or one of its shape with about as many pixels as `most`.
fn at_most(size: Size, most: u64) -> Size {
    if size.pixels() <= most {
        return size;
    }
    let scale = (most as f64 / size.pixels() as f64).sqrt();
    let side = |side: u32| ((f64::from(side) * scale) as u32).max(1);
    Size::new(side(size.width), side(size.height))
}

/// The filled picture, of which only what is covered fully counts; `None` where there is nothing to fill or
/// nothing to fill it from.
fn filled(smooth: &Picture, mask: &Mask) -> Option<Picture> {
    let levels = levels(smooth, mask);
    let (coarsest, finer) = levels.split_last()?;
    let mut level = coarsest.clone();
    let mut matches = Matches::random(&level);
    improve(&mut level, &mut matches, FIRST_ROUNDS);
    for fine in finer.iter().rev() {
        level = fine.clone();
        matches = matches.refined(&level);
        improve(&mut level, &mut matches, ROUNDS);
    }
    Votes::new(&level).best(&mut level, &matches);
    let rgb = level.pixels.iter().flat_map(|&[r, g, b, _]| [r, g, b]);
    Some(Picture::from_planes(smooth.size(), rgb.collect(), None))
}

/// The picture from its own resolution to the coarsest; none where there is nothing to fill or nothing to
/// fill it from.
fn levels(smooth: &Picture, mask: &Mask) -> Vec<Level> {
    let Size { width, height } = smooth.size();
    let uses: Vec<Use> = mask.coverage().iter().map(|&c| Use::of(c)).collect();
    if !uses.contains(&Use::Unknown) {
        return Vec::new();
    }
    let busy = busy(smooth, &uses);
    let colours = smooth.rgb().chunks_exact(3).zip(busy);
    let mut known = Known {
        width: width as usize,
        height: height as usize,
        values: colours
            .map(|(rgb, busy)| {
                [
                    f32::from(rgb[0]),
                    f32::from(rgb[1]),
                    f32::from(rgb[2]),
                    busy,
                ]
            })
            .collect(),
        weights: vec![1.0; width as usize * height as usize],
    };
    let mut levels: Vec<Level> = Vec::new();
    let mut level = Level::new(&known, uses);
    while level.sources.len() >= FEWEST_SOURCES {
        known = known.halved();
        let next = level.halved(&known);
        let deepest = deepest(&level);
        levels.push(level);
        if deepest <= COARSE_DEPTH {
            break;
        }
        level = next;
    }
    levels
}

/// How deep the unknown part is, in pixels.
fn deepest(level: &Level) -> f32 {
    let coverage = level.uses.iter().map(|&used| match used {
        Use::Unknown => 255,
        _ => 0,
    });
    let size = Size::new(level.width as u32, level.height as u32);
    let depths = depth(&Mask::new(size, coverage.collect()));
    depths.into_iter().fold(0.0, f32::max)
}

/// Searches and averages in turn.
fn improve(level: &mut Level, matches: &mut Matches, rounds: usize) {
    let votes = Votes::new(level);
    votes.mean(level, matches);
    for round in 0..rounds {
        matches.search(level, round);
        votes.mean(level, matches);
    }
}
