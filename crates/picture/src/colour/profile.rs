//! One profile made ready: device samples to sRGB.

use moxcms::{
    ColorProfile, DataColorSpace, LutDataType, LutMultidimensionalType, LutStore, LutType,
    LutWarehouse, ToneReprCurve,
};

use super::curve::{evaluate, interpolate, srgb_encode};
use crate::decode::Layout;

/// CIE XYZ under D50 to linear sRGB: the inverse of the D50 colorants that ICC's sRGB profiles hold
/// (IEC 61966-2-1 adapted with Bradford).
const SRGB_FROM_XYZ: [[f64; 3]; 3] = [
    [3.134_112_15, -1.617_392_46, -0.490_633_40],
    [-0.978_787_29, 1.916_279_59, 0.033_454_71],
    [0.071_983_04, -0.228_985_85, 1.405_385_13],
];
/// ICC's white, D50, as XYZ.
const D50: [f64; 3] = [0.9642, 1.0, 0.8249];
/// Entries of the table that encodes linear light; the steepest part of sRGB moves 0.05 of a level per
/// entry.
const ENCODE_STEPS: usize = 65_535;

/// A way from a file's samples to sRGB that is known to work.
pub(super) struct Transform {
    kind: Kind,
    /// Grey samples through a profile for RGB stand for three equal ones.
    repeat: bool,
}

enum Kind {
    /// A curve per channel, then linear light times a matrix.
    Matrix {
        curves: [ToneReprCurve; 3],
        matrix: [[f32; 3]; 3],
    },
    /// One curve, to the white's luminance.
    Grey(ToneReprCurve),
    /// A table over all channels, to the connection space.
    Table { stages: Stages, lab: bool },
}

/// What happens to a colour in a profile's table, in order. Stages a profile lacks are empty.
struct Stages {
    input: Vec<Table1>,
    grid: Vec<usize>,
    cells: Vec<f32>,
    middle: Vec<Table1>,
    matrix: Option<([[f32; 3]; 3], [f32; 3])>,
    output: Vec<Table1>,
    /// From the table's 0..1 to the connection space's units.
    units: [(f32, f32); 3],
}

/// A sampled curve over 0..1.
struct Table1(Vec<f32>);

impl Table1 {
    fn at(&self, x: f32) -> f32 {
        interpolate(self.0.len(), f64::from(x), |i| f64::from(self.0[i])) as f32
    }
}

impl Transform {
    /// Reads `icc` for samples of `layout`. `None` where the profile is sRGB itself, within one level.
    ///
    /// Fails with the reason where the profile is broken, for other samples, or of a kind not known here.
    pub(super) fn new(icc: &[u8], layout: Layout) -> Result<Option<Self>, String> {
        let profile = ColorProfile::new_from_slice(icc).map_err(|error| format!("{error}"))?;
        let kind = match (profile.color_space, layout) {
            (DataColorSpace::Rgb, Layout::Cmyk) | (DataColorSpace::Gray, Layout::Cmyk) => None,
            (DataColorSpace::Rgb, _) => Some(rgb(&profile)?),
            (DataColorSpace::Gray, Layout::Grey | Layout::GreyAlpha) => Some(grey(&profile)?),
            (DataColorSpace::Cmyk, Layout::Cmyk) => Some(table(&profile)?),
            _ => None,
        };
        let Some(kind) = kind else {
            let space = profile.color_space;
            return Err(format!("it is for {space:?}, the samples are {layout:?}"));
        };
        let repeat = matches!(layout, Layout::Grey | Layout::GreyAlpha)
            && profile.color_space == DataColorSpace::Rgb;
        let transform = Self { kind, repeat };
        Ok(if transform.is_srgb() {
            None
        } else {
            Some(transform)
        })
    }

