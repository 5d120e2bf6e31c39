//! Advice about a source, before anything runs.

use super::limits::*;
use super::measures::sides;
use super::{Advice, Measures};
use crate::{Orientation, Rect, Size};

/// What is to be said about a source with these `measures` that was stored with `orientation`
/// ([`Facts::orientation`](crate::Facts::orientation); `Orientation::Upright` where there is no file).
/// Most important first: size, quality, shape, notes. Empty for a good source.
pub fn of_source(measures: &Measures, orientation: Orientation) -> Vec<Advice> {
    let mut said = Vec::new();
    said.extend(too_little(measures));
    said.extend(quality(measures));
    said.extend(bars(measures));
    said.extend(long(measures));
    said.extend(too_much(measures));
    if measures.clear > 0.0 {
        said.push(Advice::SourceClear {
            share: measures.clear,
        });
    }
    if orientation != Orientation::Upright {
        said.push(Advice::SourceTurned { orientation });
    }
    said
}

fn too_little(measures: &Measures) -> Option<Advice> {
    let (size, native) = (measures.size, measures.native_side);
    let shorter = sides(size).0;
    if f64::from(shorter) < f64::from(native) * TINY_SHARE {
        Some(Advice::SourceTiny { size, native })
    } else if shorter < native {
        Some(Advice::SourceSmall { size, native })
    } else {
        None
    }
}

fn too_much(measures: &Measures) -> Option<Advice> {
    let (size, native) = (measures.size, measures.native_side);
    let over = f64::from(sides(size).1) > f64::from(native) * LARGE_SHARE;
    // A long strip needs its length: it has no pixels to spare across.
    let spare = sides(size).0 > native;
    (over && spare).then_some(Advice::SourceLarge { size, native })
}

fn quality(measures: &Measures) -> Vec<Advice> {
    let mut said = Vec::new();
    if let Some(spread) = measures.blur.filter(|&spread| spread >= BLURRED) {
        said.push(Advice::SourceBlurred { spread });
    }
    if let Some(sigma) = measures.noise.filter(|&sigma| sigma >= NOISY) {
        said.push(Advice::SourceNoisy { sigma });
    }
    let seen = measures.reduction < BLOCKS_HIDDEN;
    if let Some(blocking) = measures
        .blocking
        .filter(|&blocking| seen && blocking >= BLOCKY)
    {
        said.push(Advice::SourceBlocky { blocking });
    }
    if measures.contrast < FLAT {
        said.push(Advice::SourceFlat {
            range: measures.contrast,
            tones: measures.tones,
        });
    }
    said
}

fn bars(measures: &Measures) -> Option<Advice> {
    let (bars, size) = (measures.bars, measures.size);
    let share = bars.share(size);
    (share >= BARS).then(|| Advice::SourceBars {
        bars,
        share,
        inside: bars.inside(size),
    })
}

fn long(measures: &Measures) -> Option<Advice> {
    let inside = measures.bars.inside(measures.size);
    // Bars are to be cut off anyway: the shape is that of the picture without them.
    let (shorter, longer) = sides(inside.size);
    let aspect = f64::from(longer) / f64::from(shorter);
    if aspect <= LONG {
        return None;
    }
    let longest = ((f64::from(shorter) * LONG) as u32).max(1);
    let from = (longer - longest) / 2;
    let part = if inside.size.width > inside.size.height {
        Rect {
            x: inside.x + from,
            y: inside.y,
            size: Size::new(longest, shorter),
        }
    } else {
        Rect {
            x: inside.x,
            y: inside.y + from,
            size: Size::new(shorter, longest),
        }
    };
    Some(Advice::SourceLong { aspect, part })
}
