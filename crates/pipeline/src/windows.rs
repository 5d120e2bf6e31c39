//! Latents that are larger than a network works at: it sees them window by window, at every step, and what it says is
//! averaged where windows overlap (MultiDiffusion: Bar-Tal et al. 2023). There is one loop and one noise for the whole
//! picture, so that it stays one picture at any strength.

use imagegen_engine::Tensor;

use crate::{BoxedError, Error, Network};

/// Windows in which a network sees latents. All in latents, not pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    side: usize,
    overlap: usize,
    grid: usize,
}

impl Windows {
    /// Windows of at most `side` each way that overlap by at least `overlap` and begin on multiples of `grid`.
    ///
    /// Fails with [`Error::Value`] unless side and overlap are multiples of the grid and the overlap is at most half
    /// the side.
    pub fn new(side: usize, overlap: usize, grid: usize) -> Result<Self, Error> {
        let on_grid = |length: usize| grid > 0 && length.is_multiple_of(grid);
        if side == 0 || !on_grid(side) {
            return Err(Error::value(
                "window side",
                side,
                format!("a multiple of {grid}, above 0"),
            ));
        }
        if !on_grid(overlap) || overlap > side / 2 {
            let expected = format!("a multiple of {grid}, at most half of {side}");
            return Err(Error::value("window overlap", overlap, expected));
        }
        Ok(Self {
            side,
            overlap,
            grid,
        })
    }

    /// The longest side of each of them.
    pub fn side(self) -> usize {
        self.side
    }

    /// How many windows latents of `[h, w]` are seen in.
    pub fn count(self, [height, width]: [usize; 2]) -> usize {
        self.along(height).starts.len() * self.along(width).starts.len()
    }

    /// The size `[h, w]` of each of them.
    pub fn size(self, [height, width]: [usize; 2]) -> [usize; 2] {
        [self.side.min(height), self.side.min(width)]
    }

    fn along(self, whole: usize) -> Axis {
        Axis {
            starts: overlapping(whole, self),
            length: self.side.min(whole),
            overlap: self.overlap,
        }
    }
}

/// Where windows begin that cover `whole`: as few as will do, spread evenly and on the grid, one where all of it fits.
fn overlapping(whole: usize, windows: Windows) -> Vec<usize> {
    let Windows {
        side,
        overlap,
        grid,
    } = windows;
    if whole <= side {
        return vec![0];
    }
    let free = whole - side;
    // Starts are cut down to the grid, which may take a step further apart by less than a cell of it.
    let steps = free.div_ceil((side - overlap - grid + 1).max(1)).max(1);
    let start = |step| match step == steps {
        true => free,
        false => free * step / steps / grid * grid,
    };
    let mut starts: Vec<usize> = (0..=steps).map(start).collect();
    starts.dedup(); // where the grid leaves fewer places than steps
    starts
}

/// Where the windows of a side lie, and their common length.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Axis {
    starts: Vec<usize>,
    length: usize,
    overlap: usize,
}

impl Axis {
    /// What each window adds to each of its places: from nearly nothing at its ends, but for the side's own, to all of
    /// it. The shares of all windows sum up to 1 everywhere.
    fn shares(&self, whole: usize) -> Vec<Vec<f32>> {
        let ramp = self.overlap.max(1);
        let weight = |start: usize, at: usize| -> f64 {
            let end = start + self.length;
            if !(start..end).contains(&at) {
                return 0.0;
            }
            let before = if start == 0 { ramp } else { at - start + 1 };
            let behind = if end == whole { ramp } else { end - at };
            let place = before.min(behind).min(ramp) as f64 / ramp as f64;
            // Rises and falls without a corner.
            place * place * (3.0 - 2.0 * place)
        };
        let shares = |&start: &usize| {
            let places = start..start + self.length;
            let share = |at: usize| {
                let sum: f64 = self.starts.iter().map(|&start| weight(start, at)).sum();
                (weight(start, at) / sum) as f32
            };
            places.map(share).collect()
        };
        self.starts.iter().map(shares).collect()
    }
}

/// A network that sees its input in windows. The source channels of networks that see some are part of the input, and
/// so each window has its own.
#[derive(Debug)]
pub struct Windowed<T> {
    network: T,
    windows: Windows,
}

impl<T: Network> Windowed<T> {
    /// Wraps `network`. Where one window holds all of an input, it is exactly the network.
    pub fn new(network: T, windows: Windows) -> Self {
        Self { network, windows }
    }
}

impl<T: Network> Network for Windowed<T> {
    fn begin_step(&mut self, step: usize) {
        self.network.begin_step(step);
    }

