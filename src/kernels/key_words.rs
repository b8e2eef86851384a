//! Packs several sort keys into few words. Keys packed side by side into one integer compare like the keys one after
//! another.

use crate::hlo::{Builder, HloError, Value};
use crate::kernels::radix_sort::SortKey;
use crate::program::ElementType::{self, U16, U32, U64};

/// Packs `keys`, most significant first, into keys of at most 64 bits each. Keys without bits are left out.
pub(super) fn pack(b: &mut Builder, keys: &[SortKey]) -> Result<Vec<SortKey>, HloError> {
    let mut words: Vec<Vec<SortKey>> = Vec::new();
    for key in with_bits(keys) {
        match words.last_mut() {
            Some(word) if bits_of(word) + key.bits <= 64 => word.push(*key),
            _ => words.push(vec![*key]),
        }
    }
    words.into_iter().map(|word| concatenate(b, &word)).collect()
}

/// Returns the sizes and operands for a native function that packs `keys` itself: `first` followed by byte width and
/// bit count of each key, and the keys.
pub(super) fn operands<const N: usize>(b: &Builder, keys: &[SortKey], first: [usize; N]) -> (Vec<usize>, Vec<Value>) {
    let (mut sizes, mut values) = (first.to_vec(), Vec::with_capacity(keys.len() + 1));
    for key in with_bits(keys) {
        sizes.extend([b.element_type(key.value).size_bytes(), key.bits as usize]);
        values.push(key.value);
    }
    (sizes, values)
}

/// Returns the keys that can differ between rows.
pub(super) fn with_bits(keys: &[SortKey]) -> impl Iterator<Item = &SortKey> {
    keys.iter().filter(|key| key.bits > 0)
}

/// Checks that each key is `[n]` of u8 to u64 and has no more bits than its type.
pub(super) fn check(b: &Builder, keys: &[SortKey], n: usize) -> Result<(), HloError> {
    for key in keys {
        let shape = b.shape(key.value);
        let width = shape.element_type.size_bytes() as u32 * 8;
        if !shape.element_type.is_unsigned_integer() || shape.dims != [n] || key.bits > width {
            let problem = format!("a key is not of {n} unsigned integers of {} bits", key.bits);
            return Err(HloError::operands("sort keys", problem, &[shape]));
        }
    }
    Ok(())
}

fn bits_of(keys: &[SortKey]) -> u32 {
    keys.iter().map(|key| key.bits).sum()
}

/// Returns the narrowest type of at least 16 bits that holds `bits`. XLA:GPU does not sort bytes.
fn type_of(bits: u32) -> ElementType {
    match bits {
        0..=16 => U16,
        17..=32 => U32,
        _ => U64,
    }
}

fn concatenate(b: &mut Builder, keys: &[SortKey]) -> Result<SortKey, HloError> {
    let bits = bits_of(keys);
    let element_type = type_of(bits);
    let mut word: Option<Value> = None;
    for key in keys {
        let value = b.convert(key.value, element_type)?;
        word = Some(match word {
            Some(word) => {
                let width = b.constant_of(element_type, key.bits.into())?;
                let shifted = b.shift_left(word, width)?;
                b.or(shifted, value)?
            }
            None => value,
        });
    }
    let value = word.ok_or_else(|| HloError::operands("sort keys", "a word of no keys", &[]))?;
    Ok(SortKey { value, bits })
}
