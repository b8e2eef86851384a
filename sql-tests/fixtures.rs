//! The tables that every .slt file may read, full of edge cases: limits, NULLs, NaN, -0.0, shared prefixes.
//!
//! | table | columns | rows |
//! |---|---|---|
//! | `ints` | id, i8 .. i64, u8 .. u64 | minimum, maximum, their neighbours, 0, 1, NULL |
//! | `floats` | id, f32, f64 | NaN, ±0.0, ±inf, subnormals, limits, NULL |
//! | `decimals` | id, d4 (4,2), d9 (9,2), d18 (18,4), d38 (38,10), d380 (38,0) | the limits of each precision, 0, NULL |
//! | `strings` | id, s Utf8, l LargeUtf8, v Utf8View | empty, shared prefixes, longer than a view's inline part, unicode |
//! | `dates` | id, d | before 1970, leap days, year ends, far past and future, NULL |
//! | `times` | id, n, e, d, d64, tm, tms, tus, tns, s, ms, us, ns, utc, east, berlin, dur | dates (e beside d), times, timestamps of each unit, of three zones, durations (ms): the epoch, leap days, month ends, year 1 and 9999, fractions, NULL |
//! | `bools` | id, a, b | every pair of true, false, NULL |
//! | `empty`, `one_row`, `all_null` | id, i, f, p (15,2), s, b, d | none; one; three with only id |
//! | `big` | id, k, g, h, m, d, v, f, p | 5,000 in two partitions of uneven batches; k is skewed and has NULLs |
//!
//! `tpch/` files also see the eight tables of TPC-H at scale factor 0.01.

use std::sync::{Arc, OnceLock};

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Date64Array, Decimal128Array, DurationMillisecondArray, Float32Array,
    Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, LargeStringArray, RecordBatch, StringArray,
    StringViewArray, Time32MillisecondArray, Time32SecondArray, Time64MicrosecondArray, Time64NanosecondArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray, UInt8Array,
    UInt16Array, UInt32Array, UInt64Array,
};
use datafusion::arrow::compute::concat_batches;
use datafusion::datasource::MemTable;
use datafusion::error::Result;
use datafusion::prelude::SessionContext;
use parallax::tpch::tables;

/// Registers every fixture except the TPC-H tables.
pub fn register(context: &SessionContext) -> Result<()> {
    let one = |name: &str, batch: RecordBatch, lengths: &[usize]| {
        let batches = split(&batch, lengths);
        let table = MemTable::try_new(batch.schema(), vec![batches])?;
        context.register_table(name, Arc::new(table)).map(drop)
    };
    one("ints", ints()?, &[3, 0])?;
    one("floats", floats()?, &[1, 4])?;
    one("decimals", decimals()?, &[2])?;
    one("strings", strings()?, &[4, 1])?;
    one("dates", dates()?, &[5])?;
    one("times", times()?, &[3])?;
    one("bools", bools()?, &[])?;
    one("empty", mixed(&[], false)?, &[])?;
    one("one_row", mixed(&[7], true)?, &[])?;
    one("all_null", mixed(&[1, 2, 3], false)?, &[1])?;

    let big = big(5_000)?;
    let (front, back) = (big.slice(0, 3_001), big.slice(3_001, 1_999));
    let partitions = vec![split(&front, &[1, 0, 1_023, 977]), split(&back, &[500])];
    let table = MemTable::try_new(big.schema(), partitions)?;
    context.register_table("big", Arc::new(table)).map(drop)
}

/// Registers the TPC-H tables at scale factor 0.01 (60,175 rows of lineitem), generated once for all engines.
pub fn register_tpch(context: &SessionContext) -> Result<()> {
    static TABLES: OnceLock<Vec<(&str, RecordBatch)>> = OnceLock::new();
    let tables = match TABLES.get() {
        Some(tables) => tables,
        None => {
            let mut whole = Vec::new();
            for (name, batches) in tables(0.01)? {
                whole.push((name, concat_batches(&batches[0].schema(), &batches)?));
            }
            TABLES.get_or_init(|| whole)
        }
    };
    for (name, batch) in tables {
        let table = MemTable::try_new(batch.schema(), vec![split(batch, &[8_192; 7])])?;
        context.register_table(*name, Arc::new(table))?;
    }
    Ok(())
}

