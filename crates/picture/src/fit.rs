//! Maps a source to the size a model works at, and its result back.
//!
//! A plan is made from sizes alone. It resamples only where budget, least side or wanted size ask for it;
//! a size that is merely off the grid is filled up with mirrored borders, which are cut off again on the
//! way back. Where nothing is to be done both ways are copies.

use std::fmt;

use crate::{Filter, Picture, Size, resize, resize_plane};

/// What to do where the wanted shape is not the source's. All ways but `Stretch` keep the aspect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Fit {
    /// The whole source at the largest size inside the wanted one.
    #[default]
    Keep,
    /// Cover the wanted size and cut off what sticks out, the same on both sides.
    Crop,
    /// As `Keep`, but the model sees the wanted shape, filled up with mirrored borders; they are cut off
    /// the result.
    Pad,
    /// Exactly the wanted size; the picture is distorted.
    Stretch,
}

impl Fit {
    /// Every way.
    pub const ALL: [Self; 4] = [Self::Keep, Self::Crop, Self::Pad, Self::Stretch];

    /// The name that the command line takes and recipes carry.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Crop => "crop",
            Self::Pad => "pad",
            Self::Stretch => "stretch",
        }
    }
}

/// The size a person wants back. It prints as the command line takes it, the source's as `source`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// The source's.
    #[default]
    Source,
    /// This width and height; what [`Fit`] does with another aspect.
    Exact(u32, u32),
    /// The source's shape with its longest side this long, in pixels.
    Longest(u32),
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source => f.write_str("source"),
            Self::Exact(width, height) => write!(f, "{width}x{height}"),
            Self::Longest(side) => write!(f, "{side}"),
        }
    }
}

/// What a plan is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FitRequest {
    /// Size of the upright source.
    pub source: Size,
    /// The size wanted back.
    pub wanted: Wanted,
    /// What to do with another shape.
    pub fit: Fit,
    /// Width and height of the working size are multiples of this, in pixels; at least 1.
    pub grid: u32,
    /// Most pixels of the working size.
    pub budget_pixels: u64,
    /// Least side of the working size, in pixels; smaller pictures are enlarged to it. 1 for none.
    pub min_side: u32,
}

/// Sizes that allow no plan: the caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FitError {
    /// A size without pixels.
    #[error("{what} size is {got}, expected at least 1x1")]
    NoPixels {
        /// `source` or `wanted`.
        what: &'static str,
        /// The size.
        got: Size,
    },
    /// Sides that do not count in memory.
    #[error("wanted size is {got}, expected at most {limit} pixels a side")]
    TooLarge {
        /// The size.
        got: Size,
        /// Most pixels a side.
        limit: u32,
    },
    /// Grid 0.
    #[error("grid is 0, expected at least 1")]
    NoGrid,
    /// The budget holds no picture of the least side.
    #[error("pixel budget is {got}, expected at least {least} for sides of {side}")]
    Budget {
        /// The budget.
        got: u64,
        /// Pixels of the smallest working size.
        least: u64,
        /// Its side.
        side: u64,
    },
}

/// A part of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rect {
    /// Columns left of it.
    pub x: u32,
    /// Rows above it.
    pub y: u32,
    /// Its size.
    pub size: Size,
}

impl Rect {
    /// The part with `right` and `down` pixels more at both its sides, and above and below, as far as a picture
    /// of `within` goes.
    pub fn grown(self, [right, down]: [u32; 2], within: Size) -> Self {
        let span = |start: u32, length: u32, more: u32, most: u32| {
            let from = start.saturating_sub(more);
            (from, (start + length).saturating_add(more).min(most) - from)
        };
        let (x, width) = span(self.x, self.size.width, right, within.width);
        let (y, height) = span(self.y, self.size.height, down, within.height);
        Self {
            x,
            y,
            size: Size::new(width, height),
        }
    }

    /// The smallest part that holds both.
    pub fn joined(self, other: Self) -> Self {
        let span = |(a, long): (u32, u32), (b, wide): (u32, u32)| {
            let from = a.min(b);
            (from, (a + long).max(b + wide) - from)
        };
        let (x, width) = span((self.x, self.size.width), (other.x, other.size.width));
        let (y, height) = span((self.y, self.size.height), (other.y, other.size.height));
        Self {
            x,
            y,
            size: Size::new(width, height),
        }
    }
}

