//! How deep inside a mask a pixel lies.

use super::Mask;

/// Distance of each pixel to the nearest one that is kept, in pixels, `[H, W]`: 0 where coverage is 0, 1
/// beside such a pixel. The picture's own edge is no border. Infinite where nothing is kept.
///
/// Exact: lower envelopes of parabolas (Felzenszwalb and Huttenlocher, "Distance transforms of sampled
/// functions", 2012), columns first.
pub fn depth(mask: &Mask) -> Vec<f32> {
    let (width, height) = (mask.size.width as usize, mask.size.height as usize);
    let mut squares: Vec<f64> = mask
        .coverage
        .iter()
        .map(|&c| if c == 0 { 0.0 } else { f64::INFINITY })
        .collect();
    let mut line = vec![0.0; height];
    for x in 0..width {
        for (y, value) in line.iter_mut().enumerate() {
            *value = squares[y * width + x];
        }
        for (y, value) in envelope(&line).into_iter().enumerate() {
            squares[y * width + x] = value;
        }
    }
    for row in squares.chunks_exact_mut(width) {
        let lowest = envelope(row);
        row.copy_from_slice(&lowest);
    }
    squares
        .into_iter()
        .map(|square| square.sqrt() as f32)
        .collect()
}

/// For each place the least of `heights[i] + (place - i)^2`.
fn envelope(heights: &[f64]) -> Vec<f64> {
    // Parabolas of the envelope, each with where it begins to be the lowest.
    let mut lowest: Vec<(usize, f64)> = Vec::new();
    for (place, &height) in heights.iter().enumerate() {
        if height.is_infinite() {
            continue;
        }
        let square = |place: usize| (place * place) as f64;
        let begins = loop {
            let Some(&(last, since)) = lowest.last() else {
                break f64::NEG_INFINITY;
            };
            let cross = (height + square(place) - heights[last] - square(last))
                / (2 * (place - last)) as f64;
            if cross > since {
                break cross;
            }
            lowest.pop();
        };
        lowest.push((place, begins));
    }
    let mut current = 0;
    let at = |place: usize| {
        let at = place as f64;
        while lowest
            .get(current + 1)
            .is_some_and(|&(_, begins)| begins < at)
        {
            current += 1;
        }
        lowest.get(current).map_or(f64::INFINITY, |&(centre, _)| {
            let away = at - centre as f64;
            heights[centre] + away * away
        })
    };
    (0..heights.len()).map(at).collect()
}
