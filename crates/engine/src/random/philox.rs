//! Random numbers from a seed, as torch draws them on CUDA.
//!
//! Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011) has no state to walk through: a counter and a key give four words. torch
//! gives each number of a draw a counter of its own, so that a picture made on such a card starts from the same noise wherever it
//! is made again.

use crate::Tensor;

/// Multipliers of the two halves of a round.
const MULTIPLIERS: [u32; 2] = [0xd251_1f53, 0xcd9e_8d57];
/// What is added to the key after each round: the golden ratio and the root of 3 less 1, in 32 bits.
const WEYL: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];
const ROUNDS: usize = 10;

/// CUDA's constants, as its f32 has them: 2^-32, and a full turn of it.
const STEP: f32 = 2.328_306_4e-10;
const TURN: f32 = STEP * 6.283_185_5;

/// torch's generator on CUDA; what AUTOMATIC1111 calls "NV".
///
/// All 64 bits of a seed count. A draw of `n` numbers is `torch.randn(n, device="cuda")` on a card that holds `n` threads at a
/// time: the first draw of such a card, the second, and so on. Smaller cards give each thread up to four numbers of a
/// draw, which other programs do not follow either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Philox {
    key: [u32; 2],
    /// Draws so far.
    draws: u32,
}

impl Philox {
    /// A generator before the first draw of `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            key: halves(seed),
            draws: 0,
        }
    }

    /// The next `count` numbers of the standard normal distribution.
    ///
    /// Arguments are rounded to f32 as CUDA rounds them; logarithm, root and sine are f64 through `libm`, so that the numbers are
    /// the same on every CPU. CUDA's are approximate in f32 and differ by a few 1e-6. So do AUTOMATIC1111's, which
    /// rounds no argument: 4.4e-6 was the worst of 200,000.
    pub fn normal(&mut self, count: usize) -> Vec<f32> {
        let draw = self.draws;
        self.draws = draw.wrapping_add(1);
        let number = |index: u64| {
            let [low, high] = halves(index);
            let words = philox([draw, 0, low, high], self.key);
            box_muller(words[0], words[1])
        };
        (0..count as u64).map(number).collect()
    }

    /// Normal noise `[N, H, W, C]`, drawn in torch's order `[N, C, H, W]` and permuted.
    pub fn normal_nhwc(&mut self, shape: [usize; 4]) -> Tensor {
        let [n, h, w, c] = shape;
        let drawn = Tensor::new([n, c, h, w], self.normal(n * c * h * w))
            .expect("as many numbers are drawn as the shape has");
        drawn.nchw_to_nhwc().expect("the shape has four sizes")
    }
}

/// Low and high word.
fn halves(number: u64) -> [u32; 2] {
    [number as u32, (number >> 32) as u32]
}

/// Four random words of a counter and a key.
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..ROUNDS {
        let [a, b] = [0, 1].map(|half| u64::from(MULTIPLIERS[half]) * u64::from(counter[2 * half]));
        let ([a_low, a_high], [b_low, b_high]) = (halves(a), halves(b));
        counter = [
            b_high ^ counter[1] ^ key[0],
            b_low,
            a_high ^ counter[3] ^ key[1],
            a_low,
        ];
        key = [0, 1].map(|half| key[half].wrapping_add(WEYL[half]));
    }
    counter
}

/// The sine half of a Box-Muller pair. The sum of each argument is rounded once, as a fused multiply-add does.
fn box_muller(depth: u32, turn: u32) -> f32 {
    let fused = |word: u32, step: f32| {
        let exact = f64::from(word as f32) * f64::from(step);
        f64::from((exact + f64::from(step / 2.0)) as f32)
    };
    let radius = libm::sqrt(-2.0 * libm::log(fused(depth, STEP)));
    (radius * libm::sin(fused(turn, TURN))) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    // Random123 1.14, tests/kat_vectors, "philox4x32 10": counter, key, words.
    #[test]
    fn known_answers_of_the_authors() {
        let cases = [
            (
                [0; 4],
                [0; 2],
                [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8],
            ),
            (
                [u32::MAX; 4],
                [u32::MAX; 2],
                [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd],
            ),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, words) in cases {
            assert_eq!(philox(counter, key), words, "{counter:x?} {key:x?}");
        }
    }

    // Printed by torch on a card: torch.manual_seed(0); torch.randn(8, 8, device="cuda").
    #[test]
    fn torch_on_a_card_draws_the_same() {
        #[rustfmt::skip]
        let want = [
            -0.9247, -0.4253, -2.6438, 0.1452, -0.1209, -0.5797, -0.6229, -0.3284,
            -1.0745, -0.3631, -1.6711, 2.2655, 0.3117, -0.1842, 1.2866, 1.1820,
            -0.1271, 1.2169, 1.4353, 1.0605, -0.4941, -1.4244, -0.7244, -1.2973,
            0.0697, -0.0074, 1.8969, 0.6878, -0.0779, -0.8373, 1.3506, -0.2879,
            -0.5965, -0.3283, -0.9086, -0.8059, -0.7407, -0.0504, 0.5435, 1.5150,
            0.0141, 0.4532, 1.6349, 0.7124, -0.1806, 1.0252, -1.4622, -0.7554,
            -0.1836, 0.3824, 0.3918, -0.0830, 0.8971, -1.1123, 0.1116, 0.4863,
            -0.5499, -0.3231, -0.5469, 0.9049, 0.2837, 0.1210, 0.4730, -1.0823,
        ];
        let got = Philox::new(0).normal(64);
        for (index, (got, want)) in got.iter().zip(want).enumerate() {
            // Four digits were printed.
            assert!(
                (got - want).abs() < 5.1e-5,
                "{index}: {got}, torch has {want}"
            );
        }
    }

    #[test]
    fn all_of_a_seed_counts_and_every_draw_is_another() {
        let first = |seed| Philox::new(seed).normal(8);
        assert_ne!(first(7), first(7 + (1 << 32)));
        assert_ne!(first(7), first(8));
        let mut generator = Philox::new(7);
        let (one, two) = (generator.normal(8), generator.normal(8));
        assert_eq!(one, first(7));
        assert_ne!(one, two);
        // A number depends on its place alone, not on how many are drawn.
        assert_eq!(Philox::new(7).normal(3), one[..3]);
    }

    #[test]
    fn noise_is_normal() {
        let numbers = Philox::new(3).normal(100_000);
        let mean = numbers.iter().map(|&v| f64::from(v)).sum::<f64>() / 1e5;
        let variance = numbers.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / 1e5;
        // Standard errors: 0.0032 of the mean, 0.0045 of the variance; four of each.
        assert!(
            mean.abs() < 0.013 && (variance - 1.0).abs() < 0.018,
            "{mean} {variance}"
        );
        for word in [0, 1, u32::MAX] {
            for turn in [0, 1 << 31, u32::MAX] {
                assert!(box_muller(word, turn).is_finite(), "{word} {turn}");
            }
        }
    }
}
