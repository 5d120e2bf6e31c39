//! Operations that move numbers, and the two ways to resize.

use imagegen_engine::{Backend, Error, Resize, Tensor};

use super::Call;
use crate::noise::Noise;
use crate::reference::{Estimate, Reference};
use crate::tolerance::Tolerance;

/// `rows` with `last` behind them.
fn with_last(rows: &[usize], last: usize) -> Vec<usize> {
    rows.iter().copied().chain([last]).collect()
}

/// One call of `concat`.
#[derive(Debug, Clone)]
pub struct Concat {
    /// All sizes but the last.
    pub rows: Vec<usize>,
    /// Channels of left and right.
    pub channels: [usize; 2],
}

impl Concat {
    fn parts(&self) -> [Tensor; 2] {
        let mut noise = Noise::new(10);
        self.channels
            .map(|channels| noise.tensor(with_last(&self.rows, channels), 1.0, 0.0))
    }
}

impl Call for Concat {
    fn reference(&self) -> Vec<Reference> {
        let [left, right] = self.parts();
        let [l, r] = self.channels;
        let rows = left
            .data()
            .chunks_exact(l)
            .zip(right.data().chunks_exact(r));
        let numbers = rows.flat_map(|(left, right)| left.iter().chain(right).copied());
        vec![Reference::exact(with_last(&self.rows, l + r), numbers)]
    }

    fn run<B: Backend>(&self, backend: &B) -> Result<Vec<Tensor>, Error> {
        let [left, right] = self.parts().map(|tensor| backend.upload(&tensor));
        Ok(vec![backend.download(&backend.concat(&left, &right)?)])
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}

/// One call of `split`.
#[derive(Debug, Clone)]
pub struct Split {
    /// All sizes but the last.
    pub rows: Vec<usize>,
    /// Channels of left and right.
    pub channels: [usize; 2],
}

impl Split {
    fn input(&self) -> Tensor {
        Noise::new(11).tensor(with_last(&self.rows, self.channels.iter().sum()), 1.0, 0.0)
    }
}

impl Call for Split {
    fn reference(&self) -> Vec<Reference> {
        let [l, r] = self.channels;
        let input = self.input();
        let rows = || input.data().chunks_exact(l + r);
        vec![
            Reference::exact(
                with_last(&self.rows, l),
                rows().flat_map(|row| row[..l].to_vec()),
            ),
            Reference::exact(
                with_last(&self.rows, r),
                rows().flat_map(|row| row[l..].to_vec()),
            ),
        ]
    }

    fn run<B: Backend>(&self, backend: &B) -> Result<Vec<Tensor>, Error> {
        let (left, right) = backend.split(&backend.upload(&self.input()), self.channels[0])?;
        Ok(vec![backend.download(&left), backend.download(&right)])
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}

/// One call of `resize`.
#[derive(Debug, Clone)]
pub struct Resized {
    /// `[N, H, W, C]`.
    pub shape: [usize; 4],
    /// Height and width of the output.
    pub size: [usize; 2],
    /// In which way.
    pub how: Resize,
    /// Mean of the input.
    pub offset: f32,
}

/// The two neighbours of output place `y` along an axis that goes from `from` to `to` pixels, and
/// where it lies between them.
fn neighbours(y: usize, from: usize, to: usize) -> (usize, usize, f64) {
    let place = ((y as f64 + 0.5) * from as f64 / to as f64 - 0.5).max(0.0);
    let before = (place.floor() as usize).min(from - 1);
    (before, (before + 1).min(from - 1), place - before as f64)
}

impl Resized {
    fn input(&self) -> Tensor {
        Noise::new(12).tensor(self.shape, 1.0, self.offset)
    }

    /// Output channel `c` of pixel `y`, `x` of picture `n`.
    fn pixel(&self, input: &Tensor, [n, y, x, c]: [usize; 4]) -> Estimate {
        let ([_, h, w, channels], [out_h, out_w]) = (self.shape, self.size);
        let at = |y: usize, x: usize| input.data()[((n * h + y) * w + x) * channels + c];
        match self.how {
            Resize::Nearest => Estimate::exact(at(y * h / out_h, x * w / out_w)),
            Resize::Bilinear => {
                let (top, bottom, down) = neighbours(y, h, out_h);
                let (left, right, across) = neighbours(x, w, out_w);
                let corners = [
                    (at(top, left), (1.0 - down) * (1.0 - across)),
                    (at(top, right), (1.0 - down) * across),
                    (at(bottom, left), down * (1.0 - across)),
                    (at(bottom, right), down * across),
                ];
                let value = corners.map(|(corner, weight)| f64::from(corner) * weight);
                // A coordinate in f32 is off by a rounding of itself, which weighs the difference of
                // the neighbours; the mixes round at the size of the neighbours.
                let largest = corners
                    .iter()
                    .map(|(corner, _)| corner.abs())
                    .fold(0.0, f32::max);
                let place = 1.0 + (y * h / out_h + x * w / out_w) as f64;
                Estimate {
                    value: value.iter().sum(),
                    size: f64::from(largest) * place,
                }
            }
        }
    }
}

impl Call for Resized {
    fn reference(&self) -> Vec<Reference> {
        let input = self.input();
        let ([n, _, _, channels], [h, w]) = (self.shape, self.size);
        let numbers = (0..n * h * w * channels).map(|index| {
            let (pixel, c) = (index / channels, index % channels);
            self.pixel(&input, [pixel / (h * w), pixel / w % h, pixel % w, c])
        });
        vec![Reference::new([n, h, w, channels], numbers.collect())]
    }