    /// Tables for samples of 0..=`max`.
    pub(super) fn prepare(&self, max: u32) -> Prepared<'_> {
        let sampled = |curve: &ToneReprCurve| {
            (0..=max)
                .map(|i| evaluate(curve, f64::from(i) / f64::from(max)) as f32)
                .collect()
        };
        let linear = match &self.kind {
            Kind::Matrix { curves, .. } => curves.iter().map(sampled).collect(),
            Kind::Grey(curve) => vec![sampled(curve)],
            Kind::Table { .. } => Vec::new(),
        };
        let steps = ENCODE_STEPS as f64;
        let encode = |i| (srgb_encode(i as f64 / steps) * 255.0 + 0.5) as u8;
        let encode = (0..=ENCODE_STEPS).map(encode).collect();
        Prepared {
            transform: self,
            max: max as f32,
            linear,
            encode,
        }
    }

    /// True where converting changes nothing worth a rounding: most files say sRGB in so many words.
    fn is_srgb(&self) -> bool {
        let prepared = self.prepare(255);
        let levels = [0, 1, 8, 24, 51, 85, 128, 170, 212, 254, 255];
        let same = |index: [usize; 3]| {
            let got = prepared.convert(&index);
            got.iter()
                .zip(index)
                .all(|(&got, want)| (i32::from(got) - want as i32).abs() <= 1)
        };
        match &self.kind {
            Kind::Table { stages, .. } if stages.grid.len() == 4 => false,
            Kind::Grey(_) => (0..=255).all(|v| same([v, v, v])),
            _ => levels.iter().all(|&r| {
                levels
                    .iter()
                    .all(|&g| levels.iter().all(|&b| same([r, g, b])))
            }),
        }
    }
}

/// A transform with its tables for one sample type.
pub(super) struct Prepared<'a> {
    transform: &'a Transform,
    max: f32,
    linear: Vec<Vec<f32>>,
    encode: Vec<u8>,
}

impl Prepared<'_> {
    /// The sRGB colour of a pixel's samples, given as whole numbers.
    pub(super) fn convert(&self, samples: &[usize]) -> [u8; 3] {
        let all = if self.transform.repeat {
            &[samples[0]; 3][..]
        } else {
            samples
        };
        let light = match &self.transform.kind {
            Kind::Matrix { matrix, .. } => {
                let v = [0, 1, 2].map(|i| self.linear[i][all[i]]);
                multiply(matrix, v)
            }
            Kind::Grey(_) => [self.linear[0][all[0]]; 3],
            Kind::Table { stages, lab } => {
                let mut colour = [0.0; 4];
                for (colour, &sample) in colour.iter_mut().zip(all) {
                    *colour = sample as f32 / self.max;
                }
                let pcs = stages.run(&colour[..all.len()]);
                multiply(
                    &SRGB_FROM_XYZ.map(|row| row.map(|v| v as f32)),
                    if *lab { xyz(pcs) } else { pcs },
                )
            }
        };
        // NaN, which a broken profile may yield, becomes 0.
        light.map(|v| self.encode[(v.clamp(0.0, 1.0) * ENCODE_STEPS as f32 + 0.5) as usize])
    }
}

fn multiply(matrix: &[[f32; 3]; 3], v: [f32; 3]) -> [f32; 3] {
    matrix.map(|row| row[0] * v[0] + row[1] * v[1] + row[2] * v[2])
}

/// CIE Lab under D50 to XYZ.
fn xyz([l, a, b]: [f32; 3]) -> [f32; 3] {
    let y = (l + 16.0) / 116.0;
    let cube = |t: f32| {
        const DELTA: f32 = 6.0 / 29.0;
        if t > DELTA {
            t * t * t
        } else {
            3.0 * DELTA * DELTA * (t - 4.0 / 29.0)
        }
    };
    let white = D50.map(|v| v as f32);
    [
        white[0] * cube(y + a / 500.0),
        white[1] * cube(y),
        white[2] * cube(y - b / 200.0),
    ]
}

