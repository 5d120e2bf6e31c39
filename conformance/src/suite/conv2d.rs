//! Convolution cases.

use imagegen_engine::{Activation, Padding};

use super::ACTIVATIONS;
use crate::cases::{Case, Conv2d, InputNorm};

/// Zeros below and to the right only, as the autoencoder's downsampling has them.
const BELOW_RIGHT: Padding = Padding {
    top: 0,
    left: 0,
    bottom: 1,
    right: 1,
};

/// All four sides different.
const UNEVEN: Padding = Padding {
    top: 2,
    left: 0,
    bottom: 1,
    right: 3,
};

/// Convolutions.
pub fn conv2d() -> Vec<Case> {
    let cases = [
        conv2d_shapes(),
        conv2d_fused(),
        conv2d_tiled(),
        conv2d_few(),
    ]
    .concat();
    cases.into_iter().map(Case::from).collect()
}

fn conv2d_shapes() -> Vec<Conv2d> {
    let base = Conv2d::default;
    let mut cases = Vec::new();
    // 1x1: pixels around the row tiles, channels around lanes, panels and the channel block.
    for (size, channels) in [
        ([1, 1], [3, 4]),
        ([1, 3], [4, 3]),
        ([2, 2], [16, 16]),
        ([1, 5], [17, 15]),
        ([2, 3], [15, 17]),
        ([1, 7], [48, 31]),
        ([1, 13], [96, 32]),
        ([2, 7], [255, 33]),
        ([3, 5], [256, 48]),
        ([4, 7], [257, 64]),
        ([1, 29], [320, 65]),
        ([3, 17], [640, 33]),
        ([2, 43], [4, 96]),
    ] {
        let offset = if channels[0] % 2 == 0 { 0.0 } else { 100.0 };
        cases.push(Conv2d {
            size,
            channels,
            kernel: [1, 1],
            padding: Padding::all(0),
            offset,
            ..base()
        });
    }
    // 3x3: widths around the row tiles, with and without a border.
    for (width, channels) in [
        (3, [3, 16]),
        (4, [4, 48]),
        (5, [16, 4]),
        (6, [17, 3]),
        (7, [15, 33]),
        (13, [48, 16]),
    ] {
        cases.push(Conv2d {
            size: [4, width],
            channels,
            ..base()
        });
        cases.push(Conv2d {
            size: [3, width],
            channels,
            padding: Padding::all(0),
            offset: 100.0,
            ..base()
        });
    }
    for (size, channels, offset) in [
        ([5, 14], [96, 20], 0.0),
        ([1, 15], [32, 17], 0.0),
        ([15, 1], [32, 17], 0.0),
        ([1, 1], [64, 64], 0.0),
        ([2, 31], [8, 128], 0.0),
        ([3, 33], [255, 16], 100.0),
        ([5, 6], [256, 15], 0.0),
        ([5, 6], [257, 17], 0.0),
        ([4, 4], [513, 9], 100.0),
        // Large enough for several pieces of rows: every thread gets some.
        ([40, 41], [130, 5], 0.0),
        ([70, 90], [3, 16], 100.0),
    ] {
        cases.push(Conv2d {
            size,
            channels,
            offset,
            ..base()
        });
    }
    // Stride 2 over odd and even sizes, and padding on one side.
    for (size, channels) in [
        ([8, 8], [4, 16]),
        ([7, 9], [16, 33]),
        ([9, 28], [48, 4]),
        ([6, 30], [257, 8]),
    ] {
        for padding in [Padding::all(1), BELOW_RIGHT, Padding::all(0)] {
            cases.push(Conv2d {
                size,
                channels,
                padding,
                stride: 2,
                batch: 2,
                ..base()
            });
        }
        cases.push(Conv2d {
            size,
            channels,
            padding: BELOW_RIGHT,
            offset: 100.0,
            ..base()
        });
    }
    cases.push(Conv2d {
        kernel: [1, 1],
        padding: Padding::all(0),
        stride: 2,
        ..base()
    });
    // Kernels of other shapes, wider borders, all four sides different.
    for (kernel, stride, padding) in [
        ([7, 7], 1, Padding::all(3)),
        ([7, 7], 2, Padding::all(3)),
        ([5, 5], 1, Padding::all(2)),
        ([4, 4], 2, Padding::all(1)),
        ([1, 3], 1, UNEVEN),
        ([3, 1], 2, UNEVEN),
        ([2, 6], 1, UNEVEN),
    ] {
        cases.push(Conv2d {
            size: [8, 9],
            channels: [5, 18],
            kernel,
            stride,
            padding,
            ..base()
        });
    }
    cases
}

