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
use crate::mask::Mask;
use crate::{Filter, Picture, Rect, Size, fill, resize};

use level::{Level, Use, busyness};
use matches::Matches;

/// Patches come from as far around the mask as its longer side reaches, at least this far, in pixels.
const NEAR: u32 = 64;
/// What is larger than this with its surround, in pixels, is filled smaller and enlarged.
const MOST_PIXELS: u64 = 3 << 18;
/// Pixels of a reduced picture, to every side, that one of its pixels is made of.
const REACH: u32 = 3;
/// A level is coarse enough where no pixel lies deeper in what is unknown, in pixels.
const COARSE_DEPTH: f32 = 4.0;
/// Patches to choose from that a level must have: with fewer, whole things are repeated.
const FEWEST_SOURCES: usize = 400;
/// Rounds of searching and averaging at the coarsest level.
const FIRST_ROUNDS: usize = 16;
/// Rounds at those between it and the finest.
const ROUNDS: usize = 5;
/// Rounds at the finest, which takes three quarters of the time of a round at every level.
const LAST_ROUNDS: usize = 2;

/// The part of a picture that filling with patches under `mask` looks at; `None` for an empty mask.
pub fn patched_from(mask: &Mask) -> Option<Rect> {
    let bounds = mask.bounds()?;
    let reach = bounds.size.width.max(bounds.size.height).max(NEAR);
    Some(bounds.grown([reach; 2], mask.size()))
}

/// The picture with what `mask` covers fully made of patches of what it does not cover at all; nothing of
/// what was there is read. Where too little of that is left, the filling is [`fill`]'s. Alpha stays.
///
/// Patches come from the part that [`patched_from`] names. One of more than 768 x 1024 pixels is filled at about
/// as many and enlarged.
///
/// Panics where the mask is not of the picture's size.
pub fn fill_with_patches(picture: &Picture, mask: &Mask) -> Picture {
    let smooth = fill(picture, mask);
    let Some(window) = patched_from(mask).filter(|_| mask.coverage().contains(&255)) else {
        return smooth;
    };
    let (part, cover) = (smooth.part(window), mask.part(window));
    let size = at_most(window.size, MOST_PIXELS);
    let filled = match size == window.size {
        true => filled(&part, &cover),
        false => {
            let small = filled(
                &resize(&part, size, Filter::Lanczos3),
                &reduced(&cover, size),
            );
            small.map(|small| resize(&small, window.size, Filter::Lanczos3))
        }
    };
    let Some(filled) = filled else {
        return smooth;
    };
    let width = picture.size().width as usize;
    let alpha = smooth.alpha().map(<[u8]>::to_vec);
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
    Picture::from_planes(picture.size(), rgb, alpha)
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

/// The mask of a reduced picture. What is made of covered pixels in some small part counts as covered in
/// part, so that no patch is made of it.
fn reduced(cover: &Mask, size: Size) -> Mask {
    let covered = cover.resized(size);
    let near = covered.grown(REACH);
    let pairs = covered.coverage().iter().zip(near.coverage());
    Mask::new(
        size,
        pairs.map(|(&own, &near)| own.max(near.min(1))).collect(),
    )
}

/// The filled picture, of which only what is covered fully counts; `None` where there is nothing to fill or
/// nothing to fill it from.
fn filled(smooth: &Picture, mask: &Mask) -> Option<Picture> {
    let mut levels = levels(smooth, mask);
    let mut level = levels.pop()?;
    let mut matches = Matches::random(&level);
    improve(&mut level, &mut matches, FIRST_ROUNDS);
    while let Some(fine) = levels.pop() {
        level = fine;
        matches = matches.refined(&level);
        let rounds = if levels.is_empty() {
            LAST_ROUNDS
        } else {
            ROUNDS
        };
        improve(&mut level, &mut matches, rounds);
    }
    votes::best(&mut level, &matches);
    let rgb = level.pixels.iter().flat_map(|&[r, g, b, _]| [r, g, b]);
    Some(Picture::from_planes(smooth.size(), rgb.collect(), None))
}

/// The picture from its own resolution to the coarsest; none where there is nothing to fill or nothing to
/// fill it from.
fn levels(smooth: &Picture, mask: &Mask) -> Vec<Level> {
    let Size { width, height } = smooth.size();
    let uses: Vec<Use> = mask.coverage().iter().map(|&c| Use::of(c)).collect();
    let busyness = busyness(smooth, &uses);
    let colours = smooth.rgb().chunks_exact(3).zip(busyness);
    let channels = |rgb: &[u8], busy| {
        [
            f32::from(rgb[0]),
            f32::from(rgb[1]),
            f32::from(rgb[2]),
            busy,
        ]
    };
    let mut known = Known {
        width: width as usize,
        height: height as usize,
        values: colours.map(|(rgb, busy)| channels(rgb, busy)).collect(),
        weights: vec![1.0; width as usize * height as usize],
    };
    let mut levels: Vec<Level> = Vec::new();
    let mut level = Level::new(&known, uses);
    while !level.targets.is_empty() && level.sources.len() >= FEWEST_SOURCES {
        known = known.halved();
        let next = level.halved(&known);
        let deepest = level.depths.iter().copied().fold(0.0, f32::max);
        levels.push(level);
        if deepest <= COARSE_DEPTH {
            break;
        }
        level = next;
    }
    levels
}

/// Averages and searches in turn; ends with a search.
fn improve(level: &mut Level, matches: &mut Matches, rounds: usize) {
    for round in 0..rounds {
        votes::mean(level, matches);
        matches.search(level, round);
    }
}
