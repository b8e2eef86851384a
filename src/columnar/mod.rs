//! Conversion between Arrow and device encodings: the device arrays of each Arrow type, ordered dictionaries for
//! strings, column statistics, and the layout of a table as shards and chunks.

pub mod codes;
pub mod decode;
pub mod dictionary;
pub mod encode;
pub mod host_array;
pub mod layout;
pub mod narrow;
pub mod range;
pub mod representation;
pub mod table;
