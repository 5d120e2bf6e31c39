//! Enlarging a source before it is worked on: by Lanczos, or by the embedded upscaler window by window. Values alone; what is made
//! of the enlarged picture is `run`'s business.

use std::fmt;
use std::ops::ControlFlow;
use std::str::FromStr;

use imagegen_engine::{Backend, CpuBackend, Tensor};
use imagegen_model::spans::Span;
use imagegen_model::upscaler::Upscaler;
use imagegen_picture::{Filter, Picture, Size, from_unit, resize};

use crate::Error;

/// By what factors a picture can be enlarged.
const FACTORS: [u32; 2] = [2, 4];
/// Pixels a side of what the upscaler looks at at one time: 40 MB for each of its layers.
const WINDOW: usize = 384;
/// Pixels around a window that decide what comes out inside: the network's reach, and one for the filter that halves.
const AROUND: usize = Upscaler::<CpuBackend>::REACH + 1;
/// By what the network enlarges.
const SCALE: usize = Upscaler::<CpuBackend>::SCALE;

/// What enlarges a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Enlarger {
    /// The embedded upscaler: draws sharp edges where the source has soft ones.
    #[default]
    Network,
    /// Lanczos: adds nothing.
    Lanczos,
}

impl Enlarger {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Network, Self::Lanczos];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Network => Upscaler::<CpuBackend>::NAME,
            Self::Lanczos => "lanczos",
        }
    }
}

impl fmt::Display for Enlarger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Enlarger {
    type Err = Error;

    /// Fails with [`Error::Setting`] for a name that is none.
    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|one| one.name() == name);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(" or ");
            Error::setting("enlarger", name, names)
        })
    }
}

/// By how much a source is enlarged, and with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enlarge {
    by: u32,
    with: Enlarger,
}

impl Enlarge {
    /// Each side `by` times as long: 2 or 4.
    ///
    /// Fails with [`Error::Setting`] for another factor.
    pub fn new(by: u32, with: Enlarger) -> Result<Self, Error> {
        match FACTORS.contains(&by) {
            true => Ok(Self { by, with }),
            false => Err(Error::setting("factor", by, "2 or 4")),
        }
    }

    /// How far the pass after it moves where nobody says, 0 to 1: with a `prompt` 0.2, which draws detail and keeps everything
    /// else; without one 0, since there is nothing to draw and so no pass.
    pub fn strength(prompt: &str) -> f64 {
        match prompt.trim() {
            "" => 0.0,
            _ => 0.2,
        }
    }

    /// By what each side is multiplied.
    pub fn by(self) -> u32 {
        self.by
    }

    /// What enlarges.
    pub fn with(self) -> Enlarger {
        self.with
    }

    /// The size that `size` comes to.
    pub(crate) fn size(self, size: Size) -> Size {
        let side = |side: u32| side.saturating_mul(self.by);
        Size::new(side(size.width), side(size.height))
    }

    /// `picture`, enlarged. `progress` hears of each window that is done, counted from 1, and of how many there are; `None` where it
    /// breaks.
    ///
    /// The same on every CPU. Fails with [`Error::Model`] and [`Error::Result`], which would be faults of this program.
    pub(crate) fn carry_out<B: Backend>(
        self,
        engine: &B,
        picture: &Picture,
        progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Option<Picture>, Error> {
        let plain = resize(picture, self.size(picture.size()), Filter::Lanczos3);
        match self.with {
            Enlarger::Lanczos => Ok(Some(plain)),
            Enlarger::Network => Drawing {
                engine,
                picture,
                by: self.by as usize,
            }
            .over(plain, progress),
        }
    }
}

/// The upscaler at work on one picture.
struct Drawing<'a, B: Backend> {
    engine: &'a B,
    picture: &'a Picture,
    by: usize,
}

