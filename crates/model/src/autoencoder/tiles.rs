//! Pictures whose activations would take too much memory: a part of a network run on tiles, each with as much around it
//! as decides what comes out inside, so that nothing has to be blended.

use imagegen_engine::Tensor;

use crate::Error;
use crate::spans::Span;

/// How a tensor is cut for a part of a network. A cell is a place of the coarser of its input and its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tiles {
    /// Cells that are looked at at one time, each way.
    pub(super) window: usize,
    /// Cells around a place that decide what comes out there, at least.
    pub(super) margin: usize,
    /// Places of the input in a cell, each way.
    pub(super) input: usize,
    /// Places of the output in a cell, each way.
    pub(super) output: usize,
}

/// How far a layer looks, in places each way: one for every convolution of three by three.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Look {
    /// Its output is as large as its input.
    Around(f64),
    /// Its output is half as large; it looks at places of its input.
    Reduced(f64),
    /// Its output is twice as large; it looks at places of its output.
    Enlarged(f64),
}

/// Least of a window that is kept: less would look at most of a picture many times.
const LEAST_KEPT: usize = 8;

/// Cells each way of a part that moments are measured on.
const SAMPLE: usize = 32;
/// Places that moments are measured on: a megapixel of parts takes the memory of a picture of one.
const SAMPLED: usize = 1 << 20;

impl Tiles {
    /// Tiles of at least `window` latents each way for layers that look as `looks` says, one after the other; larger where
    /// such a window would leave too little to keep.
    pub(super) fn through(window: usize, looks: impl Iterator<Item = Look>) -> Self {
        let looks: Vec<_> = looks.collect();
        let count = |wanted: fn(&Look) -> bool| looks.iter().filter(|look| wanted(look)).count();
        let input = 1 << count(|look| matches!(look, Look::Reduced(_)));
        let output = 1 << count(|look| matches!(look, Look::Enlarged(_)));
        // Places are latents over `scale`.
        let (mut scale, mut reach) = (input as f64, 0.0);
        for look in looks {
            match look {
                Look::Around(places) => reach += places / scale,
                Look::Reduced(places) => {
                    reach += places / scale;
                    scale /= 2.0;
                }
                Look::Enlarged(places) => {
                    scale *= 2.0;
                    reach += places / scale;
                }
            }
        }
        let margin = reach.ceil() as usize;
        Self {
            window: window.max(2 * margin + LEAST_KEPT),
            margin,
            input,
            output,
        }
    }

    /// Whether all of a picture of so many cells is looked at at one time.
    pub(super) fn hold(self, cells: [usize; 2]) -> bool {
        cells.iter().all(|side| *side <= self.window)
    }

    /// Cells of an input `[1, h, w, C]`.
    pub(super) fn cells(self, whole: &Tensor) -> Result<[usize; 2], Error> {
        let [_, height, width, _] = whole.nhwc("tiled input")?;
        Ok([height / self.input, width / self.input])
    }

    /// Parts of `whole` `[1, h, w, C]` spread evenly over it, as pictures of their own: [`SAMPLE`] cells each way, of
    /// [`SAMPLED`] places of the finer side together, or as much of it as there is.
    pub(super) fn samples(self, whole: &Tensor) -> Result<Tensor, Error> {
        let [rows, columns] = self.cells(whole)?;
        let (height, width) = (SAMPLE.min(rows), SAMPLE.min(columns));
        let finer = self.input.max(self.output);
        let most = (SAMPLED / (height * width * finer * finer)).max(1);
        // As many down as across, for their share of the sides.
        let down = (most as f64 * rows as f64 / columns as f64).sqrt().round() as usize;
        let down = down.clamp(1, (rows / height).min(most));
        let across = (most / down).clamp(1, columns / width);
        let place = |index: usize, count: usize, side: usize, length: usize| {
            let middle = (2 * index + 1) * side / (2 * count);
            middle.saturating_sub(length / 2).min(side - length)
        };
        let mut all = Vec::with_capacity(down * across);
        for row in 0..down {
            for column in 0..across {
                let from = [
                    place(row, down, rows, height),
                    place(column, across, columns, width),
                ];
                let from = from.map(|cell| cell * self.input);
                let size = [height, width].map(|cells| cells * self.input);
                all.push(cut(whole, from, size)?);
            }
        }
        stacked(&all)
    }