/// Splits a batch into batches of the given lengths, followed by the rest.
fn split(batch: &RecordBatch, lengths: &[usize]) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    let mut start = 0;
    for length in lengths {
        let length = (*length).min(batch.num_rows() - start);
        batches.push(batch.slice(start, length));
        start += length;
    }
    batches.push(batch.slice(start, batch.num_rows() - start));
    batches
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch> {
    Ok(RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))?)
}

fn ids(rows: usize) -> ArrayRef {
    Arc::new(Int32Array::from_iter_values(1..=rows as i32))
}

/// Eight rows of every width: minimum, minimum + 1, maximum - 1, maximum, 0, 1, a middle value, NULL.
macro_rules! limits {
    ($array:ident, $native:ty) => {
        Arc::new($array::from(vec![
            Some(<$native>::MIN),
            Some(<$native>::MIN + 1),
            Some(<$native>::MAX - 1),
            Some(<$native>::MAX),
            Some(0),
            Some(1),
            Some(42),
            None,
        ])) as ArrayRef
    };
}

fn ints() -> Result<RecordBatch> {
    batch(vec![
        ("id", ids(8)),
        ("i8", limits!(Int8Array, i8)),
        ("i16", limits!(Int16Array, i16)),
        ("i32", limits!(Int32Array, i32)),
        ("i64", limits!(Int64Array, i64)),
        ("u8", limits!(UInt8Array, u8)),
        ("u16", limits!(UInt16Array, u16)),
        ("u32", limits!(UInt32Array, u32)),
        ("u64", limits!(UInt64Array, u64)),
    ])
}

fn floats() -> Result<RecordBatch> {
    let doubles = vec![
        Some(f64::NAN),
        Some(0.0),
        Some(-0.0),
        Some(f64::INFINITY),
        Some(f64::NEG_INFINITY),
        Some(f64::MIN_POSITIVE / 4.0),
        Some(f64::MAX),
        Some(f64::MIN),
        Some(1.5),
        Some(-2.25),
        Some(0.1),
        None,
    ];
    let singles = vec![
        Some(f32::NAN),
        Some(0.0),
        Some(-0.0),
        Some(f32::INFINITY),
        Some(f32::NEG_INFINITY),
        Some(f32::MIN_POSITIVE / 4.0),
        Some(f32::MAX),
        Some(f32::MIN),
        Some(1.5),
        Some(-2.25),
        Some(0.1),
        None,
    ];
    batch(vec![
        ("id", ids(doubles.len())),
        ("f32", Arc::new(Float32Array::from(singles))),
        ("f64", Arc::new(Float64Array::from(doubles))),
    ])
}

fn decimals() -> Result<RecordBatch> {
    let column = |precision: u8, scale: i8| -> Result<ArrayRef> {
        let most = 10i128.pow(precision.into()) - 1;
        let one = 10i128.pow(scale as u32);
        let values = vec![Some(most), Some(-most), Some(0), Some(one), Some(-one), Some(1), Some(one * 5 / 2), None];
        Ok(Arc::new(Decimal128Array::from(values).with_precision_and_scale(precision, scale)?))
    };
    batch(vec![
        ("id", ids(8)),
        ("d4", column(4, 2)?),
        ("d9", column(9, 2)?),
        ("d18", column(18, 4)?),
        ("d38", column(38, 10)?),
        ("d380", column(38, 0)?),
    ])
}

fn strings() -> Result<RecordBatch> {
    let values = vec![
        Some(""),
        Some("a"),
        Some("ab"),
        Some("abc"),
        Some("abcdefghijkl"),
        Some("abcdefghijklm"),
        Some("abcdefghijkln"),
        Some("B"),
        Some("é"),
        Some("日本"),
        Some("z"),
        None,
        Some("a"),
    ];
    batch(vec![
        ("id", ids(values.len())),
        ("s", Arc::new(StringArray::from(values.clone()))),
        ("l", Arc::new(LargeStringArray::from(values.clone()))),
        ("v", Arc::new(StringViewArray::from(values))),
    ])
}