fn rgb(profile: &ColorProfile) -> Result<Kind, String> {
    let curves = (&profile.red_trc, &profile.green_trc, &profile.blue_trc);
    let (Some(red), Some(green), Some(blue)) = curves else {
        return table(profile);
    };
    let (r, g, b) = (
        profile.red_colorant,
        profile.green_colorant,
        profile.blue_colorant,
    );
    let colorants = [[r.x, g.x, b.x], [r.y, g.y, b.y], [r.z, g.z, b.z]];
    if colorants.iter().flatten().all(|&v| v == 0.0) {
        return table(profile);
    }
    let matrix = [0, 1, 2].map(|i| {
        [0, 1, 2].map(|j| {
            (0..3)
                .map(|k| SRGB_FROM_XYZ[i][k] * colorants[k][j])
                .sum::<f64>() as f32
        })
    });
    Ok(Kind::Matrix {
        curves: [red.clone(), green.clone(), blue.clone()],
        matrix,
    })
}

fn grey(profile: &ColorProfile) -> Result<Kind, String> {
    let curve = profile
        .gray_trc
        .clone()
        .ok_or("it is for grey and has no tone curve")?;
    Ok(Kind::Grey(curve))
}

fn table(profile: &ColorProfile) -> Result<Kind, String> {
    let lut = profile
        .lut_a_to_b_colorimetric
        .as_ref()
        .or(profile.lut_a_to_b_perceptual.as_ref());
    let lab = match profile.pcs {
        DataColorSpace::Lab => true,
        DataColorSpace::Xyz => false,
        _ => return Err(format!("its connection space is {:?}", profile.pcs)),
    };
    let channels = if profile.color_space == DataColorSpace::Cmyk {
        4
    } else {
        3
    };
    let stages = match lut {
        Some(LutWarehouse::Lut(lut)) => Stages::of_lut(lut, lab)?,
        Some(LutWarehouse::Multidimensional(lut)) => Stages::of_elements(lut, lab)?,
        None => return Err("it has neither tone curves nor a table".into()),
    };
    if !stages.is_sound(channels) {
        return Err("its table is broken".into());
    }
    Ok(Kind::Table { stages, lab })
}

impl Stages {
    /// ICC's lut8 and lut16: curves, table, curves. lut16 keeps the Lab of version 2, whose 0xFF00 is 100.
    fn of_lut(lut: &LutDataType, lab: bool) -> Result<Self, String> {
        let grid = vec![usize::from(lut.num_clut_grid_points); usize::from(lut.num_input_channels)];
        let wide = lut.lut_type == LutType::Lut16;
        let units = match (lab, wide) {
            (true, true) => lab_units(65_535.0 / 65_280.0),
            (true, false) => lab_units(1.0),
            (false, _) => [(XYZ_SCALE, 0.0); 3],
        };
        let per_input = usize::from(lut.num_input_table_entries);
        let per_output = usize::from(lut.num_output_table_entries);
        Ok(Self {
            input: curves(&values(&lut.input_table), per_input),
            grid,
            cells: values(&lut.clut_table),
            middle: Vec::new(),
            matrix: None,
            output: curves(&values(&lut.output_table), per_output),
            units,
        })
    }

    /// ICC's lutAToB: A curves, table, M curves, matrix, B curves.
    fn of_elements(lut: &LutMultidimensionalType, lab: bool) -> Result<Self, String> {
        let channels = usize::from(lut.num_input_channels);
        let cells = lut.clut.as_ref().ok_or("it has a table of no cells")?;
        let matrix = lut.matrix.v.map(|row| row.map(|v| v as f32));
        Ok(Self {
            input: lut.a_curves.iter().map(sampled).collect(),
            grid: lut
                .grid_points
                .iter()
                .take(channels)
                .map(|&n| n.into())
                .collect(),
            cells: values(cells),
            middle: lut.m_curves.iter().map(sampled).collect(),
            matrix: Some((matrix, lut.bias.v.map(|v| v as f32))),
            output: lut.b_curves.iter().map(sampled).collect(),
            units: if lab {
                lab_units(1.0)
            } else {
                [(XYZ_SCALE, 0.0); 3]
            },
        })
    }

