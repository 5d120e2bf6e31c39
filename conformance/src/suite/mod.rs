//! The list of cases. Sizes lie on both sides of every block edge that a backend is likely to have:
//! 16 lanes; register tiles of 4, 6 or 14 rows and 16 or 32 columns; convolutions in blocks of 256
//! input channels; attention in blocks of 512 keys and some dozens of queries. Channel counts are
//! those of real networks (3, 4, 48, 96, 320) and ones next to multiples of 16.
//!
//! A case that failed once stays: written down with its fields in [`found`].

mod attention;
mod conv2d;
mod layout;
mod linear;
mod merging;
mod norm;

use imagegen_engine::Activation;

use crate::cases::{Activate, Add, Case, Grid, Prelu, Scale};

pub use attention::attention;
pub use conv2d::conv2d;
pub use layout::layout;
pub use linear::{geglu, linear};
pub use merging::merging;
pub use norm::{group_norm, layer_norm};

const ACTIVATIONS: [Activation; 5] = [
    Activation::Silu,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::QuickGelu,
    Activation::Relu,
];

/// Every case of every operation.
pub fn all() -> Vec<Case> {
    [
        conv2d(),
        linear(),
        geglu(),
        attention(),
        merging(),
        group_norm(),
        layer_norm(),
        elementwise(),
        layout(),
        found(),
    ]
    .concat()
}

/// Activations by themselves, `prelu`, `add`, `scale`.
pub fn elementwise() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for activation in ACTIVATIONS {
        for grid in [
            Grid::Dense,
            Grid::Powers,
            Grid::Random(2),
            Grid::Random(17),
            Grid::Random(16_385),
        ] {
            cases.push(Activate { activation, grid }.into());
        }
    }
    for shape in [vec![3], vec![3, 5], vec![2, 4, 8], vec![1, 33, 5, 100]] {
        for factor in [0.5, -0.182_15, -3.0] {
            cases.push(
                Scale {
                    shape: shape.clone(),
                    factor,
                }
                .into(),
            );
        }
        cases.push(
            Prelu {
                shape: shape.clone(),
            }
            .into(),
        );
        cases.push(Add { shape }.into());
    }
    cases
}

/// Cases that failed once, most of them found by random shapes.
pub fn found() -> Vec<Case> {
    Vec::new()
}
