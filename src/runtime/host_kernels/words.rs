//! Packs keys of any width into 64-bit words. Keys packed side by side into one word compare like the keys one after
//! another.

use std::ops::Range;

use crate::runtime::call::Call;
use crate::runtime::host_kernels::threads;
use crate::runtime::scratch::Scratch;

/// One key of each row. Only its low `bits` bits may be set.
struct Column<'a> {
    values: Values<'a>,
    bits: u32,
}

enum Values<'a> {
    U8(&'a [u8]),
    U16(&'a [u16]),
    U32(&'a [u32]),
    U64(&'a [u64]),
}

/// The words of all rows, most significant first.
pub(super) struct Words<'a>(Vec<Word<'a>>);

enum Word<'a> {
    /// A column that is used as a word unchanged.
    Given(&'a [u64]),
    Packed(Scratch<u64>),
}

impl<'a> Words<'a> {
    /// Packs the columns in operands 1 to `n_columns`, of `n` rows. Their byte widths and bit counts alternate in the
    /// sizes, from `first_size` on.
    ///
    /// # Safety
    ///
    /// The program must pass such sizes and columns.
    pub(super) unsafe fn of_call(call: &Call<'a>, n: usize, n_columns: usize, first_size: usize) -> Self {
        let column = |index: usize| {
            // SAFETY: guaranteed by the caller.
            unsafe {
                let sizes = &call.input::<i64>(0, first_size + 2 * n_columns)[first_size + 2 * index..];
                let values = match sizes[0] {
                    1 => Values::U8(call.input(1 + index, n)),
                    2 => Values::U16(call.input(1 + index, n)),
                    4 => Values::U32(call.input(1 + index, n)),
                    _ => Values::U64(call.input(1 + index, n)),
                };
                Column { values, bits: sizes[1] as u32 }
            }
        };
        Self::new((0..n_columns).map(column), n)
    }

    fn new(columns: impl Iterator<Item = Column<'a>>, n: usize) -> Self {
        let mut words: Vec<Vec<Column<'a>>> = Vec::new();
        for column in columns {
            match words.last_mut() {
                Some(word) if word.iter().map(|column| column.bits).sum::<u32>() + column.bits <= 64 => {
                    word.push(column);
                }
                _ => words.push(vec![column]),
            }
        }
        let word = |columns: Vec<Column<'a>>| match columns[..] {
            [Column { values: Values::U64(word), .. }] => Word::Given(word),
            _ => Word::Packed(pack(&columns, n)),
        };
        Self(words.into_iter().map(word).collect())
    }

    pub(super) fn slices(&self) -> Vec<&[u64]> {
        let slice = |word| match word {
            &Word::Given(word) => word,
            Word::Packed(word) => word,
        };
        self.0.iter().map(slice).collect()
    }
}

/// Number of rows packed at once, in cache.
const BLOCK: usize = 1024;

fn pack(columns: &[Column<'_>], n: usize) -> Scratch<u64> {
    let n_threads = threads::for_rows(n);
    let mut words = Scratch::with_capacity(n);
    threads::for_each(
        n_threads,
        threads::split(words.spare(n), n_threads),
        || (),
        |(), (rows, to)| {
            for (to, start) in to.chunks_mut(BLOCK).zip(rows.step_by(BLOCK)) {
                let mut block = [0; BLOCK];
                let block = &mut block[..to.len()];
                for column in columns {
                    append(block, column, start..start + to.len());
                }
                to.write_copy_of_slice(block);
            }
        },
    );
    // SAFETY: all n elements have been written.
    unsafe { words.set_len(n) };
    words
}

/// Shifts `words` left and inserts the column's bits below.
fn append(words: &mut [u64], column: &Column<'_>, rows: Range<usize>) {
    fn shift_in<T: Copy + Into<u64>>(words: &mut [u64], values: &[T], bits: u32) {
        for (word, value) in words.iter_mut().zip(values) {
            *word = word.unbounded_shl(bits) | (*value).into();
        }
    }
    match column.values {
        Values::U8(values) => shift_in(words, &values[rows], column.bits),
        Values::U16(values) => shift_in(words, &values[rows], column.bits),
        Values::U32(values) => shift_in(words, &values[rows], column.bits),
        Values::U64(values) => shift_in(words, &values[rows], column.bits),
    }
}
