//! How linear layers and direct convolutions multiply: rows of activations times panels of weights, in any precision.

use super::{Lanes, Product, Rounded, Tile};

/// Which rows share what their numbers are measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spread {
    /// Each row by itself.
    Row,
    /// All of them, where a product takes numbers from more than one.
    All,
}

/// When panels are made ready for all that read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ready {
    /// They are as they stand.
    AsItIs,
    /// For each call.
    Made,
    /// Once, where there is memory to keep them; else for each call.
    Kept,
}

/// Where the left factor goes.
pub(crate) struct LeftRoom<'a, T> {
    /// As many as [`Factors::left_len`] says.
    pub(crate) items: &'a mut [T],
    /// Two for each row where [`Factors::MEASURED`], else none.
    pub(crate) ranges: &'a mut [f32],
}

/// Rows of activations, ready to be multiplied, [`Product::stride`] apart.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a, T> {
    pub(crate) items: &'a [T],
    pub(crate) ranges: Ranges<'a>,
}

/// What rows are measured by: what zero becomes and the distance of two steps.
#[derive(Clone, Copy)]
pub(crate) struct Ranges<'a> {
    /// Empty where rows are not measured.
    pub(crate) all: &'a [[f32; 2]],
    /// Distance of those of two rows; 0 where rows share one.
    pub(crate) every: usize,
}

impl Ranges<'_> {
    /// Those of the rows from `first` on, of which each takes the next one but `every - 1`.
    #[inline(always)]
    pub(crate) fn from(self, first: usize, every: usize) -> Self {
        match (self.every, self.all.is_empty()) {
            (0, _) | (_, true) => self,
            (_, false) => Self {
                all: &self.all[first..],
                every,
            },
        }
    }
}

/// A product as layers with weights use it.
pub(crate) trait Factors: Product {
    /// Whether rows are measured.
    const MEASURED: bool;
    /// When panels are made ready for all pieces of a linear layer at once.
    const READY: Ready;
    /// How many of a linear layer's `inputs` lie together, and share what they are measured by: a divisor of them.
    fn block(inputs: usize) -> usize;

    /// Items of room that `rows` rows of `depth` numbers take.
    fn left_len(rows: usize, depth: usize) -> usize;
    /// Rows of `depth` numbers, [`Product::laid`] apart, each as `items_in(depth)` items, [`Product::stride`] apart.
    fn left<'a, L: Lanes>(
        lanes: L,
        rows: &'a [f32],
        depth: usize,
        spread: Spread,
        room: LeftRoom<'a, Self::Item>,
    ) -> Left<'a, Self::Item>;

    /// Items of room that [`Factors::right`] takes for `runs` panels `[depth][width]`.
    fn right_len(sizes: [usize; 3]) -> usize;
    /// Panels `[runs][depth][width]` whose products are added up, as `[runs][items_in(depth)][width]` and what more a
    /// product needs of them. The width is a multiple of [`super::LANES`].
    fn right<'a, L: Lanes>(
        lanes: L,
        panels: &'a [f32],
        sizes: [usize; 3],
        room: &'a mut [Self::Item],
    ) -> &'a [Self::Item];

    /// Adds the product of a tile, whose sums are not fresh, to `sums`. Its panel is all that [`Factors::right`] gave;
    /// `ranges` begin with those of its first row.
    fn multiply<L: Lanes>(
        lanes: L,
        tile: &Tile<'_, Self::Item>,
        ranges: Ranges<'_>,
        sums: &mut [f32],
    );
}

impl<P: Rounded> Factors for P {
    const MEASURED: bool = false;
    const READY: Ready = match P::DEPTH {
        1 => Ready::AsItIs,
        _ => Ready::Made,
    };

    /// Of f32 the largest divisor that fills much of a pitch, where there is one.
    fn block(inputs: usize) -> usize {
        const MOST: usize = 320;
        const LEAST: usize = 80;
        if P::DEPTH > 1 || inputs <= MOST {
            return inputs;
        }
        let mut blocks = (LEAST..=MOST).rev();
        let block = blocks.find(|&block| inputs.is_multiple_of(block));
        block.unwrap_or(inputs)
    }
    #[inline(always)]
    fn left_len(rows: usize, depth: usize) -> usize {
        P::room(rows * P::items_in(depth))
    }
    #[inline(always)]
    fn left<'a, L: Lanes>(
        lanes: L,
        rows: &'a [f32],
        depth: usize,
        _: Spread,
        room: LeftRoom<'a, P::Item>,
    ) -> Left<'a, P::Item> {
        Left {
            items: P::rows(lanes, rows, depth, room.items),
            ranges: Ranges { all: &[], every: 0 },
        }
    }
    #[inline(always)]
    fn right_len([runs, depth, width]: [usize; 3]) -> usize {
        P::room(runs * P::items_in(depth) * width)
    }
    #[inline(always)]
    fn right<'a, L: Lanes>(
        lanes: L,
        panels: &'a [f32],
        [_, depth, width]: [usize; 3],
        room: &'a mut [P::Item],
    ) -> &'a [P::Item] {
        P::columns(lanes, panels, [depth, width], room)
    }
    #[inline(always)]
    fn multiply<L: Lanes>(lanes: L, tile: &Tile<'_, P::Item>, _: Ranges<'_>, sums: &mut [f32]) {
        lanes.multiply::<P>(tile, sums);
    }
}
