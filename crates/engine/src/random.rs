//! Random numbers from a seed, in torch's order on the CPU; [`Philox`] has its order on CUDA.
//!
//! A [`Generator`] walks the same stream as `torch.Generator().manual_seed(seed)` and draws normal
//! numbers as `torch.randn` does, so that a picture made elsewhere from the same seed starts from the
//! same noise. All transcendental maths is f64 through `libm`, so the numbers are the same on every
//! CPU. torch's vector kernels compute log, sine and cosine in f32 and differ by a few units in the
//! last place: [`Generator::normal`] states how much.

mod philox;

pub use philox::Philox;

use crate::Tensor;

/// Words of state of the Mersenne Twister, and the offset of its recurrence.
const STATE: usize = 624;
const OFFSET: usize = 397;

/// torch switches from one-by-one doubles to blocks of 16 floats at this count.
const BLOCK: usize = 16;

/// torch's CPU generator: Mersenne Twister (mt19937) and the cached half of the last normal pair.
///
/// Seeds are 64 bit, but torch seeds the twister with the low 32 bits alone: seeds 0 and 2^32 give the
/// same stream.
#[derive(Clone)]
pub struct Generator {
    state: [u32; STATE],
    next: usize,
    /// The sine half of the last Box-Muller pair of doubles; it outlives draws of 16 and more.
    cached: Option<f64>,
}

impl std::fmt::Debug for Generator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generator")
            .field("next", &self.next)
            .field("cached", &self.cached)
            .finish_non_exhaustive()
    }
}

impl Generator {
    /// A generator at the start of the stream of `seed`. Only the low 32 bits count, as in torch.
    pub fn new(seed: u64) -> Self {
        let mut state = [0; STATE];
        state[0] = (seed & 0xffff_ffff) as u32;
        for i in 1..STATE {
            let last = state[i - 1];
            state[i] = (last ^ (last >> 30))
                .wrapping_mul(1_812_433_253)
                .wrapping_add(i as u32);
        }
        Self {
            state,
            next: STATE,
            cached: None,
        }
    }

    /// The next `count` numbers of the standard normal distribution, as `torch.randn(count)`.
    ///
    /// Below 16 numbers torch draws pairs of doubles and keeps the unused half for the next such
    /// call; from 16 on it fills blocks of 16 from 24-bit floats, and where `count` is no multiple of
    /// 16 it draws the last 16 numbers anew. Within 1e-6 + 1e-6 |x| of torch, whose f32 log, sine and
    /// cosine differ from ours in f64 by units in the last place; 2.4e-7 was the worst measured.
    pub fn normal(&mut self, count: usize) -> Vec<f32> {
        if count < BLOCK {
            return (0..count).map(|_| self.normal_double() as f32).collect();
        }
        let mut numbers: Vec<f32> = (0..count).map(|_| self.uniform_float()).collect();
        for block in numbers.chunks_exact_mut(BLOCK) {
            box_muller_16(block);
        }
        if !count.is_multiple_of(BLOCK) {
            let tail = &mut numbers[count - BLOCK..];
            for number in tail.iter_mut() {
                *number = self.uniform_float();
            }
            box_muller_16(tail);
        }
        numbers
    }

    /// Normal noise `[N, H, W, C]`, drawn in torch's order `[N, C, H, W]` and permuted.
    pub fn normal_nhwc(&mut self, shape: [usize; 4]) -> Tensor {
        let [n, h, w, c] = shape;
        let drawn = Tensor::new([n, c, h, w], self.normal(n * c * h * w))
            .expect("as many numbers are drawn as the shape has");
        drawn.nchw_to_nhwc().expect("the shape has four sizes")
    }

    /// The next 32 bits of the stream.
    fn next_u32(&mut self) -> u32 {
        if self.next == STATE {
            self.twist();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    fn twist(&mut self) {
        for i in 0..STATE {
            let joined =
                (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % STATE] & 0x7fff_ffff);
            let odd = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + OFFSET) % STATE] ^ (joined >> 1) ^ odd;
        }
        self.next = 0;
    }

    /// Uniform in [0, 1) with 24 bits: one word of the stream.
    fn uniform_float(&mut self) -> f32 {
        (self.next_u32() & 0x00ff_ffff) as f32 / 16_777_216.0
    }

    /// Uniform in [0, 1) with 53 bits: two words of the stream, the high one first.
    fn uniform_double(&mut self) -> f64 {
        let high = u64::from(self.next_u32());
        let low = u64::from(self.next_u32());
        let bits = (high << 32 | low) & ((1 << 53) - 1);
        bits as f64 / 9_007_199_254_740_992.0
    }

    /// One number by Box-Muller in f64: the cached half first, else a new pair.
    fn normal_double(&mut self) -> f64 {
        if let Some(cached) = self.cached.take() {
            return cached;
        }
        let turn = self.uniform_double();
        let depth = self.uniform_double();
        let radius = libm::sqrt(-2.0 * libm::log1p(-depth));
        let angle = std::f64::consts::TAU * turn;
        self.cached = Some(radius * libm::sin(angle));
        radius * libm::cos(angle)
    }
}

