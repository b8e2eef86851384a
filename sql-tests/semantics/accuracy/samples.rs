//! Random arguments.

/// A generator with a fixed seed (splitmix64).
pub struct Random(pub u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// From 0 up to 1.
    fn fraction(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * 2f64.powi(-53)
    }

    fn magnitude(&mut self, least: i32, most: i32) -> f64 {
        let power = least + (self.bits() % (most - least + 1) as u64) as i32;
        let mantissa = 1.0 + self.fraction();
        // In two steps, because a power below -1022 is subnormal.
        mantissa * 2f64.powi(power / 2) * 2f64.powi(power - power / 2)
    }

    fn sign(&mut self) -> f64 {
        if self.bits().is_multiple_of(2) { 1.0 } else { -1.0 }
    }
}

/// A distribution of arguments.
#[derive(Clone, Copy)]
pub enum Spread {
    /// There is no argument.
    Nothing,
    Uniform(f64, f64),
    /// Numbers of any sign between powers of two, as many of each power.
    Magnitudes(i32, i32),
    Positive(i32, i32),
    /// At distances from a number that are such magnitudes.
    Around(f64, i32, i32),
    Above(f64, i32, i32),
    Below(f64, i32, i32),
    /// The doubles next to multiples of pi / 2, up to a number of them.
    QuarterTurns(f64),
}

impl Spread {
    pub fn draw(self, random: &mut Random) -> f64 {
        match self {
            Self::Nothing => 0.0,
            Self::Uniform(from, to) => from + (to - from) * random.fraction(),
            Self::Magnitudes(least, most) => random.sign() * random.magnitude(least, most),
            Self::Positive(least, most) => random.magnitude(least, most),
            Self::Around(centre, least, most) => centre + random.sign() * random.magnitude(least, most),
            Self::Above(centre, least, most) => centre + random.magnitude(least, most),
            Self::Below(centre, least, most) => centre - random.magnitude(least, most),
            Self::QuarterTurns(most) => (most * random.fraction()).ceil() * std::f64::consts::FRAC_PI_2,
        }
    }
}
