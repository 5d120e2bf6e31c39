//! Cases of linear layers, plain and gated.

use imagegen_engine::Activation;

use super::ACTIVATIONS;
use crate::cases::{Case, Geglu, Linear};

/// Linear layers.
pub fn linear() -> Vec<Case> {
    let base = Linear::default;
    let mut cases = Vec::new();
    for (rows, channels) in [
        (1, [1, 2]),
        (1, [320, 1280]),
        (2, [3, 4]),
        (3, [4, 15]),
        (4, [16, 16]),
        (5, [17, 17]),
        (6, [48, 31]),
        (7, [96, 32]),
        (13, [255, 33]),
        (14, [256, 48]),
        (15, [257, 63]),
        (28, [33, 64]),
        (29, [64, 65]),
        (77, [40, 96]),
        (83, [8, 129]),
        (84, [8, 130]),
        (85, [7, 131]),
        // Several pieces of rows, and a last one of a few.
        (255, [16, 20]),
        (257, [20, 129]),
        (300, [64, 33]),
        (589, [12, 20]),
    ] {
        let offset = if rows % 2 == 0 { 0.0 } else { 100.0 };
        cases.push(Linear {
            rows: vec![rows],
            channels,
            offset,
            ..base()
        });
    }
    for rows in [vec![2, 7], vec![2, 3, 5], vec![1, 1, 15]] {
        let channels = [24, 40];
        cases.push(Linear {
            rows: rows.clone(),
            channels,
            ..base()
        });
        let activation = Some(Activation::Silu);
        cases.push(Linear {
            rows,
            channels,
            activation,
            residual: true,
            ..base()
        });
    }
    for activation in ACTIVATIONS {
        cases.push(Linear {
            activation: Some(activation),
            channels: [32, 37],
            ..base()
        });
    }
    cases.push(Linear {
        bias: false,
        channels: [768, 18],
        offset: 100.0,
        ..base()
    });
    cases.push(Linear {
        residual: true,
        bias: false,
        rows: vec![16, 17],
        channels: [48, 33],
        ..base()
    });
    cases.into_iter().map(Case::from).collect()
}

/// Gated linear layers.
pub fn geglu() -> Vec<Case> {
    let base = Geglu::default;
    let mut cases = Vec::new();
    for (rows, channels) in [
        (vec![1], [8, 3]),
        (vec![4], [16, 16]),
        (vec![6], [16, 17]),
        (vec![14], [20, 31]),
        (vec![2, 7], [40, 32]),
        (vec![2, 15], [33, 33]),
        (vec![2, 2, 5], [96, 40]),
        (vec![257], [16, 48]),
        (vec![85], [7, 130]),
    ] {
        cases.push(Geglu {
            rows: rows.clone(),
            channels,
            ..base()
        });
        cases.push(Geglu {
            rows,
            channels,
            offset: 100.0,
            bias: false,
            ..base()
        });
    }
    cases.into_iter().map(Case::from).collect()
}
