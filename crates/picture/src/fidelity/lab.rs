//! CIELAB and the colour difference CIEDE2000, on `libm`. Names and steps follow Sharma, Wu and Dalal,
//! "The CIEDE2000 color-difference formula: implementation notes", 2005.

/// A colour of CIELAB under D65.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lab {
    /// Lightness, 0 black to 100 white.
    pub l: f64,
    /// Green below 0, red above, about -90 to 100 in sRGB.
    pub a: f64,
    /// Blue below 0, yellow above, about -110 to 95 in sRGB.
    pub b: f64,
}

/// From linear sRGB (IEC 61966-2-1, primaries of BT.709) to CIE XYZ, each row divided by D65's
/// coordinate, so that white is exactly (1, 1, 1) up to rounding.
const TO_XYZ: [[f64; 3]; 3] = [
    [
        0.4124564 / 0.950470,
        0.3575761 / 0.950470,
        0.1804375 / 0.950470,
    ],
    [0.2126729, 0.7151522, 0.0721750],
    [
        0.0193339 / 1.088830,
        0.1191920 / 1.088830,
        0.9503041 / 1.088830,
    ],
];

/// Linear light 0..1 of an sRGB level.
pub(super) fn light(level: u8) -> f64 {
    let value = f64::from(level) / 255.0;
    if value <= 0.04045 {
        value / 12.92
    } else {
        libm::pow((value + 0.055) / 1.055, 2.4)
    }
}

impl Lab {
    /// The colour of an sRGB pixel.
    pub fn of_rgb(rgb: [u8; 3]) -> Self {
        Self::of_light(rgb.map(light))
    }

    /// The colour of linear sRGB `light`, 0..1 each.
    pub(super) fn of_light(light: [f64; 3]) -> Self {
        let [x, y, z] =
            TO_XYZ.map(|row| curve(row[0] * light[0] + row[1] * light[1] + row[2] * light[2]));
        Self {
            l: 116.0 * y - 16.0,
            a: 500.0 * (x - y),
            b: 200.0 * (y - z),
        }
    }
}

/// Cube root with CIE's straight piece near black.
fn curve(t: f64) -> f64 {
    const BEND: f64 = 6.0 / 29.0;
    if t > BEND * BEND * BEND {
        libm::cbrt(t)
    } else {
        t / (3.0 * BEND * BEND) + 4.0 / 29.0
    }
}

/// CIEDE2000 of two colours, all weights 1. 0 for equal colours, 100 between black and white.
pub fn ciede2000(one: Lab, other: Lab) -> f64 {
    let chroma = |lab: Lab| libm::hypot(lab.a, lab.b);
    let g = 0.5 * (1.0 - rolled((chroma(one) + chroma(other)) / 2.0));
    let (one, other) = (Hue::of(one, g), Hue::of(other, g));

    let lightness = other.l - one.l;
    let chroma = other.chroma - one.chroma;
    let turn = turn(one, other);
    let hue = 2.0 * (one.chroma * other.chroma).sqrt() * sin(turn / 2.0);

    let mean_l = (one.l + other.l) / 2.0;
    let mean_chroma = (one.chroma + other.chroma) / 2.0;
    let mean_hue = mean_hue(one, other);

    let t = 1.0 - 0.17 * cos(mean_hue - 30.0)
        + 0.24 * cos(2.0 * mean_hue)
        + 0.32 * cos(3.0 * mean_hue + 6.0)
        - 0.20 * cos(4.0 * mean_hue - 63.0);
    let from_blue = (mean_hue - 275.0) / 25.0;
    let rotation = -2.0 * rolled(mean_chroma) * sin(60.0 * libm::exp(-from_blue * from_blue));
    let from_middle = (mean_l - 50.0) * (mean_l - 50.0);
    let lightness = lightness / (1.0 + 0.015 * from_middle / (20.0 + from_middle).sqrt());
    let chroma = chroma / (1.0 + 0.045 * mean_chroma);
    let hue = hue / (1.0 + 0.015 * mean_chroma * t);
    let sum = lightness * lightness + chroma * chroma + hue * hue + rotation * chroma * hue;
    // The rotation can take a sum of nearly 0 below it.
    sum.max(0.0).sqrt()
}

/// The root of c⁷ / (c⁷ + 25⁷), 0 for greys to 1 for strong colours.
fn rolled(chroma: f64) -> f64 {
    let seventh = libm::pow(chroma, 7.0);
    (seventh / (seventh + 6_103_515_625.0)).sqrt()
}

/// Lightness, corrected chroma and hue in degrees, 0 to 360 (0 for greys).
#[derive(Clone, Copy)]
struct Hue {
    l: f64,
    chroma: f64,
    degrees: f64,
}

impl Hue {
    fn of(lab: Lab, g: f64) -> Self {
        let a = (1.0 + g) * lab.a;
        let degrees = libm::atan2(lab.b, a).to_degrees();
        Self {
            l: lab.l,
            chroma: libm::hypot(a, lab.b),
            degrees: if degrees < 0.0 {
                degrees + 360.0
            } else {
                degrees
            },
        }
    }

    fn is_grey(self) -> bool {
        self.chroma == 0.0
    }
}

/// The shorter way from one hue to the other in degrees, −180 to 180; 0 where one is grey.
fn turn(one: Hue, other: Hue) -> f64 {
    let turn = other.degrees - one.degrees;
    if one.is_grey() || other.is_grey() {
        0.0
    } else if turn > 180.0 {
        turn - 360.0
    } else if turn < -180.0 {
        turn + 360.0
    } else {
        turn
    }
}

/// The hue half way, in degrees.
fn mean_hue(one: Hue, other: Hue) -> f64 {
    let sum = one.degrees + other.degrees;
    if one.is_grey() || other.is_grey() {
        sum
    } else if (one.degrees - other.degrees).abs() <= 180.0 {
        sum / 2.0
    } else if sum < 360.0 {
        (sum + 360.0) / 2.0
    } else {
        (sum - 360.0) / 2.0
    }
}

fn sin(degrees: f64) -> f64 {
    libm::sin(degrees.to_radians())
}

fn cos(degrees: f64) -> f64 {
    libm::cos(degrees.to_radians())
}