impl<B: Backend> Drawing<'_, B> {
    /// `plain`, the picture at its new size, with colours drawn by the network wherever it is opaque: what lies hidden beside holes is
    /// nothing to draw from.
    fn over(
        &self,
        plain: Picture,
        progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Option<Picture>, Error> {
        let fail = |cause| Error::Model {
            model: Enlarger::Network.name().to_owned(),
            cause,
        };
        let upscaler = Upscaler::embedded(self.engine).map_err(fail)?;
        let size = plain.size();
        let alpha = plain.alpha().map(<[u8]>::to_vec);
        let mut rgb = plain.rgb().to_vec();
        let (rows, columns) = (
            self.spans(self.picture.size().height),
            self.spans(self.picture.size().width),
        );
        let windows = rows.len() * columns.len();
        for (index, (row, column)) in rows
            .iter()
            .flat_map(|row| columns.iter().map(move |column| (row, column)))
            .enumerate()
        {
            let pixels = self.pixels(*row, *column)?;
            let mut drawn = upscaler.run(self.engine, &pixels).map_err(fail)?;
            if self.by * 2 == SCALE {
                drawn = halved(&drawn)?;
            }
            self.copy(&drawn, (*row, *column), alpha.as_deref(), &mut rgb, size)?;
            if progress(index + 1, windows).is_break() {
                return Ok(None);
            }
        }
        Ok(Some(
            Picture::new(size, rgb, alpha).expect("planes of one size"),
        ))
    }

    /// How a side is cut.
    fn spans(&self, side: u32) -> Vec<Span> {
        Span::apart(side as usize, WINDOW, AROUND)
    }

    /// A window, `[1, h, w, 3]` in 0..1.
    fn pixels(&self, rows: Span, columns: Span) -> Result<Tensor, Error> {
        let width = self.picture.size().width as usize;
        let mut pixels = Vec::with_capacity(rows.seen() * columns.seen() * 3);
        for y in rows.first..rows.last {
            let row = &self.picture.rgb()[(y * width + columns.first) * 3..][..columns.seen() * 3];
            pixels.extend(row.iter().map(|&v| f32::from(v) / 255.0));
        }
        Ok(Tensor::new([1, rows.seen(), columns.seen(), 3], pixels)?)
    }

    /// Puts the inner part of a drawn window in its place.
    fn copy(
        &self,
        drawn: &Tensor,
        (rows, columns): (Span, Span),
        alpha: Option<&[u8]>,
        rgb: &mut [u8],
        size: Size,
    ) -> Result<(), Error> {
        let [_, _, stride, _] = drawn.nhwc("enlarged window")?;
        let by = self.by;
        let length = (columns.end - columns.start) * by;
        for y in rows.start * by..rows.end * by {
            let from = (y - rows.first * by) * stride + (columns.start - columns.first) * by;
            let unit = drawn.data()[from * 3..][..length * 3].iter();
            let row = from_unit(&unit.map(|v| v * 2.0 - 1.0).collect::<Vec<_>>())?;
            let to = y * size.width as usize + columns.start * by;
            let places = rgb[to * 3..][..length * 3].chunks_exact_mut(3);
            for (x, (place, colour)) in places.zip(row.chunks_exact(3)).enumerate() {
                if alpha.is_none_or(|alpha| alpha[to + x] == u8::MAX) {
                    place.copy_from_slice(colour);
                }
            }
        }
        Ok(())
    }
}

/// `[1, 2 h, 2 w, 3]` at half its sides, by the cubic with a = −0.75 that the network's makers shrink with; borders are repeated.
fn halved(pixels: &Tensor) -> Result<Tensor, Error> {
    /// At the middle between two pixels: those at 1.5, 0.5, 0.5 and 1.5 pixels from it.
    const TAPS: [f32; 4] = [-0.093_75, 0.593_75, 0.593_75, -0.093_75];
    let [_, height, width, _] = pixels.nhwc("enlarged window")?;
    let near = |at: usize, tap: usize, side: usize| (2 * at + tap).saturating_sub(1).min(side - 1);
    let (h, w) = (height / 2, width / 2);
    let mut across = Vec::with_capacity(height * w * 3);
    for row in pixels.data().chunks_exact(width * 3) {
        for x in 0..w {
            for c in 0..3 {
                let taps = TAPS.iter().enumerate();
                across.push(
                    taps.map(|(tap, share)| share * row[near(x, tap, width) * 3 + c])
                        .sum::<f32>(),
                );
            }
        }
    }
    let mut down = Vec::with_capacity(h * w * 3);
    for y in 0..h {
        for x in 0..w * 3 {
            let taps = TAPS.iter().enumerate();
            down.push(
                taps.map(|(tap, share)| share * across[near(y, tap, height) * w * 3 + x])
                    .sum::<f32>(),
            );
        }
    }
    Ok(Tensor::new([1, h, w, 3], down)?)
}