    /// Runs `part` on tiles of `whole` `[1, h, w, C]` and puts what they give together.
    pub(super) fn run(
        self,
        whole: &Tensor,
        mut part: impl FnMut(&Tensor) -> Result<Tensor, Error>,
    ) -> Result<Tensor, Error> {
        let [rows, columns] = self.cells(whole)?;
        let apart = |side| Span::apart(side, self.window, self.margin);
        let mut made: Option<Tensor> = None;
        for down in apart(rows) {
            for across in apart(columns) {
                let from = [down.first * self.input, across.first * self.input];
                let size = [down.seen() * self.input, across.seen() * self.input];
                let tile = part(&cut(whole, from, size)?)?;
                let [_, _, stride, channels] = tile.nhwc("tile")?;
                let shape = [1, rows * self.output, columns * self.output, channels];
                let made = made.get_or_insert_with(|| Tensor::zeros(shape));
                let place = |cell: usize| cell * self.output;
                let length = place(across.end - across.start) * channels;
                for y in place(down.start)..place(down.end) {
                    let row = (y - place(down.first)) * stride;
                    let from = (row + place(across.start - across.first)) * channels;
                    let to = (y * shape[2] + place(across.start)) * channels;
                    made.data_mut()[to..][..length].copy_from_slice(&tile.data()[from..][..length]);
                }
            }
        }
        made.ok_or_else(|| {
            imagegen_engine::Error::shape("tiled input", whole.shape(), "sizes above 0").into()
        })
    }
}

/// The part of `whole` `[1, h, w, C]` of `size` at `from`.
pub(super) fn cut(
    whole: &Tensor,
    [top, left]: [usize; 2],
    [height, width]: [usize; 2],
) -> Result<Tensor, Error> {
    let [_, _, stride, channels] = whole.nhwc("tiled input")?;
    let mut data = Vec::with_capacity(height * width * channels);
    for y in top..top + height {
        let from = (y * stride + left) * channels;
        data.extend_from_slice(&whole.data()[from..][..width * channels]);
    }
    Ok(Tensor::new([1, height, width, channels], data)?)
}

/// Tensors of one picture each, of one size, as one.
pub(super) fn stacked(all: &[Tensor]) -> Result<Tensor, Error> {
    let shape = match all.first() {
        Some(first) => first.nhwc("picture")?,
        None => [0; 4],
    };
    let data = all.iter().flat_map(|one| one.data()).copied().collect();
    Ok(Tensor::new(
        [all.len(), shape[1], shape[2], shape[3]],
        data,
    )?)
}

/// What `run` makes of each picture of `all` `[N, h, w, C]` by itself.
pub(super) fn each_picture(
    all: &Tensor,
    run: impl FnMut(&Tensor) -> Result<Tensor, Error>,
) -> Result<Tensor, Error> {
    let [_, height, width, channels] = all.nhwc("pictures")?;
    let pictures = all.data().chunks_exact((height * width * channels).max(1));
    let pictures =
        pictures.map(|picture| Tensor::new([1, height, width, channels], picture.to_vec()));
    let pictures = pictures.collect::<Result<Vec<_>, _>>()?;
    let made: Vec<_> = pictures.iter().map(run).collect::<Result<_, _>>()?;
    stacked(&made)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that say where they stand.
    fn numbered(height: usize, width: usize) -> Tensor {
        let data = (0..height * width).map(|at| at as f32).collect();
        Tensor::new([1, height, width, 1], data).unwrap()
    }

    #[test]
    fn tiles_are_put_together_where_they_were_cut() {
        for [rows, columns] in [[40, 40], [41, 97], [9, 130]] {
            let whole = numbered(2 * rows, 2 * columns);
            let tiles = Tiles {
                window: 24,
                margin: 3,
                input: 2,
                output: 2,
            };
            let same = tiles.run(&whole, |tile| Ok(tile.clone())).unwrap();
            assert_eq!(same, whole);
        }
    }

    #[test]
    fn samples_lie_apart_and_inside() {
        for [rows, columns] in [[64, 64], [256, 256], [500, 33], [20, 900], [8, 8]] {
            let tiles = Tiles {
                window: 64,
                margin: 7,
                input: 1,
                output: 8,
            };
            let whole = numbered(rows, columns);
            let samples = tiles.samples(&whole).unwrap();
            let &[count, height, width, 1] = samples.shape() else {
                panic!("{:?}", samples.shape())
            };
            assert!(count >= 1 && count * height * width * 64 <= SAMPLED);
            let mut seen: Vec<_> = samples.data().iter().map(|at| *at as usize).collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(
                seen.len(),
                count * height * width,
                "{rows}x{columns} overlap"
            );
        }
    }
}
