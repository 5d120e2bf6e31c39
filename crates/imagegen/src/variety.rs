//! Variations without near-duplicates: which seeds are drawn, how alike results are, which are kept.

use std::fmt;

use imagegen_picture::fidelity::compare;
use imagegen_picture::{Filter, Picture};
use serde::Serialize;

use crate::shrink::shrunk;

/// Longest side in pixels at which results are compared: enough to see what differs between two pictures
/// at a glance, and quick for all pairs of a set.
const SIDE: u32 = 256;

/// A result as it is compared.
#[derive(Debug, Clone)]
pub struct View(Picture);

impl View {
    /// The view of a result; clear parts are seen on white.
    pub fn of(picture: &Picture) -> Self {
        Self(shrunk(picture, SIDE, Filter::Bilinear))
    }

    /// How alike two results are, 0 to 1, as [`imagegen_picture::fidelity`] measures source and result;
    /// 0 for results of different sizes.
    pub fn likeness(&self, other: &Self) -> f64 {
        compare(&self.0, &other.0).map_or(0.0, |fidelity| fidelity.overall)
    }
}

/// Likeness, 0 to 1, from which two variations count as one. On photographs the starter's variations are
/// 0.86 to 0.91 alike at strength 0.4 and more, where one sees that the brush went elsewhere, and 0.92 to
/// 0.94 at 0.2, where one has to look for it.
const NEAR_DUPLICATE: f64 = 0.93;

/// A variation that came out nearly like another. Prints as a sentence.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Twin {
    /// Its seed; text above 2^53, so that no reader rounds it.
    #[serde(serialize_with = "crate::recipe::seed::serialize")]
    pub seed: u64,
    /// Seed of the one it is like.
    #[serde(serialize_with = "crate::recipe::seed::serialize")]
    pub like: u64,
    /// How alike they are, 0 to 1.
    pub likeness: f64,
    /// Whether it is kept all the same, since no further seed is left.
    #[serde(skip)]
    pub kept: bool,
}

impl fmt::Display for Twin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            like,
            likeness,
            kept,
        } = self;
        let fate = match kept {
            false => "another seed is drawn",
            true => "it is kept; a higher strength gives more variety",
        };
        write!(
            f,
            "seed {seed} came out nearly like seed {like} (likeness {likeness:.2}), {fate}"
        )
    }
}

/// Variations of one source as they come in.
#[derive(Debug, Clone)]
pub struct Variety {
    wanted: usize,
    kept: Vec<(u64, View)>,
    twins: Vec<Twin>,
}

impl Variety {
    /// None yet of `wanted` variations.
    pub fn new(wanted: usize) -> Self {
        Self {
            wanted,
            kept: Vec::new(),
            twins: Vec::new(),
        }
    }

    /// Every seed that may be drawn, in order: as many further ones as there are variations. They start
    /// again at 0 after the last.
    pub fn seeds(&self, first: u64) -> impl Iterator<Item = u64> + use<> {
        (0..2 * self.wanted as u64).map(move |index| first.wrapping_add(index))
    }

    /// Looks at the next variation, from the next seed. Gives its twin if it is nearly like one that was
    /// kept; it is kept too, then, if so many were drawn again as there are variations.
    pub fn admit(&mut self, seed: u64, picture: &Picture) -> Option<&Twin> {
        let view = View::of(picture);
        let likenesses = self
            .kept
            .iter()
            .map(|(seed, kept)| (*seed, kept.likeness(&view)));
        let closest = likenesses.max_by(|one, two| one.1.total_cmp(&two.1));
        let twin = closest.filter(|(_, likeness)| *likeness >= NEAR_DUPLICATE);
        let kept = twin.is_none() || self.twins.len() >= self.wanted;
        if kept {
            self.kept.push((seed, view));
        }
        let (like, likeness) = twin?;
        self.twins.push(Twin {
            seed,
            like,
            likeness,
            kept,
        });
        self.twins.last()
    }

    /// How many are kept.
    pub fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Whether all that were wanted are kept.
    pub fn is_full(&self) -> bool {
        self.kept.len() >= self.wanted
    }

    /// Those that came out nearly like others.
    pub fn twins(&self) -> &[Twin] {
        &self.twins
    }
}

#[cfg(test)]
mod tests {
    use imagegen_picture::Size;

    use super::*;

    fn painted(tint: u32) -> Picture {
        let (width, height) = (300, 200);
        let value = |x: u32, y: u32| ((x * tint / 40) ^ (y * tint / 50)) as u8;
        let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| [value(x, y); 3]));
        Picture::new(Size::new(width, height), pixels.collect(), None).unwrap()
    }

    #[test]
    fn a_picture_is_like_itself_and_unlike_others() {
        let (one, other) = (View::of(&painted(30)), View::of(&painted(90)));
        assert!(one.likeness(&one) > 0.999);
        assert!(one.likeness(&other) < 0.8, "{}", one.likeness(&other));
        let narrow = View::of(&Picture::filled(Size::new(10, 20), [0; 3]).unwrap());
        assert_eq!(one.likeness(&narrow), 0.0);
    }

    #[test]
    fn near_duplicates_are_drawn_again_a_bounded_number_of_times() {
        let mut variety = Variety::new(2);
        let first = u64::MAX - 1;
        let seeds: Vec<_> = variety.seeds(first).collect();
        assert_eq!(seeds, [first, u64::MAX, 0, 1]);
        let fates: Vec<_> = seeds
            .iter()
            .map(|&seed| {
                let twin = variety.admit(seed, &painted(30)).cloned();
                twin.map(|twin| (twin.like, twin.kept))
            })
            .collect();
        let again = Some((first, false));
        assert_eq!(fates, [None, again, again, Some((first, true))]);
        assert!(variety.is_full() && variety.kept() == 2);
        let mut apart = Variety::new(2);
        assert!(apart.admit(1, &painted(30)).is_none() && apart.admit(2, &painted(90)).is_none());
        assert!(apart.is_full());
    }

    #[test]
    fn seeds_of_twins_are_not_rounded() {
        let twin = |seed, like| Twin {
            seed,
            like,
            likeness: 0.5,
            kept: false,
        };
        let json = |twin: &Twin| serde_json::to_string(twin).unwrap();
        assert_eq!(
            json(&twin(u64::MAX, 1 << 53)),
            r#"{"seed":"18446744073709551615","like":9007199254740992,"likeness":0.5}"#
        );
    }
}
