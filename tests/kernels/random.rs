//! Random values for the tests: often extremes, otherwise numbers of every magnitude.

/// A 64-bit generator (SplitMix64, Steele et al. 2014).
pub struct Random(pub u64);

impl Random {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.bits() % n
    }

    /// Returns `true` once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// Returns a number near a power of two or of ten, or one of a random width.
    pub fn i128(&mut self) -> i128 {
        let sign = if self.one_in(2) { -1 } else { 1 };
        let near = self.below(3) as i128 - 1;
        match self.below(8) {
            0 => near,
            1 => [i128::MIN, i128::MIN + 1, i128::MAX, i128::MAX - 1][self.below(4) as usize],
            2 => sign * ((1 << self.below(127)) + near),
            3 => sign * (10i128.pow(self.below(39) as u32) + near),
            _ => {
                let wide = (u128::from(self.bits()) << 64 | u128::from(self.bits())) as i128;
                wide >> self.below(128)
            }
        }
    }

    pub fn i64(&mut self) -> i64 {
        self.i128() as i64
    }

    /// Returns a float of random bits, or a number that is often an integer or close to one.
    pub fn f64(&mut self) -> f64 {
        let extremes = [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -f64::NAN, f64::MAX, f64::MIN_POSITIVE];
        match self.below(4) {
            0 => extremes[self.below(8) as usize],
            1 => f64::from_bits(self.bits()),
            2 => self.i128() as f64,
            _ => self.i64() as f64 / 8.0,
        }
    }

    pub fn f32(&mut self) -> f32 {
        if self.one_in(2) { f32::from_bits(self.bits() as u32) } else { self.f64() as f32 }
    }

    pub fn many<T>(&mut self, n: usize, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..n).map(|_| one(self)).collect()
    }
}
