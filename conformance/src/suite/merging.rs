//! Cases of tokens that are merged.

use crate::cases::{Case, Merging};

/// Sizes with and without a last row or column that is in no block, and more sources than are matched at a time.
pub fn merging() -> Vec<Case> {
    [
        ([1, 2, 2, 8], 0.5),
        ([2, 4, 6, 16], 0.5),
        ([2, 5, 7, 17], 0.3),
        ([1, 8, 8, 40], 0.75),
        ([3, 9, 4, 3], 0.6),
        ([1, 3, 4, 8], 0.0),
        ([1, 1, 9, 8], 0.5),
        ([1, 28, 27, 24], 0.5),
    ]
    .map(|(shape, ratio)| Merging { shape, ratio }.into())
    .to_vec()
}
