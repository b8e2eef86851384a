//! Known digits, so that a mistake of the oracle is not taken for one of a function.

use bigdecimal::num_bigint::BigUint;

use crate::semantics::accuracy::number::Number;
use crate::semantics::accuracy::oracle::{
    acos, acosh, asin, asinh, atan, atan2, atanh, cbrt, cos, cosh, cot, degrees, exp, first_bits, ln, log, log2, log10,
    power, radians, sin, sinh, sqrt, tan, tanh,
};

/// The values of the oracle that differ from the 34 known digits.
pub fn wrong_digits() -> Vec<String> {
    let known = [
        ("acos(-0.75)", acos(Number::from(-0.75)), "2.418858405776377627284266030638170"),
        ("acosh(1.5)", acosh(Number::from(1.5)), "0.9624236501192068949955178268487368"),
        ("asin(0.25)", asin(Number::from(0.25)), "0.2526802551420786534856574369937110"),
        ("asinh(0.5)", asinh(Number::from(0.5)), "0.4812118250596034474977589134243684"),
        ("atan(2.0)", atan(Number::from(2.0)), "1.107148717794090503017065460178537"),
        ("atanh(0.75)", atanh(Number::from(0.75)), "0.9729550745276566525526763717215899"),
        ("cbrt(2.0)", cbrt(Number::from(2.0)), "1.259921049894873164767210607278228"),
        ("cosh(1.5)", cosh(Number::from(1.5)), "2.352409615243247325767667965441644"),
        ("degrees(1.0)", degrees(Number::from(1.0)), "57.29577951308232087679815481410517"),
        ("exp(1.0)", exp(Number::from(1.0)), "2.718281828459045235360287471352662"),
        ("ln(10.0)", ln(Number::from(10.0)), "2.302585092994045684017991454684364"),
        ("log10(2.0)", log10(Number::from(2.0)), "0.3010299956639811952137388947244930"),
        ("log2(3.0)", log2(Number::from(3.0)), "1.584962500721156181453738943947817"),
        ("radians(1.0)", radians(Number::from(1.0)), "0.01745329251994329576923690768488613"),
        ("sinh(0.5)", sinh(Number::from(0.5)), "0.5210953054937473616224256264114916"),
        ("sqrt(2.0)", sqrt(Number::from(2.0)), "1.414213562373095048801688724209698"),
        ("tanh(0.25)", tanh(Number::from(0.25)), "0.2449186624037091292778011314910170"),
        ("cos(1e22)", cos(1e22), "0.5232147853951389454975944733847095"),
        ("cot(0.5)", cot(0.5), "1.830487721712451919268019438968817"),
        ("sin(1e22)", sin(1e22), "-0.8522008497671888017727058937530294"),
        ("tan(1e5)", tan(1e5), "-0.03577166295289877341133054456893096"),
        ("power(3.0, 0.5)", power(Number::from(3.0), Number::from(0.5)), "1.732050807568877293527446341505872"),
        ("log(2.0, 10.0)", log(Number::from(2.0), Number::from(10.0)), "3.32192809488736234787031942948939"),
        ("atan2(1.0, -2.0)", atan2(Number::from(1.0), Number::from(-2.0)), "2.677945044588987122248387151818288"),
    ];
    let off = known.into_iter().filter(|(_, value, digits)| {
        let difference = *value - parsed(digits);
        !difference.is_zero() && difference.magnitude() > value.magnitude() - 110
    });
    off.map(|(name, _, digits)| format!("the oracle's {name} is not {digits}")).collect()
}

/// A decimal number.
fn parsed(digits: &str) -> Number {
    let magnitude = digits.trim_start_matches('-');
    let places = magnitude.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let integer: String = magnitude.chars().filter(char::is_ascii_digit).collect();
    let integer = BigUint::parse_bytes(integer.as_bytes(), 10).unwrap_or_default();
    let value = (0..places).fold(first_bits(&integer, 0), |value, _| value / Number::from(10.0));
    if digits.starts_with('-') { -value } else { value }
}