    fn run<B: Backend>(&self, backend: &B) -> Result<Vec<Tensor>, Error> {
        let out = backend.resize(&backend.upload(&self.input()), self.size, self.how)?;
        Ok(vec![backend.download(&out)])
    }

    fn tolerance(&self) -> Tolerance {
        match self.how {
            Resize::Nearest => Tolerance::EXACT,
            Resize::Bilinear => Tolerance::MIX,
        }
    }
}

/// Which way pixels and channels are exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DepthWay {
    /// `space_to_depth`.
    ToDepth,
    /// `depth_to_space`.
    ToSpace,
}

/// One call of `space_to_depth` or `depth_to_space`.
#[derive(Debug, Clone)]
pub struct Depth {
    /// Which.
    pub way: DepthWay,
    /// `[N, H, W, C]` of the side with more pixels.
    pub shape: [usize; 4],
    /// Side of the square of pixels that becomes channels.
    pub patch: usize,
}

impl Depth {
    /// `[N, H, W, C]` of the side with more channels.
    fn deep(&self) -> [usize; 4] {
        let ([n, h, w, c], p) = (self.shape, self.patch);
        [n, h / p, w / p, c * p * p]
    }

    fn input(&self) -> Tensor {
        let shape = if self.way == DepthWay::ToDepth {
            self.shape
        } else {
            self.deep()
        };
        Noise::new(13).tensor(shape, 1.0, 0.0)
    }
}

impl Call for Depth {
    fn reference(&self) -> Vec<Reference> {
        let input = self.input();
        let ([n, h, w, c], [_, deep_h, deep_w, deep_c], p) = (self.shape, self.deep(), self.patch);
        let mut numbers = vec![0.0; input.data().len()];
        for index in 0..numbers.len() {
            // k channel, x and y pixel, picture: of the side with more pixels
            let (k, x, y, picture) = (
                index % c,
                index / c % w,
                index / c / w % h,
                index / c / w / h,
            );
            let channel = k * p * p + y % p * p + x % p;
            let deep = ((picture * deep_h + y / p) * deep_w + x / p) * deep_c + channel;
            match self.way {
                DepthWay::ToDepth => numbers[deep] = input.data()[index],
                DepthWay::ToSpace => numbers[index] = input.data()[deep],
            }
        }
        let shape = if self.way == DepthWay::ToDepth {
            self.deep()
        } else {
            [n, h, w, c]
        };
        vec![Reference::exact(shape, numbers)]
    }

    fn run<B: Backend>(&self, backend: &B) -> Result<Vec<Tensor>, Error> {
        let input = backend.upload(&self.input());
        let out = match self.way {
            DepthWay::ToDepth => backend.space_to_depth(&input, self.patch)?,
            DepthWay::ToSpace => backend.depth_to_space(&input, self.patch)?,
        };
        Ok(vec![backend.download(&out)])
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}

/// One call of `embedding`.
#[derive(Debug, Clone)]
pub struct Embedding {
    /// `[V, C]`.
    pub table: [usize; 2],
    /// Rows and length of the ids.
    pub ids: [usize; 2],
}

impl Embedding {
    fn parts(&self) -> (Tensor, Vec<u32>) {
        let mut noise = Noise::new(14);
        let table = noise.tensor(self.table, 1.0, 0.0);
        let mut ids: Vec<u32> = (0..self.ids.iter().product())
            .map(|_| u32::try_from(noise.below(self.table[0])).expect("tables are small"))
            .collect();
        ids[0] = u32::try_from(self.table[0] - 1).expect("tables are small");
        (table, ids)
    }
}

impl Call for Embedding {
    fn reference(&self) -> Vec<Reference> {
        let (table, ids) = self.parts();
        let channels = self.table[1];
        let row = |id: u32| table.data()[id as usize * channels..][..channels].to_vec();
        vec![Reference::exact(
            with_last(&self.ids, channels),
            ids.into_iter().flat_map(row),
        )]
    }

    fn run<B: Backend>(&self, backend: &B) -> Result<Vec<Tensor>, Error> {
        let (table, ids) = self.parts();
        let out = backend.embedding(&backend.table(table)?, &ids, self.ids[0])?;
        Ok(vec![backend.download(&out)])
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}

/// One call of `reshape`.
#[derive(Debug, Clone)]
pub struct Reshape {
    /// Before.
    pub from: Vec<usize>,
    /// After.
    pub to: Vec<usize>,
}

impl Call for Reshape {
    fn reference(&self) -> Vec<Reference> {
        let input = Noise::new(15).tensor(self.from.as_slice(), 1.0, 0.0);
        vec![Reference::exact(self.to.as_slice(), input.into_data())]
    }

    fn run<B: Backend>(&self, backend: &B) -> Result<Vec<Tensor>, Error> {
        let input = backend.upload(&Noise::new(15).tensor(self.from.as_slice(), 1.0, 0.0));
        Ok(vec![backend.download(&backend.reshape(&input, &self.to)?)])
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}
