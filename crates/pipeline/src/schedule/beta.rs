//! The beta distribution, for the schedule of that name.

/// Bisections of the unit interval: as many as an f64 near 1 has bits, and some for small answers.
const BISECTIONS: usize = 200;

/// Terms of the continued fraction; some 30 are needed for the parameters in use.
const TERMS: usize = 300;

/// Keeps the continued fraction from dividing by zero.
const TINY: f64 = 1e-300;

/// The number in 0..1 below which a share `p` in 0..1 of a Beta(`a`, `b`) distribution lies; `a` and
/// `b` above 0.
pub(super) fn quantile(p: f64, a: f64, b: f64) -> f64 {
    if p <= 0.0 {
        return 0.0;
    }
    if p >= 1.0 {
        return 1.0;
    }
    let (mut low, mut high) = (0.0f64, 1.0f64);
    for _ in 0..BISECTIONS {
        let middle = low + (high - low) / 2.0;
        if middle == low || middle == high {
            break;
        }
        if share_below(middle, a, b) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The share of Beta(`a`, `b`) below `x`: the regularised incomplete beta function.
fn share_below(x: f64, a: f64, b: f64) -> f64 {
    let log_beta = libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b);
    let front = libm::exp(a * libm::log(x) + b * libm::log1p(-x) - log_beta);
    // The fraction converges fast below this point; above it the distribution is read from the other end.
    if x < (a + 1.0) / (a + b + 2.0) {
        front * continued_fraction(x, a, b) / a
    } else {
        1.0 - front * continued_fraction(1.0 - x, b, a) / b
    }
}

/// The continued fraction of the incomplete beta function (DLMF 8.17.22), evaluated by Lentz's method.
fn continued_fraction(x: f64, a: f64, b: f64) -> f64 {
    let bounded = |v: f64| if v.abs() < TINY { TINY } else { v };
    let mut c = 1.0;
    let mut d = 1.0 / bounded(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    for m in 1..=TERMS {
        let m = m as f64;
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for term in [even, odd] {
            d = 1.0 / bounded(1.0 + term * d);
            c = bounded(1.0 + term / c);
            change = c * d;
            value *= change;
        }
        if (change - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    // scipy 1.17: scipy.stats.beta.ppf(p, 0.6, 0.6).
    #[test]
    fn quantiles_match_scipy() {
        for (p, want) in [
            (0.001, 1.855_873_851_745_199e-5),
            (0.1, 0.039_584_405_588_780_85),
            (0.25, 0.175_680_378_652_694_98),
            (0.5, 0.5),
            (0.9, 0.960_415_594_411_219_2),
        ] {
            let got = quantile(p, 0.6, 0.6);
            assert!(
                (got - want).abs() < 1e-11 * want,
                "{p}: {got}, expected {want}"
            );
        }
        assert_eq!(
            (quantile(0.0, 0.6, 0.6), quantile(1.0, 0.6, 0.6)),
            (0.0, 1.0)
        );
    }

    #[test]
    fn the_uniform_distribution_is_beta_1_1() {
        for p in [0.01, 0.3, 0.77, 0.999] {
            assert!((quantile(p, 1.0, 1.0) - p).abs() < 1e-14);
        }
    }
}