/// How a source becomes a working picture and how a result comes back. Made by [`plan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FitPlan {
    source: Size,
    crop: Rect,
    content: Rect,
    work: Size,
    result: Size,
}

/// Longest side of a wanted size.
const MAX_SIDE: u32 = 1 << 16;
/// A resample may change the aspect by this share to meet the grid; more is filled up instead.
const ASPECT_TOLERANCE: f64 = 0.02;

/// Plans how to bring `request.source` to a working size and back.
///
/// The working size is a multiple of the grid both ways and within the budget. Its least side is at least
/// `min_side` rounded up to the grid. Fails with [`FitError`] where sizes, grid or budget allow no plan.
pub fn plan(request: &FitRequest) -> Result<FitPlan, FitError> {
    let FitRequest {
        source,
        grid,
        min_side,
        budget_pixels,
        ..
    } = *request;
    if grid == 0 {
        return Err(FitError::NoGrid);
    }
    let box_size = wanted_box(request)?;
    let least = u64::from(min_side.max(1)).next_multiple_of(grid.into());
    let room = Room {
        grid: grid.into(),
        least,
        budget: budget_pixels,
    };
    room.check()?;

    let whole = Rect {
        x: 0,
        y: 0,
        size: source,
    };
    let same_shape = inside(source, box_size) == box_size;
    let (crop, result, seen) = match request.fit {
        Fit::Stretch => (whole, box_size, box_size),
        _ if same_shape => (whole, box_size, box_size),
        Fit::Crop => (centre(inside(box_size, source), source), box_size, box_size),
        Fit::Keep => (whole, inside(source, box_size), inside(source, box_size)),
        Fit::Pad => (whole, inside(source, box_size), box_size),
    };
    let (work, shown) = room.work(seen, request.fit == Fit::Stretch);
    // Where the model sees more than the result, the result takes its share of what is shown.
    let content = if seen == result {
        shown
    } else {
        inside(result, shown)
    };
    let content = centre_if(content, work, seen != result);
    Ok(FitPlan {
        source,
        crop,
        content,
        work,
        result,
    })
}

fn wanted_box(request: &FitRequest) -> Result<Size, FitError> {
    let source = request.source;
    if source.width == 0 || source.height == 0 {
        return Err(FitError::NoPixels {
            what: "source",
            got: source,
        });
    }
    let wanted = match request.wanted {
        Wanted::Source => return Ok(source),
        Wanted::Exact(width, height) => Size::new(width, height),
        Wanted::Longest(side) => longest(source, side),
    };
    if wanted.width == 0 || wanted.height == 0 {
        return Err(FitError::NoPixels {
            what: "wanted",
            got: wanted,
        });
    }
    if wanted.width.max(wanted.height) > MAX_SIDE {
        return Err(FitError::TooLarge {
            got: wanted,
            limit: MAX_SIDE,
        });
    }
    Ok(wanted)
}

fn longest(source: Size, side: u32) -> Size {
    if side == 0 {
        return Size::new(0, 0);
    }
    inside(source, Size::new(side, side))
}

/// The largest size of the shape of `shape` inside `limits`, sides rounded and at least 1.
fn inside(shape: Size, limits: Size) -> Size {
    let (w, h) = (u64::from(shape.width), u64::from(shape.height));
    let (box_w, box_h) = (u64::from(limits.width), u64::from(limits.height));
    let rounded = |top: u64, bottom: u64| ((2 * top + bottom) / (2 * bottom)).max(1) as u32;
    if box_w * h <= box_h * w {
        Size::new(limits.width, rounded(box_w * h, w).min(limits.height))
    } else {
        Size::new(rounded(box_h * w, h).min(limits.width), limits.height)
    }
}

fn centre(size: Size, within: Size) -> Rect {
    centre_if(size, within, true)
}

fn centre_if(size: Size, within: Size, centred: bool) -> Rect {
    let gap = |outer: u32, inner: u32| if centred { (outer - inner) / 2 } else { 0 };
    Rect {
        x: gap(within.width, size.width),
        y: gap(within.height, size.height),
        size,
    }
}

/// What working sizes are allowed.
struct Room {
    grid: u64,
    /// A multiple of the grid.
    least: u64,
    budget: u64,
}

impl Room {
    fn check(&self) -> Result<(), FitError> {
        let least = self.least.saturating_mul(self.least);
        if least <= self.budget {
            return Ok(());
        }
        Err(FitError::Budget {
            got: self.budget,
            least,
            side: self.least,
        })
    }

