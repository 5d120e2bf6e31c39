//! Cases of operations that move numbers.

use imagegen_engine::Resize;

use crate::cases::{Case, Concat, Depth, DepthWay, Embedding, Reshape, Resized, Split};

/// Operations that move numbers, and resizing.
pub fn layout() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for (rows, channels) in [
        (vec![2], [1, 1]),
        (vec![3, 5], [3, 4]),
        (vec![2, 3, 5], [16, 17]),
        (vec![1, 16, 17], [48, 15]),
        (vec![2, 9, 31], [5, 40]),
    ] {
        cases.push(
            Concat {
                rows: rows.clone(),
                channels,
            }
            .into(),
        );
        cases.push(Split { rows, channels }.into());
    }
    for (from, to) in [
        ([1, 1], [3, 2]),
        ([3, 4], [6, 8]),
        ([3, 4], [5, 9]),
        ([5, 7], [5, 7]),
        ([8, 6], [4, 3]),
        ([9, 7], [4, 3]),
        ([5, 3], [2, 8]),
        ([7, 33], [31, 6]),
    ] {
        for channels in [3, 16, 17] {
            let shape = [2, from[0], from[1], channels];
            cases.push(
                Resized {
                    shape,
                    size: to,
                    how: Resize::Nearest,
                    offset: 0.0,
                }
                .into(),
            );
            for offset in [0.0, 100.0] {
                cases.push(
                    Resized {
                        shape,
                        size: to,
                        how: Resize::Bilinear,
                        offset,
                    }
                    .into(),
                );
            }
        }
    }
    for way in [DepthWay::ToDepth, DepthWay::ToSpace] {
        for (shape, patch) in [
            ([1, 4, 6, 3], 2),
            ([2, 3, 6, 4], 3),
            ([2, 8, 4, 17], 4),
            ([1, 2, 3, 5], 1),
        ] {
            cases.push(Depth { way, shape, patch }.into());
        }
    }
    for (table, ids) in [
        ([5, 3], [1, 4]),
        ([49, 16], [2, 7]),
        ([7, 33], [3, 1]),
        ([90, 48], [1, 77]),
    ] {
        cases.push(Embedding { table, ids }.into());
    }
    for (from, to) in [
        (vec![2, 3, 4], vec![6, 4]),
        (vec![12], vec![1, 2, 3, 2]),
        (vec![2, 2, 2, 3], vec![24]),
    ] {
        cases.push(Reshape { from, to }.into());
    }
    cases
}
