//! Attention cases.

use crate::cases::{Attention, Case, Mask};

/// Attention.
pub fn attention() -> Vec<Case> {
    let base = Attention::default;
    let mut cases = Vec::new();
    // Self-attention around lanes, tiles and query blocks; text of 77 tokens; the key block.
    for (lengths, heads, head_size) in [
        ([2, 1], 2, 8),
        ([1, 5], 1, 8),
        ([15, 15], 2, 40),
        ([16, 16], 2, 32),
        ([17, 17], 3, 64),
        ([33, 31], 2, 80),
        ([48, 32], 1, 40),
        ([55, 33], 1, 8),
        ([56, 77], 2, 40),
        ([57, 77], 1, 64),
        ([64, 64], 2, 32),
        ([113, 65], 1, 16),
        ([5, 511], 1, 40),
        ([15, 512], 2, 8),
        ([6, 513], 1, 64),
        ([7, 529], 1, 80),
        ([3, 1025], 2, 8),
        ([4, 4], 1, 3),
        ([5, 6], 2, 17),
    ] {
        cases.push(Attention {
            lengths,
            heads,
            head_size,
            ..base()
        });
    }
    for lengths in [[16, 16], [57, 77], [9, 513], [5, 1100]] {
        let plain = || Attention {
            lengths,
            head_size: 40,
            batch: 2,
            ..base()
        };
        cases.push(plain());
        cases.push(Attention {
            score_scale: 20.0,
            ..plain()
        });
        cases.push(Attention {
            key_offset: 100.0,
            ..plain()
        });
        cases.push(Attention {
            value_offset: 100.0,
            ..plain()
        });
        cases.push(Attention {
            mask: Mask::Scattered,
            ..plain()
        });
        cases.push(Attention {
            mask: Mask::Scattered,
            score_scale: 20.0,
            value_offset: 100.0,
            ..plain()
        });
        cases.push(Attention {
            mask: Mask::Until(lengths[1] - 1),
            ..plain()
        });
        cases.push(Attention {
            mask: Mask::From(lengths[1] - 1),
            ..plain()
        });
    }
    // Whole blocks of keys that count for nothing: before, after, and in the middle of the others.
    for mask in [
        Mask::From(512),
        Mask::From(513),
        Mask::From(1024),
        Mask::Until(512),
        Mask::Until(1),
    ] {
        cases.push(Attention {
            lengths: [4, 1040],
            mask,
            ..base()
        });
    }
    for lengths in [
        [1, 1],
        [16, 16],
        [57, 57],
        [77, 77],
        [9, 20],
        [20, 9],
        [3, 600],
    ] {
        cases.push(Attention {
            lengths,
            mask: Mask::Causal,
            batch: 2,
            ..base()
        });
    }
    let lengths = [520, 520];
    cases.push(Attention {
        lengths,
        heads: 1,
        mask: Mask::Causal,
        score_scale: 20.0,
        ..base()
    });
    cases.into_iter().map(Case::from).collect()
}