    fn allows(&self, width: u64, height: u64) -> bool {
        let counts = |side| side <= u64::from(u32::MAX);
        counts(width) && counts(height) && width.saturating_mul(height) <= self.budget
    }

    fn up(&self, side: u32) -> u64 {
        u64::from(side).next_multiple_of(self.grid).max(self.least)
    }

    /// The working size for a picture of size `seen`, and the size of the picture in it; less only where
    /// borders fill it up.
    fn work(&self, seen: Size, stretch: bool) -> (Size, Size) {
        let shortest = u64::from(seen.width.min(seen.height));
        let (width, height) = (self.up(seen.width), self.up(seen.height));
        if shortest >= self.least && self.allows(width, height) {
            let work = Size::new(width as u32, height as u32);
            return (work, if stretch { work } else { seen });
        }
        let candidates = self.candidates(seen);
        // No candidate distorts nothing, but a resample hides a little.
        let near = candidates
            .iter()
            .map(|&size| (distortion(seen, size), size));
        let near = near.filter(|&(distortion, _)| stretch || distortion <= ASPECT_TOLERANCE);
        // `candidates` comes largest first, so equals keep the largest.
        if let Some((_, work)) = near.min_by(|a, b| a.0.total_cmp(&b.0)) {
            return (work, work);
        }
        let framed = candidates.iter().map(|&work| (inside(seen, work), work));
        // The largest picture, then the least border. There always is a candidate.
        let best = framed.max_by_key(|(shown, work)| (shown.pixels(), u64::MAX - work.pixels()));
        let (shown, work) = best.expect("the smallest working size is a candidate");
        (work, shown)
    }

    /// Working sizes around the ideal scale of `seen`, largest first; at least one.
    fn candidates(&self, seen: Size) -> Vec<Size> {
        let (w, h) = (f64::from(seen.width), f64::from(seen.height));
        let enlarge = (self.least as f64 / w.min(h)).max(1.0);
        let scale = enlarge.min((self.budget as f64 / (w * h)).sqrt());
        let sides = |side: f64| {
            let low = ((side * scale / self.grid as f64) as u64 * self.grid).max(self.least);
            [low, low + self.grid]
        };
        let mut sizes = Vec::new();
        // A long picture keeps the least short side, so its long side has less of the budget.
        let most = |other: u64| (self.budget / other / self.grid * self.grid).max(self.least);
        for width in sides(w) {
            for height in sides(h) {
                sizes.push((width.min(most(height)), height));
                sizes.push((width, height.min(most(width))));
            }
        }
        sizes.retain(|&(width, height)| self.allows(width, height));
        if sizes.is_empty() {
            sizes.push((self.least, self.least)); // allowed by `check`
        }
        sizes.sort_by_key(|&(width, height)| u64::MAX - width * height);
        sizes
            .into_iter()
            .map(|(width, height)| Size::new(width as u32, height as u32))
            .collect()
    }
}

/// By how large a share a picture of `size` has another aspect than one of `seen`.
fn distortion(seen: Size, size: Size) -> f64 {
    let aspect = |size: Size| f64::from(size.width) / f64::from(size.height);
    let ratio = aspect(size) / aspect(seen);
    ratio.max(1.0 / ratio) - 1.0
}

impl FitPlan {
    /// Size of the source the plan is for.
    pub fn source_size(&self) -> Size {
        self.source
    }

    /// The part of the source that is used; all of it but for [`Fit::Crop`].
    pub fn source_rect(&self) -> Rect {
        self.crop
    }

    /// Where the picture lies in the working picture; borders fill the rest.
    pub fn content_rect(&self) -> Rect {
        self.content
    }

    /// The size the model works at.
    pub fn work_size(&self) -> Size {
        self.work
    }

    /// The size of what comes back.
    pub fn result_size(&self) -> Size {
        self.result
    }

    /// True where the source is resampled for the model.
    pub fn resamples(&self) -> bool {
        self.crop.size != self.content.size
    }

    /// The source, at the working size.
    ///
    /// Panics where `source` is not of the plan's source size.
    pub fn to_work(&self, source: &Picture) -> Picture {
        assert_eq!(
            source.size(),
            self.source,
            "picture is not of the plan's source size"
        );
        let cut = cut_picture(source, self.crop);
        let content = resize(&cut, self.content.size, Filter::Lanczos3);
        let size = content.size();
        let (rgb, alpha) = content.into_planes();
        let alpha = alpha.map(|alpha| frame::<1>(alpha, size, self.content, self.work));
        Picture::from_planes(
            self.work,
            frame::<3>(rgb, size, self.content, self.work),
            alpha,
        )
    }