fn dates() -> Result<RecordBatch> {
    // Days since 1970-01-01.
    let days = vec![
        Some(0),
        Some(-1),
        Some(11_016),    // 2000-02-29
        Some(11_017),    // 2000-03-01
        Some(8_035),     // 1992-01-01
        Some(10_561),    // 1998-12-01
        Some(-141_428),  // 1582-10-15
        Some(-719_162),  // 0001-01-01
        Some(2_932_896), // 9999-12-31
        Some(19_722),    // 2023-12-31
        None,
    ];
    batch(vec![("id", ids(days.len())), ("d", Arc::new(Date32Array::from(days)))])
}

fn times() -> Result<RecordBatch> {
    // Seconds since 1970-01-01, and nanoseconds beside them.
    let seconds: Vec<Option<i64>> = vec![
        Some(0),
        Some(-1),
        Some(951_782_400),    // 2000-02-29
        Some(951_868_799),    // 2000-02-29 23:59:59
        Some(1_706_659_200),  // 2024-01-31
        Some(-86_401),        // 1969-12-30 23:59:59
        Some(4_102_444_799),  // 2099-12-31 23:59:59
        Some(1_609_459_200),  // 2021-01-01, in week 53 of 2020
        Some(-2_208_988_800), // 1900-01-01, no leap year
        Some(1_711_846_800),  // 2024-03-31 01:00, when Berlin's clocks go forward
        None,
        Some(1_604_188_799), // 2020-10-31 23:59:59
    ];
    let far = [(1, -62_135_596_800), (6, 253_402_300_799)];
    let fraction = |row: usize| [0, 999_999_999, 1, 123_456_789, 500_000_000][row % 5];
    let scaled = |factor: i64| -> Vec<Option<i64>> {
        let value = |(row, s): (usize, &Option<i64>)| s.map(|s| s * factor + fraction(row) / (1_000_000_000 / factor));
        seconds.iter().enumerate().map(value).collect()
    };
    // Years 1 and 9999, if the unit can represent them.
    let mut coarse: Vec<Vec<Option<i64>>> = [1, 1_000, 1_000_000].map(scaled).to_vec();
    for (values, factor) in coarse.iter_mut().zip([1, 1_000, 1_000_000]) {
        for (row, second) in far {
            values[row] = Some(second * factor);
        }
    }
    let days = |shift: i64| seconds.iter().map(move |s| s.map(|s| (s.div_euclid(86_400) + shift) as i32));
    let of_day = |factor: i64| scaled(factor).into_iter().map(move |v| v.map(|v| v.rem_euclid(86_400 * factor)));
    let nanos = TimestampNanosecondArray::from(scaled(1_000_000_000));
    let numbers = [0, 1, -1, 31, 12, 400, -13, 59, 7, 2_000, 5, 3].map(Some).to_vec();
    batch(vec![
        ("id", ids(seconds.len())),
        ("n", Arc::new(Int64Array::from(numbers))),
        ("e", Arc::new(days(37).collect::<Date32Array>())),
        ("d", Arc::new(days(0).collect::<Date32Array>())),
        ("d64", Arc::new(coarse[1].iter().copied().collect::<Date64Array>())),
        ("tm", Arc::new(of_day(1).map(|v| v.map(|v| v as i32)).collect::<Time32SecondArray>())),
        ("tms", Arc::new(of_day(1_000).map(|v| v.map(|v| v as i32)).collect::<Time32MillisecondArray>())),
        ("tus", Arc::new(of_day(1_000_000).collect::<Time64MicrosecondArray>())),
        ("tns", Arc::new(of_day(1_000_000_000).collect::<Time64NanosecondArray>())),
        ("s", Arc::new(TimestampSecondArray::from(coarse[0].clone()))),
        ("ms", Arc::new(TimestampMillisecondArray::from(coarse[1].clone()))),
        ("us", Arc::new(TimestampMicrosecondArray::from(coarse[2].clone()))),
        ("ns", Arc::new(nanos.clone())),
        ("utc", Arc::new(nanos.clone().with_timezone("UTC"))),
        ("east", Arc::new(TimestampMillisecondArray::from(coarse[1].clone()).with_timezone("+05:30"))),
        ("berlin", Arc::new(TimestampMicrosecondArray::from(scaled(1_000_000)).with_timezone("Europe/Berlin"))),
        ("dur", Arc::new(DurationMillisecondArray::from(scaled(1_000)))),
    ])
}

