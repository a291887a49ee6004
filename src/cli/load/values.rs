//! Which of many values a request has.

/// Numbers from 1 to `n`, the k-th as frequent as k to the power of `-exponent`.
///
/// Drawn by rejection from an area that is easily inverted (Hörmann and Derflinger, "Rejection-
/// inversion to generate variates from monotone discrete distributions", 1996), without a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Zipf {
    n: f64,
    exponent: f64,
    /// The area from 1/2 on, where the bar of 1 is cut to its height.
    begin: f64,
    end: f64,
    /// So close to its number a draw is accepted without another look.
    sure: f64,
}

impl Zipf {
    pub(super) fn new(n: u64, exponent: f64) -> Self {
        let mut zipf = Self {
            n: n as f64,
            exponent,
            begin: 0.0,
            end: 0.0,
            sure: 0.0,
        };
        zipf.begin = zipf.area(1.5) - 1.0;
        zipf.end = zipf.area(zipf.n + 0.5);
        zipf.sure = 2.0 - zipf.inverse(zipf.area(2.5) - zipf.height(2.0));
        zipf
    }

    pub(super) fn draw(&self, random: &mut fastrand::Rng) -> u64 {
        loop {
            let area = self.end + random.f64() * (self.begin - self.end);
            let x = self.inverse(area);
            let k = x.round().clamp(1.0, self.n);
            if k - x <= self.sure || area >= self.area(k + 0.5) - self.height(k) {
                return k as u64;
            }
        }
    }

    fn height(&self, x: f64) -> f64 {
        x.powf(-self.exponent)
    }

    /// The integral of the height.
    fn area(&self, x: f64) -> f64 {
        let power = 1.0 - self.exponent;
        if power == 0.0 {
            return x.ln();
        }
        (power * x.ln()).exp_m1() / power
    }

    fn inverse(&self, area: f64) -> f64 {
        let power = 1.0 - self.exponent;
        if power == 0.0 {
            return area.exp();
        }
        ((power * area).max(-1.0).ln_1p() / power).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_as_frequent_as_the_exponent_says() {
        for exponent in [0.0, 0.5, 0.99, 1.0, 1.2, 3.0] {
            for n in [1, 2, 10] {
                check(n, exponent);
            }
        }
    }

    #[test]
    fn of_very_many_values_each_is_within_its_bounds() {
        let zipf = Zipf::new(u64::from(u32::MAX), 1.1);
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..10_000 {
            let value = zipf.draw(&mut random);
            assert!((1..=u64::from(u32::MAX)).contains(&value));
        }
    }

    #[track_caller]
    fn check(n: u64, exponent: f64) {
        const DRAWS: u32 = 100_000;
        let zipf = Zipf::new(n, exponent);
        let mut random = fastrand::Rng::with_seed(n);
        let mut drawn = vec![0_u32; usize::try_from(n).unwrap()];
        for _ in 0..DRAWS {
            let value = zipf.draw(&mut random);
            drawn[usize::try_from(value).unwrap() - 1] += 1;
        }
        let height = |k: u64| (k as f64).powf(-exponent);
        let sum: f64 = (1..=n).map(height).sum();
        for (k, drawn) in (1..=n).zip(drawn) {
            let expected = height(k) / sum;
            let actual = f64::from(drawn) / f64::from(DRAWS);
            assert!(
                (actual - expected).abs() < 0.01,
                "{k} of {n} to the power of -{exponent}: {actual}, expected {expected}"
            );
        }
    }
}