    /// A working picture, at the result's size, without borders.
    ///
    /// Panics where `work` is not of the plan's working size.
    pub fn from_work(&self, work: &Picture) -> Picture {
        assert_eq!(
            work.size(),
            self.work,
            "picture is not of the plan's working size"
        );
        resize(
            &cut_picture(work, self.content),
            self.result,
            Filter::Lanczos3,
        )
    }

    /// The source at the result's size, not by way of the model: what strength 0 gives, and where the
    /// result's alpha comes from.
    ///
    /// Panics where `source` is not of the plan's source size.
    pub fn to_result(&self, source: &Picture) -> Picture {
        assert_eq!(
            source.size(),
            self.source,
            "picture is not of the plan's source size"
        );
        resize(
            &cut_picture(source, self.crop),
            self.result,
            Filter::Lanczos3,
        )
    }

    /// A plane `[H, W]` of the source (a mask, alpha) at the working size; resized linearly, so that it
    /// keeps its range.
    ///
    /// Panics where `plane` is not of the plan's source size.
    pub fn plane_to_work(&self, plane: &[u8]) -> Vec<u8> {
        self.plane_to_work_by(plane, |plane, from, to| {
            resize_plane(&plane, from, to, Filter::Bilinear)
        })
    }

    /// [`Self::plane_to_work`] with another way to resize.
    pub(crate) fn plane_to_work_by(
        &self,
        plane: &[u8],
        resize: impl Fn(Vec<u8>, Size, Size) -> Vec<u8>,
    ) -> Vec<u8> {
        let size = self.content.size;
        let plane = cut::<1>(plane, self.source, self.crop);
        let plane = resize(plane, self.crop.size, size);
        frame::<1>(plane, size, self.content, self.work)
    }

    /// A plane `[H, W]` of the source at the result's size.
    ///
    /// Panics where `plane` is not of the plan's source size.
    pub fn plane_to_result(&self, plane: &[u8]) -> Vec<u8> {
        let plane = cut::<1>(plane, self.source, self.crop);
        resize_plane(&plane, self.crop.size, self.result, Filter::Bilinear)
    }
}

pub(crate) fn cut_picture(picture: &Picture, rect: Rect) -> Picture {
    let rgb = cut::<3>(picture.rgb(), picture.size(), rect);
    let alpha = picture
        .alpha()
        .map(|alpha| cut::<1>(alpha, picture.size(), rect));
    Picture::from_planes(rect.size, rgb, alpha)
}

pub(crate) fn cut<const CHANNELS: usize>(samples: &[u8], size: Size, rect: Rect) -> Vec<u8> {
    assert_eq!(
        samples.len(),
        size.len() * CHANNELS,
        "plane is not of size {size}"
    );
    let left = rect.x as usize * CHANNELS;
    let length = rect.size.width as usize * CHANNELS;
    let rows = samples.chunks_exact(size.width as usize * CHANNELS);
    let rows = rows.skip(rect.y as usize).take(rect.size.height as usize);
    rows.flat_map(|row| &row[left..left + length])
        .copied()
        .collect()
}

/// Lays samples of size `size` at `place` and fills up to `work` with what is mirrored at the edges.
fn frame<const CHANNELS: usize>(samples: Vec<u8>, size: Size, place: Rect, work: Size) -> Vec<u8> {
    if size == work {
        return samples;
    }
    let columns: Vec<usize> = (0..work.width)
        .map(|x| mirror(x, place.x, size.width))
        .collect();
    let mut out = Vec::with_capacity(work.len() * CHANNELS);
    for y in 0..work.height {
        let row = mirror(y, place.y, size.height) * size.width as usize;
        for column in &columns {
            out.extend_from_slice(&samples[(row + column) * CHANNELS..][..CHANNELS]);
        }
    }
    out
}

/// The place inside `length` that `at` shows, `before` places before the start: mirrored at the ends, the
/// end itself shown once, as often as needed.
fn mirror(at: u32, before: u32, length: u32) -> usize {
    if length == 1 {
        return 0;
    }
    let period = 2 * (i64::from(length) - 1);
    let place = (i64::from(at) - i64::from(before)).rem_euclid(period);
    place.min(period - place) as usize
}
