//! Stored samples to 8-bit sRGB, through the file's ICC profile where it has one.
//!
//! Profiles are parsed by `moxcms`; the transform is computed here, in one order of f32 sums and with
//! `libm`'s powers, so that every CPU gives the same bytes. Rendering is relative colorimetric; colours
//! outside sRGB are clipped.

mod curve;
mod profile;

use crate::Picture;
use crate::decode::{Layout, Raw, Samples, Warning};
use profile::Transform;

/// The picture of `raw` samples, converted from the profile `icc` to sRGB. A profile that cannot be used
/// is named in `warnings`, and the samples are then taken as sRGB.
pub(crate) fn to_srgb(raw: Raw, icc: Option<&[u8]>, warnings: &mut Vec<Warning>) -> Picture {
    let transform = icc.and_then(|icc| match Transform::new(icc, raw.layout) {
        Ok(transform) => transform,
        Err(reason) => {
            warnings.push(Warning::ProfileUnusable { reason });
            None
        }
    });
    if raw.layout == Layout::Cmyk && transform.is_none() {
        warnings.push(Warning::CmykApproximated);
    }
    match raw.samples {
        Samples::U8(samples) => convert(raw.size, raw.layout, samples, transform),
        Samples::U16(samples) => convert(raw.size, raw.layout, samples, transform),
    }
}

/// A stored sample, 8 or 16 bit.
trait Sample: Copy + PartialEq {
    const MAX: u32;
    fn index(self) -> usize;
    fn to_u8(self) -> u8;
}

impl Sample for u8 {
    const MAX: u32 = 255;
    fn index(self) -> usize {
        self.into()
    }
    fn to_u8(self) -> u8 {
        self
    }
}

impl Sample for u16 {
    const MAX: u32 = 65_535;
    fn index(self) -> usize {
        self.into()
    }
    fn to_u8(self) -> u8 {
        // 65535 = 255 * 257: rounded to the nearest of the 256 levels.
        ((u32::from(self) + 128) / 257) as u8
    }
}

fn convert<S: Sample>(
    size: crate::Size,
    layout: Layout,
    samples: Vec<S>,
    transform: Option<Transform>,
) -> Picture {
    let channels = layout.channels();
    let alpha = layout.has_alpha().then(|| {
        samples
            .chunks_exact(channels)
            .map(|pixel| pixel[channels - 1].to_u8())
            .collect()
    });
    let colours = samples
        .chunks_exact(channels)
        .map(|pixel| &pixel[..colour_channels(layout)]);
    let rgb = match transform {
        Some(transform) => apply(&transform, colours, size.len()),
        None => plain(layout, colours, size.len()),
    };
    Picture::from_planes(size, rgb, alpha)
}

fn colour_channels(layout: Layout) -> usize {
    match layout {
        Layout::Grey | Layout::GreyAlpha => 1,
        Layout::Rgb | Layout::RgbAlpha => 3,
        Layout::Cmyk => 4,
    }
}

/// Samples taken as sRGB; print colours by the plain formula.
fn plain<'a, S: Sample + 'a>(
    layout: Layout,
    colours: impl Iterator<Item = &'a [S]>,
    pixels: usize,
) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(pixels * 3);
    for colour in colours {
        match layout {
            Layout::Grey | Layout::GreyAlpha => rgb.extend_from_slice(&[colour[0].to_u8(); 3]),
            Layout::Rgb | Layout::RgbAlpha => rgb.extend(colour.iter().map(|v| v.to_u8())),
            Layout::Cmyk => {
                let black = 255 - u32::from(colour[3].to_u8());
                let light = |ink: S| ((255 - u32::from(ink.to_u8())) * black + 127) / 255;
                rgb.extend(colour[..3].iter().map(|&ink| light(ink) as u8));
            }
        }
    }
    rgb
}

fn apply<'a, S: Sample + 'a>(
    transform: &Transform,
    colours: impl Iterator<Item = &'a [S]>,
    pixels: usize,
) -> Vec<u8> {
    let prepared = transform.prepare(S::MAX);
    let mut rgb = Vec::with_capacity(pixels * 3);
    // Neighbours are often equal, and a table lookup costs more than a comparison.
    let mut last: Option<(&[S], [u8; 3])> = None;
    for colour in colours {
        let converted = match last {
            Some((seen, converted)) if seen == colour => converted,
            _ => {
                let mut index = [0; 4];
                for (index, sample) in index.iter_mut().zip(colour) {
                    *index = sample.index();
                }
                prepared.convert(&index[..colour.len()])
            }
        };
        last = Some((colour, converted));
        rgb.extend_from_slice(&converted);
    }
    rgb
}