    /// Checks once what `run` relies on.
    fn is_sound(&self, channels: usize) -> bool {
        let cells = self
            .grid
            .iter()
            .try_fold(3usize, |product, &n| product.checked_mul(n));
        let curves = |curves: &[Table1], count| {
            (curves.is_empty() || curves.len() == count) && curves.iter().all(|c| !c.0.is_empty())
        };
        self.grid.len() == channels
            && self.grid.iter().all(|&n| n >= 1)
            && cells == Some(self.cells.len())
            && curves(&self.input, channels)
            && curves(&self.middle, 3)
            && curves(&self.output, 3)
    }

    /// Device colour in 0..1 to the connection space.
    fn run(&self, device: &[f32]) -> [f32; 3] {
        let mut colour = [0.0; 4];
        for (i, &v) in device.iter().enumerate() {
            colour[i] = self
                .input
                .get(i)
                .map_or(v, |curve| curve.at(v))
                .clamp(0.0, 1.0);
        }
        let mut out = self.lookup(&colour[..device.len()]);
        out = each(&self.middle, out);
        if let Some((matrix, bias)) = &self.matrix {
            let product = multiply(matrix, out);
            out = [0, 1, 2].map(|i| product[i] + bias[i]);
        }
        out = each(&self.output, out);
        [0, 1, 2].map(|i| out[i] * self.units[i].0 + self.units[i].1)
    }

    /// Linear between the cells around `colour`, over all channels.
    fn lookup(&self, colour: &[f32]) -> [f32; 3] {
        let mut low = [0; 4];
        let mut share = [0.0; 4];
        for (i, (&v, &n)) in colour.iter().zip(&self.grid).enumerate() {
            let place = v * (n - 1) as f32;
            low[i] = (place as usize).min(n.saturating_sub(2));
            share[i] = place - low[i] as f32;
        }
        let mut sum = [0.0; 3];
        for corner in 0..1usize << colour.len() {
            let mut weight = 1.0;
            let mut cell = 0;
            for (i, &n) in self.grid.iter().enumerate() {
                let high = corner >> i & 1;
                weight *= if high == 1 { share[i] } else { 1.0 - share[i] };
                cell = cell * n + (low[i] + high).min(n - 1);
            }
            for (channel, sum) in sum.iter_mut().enumerate() {
                *sum += weight * self.cells[cell * 3 + channel];
            }
        }
        sum
    }
}

/// XYZ in a table: 1.0 is 1 + 32767/32768.
const XYZ_SCALE: f32 = 65_535.0 / 32_768.0;

/// Lab in a table: L over 0..100, a and b around 0; `scale` is 1 for 8 bit and for version 4.
fn lab_units(scale: f32) -> [(f32, f32); 3] {
    let range = if scale == 1.0 {
        255.0
    } else {
        65_535.0 / 256.0
    };
    [(100.0 * scale, 0.0), (range, -128.0), (range, -128.0)]
}

fn each(curves: &[Table1], v: [f32; 3]) -> [f32; 3] {
    [0, 1, 2].map(|i| curves.get(i).map_or(v[i], |curve| curve.at(v[i])))
}

fn sampled(curve: &ToneReprCurve) -> Table1 {
    const STEPS: u32 = 4095;
    let at = |i| evaluate(curve, f64::from(i) / f64::from(STEPS)) as f32;
    Table1((0..=STEPS).map(at).collect())
}

fn curves(all: &[f32], entries: usize) -> Vec<Table1> {
    all.chunks(entries.max(1))
        .map(|curve| Table1(curve.to_vec()))
        .collect()
}

fn values(store: &LutStore) -> Vec<f32> {
    match store {
        LutStore::Store8(values) => values.iter().map(|&v| f32::from(v) / 255.0).collect(),
        LutStore::Store16(values) => values.iter().map(|&v| f32::from(v) / 65_535.0).collect(),
    }
}