fn bools() -> Result<RecordBatch> {
    let values = [Some(true), Some(false), None];
    let a = values.iter().flat_map(|v| [*v; 3]).collect::<BooleanArray>();
    let b = [values; 3].concat().into_iter().collect::<BooleanArray>();
    batch(vec![("id", ids(9)), ("a", Arc::new(a)), ("b", Arc::new(b))])
}

/// Creates one column of each family. Unless `filled`, all but `id` are NULL.
fn mixed(ids: &[i32], filled: bool) -> Result<RecordBatch> {
    let rows = ids.len();
    let fill = |index: usize| filled && index < rows;
    let decimal: Decimal128Array = (0..rows).map(|r| fill(r).then_some(12_345)).collect();
    batch(vec![
        ("id", Arc::new(Int32Array::from(ids.to_vec()))),
        ("i", Arc::new((0..rows).map(|r| fill(r).then_some(-5)).collect::<Int64Array>())),
        ("f", Arc::new((0..rows).map(|r| fill(r).then_some(2.5)).collect::<Float64Array>())),
        ("p", Arc::new(decimal.with_precision_and_scale(15, 2)?)),
        ("s", Arc::new((0..rows).map(|r| fill(r).then_some("one")).collect::<StringArray>())),
        ("b", Arc::new((0..rows).map(|r| fill(r).then_some(true)).collect::<BooleanArray>())),
        ("d", Arc::new((0..rows).map(|r| fill(r).then_some(10_000)).collect::<Date32Array>())),
    ])
}

/// `k` is 0 to 9, with half the rows in group 3 and some NULL; `g` five words; `h` boolean; `m` 1 to 12; `d` 40 days;
/// `v`, `f`, `p` are values, a tenth of them NULL.
fn big(rows: usize) -> Result<RecordBatch> {
    let mut random = Random(0x5eed);
    let words = ["north", "south", "east", "west", ""];
    let (mut k, mut g, mut h, mut m) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut d, mut v, mut f, mut p) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rows {
        k.push(match random.below(20) {
            0..10 => Some(3),
            10 => None,
            n => Some((n - 10) as i32),
        });
        g.push(Some(words[random.below(5) as usize]).filter(|_| random.below(30) > 0));
        h.push(Some(random.below(3) == 0).filter(|_| random.below(30) > 0));
        m.push(1 + random.below(12) as i16);
        d.push(Some(9_000 + random.below(40) as i32).filter(|_| random.below(30) > 0));
        v.push(Some(random.below(2_000_001) as i64 - 1_000_000).filter(|_| random.below(10) > 0));
        f.push(Some(random.below(1 << 40) as f64 / 65_537.0).filter(|_| random.below(10) > 0));
        p.push(Some(i128::from(random.below(10_000_000)) - 5_000_000).filter(|_| random.below(10) > 0));
    }
    batch(vec![
        ("id", Arc::new(Int64Array::from_iter_values(1..=rows as i64))),
        ("k", Arc::new(Int32Array::from(k))),
        ("g", Arc::new(StringViewArray::from(g))),
        ("h", Arc::new(BooleanArray::from(h))),
        ("m", Arc::new(Int16Array::from(m))),
        ("d", Arc::new(Date32Array::from(d))),
        ("v", Arc::new(Int64Array::from(v))),
        ("f", Arc::new(Float64Array::from(f))),
        ("p", Arc::new(Decimal128Array::from(p).with_precision_and_scale(15, 2)?)),
    ])
}

/// SplitMix64, which gives the same rows on every machine and in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}