/// Turns 16 uniform numbers into 16 normal ones: number j pairs with number j + 8.
fn box_muller_16(block: &mut [f32]) {
    let (depths, turns) = block.split_at_mut(BLOCK / 2);
    for (depth, turn) in depths.iter_mut().zip(turns) {
        // 1 - u is exact in f32 and in (0, 1], so the logarithm is finite.
        let radius = libm::sqrt(-2.0 * libm::log(f64::from(1.0 - *depth)));
        // torch rounds the angle to f32; near a full turn that moves the result more than its own sine.
        let angle = f64::from(std::f32::consts::TAU * *turn);
        *depth = (radius * libm::cos(angle)) as f32;
        *turn = (radius * libm::sin(angle)) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The C++ standard fixes this number: the 10,000th draw of a default-seeded mt19937.
    #[test]
    fn twister_matches_the_standard() {
        let mut generator = Generator::new(5489);
        let last = (0..10_000).map(|_| generator.next_u32()).last();
        assert_eq!(last, Some(4_123_659_995));
    }

    #[test]
    fn only_the_low_32_bits_of_a_seed_count() {
        let (mut small, mut large) = (Generator::new(7), Generator::new(7 + (1 << 32)));
        assert_eq!(small.normal(40), large.normal(40));
        assert_ne!(small.normal(40), Generator::new(8).normal(40));
    }

    /// Torch's f32 log, sine and cosine against ours in f64: within 4 units in the last place of
    /// numbers up to 4, and absolutely where sine or cosine are near zero.
    fn assert_near_torch(got: &[f32], want: &[f32]) {
        assert_eq!(got.len(), want.len());
        for (i, (got, want)) in got.iter().zip(want).enumerate() {
            assert!(
                (got - want).abs() <= 1e-6 + 1e-6 * want.abs(),
                "{i}: {got}, torch has {want}"
            );
        }
    }

    // torch 2.15: g = torch.Generator().manual_seed(42); torch.randn(n, generator=g), n = 3, 3, 20, 3.
    #[test]
    fn short_and_long_draws_share_the_stream_and_the_cache() {
        let mut generator = Generator::new(42);
        let got: Vec<f32> = [3, 3, 20, 3]
            .iter()
            .flat_map(|&n| generator.normal(n))
            .collect();
        #[rustfmt::skip]
        let want = [
            0.336_690_37, 0.128_809_4, 0.234_462_37, 0.230_333_03, -1.122_856_4, -0.186_328_3,
            -0.248_257_5, -1.208_214_8, -0.477_667_45, 0.520_131_2, -1.384_673_7, -0.871_236_15,
            -0.223_365_92, 1.717_361_5, 0.318_880_32, -0.424_518_97, 0.305_720_93, -0.774_592_5,
            -1.557_572_5, 0.995_636_1, -0.879_785_84, -0.601_142_05, -1.274_151_2, 2.122_785,
            -1.234_653_1, -0.487_913_88, 0.281_519_56, 0.056_163_542, 0.522_716_05,
        ];
        assert_near_torch(&got, &want);
    }

    // torch 2.15: torch.randn(19, generator=torch.Generator().manual_seed(123)).
    #[test]
    fn a_count_off_the_block_draws_its_last_16_anew() {
        #[rustfmt::skip]
        let want = [
            0.337_370_2, -0.177_777_22, -0.303_527_6, 0.917_764_6, 1.580_969_6, 1.301_04,
            1.275_301_2, -0.200_953_1, -0.160_563_78, -0.401_488, 0.695_724_1, -1.148_144,
            -1.158_868, 0.325_471, -0.631_505_4, -2.839_994, -0.784_853_34, -1.409_572_5,
            -0.407_626_87,
        ];
        assert_near_torch(&Generator::new(123).normal(19), &want);
    }

    #[test]
    #[should_panic(expected = "torch has")]
    fn zeros_do_not_pass_for_noise() {
        assert_near_torch(&[0.0; 16], &Generator::new(1).normal(16));
    }

    #[test]
    fn noise_is_normal() {
        let numbers = Generator::new(3).normal(100_000);
        let mean = numbers.iter().map(|&v| f64::from(v)).sum::<f64>() / 1e5;
        let variance = numbers.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / 1e5;
        // Standard errors: 0.0032 of the mean, 0.0045 of the variance; four of each.
        assert!(
            mean.abs() < 0.013 && (variance - 1.0).abs() < 0.018,
            "{mean} {variance}"
        );
    }

    #[test]
    fn pictures_are_drawn_channel_by_channel() {
        let drawn = Generator::new(9).normal(2 * 3 * 4 * 5);
        let noise = Generator::new(9).normal_nhwc([2, 4, 5, 3]);
        assert_eq!(noise.shape(), [2, 4, 5, 3]);
        // n 1, y 2, x 3, c 1
        assert_eq!(
            noise.data()[((4 + 2) * 5 + 3) * 3 + 1],
            drawn[((3 + 1) * 4 + 2) * 5 + 3]
        );
    }
}