/// To a few channels: widths around lane groups, rows around pieces, channels around the block.
fn conv2d_few() -> Vec<Conv2d> {
    let base = Conv2d::default;
    let mut cases = Vec::new();
    for (size, channels) in [
        ([1, 32], [5, 1]),
        ([4, 33], [16, 2]),
        ([5, 47], [255, 3]),
        ([9, 64], [256, 4]),
        ([6, 65], [257, 3]),
        ([3, 31], [8, 3]),
    ] {
        cases.push(Conv2d {
            size,
            channels,
            offset: if channels[1] == 2 { 100.0 } else { 0.0 },
            ..base()
        });
    }
    cases.push(Conv2d {
        batch: 2,
        size: [5, 40],
        channels: [270, 3],
        norm: Some(InputNorm {
            groups: 27,
            eps: 1e-6,
            activation: Some(Activation::Silu),
        }),
        channel_bias: true,
        activation: Some(Activation::Silu),
        residual: true,
        ..base()
    });
    let (top, left, bottom, right) = (2, 0, 1, 3);
    cases.push(Conv2d {
        size: [5, 20],
        channels: [7, 4],
        kernel: [2, 4],
        padding: Padding {
            top,
            left,
            bottom,
            right,
        },
        enlarge_to: Some([11, 40]),
        bias: false,
        ..base()
    });
    cases.push(Conv2d {
        size: [3, 50],
        channels: [20, 3],
        kernel: [1, 1],
        padding: Padding::all(0),
        ..base()
    });
    cases
}

fn conv2d_fused() -> Vec<Conv2d> {
    let base = Conv2d::default;
    let silu = Some(Activation::Silu);
    let norm = |groups, activation| {
        Some(InputNorm {
            groups,
            eps: 1e-5,
            activation,
        })
    };
    let mut cases = Vec::new();
    for (channels, groups) in [
        ([48, 16], 4),
        ([64, 32], 32),
        ([96, 17], 32),
        ([320, 4], 32),
        ([6, 5], 3),
        ([16, 16], 1),
    ] {
        for offset in [0.0, 100.0] {
            cases.push(Conv2d {
                channels,
                norm: norm(groups, silu),
                batch: 2,
                offset,
                ..base()
            });
        }
    }
    let (kernel, padding) = ([1, 1], Padding::all(0));
    cases.push(Conv2d {
        channels: [48, 33],
        norm: norm(8, None),
        kernel,
        padding,
        ..base()
    });
    cases.push(Conv2d {
        norm: norm(4, silu),
        stride: 2,
        padding: BELOW_RIGHT,
        ..base()
    });
    // Enlarging: by two, to odd targets, by odd factors; along one axis only.
    for (size, target) in [
        ([3, 4], [6, 8]),
        ([3, 4], [5, 7]),
        ([4, 3], [7, 5]),
        ([2, 2], [3, 9]),
        ([5, 5], [5, 9]),
        ([3, 5], [7, 5]),
        ([1, 1], [4, 15]),
    ] {
        let enlarge_to = Some(target);
        cases.push(Conv2d {
            size,
            enlarge_to,
            channels: [20, 12],
            ..base()
        });
        cases.push(Conv2d {
            size,
            enlarge_to,
            norm: norm(4, silu),
            batch: 2,
            offset: 100.0,
            ..base()
        });
    }
    cases.push(Conv2d {
        enlarge_to: Some([9, 13]),
        channels: [260, 6],
        ..base()
    });
    cases.push(Conv2d {
        enlarge_to: Some([9, 13]),
        stride: 2,
        ..base()
    });
    // After the product: each part alone, then all, with pictures that differ.
    for activation in ACTIVATIONS {
        cases.push(Conv2d {
            activation: Some(activation),
            channels: [16, 35],
            ..base()
        });
    }
    let channels = [16, 19];
    cases.push(Conv2d {
        channels,
        bias: false,
        ..base()
    });
    cases.push(Conv2d {
        channels,
        residual: true,
        ..base()
    });
    cases.push(Conv2d {
        channels,
        channel_bias: true,
        batch: 2,
        ..base()
    });
    cases.push(Conv2d {
        channels,
        channel_bias: true,
        bias: false,
        batch: 3,
        stride: 2,
        ..base()
    });
    for channels in [[48, 50], [272, 17]] {
        cases.push(Conv2d {
            batch: 2,
            size: [6, 5],
            channels,
            enlarge_to: Some([11, 10]),
            norm: norm(16, silu),
            channel_bias: true,
            activation: Some(Activation::QuickGelu),
            residual: true,
            offset: 100.0,
            ..base()
        });
    }
    cases
}