#[cfg(test)]
mod tests {
    use imagegen_engine::cpu::Level;

    use super::*;

    fn striped(width: u32, height: u32) -> Picture {
        let pixel = |x: u32, y: u32| {
            [
                (x * 7 % 256) as u8,
                (y * 5 % 256) as u8,
                ((x / 8 + y / 8) % 2 * 200) as u8,
            ]
        };
        let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y)));
        Picture::new(Size::new(width, height), pixels.collect(), None).unwrap()
    }

    fn enlarged(picture: &Picture, by: u32) -> Picture {
        let engine = CpuBackend::new(Level::best(), 2).unwrap();
        let enlarge = Enlarge::new(by, Enlarger::Network).unwrap();
        let progress = &mut |_, _| ControlFlow::Continue(());
        enlarge
            .carry_out(&engine, picture, progress)
            .unwrap()
            .unwrap()
    }

    #[test]
    fn windows_leave_no_seams() {
        // One pixel row more than a window, so that the same picture is done in one window and in two.
        let picture = striped(40, WINDOW as u32 + 1);
        let upper = striped(40, WINDOW as u32 - 60);
        let (two, one) = (enlarged(&picture, 4), enlarged(&upper, 4));
        // Up to where the shorter picture's end is seen; the seam lies at row 346 of the source, above that.
        let same = (WINDOW - 60 - AROUND) * 4 * 160 * 3;
        let differing = two.rgb()[..same]
            .iter()
            .zip(one.rgb())
            .filter(|(a, b)| a.abs_diff(**b) > 1)
            .count();
        assert_eq!(differing, 0);
        let whole = {
            let engine = CpuBackend::new(Level::best(), 2).unwrap();
            let unit: Vec<f32> = picture
                .rgb()
                .iter()
                .map(|&v| f32::from(v) / 255.0)
                .collect();
            let pixels = Tensor::new([1, WINDOW + 1, 40, 3], unit).unwrap();
            let drawn = Upscaler::embedded(&engine)
                .unwrap()
                .run(&engine, &pixels)
                .unwrap();
            from_unit(
                &drawn
                    .data()
                    .iter()
                    .map(|v| v * 2.0 - 1.0)
                    .collect::<Vec<_>>(),
            )
            .unwrap()
        };
        // Rounding in the last digits of f32 may tip a value over.
        let most = whole
            .iter()
            .zip(two.rgb())
            .map(|(a, b)| a.abs_diff(*b))
            .max();
        assert!(most <= Some(1), "{most:?}");
    }

    #[test]
    fn halving_keeps_flat_colours_and_the_size() {
        let flat = Tensor::new([1, 6, 8, 3], vec![0.25; 6 * 8 * 3]).unwrap();
        let half = halved(&flat).unwrap();
        assert_eq!(half.shape(), [1, 3, 4, 3]);
        assert!(half.data().iter().all(|&v| (v - 0.25).abs() < 1e-6));
        let picture = striped(21, 13);
        assert_eq!(enlarged(&picture, 2).size(), Size::new(42, 26));
    }

    #[test]
    fn holes_keep_their_colours() {
        let picture = striped(16, 16)
            .with_alpha(Some([255, 0].repeat(128)))
            .unwrap();
        let lanczos = resize(&picture, Size::new(32, 32), Filter::Lanczos3);
        let drawn = enlarged(&picture, 2);
        assert_eq!(drawn.alpha(), lanczos.alpha());
        for (index, alpha) in drawn.alpha().unwrap().iter().enumerate() {
            if *alpha != 255 {
                assert_eq!(
                    drawn.rgb()[index * 3..][..3],
                    lanczos.rgb()[index * 3..][..3]
                );
            }
        }
    }

    #[test]
    fn factors_and_names_are_checked() {
        let error = Enlarge::new(3, Enlarger::Network).unwrap_err().to_string();
        assert_eq!(error, "factor is 3, expected 2 or 4");
        assert_eq!("lanczos".parse::<Enlarger>().unwrap(), Enlarger::Lanczos);
        let error = "esrgan".parse::<Enlarger>().unwrap_err().to_string();
        assert_eq!(
            error,
            "enlarger is esrgan, expected realesr-animevideov3 or lanczos"
        );
    }
}
