//! Cases of group and layer normalisation.

use imagegen_engine::Activation;

use crate::cases::{Case, GroupNorm, LayerNorm, Spread};

/// Group normalisation.
pub fn group_norm() -> Vec<Case> {
    let base = GroupNorm::default;
    let mut cases = Vec::new();
    for (shape, groups) in [
        ([1, 5, 7, 16], 4),
        ([2, 4, 4, 3], 3),
        ([2, 4, 4, 4], 1),
        ([1, 1, 31, 48], 4),
        ([1, 4, 8, 96], 32),
        ([2, 3, 11, 320], 32),
        ([1, 2, 3, 20], 2),
        ([1, 1, 2, 17], 1),
        ([1, 40, 41, 6], 2),
    ] {
        for (offset, scale) in [
            (0.0, 1.0),
            (100.0, 1.0),
            (-1000.0, 0.1),
            (1.0, 0.002),
            (10.0, 0.0),
        ] {
            let spread = Spread { offset, scale };
            cases.push(GroupNorm {
                shape,
                groups,
                spread,
                ..base()
            });
        }
        cases.push(GroupNorm {
            shape,
            groups,
            activation: Some(Activation::Silu),
            ..base()
        });
        cases.push(GroupNorm {
            shape,
            groups,
            given: true,
            ..base()
        });
    }
    for eps in [1e-6, 0.1] {
        let spread = Spread {
            offset: 0.0,
            scale: 0.001,
        };
        cases.push(GroupNorm {
            eps,
            spread,
            activation: Some(Activation::Gelu),
            ..base()
        });
    }
    cases.into_iter().map(Case::from).collect()
}

/// Layer normalisation.
pub fn layer_norm() -> Vec<Case> {
    let base = LayerNorm::default;
    let mut cases = Vec::new();
    for shape in [
        vec![2, 2],
        vec![3, 3],
        vec![5, 15],
        vec![4, 16],
        vec![2, 3, 17],
        vec![2, 77, 48],
        vec![65, 31],
        vec![2, 3, 2, 40],
        vec![3, 768],
        vec![129, 8],
        vec![33],
    ] {
        for (offset, scale) in [
            (0.0, 1.0),
            (100.0, 1.0),
            (-1000.0, 0.1),
            (1.0, 0.002),
            (10.0, 0.0),
        ] {
            let spread = Spread { offset, scale };
            cases.push(LayerNorm {
                shape: shape.clone(),
                spread,
                ..base()
            });
        }
    }
    cases.push(LayerNorm {
        eps: 0.1,
        spread: Spread {
            offset: 0.0,
            scale: 0.1,
        },
        ..base()
    });
    cases.into_iter().map(Case::from).collect()
}