    fn predict(&mut self, input: &Tensor, timestep: f64) -> Result<Tensor, BoxedError> {
        let [n, height, width, _] = input.nhwc("network input")?;
        if self.windows.count([height, width]) == 1 {
            return self.network.predict(input, timestep);
        }
        let (rows, columns) = (self.windows.along(height), self.windows.along(width));
        let (down, across) = (rows.shares(height), columns.shares(width));
        let mut sum: Option<Tensor> = None;
        for (&top, down) in rows.starts.iter().zip(&down) {
            for (&left, across) in columns.starts.iter().zip(&across) {
                let window = cut(input, [top, left], [rows.length, columns.length])?;
                let output = self.network.predict(&window, timestep)?;
                let [_, h, w, channels] = output.nhwc("network output")?;
                if [h, w] != [rows.length, columns.length] {
                    let expected = format!("[{n}, {}, {}, C]", rows.length, columns.length);
                    let fault =
                        imagegen_engine::Error::shape("network output", output.shape(), expected);
                    return Err(fault.into());
                }
                let whole = [n, height, width, channels];
                let sum = sum.get_or_insert_with(|| Tensor::zeros(whole));
                for (line, values) in output.data().chunks_exact(w * channels).enumerate() {
                    let (picture, y) = (line / h, line % h);
                    let from = ((picture * height + top + y) * width + left) * channels;
                    let places = sum.data_mut()[from..][..w * channels].chunks_exact_mut(channels);
                    for ((place, values), across) in
                        places.zip(values.chunks_exact(channels)).zip(across)
                    {
                        let share = down[y] * across;
                        for (place, value) in place.iter_mut().zip(values) {
                            *place += share * value;
                        }
                    }
                }
            }
        }
        Ok(sum.expect("there are at least two windows"))
    }
}

/// The window at `[top, left]` of every picture, `[N, h, w, C]`.
fn cut(
    input: &Tensor,
    [top, left]: [usize; 2],
    [height, width]: [usize; 2],
) -> Result<Tensor, imagegen_engine::Error> {
    let [n, whole, stride, channels] = input.nhwc("network input")?;
    let mut data = Vec::with_capacity(n * height * width * channels);
    for picture in 0..n {
        for y in top..top + height {
            let from = ((picture * whole + y) * stride + left) * channels;
            data.extend_from_slice(&input.data()[from..][..width * channels]);
        }
    }
    Tensor::new([n, height, width, channels], data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_sum_up_to_one() {
        for (side, overlap, grid) in [(128, 32, 4), (64, 16, 1), (64, 32, 8), (8, 0, 1), (4, 2, 2)]
        {
            let windows = Windows::new(side, overlap, grid).unwrap();
            for whole in (grid..600).step_by(grid) {
                let axis = windows.along(whole);
                let mut sums = vec![0f32; whole];
                for (start, shares) in axis.starts.iter().zip(axis.shares(whole)) {
                    assert!(shares.iter().all(|share| *share > 0.0), "{whole}");
                    for (sum, share) in sums[*start..].iter_mut().zip(shares) {
                        *sum += share;
                    }
                }
                assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-6), "{whole}");
            }
        }
    }

    #[test]
    fn windows_overlap_and_reach_both_ends() {
        for (side, overlap, grid) in [(128, 32, 4), (64, 16, 1), (64, 32, 8), (4, 2, 2)] {
            let windows = Windows::new(side, overlap, grid).unwrap();
            for whole in (grid..1000).step_by(grid) {
                let starts = overlapping(whole, windows);
                let last = *starts.last().unwrap();
                assert_eq!(starts[0], 0);
                assert!(last + side >= whole && (whole <= side || last + side == whole));
                for pair in starts.windows(2) {
                    assert_eq!(pair[1] % grid, 0);
                    assert!(
                        pair[1] > pair[0] && pair[0] + side - pair[1] >= overlap,
                        "{whole}: {starts:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn windows_are_counted() {
        let windows = Windows::new(64, 16, 1).unwrap();
        assert_eq!(windows.count([64, 64]), 1);
        assert_eq!(windows.count([66, 64]), 2);
        assert_eq!(windows.count([128, 128]), 9);
        assert_eq!(windows.size([128, 32]), [64, 32]);
    }

    #[test]
    fn sizes_that_cannot_be_are_named() {
        for (side, overlap, grid) in [
            (0, 0, 1),
            (63, 16, 2),
            (64, 15, 2),
            (64, 34, 2),
            (64, 16, 0),
        ] {
            let error = Windows::new(side, overlap, grid).unwrap_err().to_string();
            assert!(error.starts_with("window "), "{error}");
        }
    }
}
