//! sinh, cosh and tanh from the even and the odd part of e^r, with x = k log(2) + r. For k = 0 they are
//! sinh and cosh themselves.

use crate::elementary::exponential::{Reduced, even_and_odd, reduce, times_power_of_two};
use crate::elementary::pair::Pair;
use crate::elementary::real::{Real, identity_near_zero};

/// sinh and cosh of a magnitude are these times 2^power.
struct Hyperbolic<R> {
    sinh: Pair<R>,
    cosh: Pair<R>,
    power: R,
}

/// Of an x that is not negative; from 720 on of 720.
#[inline]
fn hyperbolic<R: Real>(x: R) -> Hyperbolic<R> {
    let most = x.number(720.0);
    let x = R::pick(x.is_less(most), x, most);
    let Reduced { power, rest } = reduce(x);
    let (even, odd) = even_and_odd(rest);
    // e^x = 2^power (even + odd), e^-x = 2^-power (even - odd). From a power of 60 on the second adds nothing.
    let (growing, falling) = (even.plus(odd), even.minus(odd));
    let most = x.number(60.0);
    let shift = R::pick(power.is_less(most), power, most);
    let falling = falling.scaled((-(shift + shift) - 1.0).power_of_two());
    let growing = growing.scaled(x.number(0.5));
    let small = power.is_less(x.number(1.0));
    Hyperbolic {
        sinh: Pair::pick(small, odd, growing.minus(falling)),
        cosh: Pair::pick(small, even, growing.plus(falling)),
        power,
    }
}

#[inline]
pub fn sinh<R: Real>(x: R) -> R {
    let Hyperbolic { sinh, power, .. } = hyperbolic(x.abs());
    let y = times_power_of_two(sinh.rounded(), power);
    identity_near_zero(x, R::pick(x.is_nan(), x, y))
}

#[inline]
pub fn cosh<R: Real>(x: R) -> R {
    let Hyperbolic { cosh, power, .. } = hyperbolic(x.abs());
    let y = times_power_of_two(cosh.rounded(), power);
    R::pick(x.is_nan(), x, y)
}

#[inline]
pub fn tanh<R: Real>(x: R) -> R {
    let Hyperbolic { sinh, cosh, .. } = hyperbolic(x.abs());
    let y = sinh.over(cosh).rounded();
    identity_near_zero(x, R::pick(x.is_nan(), x, y))
}
