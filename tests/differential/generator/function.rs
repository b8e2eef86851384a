//! Function calls as SQL text, over floats, integers, strings, dates, times and timestamps. None of them fails at run
//! time on the values in the tables.

use proptest::prelude::*;

use crate::generator::expression::{Expressions, Sql};
use crate::generator::value::Type;

const INTERVALS: [&str; 8] =
    ["1 month", "-13 months", "1 year", "40 days", "1 day 1 hour", "90 seconds", "-1 second", "0.25 seconds"];
const DATE_PARTS: [&str; 14] = [
    "year",
    "isoyear",
    "quarter",
    "month",
    "week",
    "day",
    "dow",
    "isodow",
    "doy",
    "hour",
    "minute",
    "second",
    "millisecond",
    "microsecond",
];
const TRUNCATIONS: [&str; 8] = ["year", "quarter", "month", "week", "day", "hour", "minute", "second"];

fn one_of(choices: &[&'static str]) -> BoxedStrategy<&'static str> {
    prop::sample::select(choices.to_vec()).boxed()
}

impl Expressions {
    /// Returns a float computed from a column of that type.
    pub fn float_function(&self, data_type: Type) -> Sql {
        let functions = [
            "abs(x)",
            "acos(x)",
            "acosh(x)",
            "asin(x)",
            "asinh(x)",
            "atan(x)",
            "atanh(x)",
            "cbrt(x)",
            "ceil(x)",
            "cos(x)",
            "cosh(x)",
            "degrees(x)",
            "exp(x)",
            "floor(x)",
            "ln(x)",
            "log10(x)",
            "log2(x)",
            "radians(x)",
            "round(x)",
            "round(x, 1)",
            "round(x, -2)",
            "signum(x)",
            "sin(x)",
            "sinh(x)",
            "tan(x)",
            "tanh(x)",
            "trunc(x)",
            "trunc(x, 1)",
            "nanvl(x, y)",
            "greatest(x, y)",
            "least(x, y)",
            "nullif(x, y)",
            "atan2(x, y)",
            "log(2, x)",
            "sqrt(abs(x))",
        ];
        let functions: Vec<&'static str> = match data_type {
            // With arguments of two types, the result has the wider one.
            Type::Float32 => functions.into_iter().filter(|f| *f != "log(2, x)").collect(),
            _ => functions.to_vec(),
        };
        (one_of(&functions), self.leaf(data_type), self.leaf(data_type))
            .prop_map(|(f, x, y)| {
                let call = f.replace("exp", "\u{2}").replace('x', "\u{1}").replace('y', &y);
                call.replace('\u{2}', "exp").replace('\u{1}', &x)
            })
            .boxed()
    }

    /// Returns an integer computed from columns of that type, or from others whose functions return the type.
    pub fn integer_function(&self, data_type: Type, total: bool) -> Sql {
        let (a, b) = (self.leaf(data_type), self.leaf(data_type));
        let bits = one_of(&["&", "|", "<<", ">>"]);
        let bitwise = (a, bits, b).prop_map(|(a, op, b)| format!("({a} {op} {b})")).boxed();
        let (a, b) = (self.leaf(data_type), self.leaf(data_type));
        let choice =
            (one_of(&["greatest", "least", "nullif"]), a, b).prop_map(|(f, a, b)| format!("{f}({a}, {b})")).boxed();
        let mut forms = vec![bitwise, choice];
        if !total {
            let fallible = one_of(&["abs", "round"]);
            forms.push((fallible, self.leaf(data_type)).prop_map(|(f, a)| format!("{f}({a})")).boxed());
            if data_type == Type::Int64 {
                let (a, b) = (self.leaf(data_type), self.leaf(data_type));
                forms.push((one_of(&["gcd", "lcm"]), a, b).prop_map(|(f, a, b)| format!("{f}({a}, {b})")).boxed());
            }
        }
        let this = self.clone();
        if data_type == Type::Int32 {
            let dated = self.some_type(|t| t == Type::Date || t.is_timestamp());
            forms.push(
                (dated, one_of(&DATE_PARTS))
                    .prop_flat_map(move |(t, part)| {
                        let t = if t == Type::Date || t.is_timestamp() { t } else { Type::Date };
                        this.leaf(t).prop_map(move |e| format!("date_part('{part}', {e})"))
                    })
                    .boxed(),
            );
        }
        if data_type == Type::Int64 {
            let timed = self.some_type(|t| t.is_timestamp());
            let this = self.clone();
            forms.push(timed.prop_flat_map(move |t| this.leaf(t).prop_map(|e| format!("CAST({e} AS BIGINT)"))).boxed());
            forms
                .push((self.leaf(Type::Date), self.leaf(Type::Date)).prop_map(|(a, b)| format!("({a} - {b})")).boxed());
            let text = self.leaf(Type::Utf8View);
            let of_text = one_of(&["length(x)", "ascii(x)", "strpos(x, 'b')", "octet_length(x)"]);
            forms
                .push((of_text, text).prop_map(|(f, x)| format!("CAST({} AS BIGINT)", f.replacen("x", &x, 1))).boxed());
        }
        proptest::strategy::Union::new(forms).boxed()
    }

    /// Returns a test of a string or a float.
    pub fn test(&self) -> Sql {
        let tests = [
            "x LIKE 'a%'",
            "x NOT LIKE '%b'",
            "x ILIKE 'B%'",
            "x ~ '^[ab]+$'",
            "starts_with(x, 'a')",
            "upper(x) = 'AB'",
        ];
        let strings =
            (one_of(&tests), self.leaf(Type::Utf8)).prop_map(|(test, x)| format!("({})", test.replacen('x', &x, 1)));
        let floats = (one_of(&["isnan", "iszero"]), self.leaf(Type::Float64)).prop_map(|(f, x)| format!("{f}({x})"));
        prop_oneof![3 => strings, 1 => floats].boxed()
    }

    /// Returns a date, a time or a timestamp.
    pub fn time_function(&self, data_type: Type) -> Sql {
        let shifted = (self.leaf(data_type), one_of(&["+", "-"]), one_of(&INTERVALS))
            .prop_map(|(e, op, interval)| format!("({e} {op} INTERVAL '{interval}')"));
        let chosen = (one_of(&["greatest", "least", "nullif"]), self.leaf(data_type), self.leaf(data_type))
            .prop_map(|(f, a, b)| format!("{f}({a}, {b})"));
        if !data_type.is_timestamp() {
            return prop_oneof![2 => shifted, 1 => chosen].boxed();
        }
        let cut = (one_of(&TRUNCATIONS), self.leaf(data_type)).prop_map(|(to, e)| format!("date_trunc('{to}', {e})"));
        let width = one_of(&["15 minutes", "1 day", "7 seconds"]);
        let binned = (width, self.leaf(data_type)).prop_map(|(width, e)| format!("date_bin(INTERVAL '{width}', {e})"));
        prop_oneof![2 => shifted, 1 => chosen, 2 => cut, 1 => binned].boxed()
    }

    /// Returns a string computed from one or two columns.
    pub fn string_function(&self, data_type: Type) -> Sql {
        let functions = [
            "upper(x)",
            "lower(x)",
            "reverse(x)",
            "substr(x, 2)",
            "(x || '!')",
            "(x || y)",
            "concat(y, '-', x)",
            "replace(x, 'a', 'zz')",
            "left(x, 1)",
            "lpad(x, 4, '*')",
            "initcap(x)",
            "repeat(x, 2)",
            "regexp_replace(x, '[ab]', '.')",
            "greatest(x, y)",
            "least(x, y)",
            "nullif(x, y)",
            "trim(x)",
            "split_part(x, 'b', 1)",
        ];
        // The functions do not keep the string layout, so cast back to it.
        (one_of(&functions), self.leaf(data_type), self.leaf(data_type))
            .prop_map(move |(f, x, y)| {
                let call = f.replace("regexp", "\u{2}").replace('x', "\u{1}").replace('y', "\u{3}");
                let call = call.replace('\u{2}', "regexp").replace('\u{1}', &x).replace('\u{3}', &y);
                format!("arrow_cast({call}, '{data_type:?}')")
            })
            .boxed()
    }
}
