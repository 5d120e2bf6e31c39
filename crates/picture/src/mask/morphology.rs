//! Growing, shrinking and feathering.

use super::Mask;

/// Most pixels a mask is grown or feathered by.
const MOST: u32 = 1024;

impl Mask {
    /// The mask grown by `pixels` in every direction, 0 to 1024: each value is the largest in a disc.
    /// Larger numbers count as 1024.
    pub fn grown(&self, pixels: u32) -> Self {
        let radius = pixels.min(MOST) as usize;
        let Some(bounds) = self.bounds().filter(|_| radius > 0) else {
            return self.clone();
        };
        let (width, height) = (self.size.width as usize, self.size.height as usize);
        let (x, y) = (bounds.x as usize, bounds.y as usize);
        let columns =
            x.saturating_sub(radius)..(x + bounds.size.width as usize + radius).min(width);
        let mut out = self.coverage.clone();
        let mut wide = vec![0; columns.len()];
        // Rows a disc reaches at one distance share their width, so a row is widened once for both.
        for row in y..y + bounds.size.height as usize {
            let from = &self.coverage[row * width..][columns.clone()];
            for away in 0..=radius {
                let reach = (radius * radius - away * away).isqrt();
                widen(from, reach, &mut wide);
                for to in [row.checked_sub(away), Some(row + away)] {
                    let Some(to) = to.filter(|&to| to < height) else {
                        continue;
                    };
                    let line = &mut out[to * width..][columns.clone()];
                    line.iter_mut()
                        .zip(&wide)
                        .for_each(|(most, &value)| *most = (*most).max(value));
                }
            }
        }
        Self::new(self.size, out)
    }

    /// The mask shrunk by `pixels`: what is left is that far inside. A mask that reaches the picture's
    /// edge goes on behind it.
    pub fn shrunk(&self, pixels: u32) -> Self {
        self.clone().inverted().grown(pixels).inverted()
    }

    /// The mask with its edge made soft over about `pixels` to both sides, 0 to 1024: three means over
    /// boxes, near a Gaussian of half that deviation. Picture edges are repeated.
    pub fn feathered(&self, pixels: u32) -> Self {
        if pixels == 0 {
            return self.clone();
        }
        let sigma = f64::from(pixels.min(MOST)) / 2.0;
        // Three boxes of 2b + 1 have the variance of a Gaussian of sigma at (2b + 1)^2 = 4 sigma^2 + 1.
        let reach = (((4.0 * sigma * sigma + 1.0).sqrt() - 1.0) / 2.0)
            .round()
            .max(1.0) as usize;
        let mut plane: Vec<u16> = self.coverage.iter().map(|&c| u16::from(c) << 7).collect();
        let (width, height) = (self.size.width as usize, self.size.height as usize);
        for _ in 0..3 {
            plane = means_across(&plane, width, reach);
            plane = turned(&plane, width, height);
            plane = means_across(&plane, height, reach);
            plane = turned(&plane, height, width);
        }
        let rounded = plane.into_iter().map(|value| ((value + 64) >> 7) as u8);
        Self::new(self.size, rounded.collect())
    }
}

/// The largest value within `reach` to both sides (van Herk's two running maxima, in blocks).
fn widen(row: &[u8], reach: usize, out: &mut [u8]) {
    if reach == 0 {
        out.copy_from_slice(row);
        return;
    }
    let window = 2 * reach + 1;
    let at = |place: usize| -> u8 {
        // Places count from `reach` before the row.
        place
            .checked_sub(reach)
            .and_then(|place| row.get(place))
            .copied()
            .unwrap_or(0)
    };
    let length = (row.len() + 2 * reach).next_multiple_of(window);
    let mut ahead = vec![0u8; length];
    let mut behind = vec![0u8; length];
    for start in (0..length).step_by(window) {
        let mut most = 0;
        for place in start..start + window {
            most = most.max(at(place));
            ahead[place] = most;
        }
        most = 0;
        for place in (start..start + window).rev() {
            most = most.max(at(place));
            behind[place] = most;
        }
    }
    for (place, out) in out.iter_mut().enumerate() {
        *out = behind[place].max(ahead[place + window - 1]);
    }
}

/// Means over `reach` values to both sides of each, rows of `width`, ends repeated, rounded.
fn means_across(plane: &[u16], width: usize, reach: usize) -> Vec<u16> {
    let window = (2 * reach + 1) as u64;
    let mut out = Vec::with_capacity(plane.len());
    for row in plane.chunks_exact(width) {
        let at = |place: i64| u64::from(row[place.clamp(0, width as i64 - 1) as usize]);
        let mut sum: u64 = (-(reach as i64)..=reach as i64).map(at).sum();
        for place in 0..width as i64 {
            out.push(((sum + window / 2) / window) as u16);
            sum += at(place + reach as i64 + 1);
            sum -= at(place - reach as i64);
        }
    }
    out
}

/// Rows become columns.
fn turned(plane: &[u16], width: usize, height: usize) -> Vec<u16> {
    // In squares, so that both sides stay in the cache.
    const SQUARE: usize = 32;
    let mut out = vec![0; plane.len()];
    for top in (0..height).step_by(SQUARE) {
        for left in (0..width).step_by(SQUARE) {
            for y in top..(top + SQUARE).min(height) {
                for x in left..(left + SQUARE).min(width) {
                    out[x * height + y] = plane[y * width + x];
                }
            }
        }
    }
    out
}