/// 3x3 over enough pixels and channels for algorithms that work in tiles of pixels.
fn conv2d_tiled() -> Vec<Conv2d> {
    let base = Conv2d::default;
    let mut cases = Vec::new();
    // Sizes around tiles of two and four, channels around lanes, panels and blocks.
    for (size, channels, offset) in [
        ([16, 16], [32, 32], 0.0),
        ([13, 17], [33, 47], 0.0),
        ([14, 15], [48, 64], 100.0),
        ([15, 14], [65, 33], 0.0),
        ([16, 13], [257, 32], 100.0),
        ([2, 64], [32, 48], 0.0),
        ([64, 1], [40, 32], 0.0),
        ([61, 66], [32, 33], 0.0),
        ([9, 130], [64, 32], 100.0),
        // More channels than are multiplied at a time.
        ([16, 16], [330, 32], 0.0),
        ([16, 16], [40, 352], 0.0),
    ] {
        cases.push(Conv2d {
            size,
            channels,
            offset,
            ..base()
        });
    }
    for padding in [Padding::all(0), Padding::all(2), BELOW_RIGHT, UNEVEN] {
        cases.push(Conv2d {
            size: [18, 19],
            channels: [32, 35],
            padding,
            ..base()
        });
    }
    let silu = Some(Activation::Silu);
    for (enlarge_to, offset) in [
        (None, 100.0),
        (Some([22, 18]), 0.0),
        (Some([21, 19]), 100.0),
    ] {
        cases.push(Conv2d {
            batch: 2,
            size: [11, 9].map(|side| if enlarge_to.is_none() { 2 * side } else { side }),
            channels: [48, 50],
            enlarge_to,
            norm: Some(InputNorm {
                groups: 16,
                eps: 1e-5,
                activation: silu,
            }),
            channel_bias: true,
            activation: Some(Activation::QuickGelu),
            residual: true,
            offset,
            ..base()
        });
    }
    cases.push(Conv2d {
        size: [17, 18],
        channels: [32, 32],
        bias: false,
        ..base()
    });
    // So wide that columns are taken in strips, borders between them and at both ends.
    for (padding, enlarge_to) in [
        (Padding::all(1), None),
        (UNEVEN, None),
        (BELOW_RIGHT, Some([34, 202])),
    ] {
        cases.push(Conv2d {
            size: if enlarge_to.is_some() {
                [17, 101]
            } else {
                [34, 202]
            },
            channels: [33, 32],
            padding,
            enlarge_to,
            norm: Some(InputNorm {
                groups: 3,
                eps: 1e-5,
                activation: silu,
            }),
            residual: true,
            ..base()
        });
    }
    cases
}
